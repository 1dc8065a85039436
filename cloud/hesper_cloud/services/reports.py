"""Reports: asked for, kept and given out."""

import asyncio
from datetime import date
from pathlib import Path
from zoneinfo import ZoneInfo

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from hesper_cloud.accounts.roles import Actor, Permission
from hesper_cloud.db.engines import reading
from hesper_cloud.db.long_jobs import LongJob
from hesper_cloud.db.reports import Report
from hesper_cloud.long_jobs.asking import Wish, ask
from hesper_cloud.paging import Asked, Order, Orders
from hesper_cloud.reports import making
from hesper_cloud.reports.folders import FORMATS, file_of
from hesper_cloud.reports.kinds import KINDS
from hesper_cloud.reports.tables import Period
from hesper_cloud.services.errors import Invalid, NotFound
from hesper_cloud.services.jobs import JobRow, job_row
from hesper_cloud.services.looking import looked_at_area
from hesper_cloud.services.report_checks import kind_of, zone_named
from hesper_cloud.services.report_records import KindRow, ReportRow, ReportWish
from hesper_cloud.services.report_schedules import ReportSchedules
from hesper_cloud.services.sources import require
from hesper_cloud.worded import worded

MOST_DAYS = 400
_YEARS = range(1971, 2200)
_ORDERS = Orders({"id": Order(Report.id, int)}, Order(Report.id, int), "-id")


ReportRows = list[ReportRow]


class Reports(ReportSchedules):
    """Who sees some areas alone asks for reports of one of them, and sees those."""

    def kinds(self, actor: Actor) -> list[KindRow]:
        """Returns the kinds that the actor may ask for."""
        require(actor, Permission.READ)
        return [
            KindRow(
                kind.name, kind.title, tuple(each.title for each in kind.columns), kind.divisible
            )
            for kind in KINDS.values()
            if actor.may(kind.permission) and (kind.divisible or actor.areas is None)
        ]

    def today(self) -> tuple[date, str]:
        """Returns the day that it is, and the zone whose calendar says so: the energy book's."""
        zone = self._sources.settings.validation.zone
        return self._sources.clock().astimezone(ZoneInfo(zone)).date(), zone

    async def ask(self, actor: Actor, wish: ReportWish) -> JobRow:
        """Asks for a report; returns the job that makes it.

        Raises:
            Invalid: there is no such kind or zone, or the days are none.
            NotPermitted: it is not for this role, or not for these areas.
        """
        require(actor, Permission.ORDER_JOBS)
        kind = kind_of(actor, wish.kind, wish.area)
        days = (wish.last - wish.first).days
        if not 0 <= days < MOST_DAYS or not {wish.first.year, wish.last.year} <= set(_YEARS):
            raise Invalid(
                worded(
                    "a report is of 1 to {most_days} days, the first one first", most_days=MOST_DAYS
                )
            )
        end = date.fromordinal(wish.last.toordinal() + 1)
        areas = None if wish.area is None else (wish.area,)
        period = Period(wish.first, end, zone_named(wish.zone), areas)
        asked = Wish(
            making.KIND,
            worded(
                "{what}, {first} to {last}",
                what=worded(kind.title),
                first=wish.first,
                last=wish.last,
            ),
            actor.username,
            making.parameters_of(kind.name, period, wish.area),
        )

        def begin(session: Session) -> JobRow:
            number = ask(session, asked, self._sources.clock())
            return job_row(session.get_one(LongJob, number))

        return await self.written(begin)

    async def page(self, actor: Actor, asked: Asked) -> tuple[ReportRows, str | None]:
        """Returns reports, newest first, and the cursor of the next page."""
        require(actor, Permission.READ)

        def load() -> tuple[ReportRows, str | None]:
            with reading(self._sources.registry) as session:
                rows, following = _ORDERS.page(session, _seen(actor), asked)
                return [_report_row(row) for row in rows], following

        return await asyncio.to_thread(load)

    async def get(self, actor: Actor, report_id: int) -> ReportRow:
        """Returns one report.

        Raises:
            NotFound: there is none with this number, or it is not the actor's to see.
        """
        require(actor, Permission.READ)

        def load() -> ReportRow:
            with reading(self._sources.registry) as session:
                row = session.scalar(_seen(actor).where(Report.id == report_id))
                if row is None:
                    raise NotFound(worded("there is no report {report}", report=report_id))
                return _report_row(row)

        return await asyncio.to_thread(load)

    async def file(self, actor: Actor, report_id: int, form: str) -> tuple[str, Path]:
        """Returns the name to give a report's file, and where it lies.

        One that shows what households used is noted as a look at their data.

        Raises:
            NotFound: there is none, or the clean-up took it.
            Unavailable: the look cannot be written down.
        """
        row = await self.get(actor, report_id)
        path = file_of(self._sources.settings.state, row.job_id, form)
        if form not in FORMATS or row.removed_at is not None or not path.exists():
            raise NotFound(
                worded(
                    "report {report} is not there as {form} any more; ask for it again",
                    report=report_id,
                    form=form,
                )
            )
        if row.kind in making.OF_HOUSEHOLDS:
            span = (int(row.from_at.timestamp()), int(row.to_at.timestamp()))
            looked_at_area(self._sources, actor, f"{row.kind} report", row.area, span)
        return f"{row.kind}-{row.from_at.astimezone(ZoneInfo(row.zone)):%Y-%m-%d}.{form}", path


def _seen(actor: Actor) -> Select[Report]:
    may = [name for name, kind in KINDS.items() if actor.may(kind.permission)]
    query = select(Report).where(Report.kind.in_(may))
    return query if actor.areas is None else query.where(Report.area.in_(actor.areas))


def _report_row(row: Report) -> ReportRow:
    return ReportRow(**{name: getattr(row, name) for name in ReportRow.__dataclass_fields__})
