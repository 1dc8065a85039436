"""Reports that are made by themselves: when the next one is due, and of which days it is."""

import logging
from collections.abc import Callable
from datetime import date, datetime, timedelta
from typing import Literal, cast
from zoneinfo import ZoneInfo

from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from hesper_cloud.aggregates.calendar import month_after
from hesper_cloud.db.engines import reading, writing
from hesper_cloud.db.long_jobs import LongJob
from hesper_cloud.db.registry import CLOCK_TOLERANCE
from hesper_cloud.db.reports import ReportSchedule
from hesper_cloud.long_jobs.asking import Wish, ask
from hesper_cloud.reports import making
from hesper_cloud.reports.kinds import KINDS
from hesper_cloud.reports.tables import Period
from hesper_cloud.worded import worded

log = logging.getLogger(__name__)

Every = Literal["day", "week", "month"]
MINUTES_PER_DAY = 1440
_DAY = timedelta(days=1)
_WEEK = timedelta(days=7)


def next_at(every: Every, at_minute: int, zone: ZoneInfo, after: datetime) -> datetime:
    """Returns the first moment later than ``after``: a day's, a Monday's or a month's first.

    ``at_minute`` counts from midnight by the clock on the wall. A minute that a change of the clock
    leaves out comes an hour later, one that comes twice counts the first time.
    """
    day = after.astimezone(zone).date()
    found = _moment(_beginning(every, day), at_minute, zone)
    while found <= after:
        day = _following(every, _beginning(every, day))
        found = _moment(day, at_minute, zone)
    return found


def days_before(every: Every, zone: ZoneInfo, at: datetime) -> tuple[date, date]:
    """Returns the day, week or month that ended last before a moment: first day, and day after."""
    end = _beginning(every, at.astimezone(zone).date())
    return _beginning(every, end - _DAY), end


def _beginning(every: Every, day: date) -> date:
    if every == "week":
        return day - day.weekday() * _DAY
    return day.replace(day=1) if every == "month" else day


def _following(every: Every, day: date) -> date:
    if every == "month":
        return month_after(day)
    return day + (_WEEK if every == "week" else _DAY)


def _moment(day: date, at_minute: int, zone: ZoneInfo) -> datetime:
    hour, minute = divmod(at_minute, 60)
    return datetime(day.year, day.month, day.day, hour, minute, tzinfo=zone)


class ScheduledReports:
    """Asks for the reports that are due; `turn` is called by the jobs."""

    def __init__(self, registry: Engine, clock: Callable[[], datetime]) -> None:
        self._registry = registry
        self._clock = clock

    def turn(self) -> None:
        """Asks for one report of each schedule that is due; what was missed comes turn by turn."""
        now = self._clock()
        self._take_back(now)
        due = select(ReportSchedule.id).where(
            ReportSchedule.enabled.is_(True), ReportSchedule.next_at <= now
        )
        with reading(self._registry) as session:
            numbers = session.scalars(due.order_by(ReportSchedule.id)).all()
        for number in numbers:
            with writing(self._registry) as session:
                row = session.get(ReportSchedule, number)
                if row is not None and row.enabled and row.next_at <= now:
                    self._ask(session, row, now)

    def _take_back(self, now: datetime) -> None:
        """Has schedules that a clock which was ahead moved on wait no longer than they should."""
        ahead = (
            select(ReportSchedule.id)
            .join(LongJob, LongJob.id == ReportSchedule.last_job_id)
            .where(LongJob.asked_at > now + CLOCK_TOLERANCE, ReportSchedule.made_at <= now)
        )
        with reading(self._registry) as session:
            numbers = session.scalars(ahead).all()
        for number in numbers:
            with writing(self._registry) as session:
                row = session.get(ReportSchedule, number)
                if row is not None:
                    due_at = next_at(
                        cast("Every", row.every), row.at_minute, ZoneInfo(row.zone), now
                    )
                    row.next_at = min(row.next_at, due_at)

    def _ask(self, session: Session, row: ReportSchedule, now: datetime) -> None:
        """Asks for a report and moves the schedule on, in one transaction."""
        kind = KINDS.get(row.kind)
        zone = ZoneInfo(row.zone)
        every = cast("Every", row.every)  # the service lets nothing else in
        if kind is None:
            log.warning("schedule %r asks for a report of unknown kind %r", row.name, row.kind)
            row.enabled = False
            return
        first, end = days_before(every, zone, row.next_at)
        period = Period(first, end, zone, None if row.area is None else (row.area,))
        wish = Wish(
            making.KIND,
            worded("{what}, {name}", what=worded(kind.title), name=row.name),
            row.made_by,
            making.parameters_of(row.kind, period, row.area) | {"schedule": row.id},
        )
        row.last_job_id = ask(session, wish, now)
        row.next_at = next_at(every, row.at_minute, zone, row.next_at)
