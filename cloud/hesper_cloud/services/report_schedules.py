"""Reports that are made by themselves: their schedules, kept in the name of actors."""

import asyncio
import uuid
from collections.abc import Callable
from datetime import datetime
from typing import TypeVar

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from hesper_cloud.accounts.roles import Actor, Permission
from hesper_cloud.db.delivery import DeliveryTarget
from hesper_cloud.db.engines import reading, writing
from hesper_cloud.db.reports import ReportSchedule
from hesper_cloud.reports.mailing import MAIL
from hesper_cloud.reports.schedules import MINUTES_PER_DAY, next_at
from hesper_cloud.services.authority_link import AuthorityLink
from hesper_cloud.services.errors import Invalid, NotFound, Refused, Stale
from hesper_cloud.services.report_checks import is_seen, kind_of, zone_named
from hesper_cloud.services.report_records import ScheduleRow, ScheduleWish
from hesper_cloud.services.sources import Sources, require
from hesper_cloud.worded import worded

T = TypeVar("T")
ScheduleRows = list[ScheduleRow]
_WHEN = ("every", "at_minute", "zone")


class ReportSchedules:
    """Who sees some areas alone keeps schedules of reports of one of them."""

    def __init__(self, sources: Sources, link: AuthorityLink) -> None:
        self._sources = sources
        self._link = link

    async def schedules(self, actor: Actor) -> ScheduleRows:
        """Returns the schedules by name."""
        require(actor, Permission.READ)

        def load() -> ScheduleRows:
            query = select(ReportSchedule).order_by(ReportSchedule.name)
            with reading(self._sources.registry) as session:
                rows = session.scalars(query).all()
                return [
                    _schedule_row(session, row)
                    for row in rows
                    if is_seen(actor, row.kind, row.area)
                ]

        return await asyncio.to_thread(load)

    async def schedule(self, actor: Actor, schedule_id: int) -> ScheduleRow:
        """Returns one schedule.

        Raises:
            NotFound: there is none with this number, or it is not the actor's to see.
        """
        found = [row for row in await self.schedules(actor) if row.id == schedule_id]
        if not found:
            raise NotFound(worded("there is no schedule {schedule}", schedule=schedule_id))
        return found[0]

    async def add_schedule(self, actor: Actor, wish: ScheduleWish) -> ScheduleRow:
        """Has a report made by itself from now on. Audited before it counts.

        Raises:
            Invalid: there is no such kind, zone, minute or target.
            Refused: there is a schedule of this name.
        """
        await asyncio.to_thread(self._check, actor, wish)
        await self._note(actor, "report-schedule.add", wish.name, None, _told(wish))
        now = self._sources.clock()

        def add(session: Session) -> ScheduleRow:
            row = ReportSchedule(made_by=actor.username, made_at=now, version=1)
            self._set(session, row, wish, now)
            session.add(row)
            session.flush()
            return _schedule_row(session, row)

        return await self._named_once(wish.name, add)

    async def change_schedule(
        self, actor: Actor, schedule_id: int, wish: ScheduleWish, version: int | None = None
    ) -> ScheduleRow:
        """Has a report made in another way from now on. Audited before it counts.

        Raises:
            NotFound: there is none with this number.
            Invalid: there is no such kind, zone, minute or target.
            Refused: there is another schedule of this name.
            Stale: somebody else changed it since ``version``.
        """
        require(actor, Permission.ORDER_JOBS)
        before = await self.schedule(actor, schedule_id)
        await asyncio.to_thread(self._check, actor, wish, schedule_id)
        told = _told(before.wish()), _told(wish)
        await self._note(actor, "report-schedule.change", before.name, *told)
        now = self._sources.clock()

        def change(session: Session) -> ScheduleRow:
            row = _present(session, schedule_id)
            if version is not None and row.version != version:
                raise Stale("the schedule was changed meanwhile; fetch it and decide again")
            row.version += 1
            row.made_by = actor.username  # in whose name it looks at households from now on
            self._set(session, row, wish, now)
            session.flush()
            return _schedule_row(session, row)

        return await self._named_once(wish.name, change)

    async def remove_schedule(self, actor: Actor, schedule_id: int) -> None:
        """Ends a schedule; what it made stays. Audited before it counts.

        Raises:
            NotFound: there is none with this number.
        """
        require(actor, Permission.ORDER_JOBS)
        row = await self.schedule(actor, schedule_id)
        await self._note(actor, "report-schedule.remove", row.name, _told(row.wish()), "removed")

        def remove(session: Session) -> None:
            session.delete(_present(session, schedule_id))

        await self.written(remove)

    def _check(self, actor: Actor, wish: ScheduleWish, own: int | None = None) -> None:
        require(actor, Permission.ORDER_JOBS)
        kind_of(actor, wish.kind, wish.area)
        zone_named(wish.zone)
        if not 0 <= wish.at_minute < MINUTES_PER_DAY:
            raise Invalid(
                worded(
                    "a day has minutes 0 to {minutes_per_day}", minutes_per_day=MINUTES_PER_DAY - 1
                )
            )
        with reading(self._sources.registry) as session:
            _target(session, wish.target)
            others = select(ReportSchedule.id).where(ReportSchedule.name == wish.name)
            if session.scalar(others) not in (None, own):
                raise Refused(worded("there is a schedule {wish!r}", wish=wish.name))

    def _set(
        self, session: Session, row: ReportSchedule, wish: ScheduleWish, now: datetime
    ) -> None:
        """Sets what a wish says; the next moment is another one where it says when."""
        moves = any(getattr(row, name) != getattr(wish, name) for name in _WHEN)
        moves = moves or (wish.enabled and not row.enabled)
        row.name, row.kind, row.area, row.enabled = wish.name, wish.kind, wish.area, wish.enabled
        row.every, row.at_minute, row.zone = wish.every, wish.at_minute, wish.zone
        row.target_id = _target(session, wish.target)
        if moves:
            row.next_at = next_at(wish.every, wish.at_minute, zone_named(wish.zone), now)

    async def _note(
        self, actor: Actor, action: str, subject: str, before: str | None, after: str
    ) -> None:
        payload = {"action": action, "subject": subject, "after": after}
        payload |= {} if before is None else {"before": before}
        await self._link.ask(actor, "audit.note", payload, f"{action}-{uuid.uuid4().hex}")

    async def _named_once(self, name: str, change: Callable[[Session], T]) -> T:
        try:
            return await self.written(change)
        except IntegrityError:
            raise Refused(worded("there is a schedule {name!r}", name=name)) from None

    async def written(self, change: Callable[[Session], T]) -> T:
        """Makes a change in a transaction of its own, on a thread."""

        def commit() -> T:
            with writing(self._sources.registry) as session:
                return change(session)

        return await asyncio.to_thread(commit)


def _present(session: Session, schedule_id: int) -> ReportSchedule:
    row = session.get(ReportSchedule, schedule_id)
    if row is None:
        raise NotFound(worded("there is no schedule {schedule}", schedule=schedule_id))
    return row


def _target(session: Session, name: str | None) -> int | None:
    """Returns the number of a mail target.

    Raises:
        Invalid: there is none of this name.
    """
    if name is None:
        return None
    of_mail = DeliveryTarget.name == name, DeliveryTarget.kind == MAIL
    found = session.scalar(select(DeliveryTarget.id).where(*of_mail))
    if found is None:
        raise Invalid(
            worded("there is no mail target {name!r}; an administrator makes one", name=name[:64])
        )
    return found


def _told(wish: ScheduleWish) -> str:
    """Returns a schedule as the audit log has it."""
    where = f" of {wish.area}" if wish.area else ""
    to = f", mailed to {wish.target}" if wish.target else ""
    hour, minute = divmod(wish.at_minute, 60)
    when = f"every {wish.every} at {hour:02}:{minute:02} {wish.zone}"
    return f"{wish.kind}{where} {when}{to}{'' if wish.enabled else ', paused'}"


def _schedule_row(session: Session, row: ReportSchedule) -> ScheduleRow:
    target = session.get(DeliveryTarget, row.target_id) if row.target_id is not None else None
    names = [name for name in ScheduleRow.__dataclass_fields__ if name != "target"]
    held = {name: getattr(row, name) for name in names}
    return ScheduleRow(**held, target=None if target is None else target.name)
