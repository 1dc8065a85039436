"""Readings of many meters become few batches.

A batch with one meter's few rows costs the whole way up nearly as much as one with thousands, so
what visits bring home within a moment is put together: rows that share profile and quantities
share a section. `append` returns when everything it was given is durable, marks included. Order
is kept: a mark never becomes durable before the rows that it stands for.

Rows that wait are kept as machine integers. A hundred meters that are read for the first time hold
a hundred thousand rows between them, and Python's own integers, a fifth as dense, would leave the
process that much larger for ever.
"""

import asyncio
from array import array
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Protocol

from hesper_contracts.readings import SECTIONS_ALWAYS, MeterRows, Section

from hesper_gateway.outbox import OutboxFull

Marks = Mapping[tuple[str, bytes], int]
"""(meter, logical name of the profile) → `captured_at` of its newest row, epoch s."""

WINDOW_S = 0.1
ROWS_MAX = 3000


class ReadingsOutbox(Protocol):
    """Where readings are kept until the cloud has them."""

    async def append_readings(
        self, sections: Sequence[Section], progress: Marks | None = None
    ) -> int:
        """Store sections and marks in one transaction; OutboxFull when there is no room."""


@dataclass(frozen=True, slots=True)
class Find:
    """Rows of one meter and how far they carry its mark (None: not at all)."""

    section: Section
    mark: int | None = None

    @classmethod
    def packed(cls, section: Section, mark: int | None = None) -> "Find":
        """Return rows of one meter in little room."""
        (rows,) = section.rows
        packed = MeterRows(
            rows.meter,
            array("q", rows.captured_at),
            _narrow(rows.clock_status),
            _narrow(rows.quality),
            [_packed(values) for values in rows.values],
        )
        return cls(
            Section(section.profile, section.received_at, section.quantities, [packed]), mark
        )

    @property
    def row_count(self) -> int:
        """How many rows there are."""
        return sum(len(rows.captured_at) for rows in self.section.rows)


@dataclass(slots=True)
class _Load:
    finds: list[Find]
    stored: asyncio.Future[None]


@dataclass(slots=True)
class _Batch:
    sections: list[Section] = field(default_factory=list)
    marks: dict[tuple[str, bytes], int] = field(default_factory=dict)
    row_count: int = 0

    def has_room(self, rows: int, rows_max: int) -> bool:
        """Whether so many rows may be added, in a section of their own if need be."""
        if not self.row_count:
            return True
        return self.row_count + rows <= rows_max and len(self.sections) < SECTIONS_ALWAYS

    def add(self, find: Find) -> None:
        section = find.section
        meter = section.rows[0].meter
        self.row_count += find.row_count
        if find.mark is not None:
            self.marks[meter, section.profile] = find.mark
        for index, other in enumerate(self.sections):
            alike = (other.profile, other.quantities) == (section.profile, section.quantities)
            if alike and all(rows.meter != meter for rows in other.rows):
                received_at = max(other.received_at, section.received_at)
                self.sections[index] = Section(
                    section.profile, received_at, section.quantities, other.rows + section.rows
                )
                return
        self.sections.append(section)


class Gathering:
    """Puts what several visits found into common batches.

    Args:
        outbox: Where the batches go.
        window_s: How long a find waits for company.
        rows_max: About how many rows one batch holds at most.
    """

    def __init__(
        self, outbox: ReadingsOutbox, window_s: float = WINDOW_S, rows_max: int = ROWS_MAX
    ) -> None:
        self._outbox = outbox
        self._window_s = window_s
        self._rows_max = rows_max
        self._loads: list[_Load] = []
        self._arrived = asyncio.Event()

    async def append(self, finds: Sequence[Find]) -> None:
        """Store finds, in order; durable on return.

        Raises:
            OutboxFull: not all of them were stored; the meter still has them.
        """
        if finds:
            load = _Load(list(finds), asyncio.get_running_loop().create_future())
            self._loads.append(load)
            self._arrived.set()
            await load.stored

    async def run(self) -> None:
        """Make batches of what arrives, until cancelled."""
        while True:
            await self._arrived.wait()
            await asyncio.sleep(self._window_s)
            self._arrived.clear()
            loads, self._loads = self._loads, []
            try:
                await self._store(loads)
            except OutboxFull as full:
                for load in loads:
                    _settle(load, full)
            finally:
                for load in loads:
                    load.stored.cancel()  # of those still open: this task is being stopped

    async def _store(self, loads: list[_Load]) -> None:
        batch = _Batch()
        waiting: list[_Load] = []
        for load in loads:
            for find in load.finds:
                if not batch.has_room(find.row_count, self._rows_max):
                    await self._append(batch, waiting)
                    batch, waiting = _Batch(), []
                batch.add(find)
            waiting.append(load)
        await self._append(batch, waiting)

    async def _append(self, batch: _Batch, complete: list[_Load]) -> None:
        await self._outbox.append_readings(batch.sections, batch.marks)
        for load in complete:
            _settle(load, None)


def _packed(values: Sequence[int | None]) -> Sequence[int | None]:
    """Return a column as machine integers, unless there are holes in it."""
    present = [value for value in values if value is not None]
    return _narrow(present) if len(present) == len(values) else values


def _narrow(values: Sequence[int]) -> Sequence[int]:
    for typecode in ("B", "i"):
        with suppress(OverflowError):
            return array(typecode, values)
    return array("q", values)


def _settle(load: _Load, error: OutboxFull | None) -> None:
    if load.stored.done():
        return
    if error is None:
        load.stored.set_result(None)
    else:
        load.stored.set_exception(error)
