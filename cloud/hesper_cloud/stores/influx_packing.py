"""Which days of InfluxDB are packed, and packing them; `influx_packed` says what that is.

Theory of operation. The ledger has a point for each day of a profile that has readings: its state.
A day **waits** from its first reading, is **begun** before its first point is written, and **done**
when every meter's is. Upkeep packs days that ended 24 h ago, the newest first, some meters at a
time, while no group is written. A row that comes for a day which was begun makes its meter's day
void before it is written itself, and the day is begun once more: an hour after it was last gone
through, those meters follow whose day does not hold. Nothing depends on a day being packed: what is
not there, or void, is read as readings. Readings that are deleted take the packed days with them.
This holds while one process writes the database; with several nothing is packed.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from enum import IntEnum
from itertools import accumulate, groupby
from operator import itemgetter

import numpy as np

from hesper_cloud.stores import influx_packed as packed
from hesper_cloud.stores import influx_reads as reads
from hesper_cloud.stores.influx_layouts import Layouts
from hesper_cloud.stores.influx_lines import DAYS, PACKED, READINGS, untagged
from hesper_cloud.stores.influx_packed import DAY_S
from hesper_cloud.stores.influx_ql import of_meters, quoted, select, within
from hesper_cloud.stores.influx_server import InfluxServer, Table
from hesper_cloud.stores.port import Integers

_OVER_SINCE_S = DAY_S
RESTS_S = 3600
"""A day that was gone through, and changed, is left alone for so long."""
TURN_S = 5.0
"""How long a turn of upkeep on InfluxDB takes."""
_ROWS_AT_ONCE = 4000
_NS = 10**9

Day = tuple[str, int]
"""A profile, and a day counted from 1970-01-01."""


class State(IntEnum):
    """What is known of a day: whether some of it may be packed, and whether all is."""

    WAITING = 1
    BEGUN = 2
    DONE = 3


class PackedDays:
    """Packs days, and voids what no longer holds.

    Args:
        servers: Where readings are, and where the days' states are kept.
        layouts: What readings refer to.
        keep_days: The readings' retention, 0: for ever.
        writing: Held while a group is written.
    """

    def __init__(
        self,
        servers: tuple[InfluxServer, InfluxServer],
        layouts: Layouts,
        *,
        keep_days: int,
        writing: threading.RLock,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._server, self._ledger = servers
        self._layouts = layouts
        self._keep_days = keep_days
        self._writing = writing
        self._clock = clock
        self._states: dict[Day, State] = {}
        self._gone_through: dict[Day, int] = {}
        self._touched: set[Day] = set()
        self._under_way: tuple[Day, deque[list[str]]] | None = None

    def load(self, profiles: Sequence[str], extent: Callable[[], tuple[int, int] | None]) -> None:
        """Learns the states; a database of before there were any waits as a whole."""
        for table in self._ledger.query(select("state", DAYS, "", "profile")):
            for at, state in table.rows:
                self._states[table.tags["profile"], at // DAY_S] = State(state)
        span = None if self._states else extent()
        if span is not None:
            self._server.delete(PACKED)  # whatever is there, nobody would void it
            days = range(span[0] // DAY_S, (span[1] - 1) // DAY_S + 1)
            self._set([(profile, day) for profile in profiles for day in days], State.WAITING)

    def _set(self, days: Sequence[Day], state: State) -> None:
        lines = [_line(day, state) for day in days]
        if lines:
            self._ledger.write(b"\n".join(lines), "ns")
        self._states.update(dict.fromkeys(days, state))

    def _oldest(self, now: float) -> int:
        """Returns the first day of which all readings are kept."""
        return int(now) // DAY_S - self._keep_days + 2 if self._keep_days else 0

    def touch(
        self, profile: str, meters: Callable[[], Sequence[str]], captured_at: Integers
    ) -> list[bytes]:
        """Voids the days of rows that are about to be written; their places are kept.

        Args:
            profile: Of all rows.
            meters: Returns each row's meter, if that is needed.
            captured_at: The rows' capture times.

        Returns:
            Lines for the ledger, in nanoseconds, to be made durable before the rows.
        """
        lines, begun = list[bytes](), list[int]()
        for number in _days(captured_at):
            day = profile, number
            state = self._states.get(day)
            if state is None or state is State.DONE:
                self._states[day] = State.WAITING if state is None else State.BEGUN
                lines.append(_line(day, self._states[day]))
            if state is not None and state is not State.WAITING:
                begun.append(number)
                self._touched.add(day)
        self._void(profile, meters, captured_at, begun)
        return lines

    def _void(
        self,
        profile: str,
        meters: Callable[[], Sequence[str]],
        captured_at: Integers,
        begun: Sequence[int],
    ) -> None:
        oldest = self._oldest(self._clock())
        begun = [number for number in begun if number >= oldest]
        if not begun:
            return
        numbers = (captured_at // DAY_S).tolist()
        void = {each for each in zip(meters(), numbers, strict=True) if each[1] in set(begun)}
        at = self._number()
        lines = [packed.void_line(meter, profile, number, at) for meter, number in sorted(void)]
        self._server.write(b"\n".join(lines), "s")

    def within(self, profile: str, span: tuple[int, int]) -> range:
        """Returns the whole days of a range among which some may be packed."""
        first = max(-(-span[0] // DAY_S), self._oldest(self._clock()))
        days = range(first, max(first, span[1] // DAY_S))
        begun = [day for day in days if self._states.get((profile, day), 0) >= State.BEGUN]
        return range(begun[0], begun[-1] + 1) if begun else range(0)

    def pack(self, now: int, certain: Callable[[], bool]) -> None:
        """Packs what is due, for some seconds, half of which are others'.

        Args:
            now: Says what is due.
            certain: Says, while nothing is written, whether all that was written is known.
        """
        ends = time.monotonic() + TURN_S
        while time.monotonic() < ends:
            begun = time.monotonic()
            if not (self._go_on(certain) if self._under_way else self._begin(now)):
                return
            time.sleep(time.monotonic() - begun)

    def at_rest(self, now: int, over_since_s: int) -> list[Day]:
        """Returns days that are over, and that packing does not wait for; newest first."""
        oldest, end = self._oldest(now), (now - over_since_s) // DAY_S
        days = (day for day in list(self._states) if oldest <= day[1] < end)
        return sorted(
            (day for day in days if not self.is_ahead(day, now)), key=itemgetter(1), reverse=True
        )

    def is_ahead(self, day: Day, now: int) -> bool:
        """Says whether a day is due to be packed for the first time, or being packed."""
        under_way = self._under_way is not None and self._under_way[0] == day
        return under_way or (self._states.get(day) is State.WAITING and day[1] <= self._newest(now))

    def _newest(self, now: int) -> int:
        return (now - _OVER_SINCE_S) // DAY_S - 1

    def _begin(self, now: int) -> bool:
        """Begins the newest day that is due; returns whether there is one."""
        day = self._due(now)
        if day is None:
            return False
        with self._writing:
            self._gone_through[day] = now
            self._touched.discard(day)
            self._set([day], State.BEGUN)
        self._under_way = day, self._portions(day)
        return True

    def _go_on(self, certain: Callable[[], bool]) -> bool:
        """Packs some meters of the day under way; returns whether that was possible."""
        day, portions = self._under_way or (("", 0), deque())
        with self._writing:
            if not certain():
                return False
            if portions:
                self._write(day, portions[0])
                portions.popleft()
            else:
                self._under_way = None
                self._set([day], State.BEGUN if day in self._touched else State.DONE)
        return True

    def _due(self, now: int) -> Day | None:
        newest, oldest = self._newest(now), self._oldest(now)
        due = (
            day
            for day, state in list(self._states.items())
            if state is not State.DONE
            and oldest <= day[1] <= newest
            and self._gone_through.get(day, 0) <= now - RESTS_S
        )
        return max(due, key=itemgetter(1), default=None)

    def _portions(self, day: Day) -> deque[list[str]]:
        """Returns the meters that have enough rows and no packed day that holds."""
        made = self._counted("last(made), last(void)", PACKED, day)
        held = {meter for meter, numbers in made if packed.holds(*numbers)}
        rows = {
            meter: count
            for meter, (count,) in self._counted("count(layout)", READINGS, day)
            if count >= packed.ROWS_AT_LEAST and meter not in held
        }
        ends = accumulate(rows.values())
        portions = groupby(zip(rows, ends, strict=True), lambda each: each[1] // _ROWS_AT_ONCE)
        return deque([meter for meter, _ in portion] for _, portion in portions)

    def _counted(self, what: str, source: str, day: Day) -> Iterator[tuple[str, list[int]]]:
        """Yields figures of each meter, over all its series."""
        for table in self._server.query(select(what, source, _of(day), "meter")):
            yield untagged(table.tags["meter"]), table.rows[0][1:]

    def _write(self, day: Day, meters: Sequence[str]) -> None:
        query = select("*", READINGS, f"{of_meters(meters)} AND {_of(day)}", reads.TAGS)
        series: dict[str, list[Table]] = {}
        for table in self._server.query_at_once(query):
            series.setdefault(table.tags["meter"], []).append(reads.whole(table))
        made = self._number()
        lines = (packed.day_line(each, self._layouts, day[1], made) for each in series.values())
        body = b"\n".join(line for line in lines if line is not None)
        if body:
            self._server.write(body, "s")

    def _number(self) -> int:
        return int(self._clock() * 1000)


def _of(day: Day) -> str:
    span = (day[1] * DAY_S, (day[1] + 1) * DAY_S)
    return f"profile = {quoted(day[0])} AND {within(span)}"


def _line(day: Day, state: State) -> bytes:
    return f"{DAYS},profile={day[0]} state={state:d}i {day[1] * DAY_S * _NS}".encode()


def _days(captured_at: Integers) -> list[int]:
    """Returns the days of capture times; mostly that is one."""
    if not len(captured_at):
        return []
    first, last = int(captured_at.min()) // DAY_S, int(captured_at.max()) // DAY_S
    return [first] if first == last else np.unique(captured_at // DAY_S).tolist()
