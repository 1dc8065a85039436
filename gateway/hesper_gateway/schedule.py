"""When each meter is visited.

Theory of operation
-------------------
Ticks lie at multiples of the interval since the epoch, plus an offset of the meter's own within
the jitter, so that visits follow the captures and do not all fall on one instant. Captures happen
by the meter's clock, so the profile's ticks go with that clock where it is wrong; and a visit that
came before the meter had filed its newest capture is repeated once, soon, instead of a whole period
later. A tick that was missed (gateway off, meter gone, line busy) leaves its work due until it is
done; it is done once, since an incremental reading brings everything that several missed ones would
have brought.

`Plan` is the pure part: what of one meter is due, and when something will be. `Round` walks the
meters of one line; of those that are due, the one goes first whose last visit is longest ago. The
line lets one visit at a time have the channel; the next meter is read while what the ones before
brought is still being stored. While the outbox has no room nobody is visited: the meters keep what
they have.
"""

import asyncio
import itertools
import logging
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Protocol

from hesper_contracts.events import Event

from hesper_gateway.config import ScheduleConfig
from hesper_gateway.database import DatabaseError, StorageFull
from hesper_gateway.errors import DialLimit
from hesper_gateway.meter_state import MeterState
from hesper_gateway.outbox import OutboxFull
from hesper_gateway.sessions.reading import SET_BACK_S
from hesper_gateway.visit import EventsOutbox, Visited, Visitor, Work

log = logging.getLogger(__name__)

FIRST_PROFILE_S = 900.0
FULL_PAUSE_S = 15.0
VISITS_AT_ONCE = 8
"""Visits of one round that read, wait for the line or are being stored."""
LONGEST_SLEEP_S = 60.0
UNTOLD_MAX = 1000
FILING_S = 10.0
"""How long after a capture that was not there yet it is looked for again, at most …"""
FILING_PART = 0.1
"""… this part of the capture period."""


def offset_s(meter: str, jitter_s: float) -> float:
    """Return the meter's own place within the jitter, the same in every run."""
    return zlib.crc32(meter.encode()) / 2**32 * jitter_s


@dataclass(slots=True)
class Plan:
    """What of one meter's work is due when; all times are epoch seconds.

    Everything is due at once when the gateway starts.
    """

    schedule: ScheduleConfig
    offset_s: float
    period_s: float = FIRST_PROFILE_S
    """What the meter says; counts where the schedule does not say."""
    drift_s: float = 0.0
    """Meter's clock minus the gateway's."""
    _repeated: bool = False
    _due_at: dict[Work, float] = field(default_factory=lambda: dict.fromkeys(Work, 0.0))

    def interval_s(self, work: Work) -> float:
        """Return how often this work is to be done."""
        match work:
            case Work.PROFILE:
                return self.schedule.profile_s or self.period_s
            case Work.SNAPSHOT:
                return self.schedule.snapshot_s
            case Work.EVENTS:
                return self.schedule.events_s

    def due(self, now: float) -> set[Work]:
        """Return what is due now."""
        self._mend(now)
        return {work for work, at in self._due_at.items() if at <= now}

    def next_at(self, now: float) -> float:
        """Return when something will be due, or was."""
        self._mend(now)
        return min(self._due_at.values())

    def done(self, work: Work, begun_at: float) -> None:
        """Put this work off to its first tick after the visit that did it had begun."""
        interval_s = self.interval_s(work)
        shift_s = self.offset_s - (self.drift_s if work is Work.PROFILE else 0.0)
        tick = (begun_at - shift_s) // interval_s + 1
        self._due_at[work] = tick * interval_s + shift_s

    def captured(self, newest: int, present: int, begun_at: float) -> None:
        """Look again soon, once, when the newest capture is not the one that was due by now.

        Args:
            newest: `captured_at` of the newest row that was read, epoch s.
            present: The meter's clock at the visit, epoch s.
            begun_at: When the visit began.
        """
        is_late = newest < present - present % max(1, int(self.period_s))
        self._repeated = is_late and not self._repeated
        if self._repeated:
            soon = begun_at + min(FILING_S, FILING_PART * self.period_s)
            self._due_at[Work.PROFILE] = min(self._due_at[Work.PROFILE], soon)

    def _mend(self, now: float) -> None:
        """Forget ticks that a gateway clock set back has put out of reach."""
        for work, at in self._due_at.items():
            if at > now + 2 * self.interval_s(work):
                self._due_at[work] = now


@dataclass(slots=True)
class Stop:
    """One meter on a round."""

    visitor: Visitor
    plan: Plan
    state: MeterState
    visited_at: float = 0.0
    """Epoch seconds; for the plan alone, because clocks jump."""
    turn: int = 0
    """Its place in the order of all visits of the round."""
    is_visited: bool = False
    """A visit is under way."""

    def ready_at(self, now: float) -> float:
        """Return when it may be visited: something is due, and the back-off is over."""
        return max(self.plan.next_at(now), self.state.ready_at())

    def plan_after(self, visited: Visited, due: set[Work]) -> None:
        """Plan anew with what the visit of `visited_at` brought of what was due."""
        plan, clock = self.plan, self.visitor.clock
        if visited.capture_period_s:
            plan.period_s = visited.capture_period_s
        if clock is not None:
            plan.drift_s = clock.drift_s if abs(clock.drift_s) > SET_BACK_S else 0.0
        for work in visited.done & due:
            plan.done(work, self.visited_at)
        if clock and visited.capture_period_s and visited.newest_capture is not None:
            plan.captured(visited.newest_capture, clock.captured_at, self.visited_at)


class RoundOutbox(EventsOutbox, Protocol):
    """Where events are kept, and readings if there is room."""

    async def require_room(self) -> None:
        """Pass while there is room for readings; OutboxFull when there is none."""


class Round:
    """The meters of one line, visited in turn.

    Args:
        name: The line's.
        stops: Its meters.
        outbox: Takes the events of meters that go and come back; says whether there is room.
        now: Epoch seconds, UTC.
    """

    def __init__(
        self, name: str, stops: Iterable[Stop], outbox: RoundOutbox, now: Callable[[], float]
    ) -> None:
        self.name = name
        self._stops = {stop.visitor.meter.id: stop for stop in stops}
        self._outbox = outbox
        self._now = now
        self._nudged = asyncio.Event()
        self._untold: list[Event] = []
        self._turns = itertools.count(1)
        self._is_held_up = False

    @property
    def meters(self) -> list[str]:
        """The ids of the meters on this round."""
        return list(self._stops)

    def nudge(self, meter: str) -> None:
        """Say that a meter can be reached now: its pause is over."""
        stop = self._stops.get(meter)
        if stop is not None:
            stop.state.answered_call()
            self._nudged.set()

    async def run(self) -> None:
        """Visit until cancelled; ends with what a visit raised."""
        try:
            async with asyncio.TaskGroup() as tasks:
                for _ in range(min(VISITS_AT_ONCE, len(self._stops))):
                    tasks.create_task(self._walk(), name=f"round-{self.name}")
        except ExceptionGroup as failed:
            fatal, _ = failed.split(DatabaseError)
            raise (fatal or failed).exceptions[0] from failed

    async def _walk(self) -> None:
        while True:
            now = self._now()
            stop = min(
                (each for each in self._stops.values() if not each.is_visited),
                key=lambda each: (max(each.ready_at(now), now), each.turn),
            )
            wait_s = stop.ready_at(now) - now
            if wait_s > 0:
                await self._pause(min(wait_s, LONGEST_SLEEP_S))
                continue
            stop.is_visited = True
            try:
                await self._outbox.require_room()
                self._go_on()
                await self._visit(stop)
            except OutboxFull as full:
                self._hold_up(full)
                await self._pause(FULL_PAUSE_S)
            finally:
                stop.is_visited = False

    def _hold_up(self, full: OutboxFull) -> None:
        if not self._is_held_up:
            log.warning("line %s: no meter is read: %s", self.name, full)
        self._is_held_up = True

    def _go_on(self) -> None:
        if self._is_held_up:
            log.warning("line %s: there is room again, meters are read", self.name)
        self._is_held_up = False

    async def _visit(self, stop: Stop) -> None:
        stop.visited_at = begun_at = self._now()
        stop.turn = next(self._turns)
        due = stop.plan.due(begun_at)
        if not due:
            return
        visited = await stop.visitor.visit(due)
        stop.plan_after(visited, due)
        if isinstance(visited.failure, DialLimit):
            stop.state.held_back(visited.failure)
        elif visited.failure is not None:
            await self._tell(stop.state.failed(visited.failure))
        else:
            await self._tell(stop.state.succeeded())

    async def _tell(self, event: Event | None) -> None:
        """Store an event, after those that a full disk had no room for."""
        waiting, self._untold = self._untold, []
        waiting += [event] if event is not None else []
        try:
            if waiting:
                await self._outbox.append_events(waiting)
        except StorageFull:
            self._untold = (waiting + self._untold)[-UNTOLD_MAX:]
            raise

    async def _pause(self, wait_s: float) -> None:
        self._nudged.clear()
        try:
            async with asyncio.timeout(wait_s):
                await self._nudged.wait()
        except TimeoutError:
            return
