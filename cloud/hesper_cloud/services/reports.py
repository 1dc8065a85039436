"""Reports: asked for, kept and given out, and those that are made by themselves."""

import asyncio
import uuid
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import TypeVar
from zoneinfo import ZoneInfo

from sqlalchemy import Select, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from hesper_cloud.accounts.roles import Actor, Permission
from hesper_cloud.db.engines import reading, writing
from hesper_cloud.db.long_jobs import LongJob
from hesper_cloud.db.reports import Report, ReportSchedule
from hesper_cloud.long_jobs.asking import Wish, ask
from hesper_cloud.paging import Asked, Order, Orders
from hesper_cloud.reports import making
from hesper_cloud.reports.folders import FORMATS, file_of
from hesper_cloud.reports.kinds import KINDS
from hesper_cloud.reports.schedules import MINUTES_PER_DAY, next_at
from hesper_cloud.reports.tables import Period, ReportKind
from hesper_cloud.services.authority_link import AuthorityLink
from hesper_cloud.services.errors import Invalid, NotFound, NotPermitted, Refused
from hesper_cloud.services.jobs import JobRow, job_row
from hesper_cloud.services.looking import looked_at_area
from hesper_cloud.services.report_records import (
    KindRow,
    ReportRow,
    ReportWish,
    ScheduleRow,
    ScheduleWish,
)
from hesper_cloud.services.sources import Sources, require
from hesper_cloud.zones import existing_zone

T = TypeVar("T")
MOST_DAYS = 400
_YEARS = range(1971, 2200)
_ORDERS = Orders({"id": Order(Report.id, int)}, Order(Report.id, int), "-id")


ReportRows = list[ReportRow]
ScheduleRows = list[ScheduleRow]


class Reports:
    """Who sees some areas alone asks for reports of one of them, and sees those."""

    def __init__(self, sources: Sources, link: AuthorityLink) -> None:
        self._sources = sources
        self._link = link

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
        """Returns the day that it is, and the zone whose calendar says so."""
        zone = self._sources.settings.service_levels.zone
        return self._sources.clock().astimezone(ZoneInfo(zone)).date(), zone

    async def ask(self, actor: Actor, wish: ReportWish) -> JobRow:
        """Asks for a report; returns the job that makes it.

        Raises:
            Invalid: there is no such kind or zone, or the days are none.
            NotPermitted: it is not for this role, or not for these areas.
        """
        require(actor, Permission.ORDER_JOBS)
        kind = _kind(actor, wish.kind, wish.area)
        days = (wish.last - wish.first).days
        if not 0 <= days < MOST_DAYS or not {wish.first.year, wish.last.year} <= set(_YEARS):
            raise Invalid(f"a report is of 1 to {MOST_DAYS} days, the first one first")
        end = date.fromordinal(wish.last.toordinal() + 1)
        areas = None if wish.area is None else (wish.area,)
        period = Period(wish.first, end, _zone(wish.zone), areas)
        asked = Wish(
            making.KIND,
            f"{kind.title}, {wish.first} to {wish.last}",
            actor.username,
            making.parameters_of(kind.name, period, wish.area),
        )

        def begin(session: Session) -> JobRow:
            number = ask(session, asked, self._sources.clock())
            return job_row(session.get_one(LongJob, number))

        return await self._written(begin)

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
                    raise NotFound(f"there is no report {report_id}")
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
            raise NotFound(f"report {report_id} is not there as {form} any more; ask for it again")
        if row.kind in making.OF_HOUSEHOLDS:
            span = (int(row.from_at.timestamp()), int(row.to_at.timestamp()))
            looked_at_area(self._sources, actor, f"{row.kind} report", row.area, span)
        return f"{row.kind}-{row.from_at.astimezone(ZoneInfo(row.zone)):%Y-%m-%d}.{form}", path

    async def schedules(self, actor: Actor) -> ScheduleRows:
        """Returns the schedules by name."""
        require(actor, Permission.READ)

        def load() -> ScheduleRows:
            query = select(ReportSchedule).order_by(ReportSchedule.name)
            with reading(self._sources.registry) as session:
                rows = session.scalars(query).all()
            return [_schedule_row(row) for row in rows if _is_seen(actor, row.kind, row.area)]

        return await asyncio.to_thread(load)

    async def add_schedule(self, actor: Actor, wish: ScheduleWish) -> ScheduleRow:
        """Has a report made by itself from now on. Audited before it counts.

        Raises:
            Invalid: there is no such kind, zone or minute.
            Refused: there is a schedule of this name.
        """
        require(actor, Permission.ORDER_JOBS)
        _kind(actor, wish.kind, wish.area)
        if not 0 <= wish.at_minute < MINUTES_PER_DAY:
            raise Invalid(f"a day has minutes 0 to {MINUTES_PER_DAY - 1}")
        zone, now = _zone(wish.zone), self._sources.clock()
        row = ReportSchedule(
            **{name: getattr(wish, name) for name in ScheduleWish.__dataclass_fields__},
            enabled=True,
            next_at=next_at(wish.every, wish.at_minute, zone, now),
            made_by=actor.username,
            made_at=now,
        )
        await self._note(actor, "report-schedule.add", wish.name, f"{wish.kind} every {wish.every}")

        def add(session: Session) -> ScheduleRow:
            session.add(row)
            session.flush()
            return _schedule_row(row)

        try:
            return await self._written(add)
        except IntegrityError:
            raise Refused(f"there is a schedule {wish.name!r}") from None

    async def remove_schedule(self, actor: Actor, schedule_id: int) -> None:
        """Ends a schedule; what it made stays. Audited before it counts.

        Raises:
            NotFound: there is none with this number.
        """
        require(actor, Permission.ORDER_JOBS)
        rows = {row.id: row for row in await self.schedules(actor)}
        if schedule_id not in rows:
            raise NotFound(f"there is no schedule {schedule_id}")
        await self._note(actor, "report-schedule.remove", rows[schedule_id].name, "removed")

        def remove(session: Session) -> None:
            row = session.get(ReportSchedule, schedule_id)
            if row is not None:
                session.delete(row)

        await self._written(remove)

    async def _note(self, actor: Actor, action: str, subject: str, after: str) -> None:
        payload = {"action": action, "subject": subject, "after": after}
        await self._link.ask(actor, "audit.note", payload, f"{action}-{uuid.uuid4().hex}")

    async def _written(self, change: Callable[[Session], T]) -> T:
        def commit() -> T:
            with writing(self._sources.registry) as session:
                return change(session)

        return await asyncio.to_thread(commit)


def _kind(actor: Actor, name: str, area: str | None) -> ReportKind:
    """Returns a kind of report that the actor may ask for, of an area or of all."""
    kind = KINDS.get(name)
    if kind is None:
        raise Invalid(f"there is no report {name[:40]!r}; there are {', '.join(KINDS)}")
    require(actor, kind.permission)
    if area is not None and not kind.divisible:
        raise Invalid(f"{kind.title} cannot be divided by area")
    if not _is_seen(actor, name, area):
        raise NotPermitted("your account is for some areas; ask for a report of one of them")
    return kind


def _is_seen(actor: Actor, name: str, area: str | None) -> bool:
    kind = KINDS.get(name)
    if kind is not None and not actor.may(kind.permission):
        return False
    return actor.areas is None or (area is not None and actor.sees(area))


def _seen(actor: Actor) -> Select[Report]:
    may = [name for name, kind in KINDS.items() if actor.may(kind.permission)]
    query = select(Report).where(Report.kind.in_(may))
    return query if actor.areas is None else query.where(Report.area.in_(actor.areas))


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(existing_zone(name))
    except ValueError as error:
        raise Invalid(str(error)) from None


def _report_row(row: Report) -> ReportRow:
    return ReportRow(**{name: getattr(row, name) for name in ReportRow.__dataclass_fields__})


def _schedule_row(row: ReportSchedule) -> ScheduleRow:
    return ScheduleRow(**{name: getattr(row, name) for name in ScheduleRow.__dataclass_fields__})
