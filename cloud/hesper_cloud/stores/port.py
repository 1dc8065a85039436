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

from collections.abc import Iterator, Sequence
from typing import Protocol

from hesper_contracts.batch import BatchId

from hesper_cloud.stores.errors import StoreError as StoreError
from hesper_cloud.stores.errors import StoreInUse as StoreInUse
from hesper_cloud.stores.errors import StoreRefused as StoreRefused
from hesper_cloud.stores.errors import StoreUnavailable as StoreUnavailable
from hesper_cloud.stores.lineage import StartAgain as StartAgain
from hesper_cloud.stores.records import EARLIEST as EARLIEST
from hesper_cloud.stores.records import LATEST as LATEST
from hesper_cloud.stores.records import SCALERS as SCALERS
from hesper_cloud.stores.records import Arrivals as Arrivals
from hesper_cloud.stores.records import Block as Block
from hesper_cloud.stores.records import Changes as Changes
from hesper_cloud.stores.records import CommittedRows as CommittedRows
from hesper_cloud.stores.records import Fault as Fault
from hesper_cloud.stores.records import Flags as Flags
from hesper_cloud.stores.records import FleetSeries as FleetSeries
from hesper_cloud.stores.records import Group as Group
from hesper_cloud.stores.records import Integers as Integers
from hesper_cloud.stores.records import Previous as Previous
from hesper_cloud.stores.records import Quantity as Quantity
from hesper_cloud.stores.records import Reading as Reading
from hesper_cloud.stores.records import ReadingColumns as ReadingColumns
from hesper_cloud.stores.records import ReadValue as ReadValue
from hesper_cloud.stores.records import Series as Series
from hesper_cloud.stores.records import Written as Written


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
        self,
        profile: str,
        logical_name: str,
        start: int,
        end: int,
        step_s: int,
        meters: Sequence[str] | None = None,
    ) -> FleetSeries:
        """Sums the last value of each meter in each step (for powers and registers).

        Of a step in which the range begins or ends only what lies in the range counts. ``meters``
        are those of an area, a feeder, a transformer; None: the whole fleet.
        """
        ...

    def fleet_increase(
        self,
        profile: str,
        logical_name: str,
        start: int,
        end: int,
        step_s: int,
        meters: Sequence[str] | None = None,
    ) -> FleetSeries:
        """Sums how much each meter's register grew from capture to capture, per step.

        Energy in Wh over a step, times 3600 / ``step_s``, is the mean power in W. What grew while
        a meter was silent for longer than a day may be in no step: a capture is compared with one
        of the day before at the earliest where its day is sealed, or first in the range.
        """
        ...

    @property
    def meters_at_once(self) -> int:
        """Of how many meters to read some days: of fewer it would take as long, or nearly."""
        ...

    def captured(
        self, profile: str, start: int, end: int, meters: Sequence[str] | None = None
    ) -> dict[str, Integers]:
        """Returns each meter's capture times in a range, ascending and distinct; None: of all."""
        ...

    def arrivals(
        self, profile: str, start: int, end: int, meters: Sequence[str]
    ) -> dict[str, Arrivals]:
        """Returns meters' capture times in a range, ascending, and when each was stored."""
        ...

    def captured_times(self, meter: str, profile: str, start: int, end: int) -> Integers:
        """Returns one meter's capture times in a range, ascending and distinct."""
        ...

    def export(self, start: int, end: int) -> Iterator[Reading]:
        """Yields every reading captured in the range, revisions included, in no fixed order."""
        ...

    def rows(
        self, profile: str, start: int, end: int, meters: Sequence[str] | None = None
    ) -> Iterator[ReadingColumns]:
        """Streams first versions of one profile as columns, meter by meter, ascending in time.

        Meters come in the store's own order, each once; one may go on in the next part. Every part
        has the same quantities; of some there may be no value. None: every meter.
        """
        ...

    def changes(self, cursor: str, limit: int) -> Changes:
        """Returns what was stored after a cursor, in the order of the commits.

        Late readings and conflicting versions come when they were committed, whatever time they
        were captured at. The empty cursor starts at the oldest commit; a page may be empty, its
        cursor is good for asking again. A cursor belongs to the store that gave it, and to
        those restored from backups that hold all it speaks of (`hesper_cloud.stores.lineage`).

        Raises:
            StartAgain: the cursor is of a store that was replaced; the error says where to go on.
            ValueError: the cursor is not one of this store.
        """
        ...

    def extent(self) -> tuple[int, int] | None:
        """Returns the range of capture times that holds every reading; None when there is none."""
        ...

    def expire(self, before: int) -> int | None:
        """Removes readings captured before an instant, revisions too; returns how many went.

        None where the server does not count what it removes.
        """
        ...

    def watch(self) -> None:
        """Begins to note the oldest capture that is written, for `let_go`."""
        ...

    def let_go(self, before: int) -> bool:
        """Does as `expire`, unless something captured before was written since `watch`.

        Nothing is written between the look and the removal. Only the one process that writes the
        store may let go. Returns whether it did.
        """
        ...

    def erase(self, meter: str, start: int | None = None, end: int | None = None) -> int | None:
        """Removes one meter's readings, as a customer may ask; returns how many, where known.

        ``start`` and ``end``, the end left out, are those of a range of capture times; None: none.
        """
        ...

    def maintain(self, now: int) -> list[Fault]:
        """Does what this store does from time to time; returns what is wrong with it at present."""
        ...

    def latest_rows(self) -> Iterator[tuple[Block, Integers]]:
        """Yields the latest row of every meter, profile and set of quantities, with its stored_at.

        A row that claims to be captured after it was received counts as captured at its receipt;
        of the others a block's ``received_at`` may be a later one than their own.
        """
        ...

    def close(self) -> None:
        """Releases files and connections."""
        ...
