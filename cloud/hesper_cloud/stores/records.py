"""Records that cross the store port: blocks going in, readings and curves coming out.

Every instant is an integer: seconds since 1970-01-01 UTC, milliseconds where the name ends in
``_ms``. Profiles and logical names are text. The physical value is ``value * 10**scaler`` in
``unit`` (Blue Book table).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from hesper_contracts.batch import BatchId

Integers = npt.NDArray[np.integer[Any]]
Flags = npt.NDArray[np.bool_]

EARLIEST = 0
LATEST = 9_223_372_036  # 2262-04-11, the last second that 64-bit nanoseconds hold

SCALERS = range(-6, 10)
"""Of these quantities sums are made: one wrong scaler must not push out what others say."""


class Quantity(NamedTuple):
    """What a column holds: logical name as text, decimal scaler, unit of the Blue Book table."""

    logical_name: str
    scaler: int
    unit: int


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """Rows of one profile with the same quantities, as columns.

    Attributes:
        profile: Logical name of the profile.
        quantities: What the columns hold, sorted.
        meters: The meters that `meter_index` points to.
        meter_index: For each row its position in `meters`.
        captured_at: For each row the meter's capture time, epoch seconds.
        clock_status: For each row the meter's clock status (Blue Book 4.1.6.1), 0 to 255.
        quality: For each row the flags of `hesper_contracts.quality`.
        received_at: When the gateway received the rows, epoch seconds.
        values: One row per quantity, one column per reading; meaningless where `missing`.
        missing: Same shape as `values`, or None when every value is there.
    """

    profile: str
    quantities: tuple[Quantity, ...]
    meters: tuple[str, ...]
    meter_index: Integers
    captured_at: Integers
    clock_status: Integers
    quality: Integers
    received_at: int
    values: Integers
    missing: Flags | None

    @property
    def row_count(self) -> int:
        """The number of readings."""
        return len(self.captured_at)


@dataclass(frozen=True, slots=True)
class Group:
    """Batches that are stored in one go: their ids with digests, and their blocks."""

    batches: Mapping[BatchId, str]
    blocks: Sequence[Block]
    stored_at_ms: int

    @property
    def stored_at(self) -> int:
        """When it is stored, in whole seconds."""
        return self.stored_at_ms // 1000


@dataclass(frozen=True, slots=True)
class Written:
    """What became of a group's rows, after they were made durable.

    Attributes:
        new: Rows inserted.
        duplicate: Rows that were there already, with the same values.
        conflicting: Rows kept as revisions of a stored row with other values.
        accepted: For each block of the group the mask of its new rows.
    """

    new: int
    duplicate: int
    conflicting: int
    accepted: tuple[Flags, ...]


Previous = tuple[Integers, Integers, Flags] | None
"""The newest rows of a block's meters: captured_at, values, missing; one column per meter.

None where nothing of the block's kind is known; a meter without a row has every value missing.
"""


@dataclass(frozen=True, slots=True, eq=False)
class CommittedRows:
    """One block after its commit.

    Attributes:
        gateway: Who sent it; empty for a block that several sent.
        block: Its rows.
        accepted: Which of them are new.
        stored_at: When they were stored, epoch seconds.
        before: What was newest of its meters before, for those who compare.
        has_conflicts: Whether its group brought other values for rows that are stored.
    """

    gateway: str
    block: Block
    accepted: Flags
    stored_at: int
    before: Previous = None
    has_conflicts: bool = False


class Arrivals(NamedTuple):
    """One meter's capture times, ascending, and when each was stored; epoch seconds.

    A time that is stored twice, with another clock status, comes twice.
    """

    captured_at: Integers
    stored_at: Integers


class ReadValue(NamedTuple):
    """One value of a stored reading."""

    logical_name: str
    value: int | None
    scaler: int
    unit: int


@dataclass(frozen=True, slots=True)
class Reading:
    """One stored reading; `revision` is 0, or 1 and up for conflicting versions."""

    meter: str
    profile: str
    captured_at: int
    clock_status: int
    quality: int
    received_at: int
    stored_at_ms: int
    values: tuple[ReadValue, ...]
    revision: int = 0

    @property
    def identity(self) -> tuple[str, str, int, int]:
        """Meter, profile, capture time and clock status: what its versions have in common."""
        return self.meter, self.profile, self.captured_at, self.clock_status


@dataclass(frozen=True, slots=True)
class Series:
    """One quantity of one meter over time; lists of equal length, ascending in time."""

    times: list[int]
    values: list[int | None]
    quality: list[int]
    scaler: int
    unit: int


@dataclass(frozen=True, slots=True)
class FleetSeries:
    """One quantity summed over meters per step; `meters` counts those that took part."""

    times: list[int]
    values: list[int]
    meters: list[int]
    scaler: int
    unit: int


@dataclass(frozen=True, slots=True, eq=False)
class ReadingColumns:
    """Stored rows of one profile as columns, meter by meter, ascending in time.

    Attributes:
        profile: Logical name of the profile.
        quantities: What the rows of `values` hold, whatever a reading's own layout was.
        meters: The meters that `meter_index` points to.
        meter_index: For each reading its position in `meters`.
        captured_at: Epoch seconds.
        clock_status: The meter's clock status (Blue Book 4.1.6.1).
        quality: The flags of `hesper_contracts.quality`.
        received_at: Epoch seconds.
        stored_at_ms: Epoch milliseconds.
        values: One row per quantity, one column per reading; meaningless where `missing`.
        missing: Same shape as `values`.
    """

    profile: str
    quantities: tuple[Quantity, ...]
    meters: tuple[str, ...]
    meter_index: Integers
    captured_at: Integers
    clock_status: Integers
    quality: Integers
    received_at: Integers
    stored_at_ms: Integers
    values: Integers
    missing: Flags

    @property
    def row_count(self) -> int:
        """The number of readings."""
        return len(self.captured_at)

    def by_meter(self) -> Iterator[tuple[str, slice]]:
        """Yields each meter with the place of its readings."""
        index = np.asarray(self.meter_index)
        edges = (np.flatnonzero(np.diff(index)) + 1).tolist()
        for start, end in zip([0, *edges], [*edges, len(index)], strict=True):
            if end > start:
                yield self.meters[index[start]], slice(start, end)


@dataclass(frozen=True, slots=True)
class Changes:
    """A page of the change feed, and the cursor that asks for the next one."""

    readings: list[Reading]
    cursor: str


@dataclass(frozen=True, slots=True)
class Fault:
    """Something of the store that a person should know of, and the days that are lost with it.

    Attributes:
        name: What it is about, for example a file.
        text: What was found and done.
        start: First lost instant, epoch seconds.
        end: End of what is lost, half-open.
    """

    name: str
    text: str
    start: int
    end: int
