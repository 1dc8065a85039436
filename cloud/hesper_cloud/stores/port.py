"""The store port: what ingest, jobs and services ask of a place where readings live.

Theory of operation. A reading's identity is meter, profile, ``captured_at`` and clock status.
`ReadingStore.write` takes a `Group` of decoded batches and makes it durable together with the
batches' ids before it returns, so that a receipt may follow. Within the group, and then against
all that is stored, each row is one of three: **new** (inserted), **duplicate** (the same identity
with the same values: nothing is written) or **conflicting** (the same identity with other values:
kept beside the first as a revision, and the first is flagged `Quality.CONFLICTING`). Writing the
same group again therefore changes nothing.

Every instant at this port is an integer: seconds since 1970-01-01 UTC, and milliseconds where the
name ends in ``_ms``; ranges are half-open, ``start <= t < end``. Profiles and logical names are
text (``1.0.99.1.0.255``). Values are integers with a decimal scaler: the physical value is
``value * 10**scaler`` in ``unit`` (Blue Book table).
All calls block; async callers run them in a thread. Every method may be called from any thread,
`write` from one thread at a time.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
import numpy.typing as npt
from hesper_contracts.batch import BatchId

Integers = npt.NDArray[np.integer[Any]]
Flags = npt.NDArray[np.bool_]

EARLIEST = 0
LATEST = 9_223_372_036  # 2262-04-11, the last second that 64-bit nanoseconds hold


class StoreError(Exception):
    """The store did not take or give what was asked."""


class StoreUnavailable(StoreError):
    """The store cannot be reached or is out of room: keep the data and try again."""


class StoreRefused(StoreError):
    """The store will never take this group: set the offending batch aside as a dead letter."""


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


@dataclass(frozen=True, slots=True, eq=False)
class CommittedRows:
    """One block after its commit: who sent it, which rows are new, when it was stored."""

    gateway: str
    block: Block
    accepted: Flags
    stored_at: int


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


class ReadingStore(Protocol):
    """The port; see the module's theory of operation."""

    def write(self, group: Group) -> Written:
        """Makes a group durable in full, its batch ids included, and says what it was.

        Raises:
            StoreUnavailable: nothing certain was stored; the same group may be written again.
            StoreRefused: this store can never hold the group.
        """
        ...

    def known(self, batches: Sequence[BatchId]) -> dict[BatchId, str]:
        """Returns the digests of those batches that are stored."""
        ...

    def readings(
        self, meter: str, profile: str | None, start: int, end: int, limit: int
    ) -> list[Reading]:
        """Returns a meter's readings, newest first, revisions included; None: every profile."""
        ...

    def series(
        self, meter: str, profile: str, logical_name: str, start: int, end: int, step_s: int | None
    ) -> Series:
        """Returns one curve; with ``step_s`` the last value of each step, at the step's start."""
        ...

    def fleet_series(
        self, profile: str, logical_name: str, start: int, end: int, step_s: int
    ) -> FleetSeries:
        """Sums the last value of each meter in each step (for powers and registers)."""
        ...

    def fleet_increase(
        self, profile: str, logical_name: str, start: int, end: int, step_s: int
    ) -> FleetSeries:
        """Sums how much each meter's register grew from capture to capture, per step.

        Energy in Wh over a step, times 3600 / ``step_s``, is the mean power in W.
        """
        ...

    def captured(self, profile: str, start: int, end: int) -> dict[str, Integers]:
        """Returns each meter's capture times in a range, ascending and distinct."""
        ...

    def captured_times(self, meter: str, profile: str, start: int, end: int) -> Integers:
        """Returns one meter's capture times in a range, ascending and distinct."""
        ...

    def export(self, start: int, end: int) -> Iterator[Reading]:
        """Yields every reading captured in the range, revisions included, in no fixed order."""
        ...

    def latest_rows(self) -> Iterator[tuple[Block, Integers]]:
        """Yields the latest row of every meter, profile and set of quantities, with its stored_at.

        A row that claims to be captured after it was received counts as captured at its receipt.
        """
        ...

    def close(self) -> None:
        """Releases files and connections."""
        ...
