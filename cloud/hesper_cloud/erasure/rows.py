"""What the registry holds of a meter, all or of a time, is removed."""

import math
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, delete, select, update
from sqlalchemy.orm import Session

from hesper_cloud.alerting.raising import clear_all
from hesper_cloud.assets.exchange import took_part
from hesper_cloud.db.registry import (
    Alert,
    Backfill,
    DeadLetter,
    DirtyDay,
    Erasure,
    Event,
    Gap,
    KeptApart,
    MeterExchange,
    MeterProfile,
    Outage,
    PowerLoss,
    RegisterRead,
    RuleMemory,
    RuleTrial,
    Substitute,
)
from hesper_cloud.outages.extent import METER
from hesper_cloud.outages.keeping import OPEN, subject_of
from hesper_cloud.rules.alerts import CLEARED
from hesper_cloud.stores.port import EARLIEST, LATEST

Counts = dict[str, Any]
_DAY_S = 86_400
_AROUND = timedelta(days=1)  # a local day may begin on the UTC day before or end on the next
_KINDS: dict[str, tuple[Any, Any]] = {
    "edits and estimates": (Substitute.meter, Substitute.captured_at),
    "gaps": (Gap.meter, Gap.from_at),
    "backfills": (Backfill.meter, Backfill.from_at),
    "events": (Event.meter, Event.occurred_at),
    "register reads": (RegisterRead.meter, RegisterRead.at),
    "power losses": (PowerLoss.meter, PowerLoss.lost_at),
    "rules' trials": (RuleTrial.subject, RuleTrial.raised_at),
}
"""By name: the column of the meter, and the moment that a row is of."""


@dataclass(frozen=True, slots=True)
class Extent:
    """One meter and the time that is erased of it; None: from the beginning, to the end."""

    meter: str
    since: datetime | None
    until: datetime | None

    @classmethod
    def of(cls, order: Erasure) -> "Extent":
        """Returns what an order is about."""
        return cls(order.meter, order.from_at, order.to_at)

    @property
    def span(self) -> tuple[int | None, int | None]:
        """The time in epoch seconds, as a store takes it.

        Readings are of whole seconds: one at 8:00:00 is before a time that begins at 8:00:00.5.
        """
        return _seconds(self.since), _seconds(self.until)

    @property
    def bounds(self) -> tuple[int, int]:
        """The same, as it is asked for where a time has both ends."""
        start, end = self.span
        return EARLIEST if start is None else start, LATEST if end is None else end

    def terms(self, moment: Any) -> list[ColumnElement[bool]]:
        """Returns the condition that a moment is in the time."""
        found = [] if self.since is None else [moment >= self.since]
        return found if self.until is None else [*found, moment < self.until]

    def days(self) -> tuple[date, date]:
        """Returns the local days that may hold some of the time, wherever the meter is."""
        first = date.min if self.since is None else (self.since - _AROUND).astimezone(UTC).date()
        last = date.max if self.until is None else (self.until + _AROUND).astimezone(UTC).date()
        return first, last

    def edges(self) -> Iterator[tuple[str, int]]:
        """Yields the UTC days at the ends of the time, of which others' readings are left."""
        for moment in (self.since, self.until):
            if moment is not None:
                day = int(moment.timestamp()) // _DAY_S
                yield from ((self.meter, number) for number in (day - 1, day, day + 1))


def _seconds(moment: datetime | None) -> int | None:
    return None if moment is None else math.ceil(moment.timestamp())


def erase(session: Session, extent: Extent, letters: list[int], now: datetime) -> Counts:
    """Removes rows of a meter, dead letters by their numbers; returns how many of each kind."""
    meter, counts = extent.meter, Counts()
    for kind, (column, moment) in _KINDS.items():
        statement = delete(column.class_).where(column == meter, *extent.terms(moment))
        counts[kind] = _removed(session, statement)
    first, last = (_number(day) for day in extent.days())
    days = delete(DirtyDay).where(DirtyDay.meter == meter, DirtyDay.day.between(first, last))
    counts["marked days"] = _removed(session, days)
    if extent.until is None:
        memories = delete(RuleMemory).where(RuleMemory.subject == meter)
        counts["rules' memories"] = _removed(session, memories)
        session.execute(delete(KeptApart).where(KeptApart.meter == meter))
    counts["outages"] = _outages(session, extent, now)
    ended = delete(Alert).where(Alert.meter == meter, Alert.state == CLEARED)
    counts["cleared alerts"] = _removed(session, ended.where(*extent.terms(Alert.raised_at)))
    exchanged = delete(MeterExchange).where(took_part(meter), *extent.terms(MeterExchange.at))
    counts["exchanges"] = _removed(session, exchanged)
    aside = delete(DeadLetter).where(DeadLetter.id.in_(letters))
    counts["dead letters"] = _removed(session, aside.where(*extent.terms(DeadLetter.received_at)))
    _expect_from(session, meter, extent.until or now)
    return counts


def total(before: Counts, more: Counts) -> Counts:
    """Adds counts; what a store does not count stays None."""

    def added(kind: str, count: int | None) -> int | None:
        held = before.get(kind, 0)
        return None if held is None or count is None else held + count

    return before | {kind: added(kind, count) for kind, count in more.items()}


def _outages(session: Session, extent: Extent, now: datetime) -> int:
    """Removes outages of the meter alone, and clears their alert.

    What it lost after the time is put together anew.
    """
    alone = Outage.kind == METER, Outage.place == extent.meter, *extent.terms(Outage.began_at)
    found = session.scalars(select(Outage).where(*alone)).all()
    clear_all(session, [(subject_of(each), now) for each in found if each.state == OPEN], now)
    left = update(PowerLoss).where(PowerLoss.outage.in_(select(Outage.id).where(*alone)))
    session.execute(left.values(outage=None, settled=False))
    return _removed(session, delete(Outage).where(*alone))


def _expect_from(session: Session, meter: str, at: datetime) -> None:
    """Has nothing expected of before a moment; what is expected later on stays."""
    earlier = update(MeterProfile).where(
        MeterProfile.meter == meter, MeterProfile.expected_from < at
    )
    session.execute(earlier.values(expected_from=at))


def _number(day: date) -> int:
    return (day - date(1970, 1, 1)).days


def _removed(session: Session, statement: Any) -> int:
    return session.connection().execute(statement).rowcount
