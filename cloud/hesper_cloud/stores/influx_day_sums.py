"""Sums over the whole fleet, kept for each day that is over in the ledger of InfluxDB.

Theory of operation. A sum is one point for each day, kind of sum and layout: its steps as JSON,
which is empty once it no longer holds. Sums are kept when they are first asked for. A write that
brings rows of such a day makes their sums void in the same request as its intent, so before its
first point is there; what was being summed up meanwhile is not kept. Growth compares a capture with
the one before, however long ago: a late row makes the growth of all later days void, too. This
holds while one process writes the database; with several nothing is kept.
"""

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import msgspec
import numpy as np

from hesper_cloud.stores.influx_lines import SUMS
from hesper_cloud.stores.influx_ql import quoted, select
from hesper_cloud.stores.influx_server import InfluxServer
from hesper_cloud.stores.port import Integers

DAY_S = 86_400
_OVER_SINCE_S = 3600  # no write lasts as long
_NS = 10**9
_TAGS = "growth, layout, logical_name, profile, step"

Step = tuple[int, int, int]
"""When a step starts, the sum, and of how many meters."""
_steps = msgspec.json.Decoder(list[Step])


class Kind(NamedTuple):
    """Which sums: levels or growth of a layout's quantity in a profile, by step."""

    growth: bool
    profile: str
    logical_name: str
    step_s: int
    layout: int

    def line(self, day: int, text: str) -> bytes:
        """Returns the point of a day; an empty text makes it void."""
        tags = (
            f"growth={self.growth:d},layout={self.layout},logical_name={self.logical_name},"
            f"profile={self.profile},step={self.step_s}"
        )
        return f'{SUMS},{tags} text="{text}" {day * DAY_S * _NS}'.encode()

    def where(self) -> str:
        """Returns the condition for its points."""
        return (
            f"growth = '{self.growth:d}' AND layout = '{self.layout}' AND step = '{self.step_s}'"
            f" AND logical_name = {quoted(self.logical_name)} AND profile = {quoted(self.profile)}"
        )


class Late(NamedTuple):
    """Days that rows came for: those of their captures, and the first whose growth sees them.

    A capture at the very end of a day belongs to that day's growth and to the next day's levels.
    """

    days: frozenset[int]
    growth_from: int

    def spoils(self, kind: Kind, day: int) -> bool:
        """Says whether a day's sums are void because of these rows."""
        return day >= self.growth_from if kind.growth else day in self.days


class Work:
    """Sums of a kind that are being made; what came meanwhile."""

    def __init__(self, kind: Kind, late: list[Late]) -> None:
        self.kind = kind
        self.late = late
        self.is_void = False

    def holds(self, day: int) -> bool:
        """Says whether no row came that belongs to a day's sums."""
        return not (self.is_void or any(late.spoils(self.kind, day) for late in self.late))


class DaySums:
    """Knows which sums are kept, and which rows are on their way."""

    def __init__(
        self, ledger: InfluxServer, *, keep_days: int, clock: Callable[[], float] = time.time
    ) -> None:
        self._ledger = ledger
        self._keep_days = keep_days
        self._clock = clock
        self._lock = threading.Lock()
        self._kept: dict[Kind, set[int]] = {}
        self._works: list[Work] = []
        self._under_way: list[tuple[str, Late]] = []

    def load(self) -> None:
        """Learns which sums are kept."""
        for table in self._ledger.query(select("text", SUMS, "text != ''", _TAGS)):
            tags = table.tags
            kind = Kind(
                tags["growth"] == "1",
                tags["profile"],
                tags["logical_name"],
                int(tags["step"]),
                int(tags["layout"]),
            )
            self._kept[kind] = {row[0] // DAY_S for row in table.rows}

    def over(self, span: tuple[int, int]) -> range:
        """Returns the whole days of a range that are over, and whose readings are all kept."""
        now = int(self._clock())
        oldest = now // DAY_S - self._keep_days + 2 if self._keep_days else 0
        first = max(-(-span[0] // DAY_S), oldest)
        return range(first, max(first, min(span[1], now - _OVER_SINCE_S) // DAY_S))

    def kept(self, kind: Kind, days: range) -> dict[int, list[Step]]:
        """Returns the sums that are kept of some days."""
        with self._lock:
            known = self._kept.get(kind, set()).intersection(days)
        if not known:
            return {}
        span = f"time >= {days.start * DAY_S}s AND time < {days.stop * DAY_S}s"
        query = select("text", SUMS, f"{kind.where()} AND {span}")
        return {
            at // DAY_S: _steps.decode(text)
            for table in self._ledger.query(query)
            for at, text in table.rows
            if text and at // DAY_S in known
        }

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

    def keep(self, work: Work, sums: Mapping[int, Sequence[Step]]) -> None:
        """Keeps the sums of some days, but of those that rows came for since the work began."""
        with self._lock:  # until it is durable: who makes it void comes after
            held = [day for day in sums if work.holds(day)]
            texts = ((day, msgspec.json.encode(sums[day]).decode()) for day in held)
            lines = [work.kind.line(day, text) for day, text in texts]
            if lines:
                self._ledger.write(b"\n".join(lines), "ns")
                self._kept.setdefault(work.kind, set()).update(held)

    def late(self, captured_at: Integers) -> Late | None:
        """Returns what rows with these capture times make void; None: nothing."""
        today = int(self._clock()) // DAY_S
        if not len(captured_at) or captured_at.min() > today * DAY_S:
            return None
        early = captured_at[captured_at <= today * DAY_S]
        days = np.unique(early // DAY_S).tolist()
        return Late(frozenset(days), int(early.min() - 1) // DAY_S)

    def spoil(self, profile: str, late: Late) -> list[bytes]:
        """Notes rows before they are written; returns lines to be made durable before them."""
        lines = []
        with self._lock:
            self._under_way.append((profile, late))
            for work in self._works:
                if work.kind.profile == profile:
                    work.late.append(late)
            for kind, days in self._kept.items():
                void = {day for day in days if kind.profile == profile and late.spoils(kind, day)}
                days -= void
                lines += [kind.line(day, "") for day in sorted(void)]
        return lines

    def settled(self) -> None:
        """Says that all rows that were noted are written."""
        with self._lock:
            self._under_way.clear()

    def forget(self) -> None:
        """Makes everything void, because readings are taken away; called before and after."""
        with self._lock:
            for work in self._works:
                work.is_void = True
            self._kept.clear()
        self._ledger.delete(SUMS)
