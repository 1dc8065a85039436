"""Sums over the whole fleet, kept for each day that is over in the ledger of InfluxDB.

Theory of operation. Each day of a profile has a point for its levels and one for its growth, with a
text for each quantity, unit and step that was summed up: a number, the scaler and the steps, as
JSON. Upkeep makes those of all usual steps (`influx_summing`) and says so by a number in ``whole``;
other sums, and those that upkeep has not come to, are kept when they were asked for. A write that
brings rows of such a day makes it void before its first point is there: by a number in ``void``,
which whatever holds has to exceed, so that sums which the server takes late, when nobody waits for
them any longer, do not count either. What was being summed up meanwhile is not kept. Growth
compares a capture with the one before: a late row makes the growth of the days after it void, too,
as many as are asked for at once. This holds while one process writes the database; with several
nothing is kept.
"""

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import msgspec
import numpy as np

from hesper_cloud.stores.influx_lines import SUMS
from hesper_cloud.stores.influx_ql import field, quoted, select, within
from hesper_cloud.stores.influx_server import InfluxServer
from hesper_cloud.stores.port import LATEST, Integers
from hesper_cloud.stores.stepped_sums import DAY_S, STEPS

DAYS_AT_ONCE = 7
"""The growth of so many days may be asked of the server together."""

OVER_SINCE_S = 3600
"""After this a day is over: no write lasts as long."""

_NS = 10**9


class Kind(NamedTuple):
    """Levels or growth of a profile: what a late row makes void together."""

    growth: bool
    profile: str

    def line(self, day: int, fields: str) -> bytes:
        """Returns the point of a day."""
        tags = f"growth={self.growth:d},profile={self.profile}"
        return f"{SUMS},{tags} {fields} {day * DAY_S * _NS}".encode()

    def where(self) -> str:
        """Returns the condition for its points."""
        return f"growth = '{self.growth:d}' AND profile = {quoted(self.profile)}"


class Sum(NamedTuple):
    """Of what: a quantity in one unit, by step."""

    logical_name: str
    unit: int
    step_s: int

    @property
    def field(self) -> str:
        """The name of its text."""
        return f"{self.logical_name}/{self.unit}/{self.step_s}"


class Step(NamedTuple):
    """When it starts, the sum, and of how many meters."""

    at: int
    total: int
    meters: int


class Steps(NamedTuple):
    """What that is: the scaler of the sums, and the steps in which some meter took part."""

    scaler: int
    steps: Sequence[Step]


Sums = Mapping[Sum, Steps]
"""What a day sums up to."""
_text = msgspec.json.Decoder(tuple[int, int, list[Step]])


class Late(NamedTuple):
    """The days whose levels, and whose growth, some rows have a part in.

    A capture at the very end of a day belongs to that day's growth and to the next day's levels.
    """

    levels: frozenset[int]
    growth: frozenset[int]

    def days(self, kind: Kind) -> frozenset[int]:
        """Returns the days that are void because of these rows."""
        return self.growth if kind.growth else self.levels


class Work:
    """Sums of a kind that are being made; what came meanwhile."""

    def __init__(self, kind: Kind, late: list[Late]) -> None:
        self.kind = kind
        self.late = late
        self.is_void = False

    def holds(self, day: int) -> bool:
        """Says whether no row came that belongs to a day's sums."""
        return not (self.is_void or any(day in late.days(self.kind) for late in self.late))


class DaySums:
    """Knows which sums are kept, and which rows are on their way."""

    def __init__(
        self, ledger: InfluxServer, *, keep_days: int, clock: Callable[[], float] = time.time
    ) -> None:
        self._ledger = ledger
        self._keep_days = keep_days
        self._clock = clock
        self._lock = threading.Lock()
        self._number = 0
        self._written: dict[Kind, set[int]] = {}  # days with some text that may hold
        self._made: dict[Kind, set[int]] = {}
        self._void: dict[Kind, set[int]] = {}  # not certainly so in the ledger
        self._works: list[Work] = []
        self._under_way: list[tuple[str, Late]] = []

    def load(self) -> None:
        """Learns which sums are kept."""
        query = select("written, whole, void", SUMS, group_by="growth, profile")
        for table in self._ledger.query(query):
            kind = Kind(table.tags["growth"] == "1", table.tags["profile"])
            for at, *numbers in table.rows:
                written, whole, void = (number or 0 for number in numbers)
                self._number = max(self._number, written, whole, void)
                for known, number in ((self._written, written), (self._made, whole)):
                    if number > void:
                        known.setdefault(kind, set()).add(at // DAY_S)

    def over(self, span: tuple[int, int]) -> range:
        """Returns the whole days of a range that are over, and whose readings are all kept."""
        now = int(self._clock())
        oldest = now // DAY_S - self._keep_days + 2 if self._keep_days else 0
        first = max(-(-span[0] // DAY_S), oldest)
        return range(first, max(first, min(span[1], now - OVER_SINCE_S) // DAY_S))

    def is_made(self, kind: Kind, day: int) -> bool:
        """Says whether upkeep has summed up a day, and that holds."""
        return day in self._made.get(kind, ())

    def kept(self, kind: Kind, wanted: Sum, days: range) -> dict[int, Steps]:
        """Returns the sums that are kept of some days."""
        with self._lock:
            known = self._written.get(kind, set()).intersection(days)
        if not known:
            return {}
        where = f"{kind.where()} AND {within((min(known) * DAY_S, (max(known) + 1) * DAY_S))}"
        query = select(f"{field(wanted.field)}, whole, void", SUMS, where)
        found: dict[int, Steps] = {}
        for table in self._ledger.query(query):
            for at, text, whole, void in table.rows:
                absent = (whole or 0) if wanted.step_s in STEPS else 0  # then there was no such row
                number, scaler, steps = _text.decode(text) if text else (absent, 0, [])
                if number > (void or 0) and at // DAY_S in known:
                    found[at // DAY_S] = Steps(scaler, steps)
        return found

    @contextmanager
    def summing(self, kind: Kind) -> Iterator[Work]:
        """Opens work on sums, to be begun before the first look at readings."""
        with self._lock:
            late = [late for profile, late in self._under_way if profile == kind.profile]
            self._works.append(work := Work(kind, late))
        try:
            yield work
        finally:
            with self._lock:
                self._works.remove(work)

    def keep(self, work: Work, sums: Mapping[int, Sums], *, whole: bool = False) -> None:
        """Keeps the sums of some days, but of those that rows came for since the work began.

        Args:
            work: As `summing` opened it.
            sums: By day.
            whole: These are all sums that there are by usual steps.
        """
        with self._lock:  # until it is durable: who makes it void comes after
            held = {day: found for day, found in sums.items() if work.holds(day)}
            if not held:
                return
            number = self._next()
            self._written.setdefault(work.kind, set()).update(held)
            self._write(work.kind, {day: _fields(held[day], number) for day in held})
            if whole:
                self._write(work.kind, dict.fromkeys(held, f"whole={number}i"))
                self._made.setdefault(work.kind, set()).update(held)

    def _write(self, kind: Kind, days: Mapping[int, str]) -> None:
        self._ledger.write(b"\n".join(kind.line(*each) for each in days.items()), "ns")

    def _next(self) -> int:
        self._number = max(self._number + 1, int(self._clock() * 1000))
        return self._number

    def late(self, captured_at: Integers) -> Late | None:
        """Returns what rows with these capture times make void; None: nothing."""
        today = int(self._clock()) // DAY_S
        if not len(captured_at) or captured_at.min() > today * DAY_S:
            return None
        early = captured_at[captured_at <= today * DAY_S]
        days = np.unique(early // DAY_S).tolist()
        ended = np.unique((early - 1) // DAY_S).tolist()
        after = (day + n for day in days for n in range(DAYS_AT_ONCE + 1))
        return Late(frozenset(days), frozenset((*ended, *after)))

    def spoil(self, profile: str, late: Late) -> list[bytes]:
        """Notes rows before they are written; returns lines to be made durable before them."""
        with self._lock:
            self._under_way.append((profile, late))
            for work in self._works:
                if work.kind.profile == profile:
                    work.late.append(late)
            for kind in (Kind(False, profile), Kind(True, profile)):
                void = self._written.get(kind, set()) & late.days(kind)
                self._void.setdefault(kind, set()).update(void)
                self._take_away(kind, void)
            fields = f"void={self._next()}i"
            void_days = self._void.items()
            return [kind.line(day, fields) for kind, days in void_days for day in sorted(days)]

    def _take_away(self, kind: Kind, days: set[int]) -> None:
        for known in (self._written, self._made):
            if kind in known:
                known[kind] -= days

    def settled(self) -> None:
        """Says that all rows that were noted are written."""
        with self._lock:
            self._under_way.clear()
            self._void.clear()

    def forget(self, before: int | None = None, since: int | None = None) -> None:
        """Makes void what readings have a part in that are taken away; called before and after.

        Args:
            before: They were captured before; None: no end.
            since: They were captured then or later; None: no beginning.
        """
        last = (LATEST if before is None else before - 1) // DAY_S + DAYS_AT_ONCE
        first = 0 if since is None else max(0, since // DAY_S - 1)
        with self._lock:
            for work in self._works:
                work.is_void = True
            for kind, days in list(self._written.items()):
                self._take_away(kind, {day for day in days if first <= day <= last})
        end = min((last + 1) * DAY_S, LATEST)
        self._ledger.delete(SUMS, None, None if before is None else end, first * DAY_S or None)


def _fields(sums: Sums, number: int) -> str:
    texts = (
        f'{each.field}="{msgspec.json.encode((number, *steps)).decode()}"'
        for each, steps in sums.items()
    )
    return ",".join((*texts, f"written={number}i"))
