"""What can be read of a meter while one association is open."""

from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from math import ceil

from hesper_contracts.events import Event
from hesper_contracts.parameters import EventLogName
from hesper_contracts.readings import MeterRows, Section
from hesper_dlms.apdu import CosemAttribute

from hesper_gateway.config import MeterConfig
from hesper_gateway.sessions import event_log, profile
from hesper_gateway.sessions.association import Association
from hesper_gateway.sessions.clock import EARLIEST_S, ClockPolicy, MeterTime, RowClock
from hesper_gateway.sessions.identity import Identity
from hesper_gateway.sessions.left_out import LeftOut
from hesper_gateway.sessions.profile import Rows, Shape
from hesper_gateway.sessions.quantities import REGISTER, Kind, QuantityCache
from hesper_gateway.sessions.snapshot import Snapshot, read_snapshot, with_relay
from hesper_gateway.sessions.windows import OVERLAP_S, Stretch, is_whole, stretch
from hesper_gateway.templates.model import MeterTemplate

SET_BACK_S = 1.5
"""Less than this is the noise of clocks that show whole seconds."""


@dataclass(frozen=True, slots=True)
class Past:
    """What earlier associations of this run have left: how to begin this one."""

    first: bool
    """No association of this run has read this profile yet."""
    set_back_s: float
    """By how much the meter's clock was set back since the last association."""

    @property
    def overlap_s(self) -> int:
        """How far before the mark a reading has to begin."""
        return ceil(self.set_back_s) + (OVERLAP_S if self.first else 0)


@dataclass(frozen=True, slots=True)
class Range:
    """A range that somebody asked for, epoch seconds by the meter; both ends belong to it."""

    since: int
    until: int

    @classmethod
    def between(cls, since: datetime, until: datetime) -> "Range":
        """Return the range between two times, of whose ends the whole seconds count."""
        return cls(int(since.timestamp()), int(until.timestamp()))

    def after(self, reached: int) -> "Range | None":
        """Return what is left of it behind a row; None when nothing is."""
        return Range(reached + 1, self.until) if reached < self.until else None

    def stretch(self) -> Stretch:
        """Return it as the stretch to read, which goes not a second beyond."""
        return Stretch(self.since, self.until, self.until)


@dataclass(frozen=True, slots=True)
class Chunk:
    """Rows of a profile, and how far they carry the mark (epoch s; None: not at all)."""

    section: Section
    mark: int | None

    @property
    def captured_at(self) -> list[int]:
        """When the rows were captured, epoch s."""
        return [at for rows in self.section.rows for at in rows.captured_at]


@dataclass(frozen=True, slots=True)
class EventChunk:
    """Events of the log, and how far they carry the mark."""

    events: list[Event]
    mark: int | None

    @property
    def captured_at(self) -> list[int]:
        """When the events happened, epoch s."""
        return [int(event.occurred_at.timestamp()) for event in self.events]


@dataclass(frozen=True, slots=True)
class Reading:
    """An open association with a meter that has said its name and its time."""

    meter: MeterConfig
    template: MeterTemplate
    association: Association
    identity: Identity
    clock: MeterTime
    policy: ClockPolicy
    cache: QuantityCache
    now: Callable[[], float]
    left_out: LeftOut = field(default_factory=LeftOut)
    """Numbers met so far that cannot travel."""

    @property
    def kind(self) -> Kind:
        """Model and firmware; a meter that tells neither is its own kind."""
        identity = self.identity
        if identity.model or identity.firmware:
            return (f"{self.template.name}/{identity.model}", identity.firmware)
        return (f"{self.template.name}/{self.meter.id}", "")

    async def shape(self, logical_name: bytes) -> Shape:
        """Return what a profile captures and how often."""
        return await profile.read_shape(self.association, logical_name)

    async def profile(
        self, shape: Shape, mark: int | None, past: Past
    ) -> AsyncGenerator[Chunk, None]:
        """Yield what the profile has captured since the mark, oldest first.

        Raises:
            MeterFailed: the meter cannot be read; chunks that were yielded stay good.
        """
        async for chunk in self._chunks(shape, await self._stretch(shape, mark, past)):
            yield chunk

    async def backfill(self, shape: Shape, wanted: Range) -> AsyncGenerator[Chunk, None]:
        """Yield what the profile has captured within a range; chunks say how far they reach."""
        async for chunk in self._chunks(shape, wanted.stretch()):
            yield chunk

    async def _chunks(self, shape: Shape, wanted: Stretch) -> AsyncGenerator[Chunk, None]:
        attributes = [column for _, column in shape.valued]
        quantities = await self.cache.quantities(
            self.association, self.kind, attributes, self.template.scaler_units
        )
        async for rows in self._windows(shape, wanted):
            self.left_out.update(rows.left_out)
            found = profile.section(self.meter.id, shape, quantities, rows, self.now())
            *pieces, last = cut(found, self.template.limits.rows_per_chunk)
            for piece in pieces:
                yield Chunk(piece, None)
            yield Chunk(last, wanted.mark(rows.captured_at))

    async def events(
        self, log: EventLogName, shape: Shape, mark: int | None, past: Past
    ) -> AsyncGenerator[EventChunk, None]:
        """Yield what an event log has recorded since the mark, oldest first.

        The mark stays before the second in which the association began: more may come in it, and
        what is told again keeps its id.
        """
        async for chunk in self._event_chunks(log, shape, await self._stretch(shape, mark, past)):
            over = (at for at in chunk.captured_at if at < self.clock.captured_at)
            yield EventChunk(chunk.events, max(over, default=None))

    async def past_events(
        self, log: EventLogName, shape: Shape, wanted: Range
    ) -> AsyncGenerator[EventChunk, None]:
        """Yield what an event log has recorded within a range."""
        async for chunk in self._event_chunks(log, shape, wanted.stretch()):
            yield chunk

    async def _event_chunks(
        self, log: EventLogName, shape: Shape, wanted: Stretch
    ) -> AsyncGenerator[EventChunk, None]:
        async for rows in self._windows(replace(shape, keeps_all=True), wanted):
            events = event_log.events(self.meter.id, log, shape, rows, self.template.events)
            yield EventChunk(events, wanted.mark(rows.captured_at))

    async def snapshot(self) -> Snapshot:
        """Return the registers as they stand."""
        return await self.registers(self.template.snapshot.registers, REGISTER)

    async def registers(self, logical_names: Sequence[bytes], class_id: int) -> Snapshot:
        """Return those of the named objects of a class that hold an integer, as they stand."""
        found = await read_snapshot(
            self.association,
            [CosemAttribute(class_id, logical_name, 2) for logical_name in logical_names],
            self.cache,
            self.kind,
            self.clock,
            self.template.scaler_units,
        )
        self.left_out.update(found.left_out)
        return found

    async def snapshot_with_relay(self) -> Snapshot:
        """Return the registers as they stand, and whether the supply is connected."""
        relay, registers = self.template.objects.disconnect_control, await self.snapshot()
        return registers if relay is None else await with_relay(self.association, relay, registers)

    def _windows(self, shape: Shape, wanted: Stretch) -> AsyncGenerator[Rows, None]:
        return profile.read_windows(
            self.association,
            shape,
            self._row_clock(),
            wanted,
            self.template.limits,
        )

    def _row_clock(self) -> RowClock:
        clock = self.clock
        return RowClock(self.policy, clock.deviation_minutes, lambda: self.now() + clock.drift_s)

    async def _stretch(self, shape: Shape, mark: int | None, past: Past) -> Stretch:
        limits = self.template.limits
        present = self.clock.captured_at
        oldest = present - limits.buffer_days * 86400
        if limits.entry_access and is_whole(mark, present):
            found = await profile.read_oldest(self.association, shape, self._row_clock())
            if found is not None and EARLIEST_S <= found <= present:  # else its clock was wrong
                oldest = found
        return stretch(mark, present, oldest, past.overlap_s)


def cut(section: Section, row_count: int) -> list[Section]:
    """Return a section of one meter in pieces of at most so many rows."""
    (rows,) = section.rows
    if len(rows.captured_at) <= row_count:
        return [section]
    return [
        Section(
            section.profile,
            section.received_at,
            section.quantities,
            [
                MeterRows(
                    rows.meter,
                    rows.captured_at[start : start + row_count],
                    rows.clock_status[start : start + row_count],
                    rows.quality[start : start + row_count],
                    [values[start : start + row_count] for values in rows.values],
                )
            ],
        )
        for start in range(0, len(rows.captured_at), row_count)
    ]
