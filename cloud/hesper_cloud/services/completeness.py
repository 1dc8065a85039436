"""How many of the captures that were due are stored, hour by hour.

A meter's captures are due at the multiples of its capture period, up to one period ago: what was
latched just now may still be on its way. They are due from the moment it is on record, or from its
first stored capture where it brought a history with it. A meter of unknown period that has stored
no load profile has none to store: it pushes what it likes. Captures in the same slot count once.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from hesper_cloud.db.engines import batched
from hesper_cloud.stores.port import Flags, Integers

HOUR_S = 3600
_HOURS = 24
_AT_ONCE = 2000
_NONE: Integers = np.zeros(0, dtype=np.int64)
_EVER = np.iinfo(np.int64).max


@dataclass(frozen=True, slots=True)
class Ledger:
    """Due and stored captures per hour, oldest first; ``hours`` are epoch seconds."""

    hours: Integers
    due: Integers
    stored: Integers

    def percent(self) -> float | None:
        """Returns the share of due captures that are stored, in percent; None before any is due."""
        due = int(self.due.sum())
        return None if due == 0 else 100.0 * int(self.stored.sum()) / due


@dataclass(frozen=True, slots=True)
class Due:
    """Since when a meter is on record, and how often it captures; None while nobody knows."""

    since: int
    period_s: int | None


def count(
    meters: Mapping[str, Due], captured: Mapping[str, Integers], now: int, default_s: int
) -> Ledger:
    """Counts the last 24 whole and begun hours.

    Args:
        meters: The meters that are commissioned.
        captured: Stored capture times by meter, ascending.
        now: Epoch seconds.
        default_s: The period of a meter whose own is not known yet.
    """
    first = now // HOUR_S * HOUR_S - (_HOURS - 1) * HOUR_S
    hours = first + HOUR_S * np.arange(_HOURS, dtype=np.int64)
    due, stored = np.zeros(_HOURS, dtype=np.int64), np.zeros(_HOURS, dtype=np.int64)
    for some in batched(list(meters.items()), _AT_ONCE):
        pieces = [captured.get(meter, _NONE) for meter, _ in some]
        slots = _slots([owes for _, owes in some], pieces, (first, now), default_s)
        due += _due(slots, first)
        stored += _stored(slots, pieces, first)
    return Ledger(hours, due, np.minimum(stored, due))


class _Slots(NamedTuple):
    """The captures due of some meters: each one's period, its first and how many; epoch seconds."""

    period_s: Integers
    start: Integers
    number: Integers


def _slots(
    owing: Sequence[Due], pieces: Sequence[Integers], span: tuple[int, int], default_s: int
) -> _Slots:
    known = np.array([owes.period_s or 0 for owes in owing], dtype=np.int64)
    period_s = np.where(known > 0, known, default_s)
    oldest = np.array([piece[0] if len(piece) else _EVER for piece in pieces], dtype=np.int64)
    since = np.minimum([owes.since for owes in owing], oldest)
    start = -(-np.maximum(since, span[0]) // period_s) * period_s
    count = np.maximum(0, -(-(span[1] - period_s - start) // period_s))
    keeps_none: Flags = (known == 0) & (oldest == _EVER)
    return _Slots(period_s, start, np.where(keeps_none, 0, count))


def _due(slots: _Slots, first: int) -> Integers:
    owner = np.repeat(np.arange(len(slots.number)), slots.number)
    place = np.arange(len(owner)) - np.repeat(np.cumsum(slots.number) - slots.number, slots.number)
    return _by_hour(slots.start[owner] + place * slots.period_s[owner] - first)


def _stored(slots: _Slots, pieces: Sequence[Integers], first: int) -> Integers:
    owner = np.repeat(np.arange(len(pieces)), [len(piece) for piece in pieces])
    times = np.concatenate(pieces)
    place = (times - slots.start[owner]) // slots.period_s[owner]
    inside = (place >= 0) & (place < slots.number[owner])
    owner, place = owner[inside], place[inside]
    later = (np.diff(owner, prepend=-1) != 0) | (np.diff(place, prepend=-1) != 0)
    return _by_hour((slots.start[owner] + place * slots.period_s[owner] - first)[later])


def _by_hour(seconds: Integers) -> Integers:
    """Counts times after the first hour's begin by hour."""
    hours = seconds // HOUR_S
    return np.bincount(hours[hours < _HOURS], minlength=_HOURS)
