"""One visit to one meter: everything that is due, in one association.

What was found is stored after the association has ended, so that the line is free again sooner;
what was found before a failure is stored all the same. A long profile is left off after some
chunks, or as soon as a command waits for the line, and goes on at the next visit.
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from hesper_contracts.events import Event
from hesper_contracts.parameters import EventLogName
from hesper_dlms import obis

from hesper_gateway.config import MeterConfig
from hesper_gateway.database import StorageFull
from hesper_gateway.errors import CredentialsRefused, MeterFailed, MeterRefused
from hesper_gateway.gathering import Find, Gathering
from hesper_gateway.news import News
from hesper_gateway.sessions.clock import MeterTime
from hesper_gateway.sessions.profile import Shape
from hesper_gateway.sessions.reading import SET_BACK_S, Past, Reading
from hesper_gateway.sessions.session import MeterSession

log = logging.getLogger(__name__)

CHUNKS_PER_VISIT = 2
_PROFILE = "profile"


class Work(StrEnum):
    """What a visit can do."""

    PROFILE = "profile"
    SNAPSHOT = "snapshot"
    EVENTS = "events"
    """Event logs, and the profiles beside the load profile."""


class EventsOutbox(Protocol):
    """Where events are kept until the cloud has them."""

    async def append_events(
        self, new: Sequence[Event], progress: Mapping[tuple[str, bytes], int] | None = None
    ) -> int:
        """Store events and marks in one transaction."""


class Progress(Protocol):
    """How far each profile was read."""

    def last_capture(self, meter: str, profile: bytes) -> int | None:
        """Return the mark of one meter's profile; None before the first row."""


class Keeper(Protocol):
    """What keeps the meter's clock right."""

    async def keep(self, clock: MeterTime) -> None:
        """Set the clock if it needs it, in a turn of its own; never fails for the meter's sake."""


@dataclass(slots=True)
class Visited:
    """What one visit brought; ``done`` is what need not be done again before its next time."""

    done: set[Work] = field(default_factory=set)
    failure: MeterFailed | None = None
    capture_period_s: int | None = None
    newest_capture: int | None = None
    """Of the load profile, when all of it was read; `captured_at`, epoch s."""
    finds: list[Find] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    log_marks: dict[bytes, int] = field(default_factory=dict)
    """By logical name of the log."""
    advanced: list[bytes] = field(default_factory=list)


class Visitor:
    """Visits one meter again and again and remembers what it has seen.

    Args:
        session: The meter's.
        gathering: Takes readings.
        outbox: Takes events.
        progress: Where the marks are.
        now: Epoch seconds, UTC.
        keeper: Sets the clock where a policy wants that.
    """

    def __init__(
        self,
        session: MeterSession,
        gathering: Gathering,
        outbox: EventsOutbox,
        progress: Progress,
        now: Callable[[], float],
        keeper: Keeper | None = None,
    ) -> None:
        self.session = session
        self.clock: MeterTime | None = None
        self._origin = 0.0
        self._gathering = gathering
        self._outbox = outbox
        self._progress = progress
        self._now = now
        self._keeper = keeper
        self._past: dict[bytes, Past] = {}
        self._refused: dict[str, MeterRefused] = {}
        self._news = News(session.meter.id, session.line.name, now)

    @property
    def meter(self) -> MeterConfig:
        """The meter as configured."""
        return self.session.meter

    async def visit(self, due: set[Work]) -> Visited:
        """Do what is due and store what was found; needs the line's turn for the first part.

        Returns:
            What was done; a failure is told inside, after everything found before it was stored.

        Raises:
            OutboxFull: there is no room for readings; nothing counts as done.
            StorageFull: not even for events; the next visit tells them.
        """
        visited, told_before = Visited(), self._news.copy()
        try:
            await self.session.line.submit(lambda: self._work(due, visited))
        except MeterFailed as failure:
            visited.failure = failure
        try:
            await self._store(visited)
        except StorageFull:
            self._news = told_before  # so that the next visit tells it
            raise
        if self._keeper is not None and self.clock is not None and visited.failure is None:
            await self._keeper.keep(self.clock)
        return visited

    async def _store(self, visited: Visited) -> None:
        marks = {(self.meter.id, where): mark for where, mark in visited.log_marks.items()}
        if visited.events or marks:
            await self._outbox.append_events(visited.events, marks)
        await self._gathering.append(visited.finds)
        load_profile = self.session.template.objects.load_profile
        if Work.PROFILE in visited.done and load_profile is not None:
            visited.newest_capture = self._mark(load_profile)
        if visited.failure is None:
            # The marks themselves have gone back by now, so the overlap is not owed any more.
            for where in visited.advanced:
                self._past[where] = Past(first=False, set_back_s=0.0)

    async def _work(self, due: set[Work], visited: Visited) -> None:
        first = self._news.never_told
        async with self.session.reading() as reading:
            self._note_clock(reading.clock)
            if Work.SNAPSHOT in due:
                with self._declined("snapshot", visited, Work.SNAPSHOT):
                    await self._snapshot(reading, visited)
            if Work.PROFILE in due or first:
                with self._declined(_PROFILE, visited, Work.PROFILE):
                    await self._profile(reading, visited)
            refusal = self._refused.get(_PROFILE)
            visited.events += self._news.of(reading, visited.capture_period_s, refusal)
            if Work.EVENTS in due and await self._further(reading, visited):
                await self._events(reading, visited)

    @contextmanager
    def _declined(self, what: str, visited: Visited, work: Work | None = None) -> Iterator[None]:
        """Let other work go on when the meter declines this one; ``work`` waits for its next tick.

        A refused invocation counter concerns the whole association and is let through.
        """
        try:
            yield
        except CredentialsRefused:
            raise
        except MeterRefused as refusal:
            if work is not None:
                visited.done.add(work)
            if what not in self._refused:
                log.warning("meter %s: no %s: %s", self.meter.id, what, refusal)
            self._refused[what] = refusal
        else:
            self._refused.pop(what, None)

    async def _snapshot(self, reading: Reading, visited: Visited) -> None:
        snapshot = await reading.snapshot_with_relay()
        if snapshot.quantities:
            visited.finds.append(Find(snapshot.section(self.meter.id, self._now())))
        visited.done.add(Work.SNAPSHOT)

    async def _profile(self, reading: Reading, visited: Visited) -> None:
        where = self.session.template.objects.load_profile
        if where is not None:
            shape = await reading.shape(where)
            visited.capture_period_s = shape.capture_period_s
            if not await self._rows(reading, shape, visited):
                return
        visited.done.add(Work.PROFILE)

    async def _rows(self, reading: Reading, shape: Shape, visited: Visited) -> bool:
        """Read what a profile has captured since its mark; False when it was left off before."""
        where = shape.profile
        chunks = reading.profile(shape, self._mark(where), self._past_of(where))
        visited.advanced.append(where)
        count = 0
        async with aclosing(chunks):
            async for chunk in chunks:
                visited.finds.append(Find.packed(chunk.section, chunk.mark))
                count += 1
                if chunk.mark is not None and self._long_enough(count):
                    return False
        return True

    async def _further(self, reading: Reading, visited: Visited) -> bool:
        """Read every other profile; one that the meter declines does not hold up the others."""
        for where in self.session.template.objects.further_profiles:
            with self._declined(f"profile {obis.text(where)}", visited):
                if not await self._rows(reading, await reading.shape(where), visited):
                    return False
        return True

    async def _events(self, reading: Reading, visited: Visited) -> None:
        """Read every event log; one that the meter declines does not hold up the others."""
        for name, where in self.session.template.objects.logs().items():
            with self._declined(f"{name} log", visited):
                await self._event_log(reading, name, where, visited)
        visited.done.add(Work.EVENTS)

    async def _event_log(
        self, reading: Reading, name: EventLogName, where: bytes, visited: Visited
    ) -> None:
        shape = await reading.shape(where)
        chunks = reading.events(name, shape, self._mark(where), self._past_of(where))
        async with aclosing(chunks):
            async for chunk in chunks:
                told = {event.id for event in visited.events}
                visited.events += [event for event in chunk.events if event.id not in told]
                if chunk.mark is not None:
                    visited.log_marks[where] = chunk.mark
        visited.advanced.append(where)

    def _mark(self, where: bytes) -> int | None:
        return self._progress.last_capture(self.meter.id, where)

    def _past_of(self, where: bytes) -> Past:
        return self._past.setdefault(where, Past(first=True, set_back_s=0.0))

    def _note_clock(self, clock: MeterTime) -> None:
        """Remember by how much the clock was set back until every profile was read through.

        What the gateway's own clock was set meanwhile is no news of the meter's.
        """
        origin = self.session.origin()
        if self.clock is not None:
            set_back_s = self.clock.drift_s - clock.drift_s - (origin - self._origin)
            if set_back_s > SET_BACK_S:
                for where, past in self._past.items():
                    self._past[where] = Past(past.first, past.set_back_s + set_back_s)
        self.clock, self._origin = clock, origin

    def _long_enough(self, chunk_count: int) -> bool:
        return chunk_count >= CHUNKS_PER_VISIT or self.session.line.command_waiting
