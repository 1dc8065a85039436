"""Readings as they count: the validated view, its quality by day, and edits by people."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import TypeVar

from sqlalchemy import select
from sqlalchemy.orm import Session

from hesper_cloud import quantities
from hesper_cloud.accounts.roles import Actor, Permission
from hesper_cloud.aggregates.curves import Shelf, ValidatedCurve, validated
from hesper_cloud.aggregates.roster import members
from hesper_cloud.aggregates.voltage import VoltageWeek, weeks
from hesper_cloud.db.energy import Substitute
from hesper_cloud.db.engines import reading, writing
from hesper_cloud.db.registry import Meter
from hesper_cloud.services.authority_link import AuthorityLink
from hesper_cloud.services.errors import Invalid, NotFound, Refused
from hesper_cloud.services.looking import looked_at
from hesper_cloud.services.scope import check_meter, meters_of, narrowed
from hesper_cloud.services.sources import Sources, epoch, require
from hesper_cloud.stores.curves import fits
from hesper_cloud.stores.port import EARLIEST, LATEST, SCALERS
from hesper_cloud.validation import dirty, substitutes
from hesper_cloud.validation.codes import EDIT
from hesper_cloud.validation.substitutes import Curve, Edit
from hesper_cloud.worded import worded

T = TypeVar("T")

MAX_ROWS = 10_000
_MOST_DAYS = timedelta(days=371)
_FIRST_YEAR, _LAST_YEAR = 1971, 2261  # whole weeks of whatever zone
_SCORES = """
    SELECT meter, day, score, expected, stored, doubted, estimated, edited FROM scores
    WHERE {where} ORDER BY {order} LIMIT $limit"""
_VERDICTS = """
    SELECT check_name, logical_name, from_at, to_at, captures FROM verdicts
    WHERE meter = $meter AND from_at < $end AND to_at >= $start
    ORDER BY from_at, check_name, logical_name LIMIT $limit"""


@dataclass(frozen=True, slots=True)
class DayQuality:
    """How good one local day of one meter is: 0 to 100, and the captures that it rests on."""

    meter: str
    day: date
    score: int
    expected: int
    stored: int
    doubted: int
    estimated: int
    edited: int


@dataclass(frozen=True, slots=True)
class FailedCheck:
    """A run of captures that failed a check; epoch seconds, both ends included."""

    check: str
    logical_name: str
    from_at: int
    to_at: int
    captures: int


@dataclass(frozen=True, slots=True)
class EditRow:
    """One substitute: an estimate, or an edit with who made it and why."""

    id: int
    meter: str
    profile: str
    logical_name: str
    captured_at: datetime
    version: int
    method: str
    value: int
    scaler: int
    unit: int
    made_at: datetime
    made_by: str | None
    reason: str | None
    withdrawn_at: datetime | None
    withdrawn_by: str | None


EditRows = list[EditRow]


class Validated:
    """The validated view of readings."""

    def __init__(self, sources: Sources, shelf: Shelf, link: AuthorityLink) -> None:
        self._sources = sources
        self._shelf = shelf
        self._link = link

    async def readings(
        self,
        actor: Actor,
        meter: str,
        logical_name: str,
        start: datetime,
        end: datetime,
        profile: str = quantities.LOAD_PROFILE,
    ) -> ValidatedCurve:
        """Returns a curve: raw values, estimates and edits, each with its quality codes."""
        require(actor, Permission.READ)
        await check_meter(self._sources.registry, actor, meter)
        curve, span = Curve(meter, profile, logical_name), (epoch(start), epoch(end))
        looked_at(self._sources, actor, "validated", meter, span)
        return await asyncio.to_thread(validated, self._shelf, curve, *span)

    async def quality(self, actor: Actor, meter: str, first: date, last: date) -> list[DayQuality]:
        """Returns the quality of a meter's days, both ends included."""
        require(actor, Permission.READ)
        await check_meter(self._sources.registry, actor, meter)
        query = _SCORES.format(where="meter = $meter AND day BETWEEN $first AND $last", order="day")
        return await self._scores(query, meter=meter, first=first, last=last, limit=MAX_ROWS)

    async def worst(self, actor: Actor, day: date, limit: int) -> list[DayQuality]:
        """Returns the meters with the worst quality of a day, worst first.

        A meter of which nothing was due that day is left out.
        """
        require(actor, Permission.READ)
        own = await asyncio.to_thread(meters_of, self._sources.registry, actor)
        where, names = "day = $day AND expected > 0", {"day": day, "limit": min(limit, MAX_ROWS)}
        if own is not None:
            where, names = f"{where} AND list_contains($own, meter)", names | {"own": own}
        return await self._scores(_SCORES.format(where=where, order="score, meter"), **names)

    async def failed_checks(
        self, actor: Actor, meter: str, start: datetime, end: datetime
    ) -> list[FailedCheck]:
        """Returns where a meter's readings failed a check."""
        require(actor, Permission.READ)
        await check_meter(self._sources.registry, actor, meter)
        names = {"meter": meter, "start": epoch(start), "end": epoch(end), "limit": MAX_ROWS}
        rows = await asyncio.to_thread(self._shelf.book.rows, _VERDICTS, **names)
        return [FailedCheck(*row) for row in rows]

    async def voltage_weeks(
        self, actor: Actor, meter: str, first: date, last: date
    ) -> list[VoltageWeek]:
        """Returns the meter's voltages by the week, after EN 50160, both ends included.

        Raises:
            Invalid: the days are in no order, too many, or such as no reading is captured on.
        """
        require(actor, Permission.READ)
        if not timedelta(0) <= last - first <= _MOST_DAYS:
            raise Invalid(
                worded("ask for up to {days} days, the first one first", days=_MOST_DAYS.days)
            )
        if not _FIRST_YEAR <= first.year <= last.year <= _LAST_YEAR:
            raise Invalid("no reading is captured outside 1970 to 2262")
        await check_meter(self._sources.registry, actor, meter)
        looked_at(self._sources, actor, "voltage weeks", meter)

        def found() -> list[VoltageWeek]:
            settings = self._sources.settings
            member = members(self._sources.registry, settings, [meter])[meter]
            limits = settings.validation.of(member.meter_type)
            return list(weeks(self._sources.store, member, limits, first, last))

        return await asyncio.to_thread(found)

    async def edits(
        self, actor: Actor, meter: str, start: datetime, end: datetime, *, history: bool = False
    ) -> EditRows:
        """Returns estimates and edits of a range, oldest first; ``history`` adds withdrawn ones."""
        require(actor, Permission.READ)
        await check_meter(self._sources.registry, actor, meter)
        looked_at(self._sources, actor, "edits", meter, (epoch(start), epoch(end)))
        query = select(Substitute).where(
            Substitute.meter == meter,
            Substitute.captured_at >= start,
            Substitute.captured_at < end,
        )
        if not history:
            query = query.where(Substitute.withdrawn_at.is_(None))
        query = query.order_by(Substitute.captured_at, Substitute.version).limit(MAX_ROWS)

        def found() -> EditRows:
            with reading(self._sources.registry) as session:
                return [_row(each) for each in session.scalars(query)]

        return await asyncio.to_thread(found)

    async def edit(self, actor: Actor, edit: Edit) -> EditRow:
        """Puts a value in the place of what is stored or missing; audited before it counts.

        The raw value stays. The same key again returns the same edit.

        Raises:
            Invalid: without a reason, not of an integer, or a key that served another edit.
            NotFound: there is no such meter.
            Refused: the reading may have left the store.
        """
        require(actor, Permission.EDIT_READINGS)
        if not edit.reason.strip():
            raise Invalid("an edit has a reason")
        if not 0 <= edit.unit <= 255 or edit.scaler not in SCALERS or not _can_be_said(edit):
            raise Invalid("value, scaler or unit is out of range")
        if not EARLIEST <= edit.captured_at.timestamp() <= LATEST:
            raise Invalid("no reading is captured outside 1970 to 2262")
        await check_meter(self._sources.registry, actor, edit.curve.meter)
        before = await asyncio.to_thread(self._before, actor, edit)
        if isinstance(before, EditRow):
            return before
        self._require_whole(edit.captured_at)
        curve = edit.curve
        payload = {
            "action": "reading.edit",
            "subject": f"{curve.meter} {curve.logical_name} {edit.captured_at.isoformat()}",
            "before": before,
            "after": f"{edit.value}e{edit.scaler}",
            "why": edit.reason,
        }
        await self._link.ask(actor, "audit.note", payload, f"edit-{edit.idempotency_key}"[:128])
        return await self._changed(
            lambda session, at: substitutes.edited(session, edit, actor.username, at)
        )

    async def withdraw(self, actor: Actor, edit_id: int, reason: str, key: str) -> EditRow:
        """Takes an edit back; what is stored counts again. Audited before it takes effect.

        Raises:
            NotFound: there is no such edit, or its meter is elsewhere.
            Refused: it is withdrawn already, or an estimate, which the cloud renews itself, or its
                reading may have left the store.
        """
        require(actor, Permission.EDIT_READINGS)
        row = await asyncio.to_thread(self._one, actor, edit_id)
        if row.method != EDIT:
            raise Refused("this is an estimate: edit the value instead")
        if row.withdrawn_at is not None:
            raise Refused("the edit is withdrawn already")
        self._require_whole(row.captured_at)
        payload = {
            "action": "reading.edit.withdraw",
            "subject": f"{row.meter} {row.logical_name} {row.captured_at.isoformat()}",
            "before": f"{row.value}e{row.scaler}",
            "why": reason,
        }
        await self._link.ask(actor, "audit.note", payload, f"withdraw-{key}"[:128])

        def take_back(session: Session, at: datetime) -> Substitute:
            held = session.get_one(Substitute, edit_id)
            if held.withdrawn_at is None:
                held.withdrawn_at, held.withdrawn_by = at, actor.username
            return held

        return await self._changed(take_back)

    def _require_whole(self, captured_at: datetime) -> None:
        """Refuses to change what no sum would follow: readings that may have left the store."""
        kept = self._sources.settings.store.retention
        if captured_at.timestamp() < kept.horizon(self._sources.clock()):
            raise Refused(
                worded(
                    "readings stay {days} days; older ones are not edited any more, because their "
                    "sums stay as they are",
                    days=kept.raw_days,
                )
            )

    async def _changed(self, change: Callable[[Session, datetime], Substitute]) -> EditRow:
        """Makes a change and marks its day in the same transaction."""

        def commit() -> EditRow:
            at = self._sources.clock()
            with writing(self._sources.registry) as session:
                row = change(session, at)
                dirty.mark(session, [(row.meter, epoch(row.captured_at) // dirty.DAY_S)], at)
                return _row(row)

        return await asyncio.to_thread(commit)

    def _before(self, actor: Actor, edit: Edit) -> "EditRow | str | None":
        """Returns the edit that this key made already, or what counts so far, as text."""
        curve, at = edit.curve, epoch(edit.captured_at)
        with reading(self._sources.registry) as session:
            if session.get(Meter, curve.meter) is None:
                raise NotFound(worded("there is no meter {meter}", meter=curve.meter))
            known = substitutes.by_key(session, actor.username, edit.idempotency_key)
            if known is not None:
                if not _is_same(known, edit):
                    raise Invalid("this idempotency key was used for another edit")
                return _row(known)
        found = validated(self._shelf, curve, at, at + 1)
        return f"{found.values[0].value}e{found.scaler}" if found.values else None

    def _one(self, actor: Actor, edit_id: int) -> EditRow:
        query = narrowed(select(Substitute), actor, Substitute.meter)
        with reading(self._sources.registry) as session:
            row = session.scalar(query.where(Substitute.id == edit_id))
            if row is None:
                raise NotFound(worded("there is no edit {edit}", edit=edit_id))
            return _row(row)

    async def _scores(self, query: str, **names: object) -> list[DayQuality]:
        rows = await asyncio.to_thread(lambda: self._shelf.book.rows(query, **names))
        return [DayQuality(*row) for row in rows]


def _can_be_said(edit: Edit) -> bool:
    """Says whether a value has 64 bits at most in every scaler that its curve may have."""
    return fits(edit.value, edit.scaler - SCALERS.start)


def _is_same(row: Substitute, edit: Edit) -> bool:
    told = (row.meter, row.profile, row.logical_name, row.captured_at, row.value, row.scaler)
    curve = edit.curve
    return told == (
        curve.meter,
        curve.profile,
        curve.logical_name,
        edit.captured_at,
        edit.value,
        edit.scaler,
    )


def _row(row: Substitute) -> EditRow:
    return EditRow(
        **{name: getattr(row, name) for name in EditRow.__dataclass_fields__},
    )
