"""The latest value of every quantity of every meter, in memory.

Fed from committed rows alone, by one owner per meter: `LatestValues.load` rebuilds it from the
store at start, `LatestValues.take` follows what ingest committed. Where other consumers commit,
too, `LatestValues.refresh` brings what is newer in the store. One table per profile and set of
quantities, a row per meter, columns in numpy, so that taking a block costs a few array operations
whatever its length. The newest row is the one captured last, where a row that claims to be captured
after it was received counts as captured at its receipt: a clock set into the future does not hold
its place for ever.
"""

import threading
from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

import numpy as np

from hesper_cloud.stores.apart import is_apart
from hesper_cloud.stores.port import (
    SCALERS,
    Block,
    Flags,
    Integers,
    Previous,
    Quantity,
    ReadingStore,
)
from hesper_cloud.stores.rows import all_differ

_FIRST_ROWS = 8
_NEVER = np.iinfo(np.int64).min
_MOST_DIGITS = 12  # no meter has more than a terawatt, or a terawatt-hour


class LatestValue(NamedTuple):
    """The newest stored value of one quantity; times in epoch seconds."""

    profile: str
    logical_name: str
    value: int | None
    scaler: int
    unit: int
    captured_at: int
    stored_at: int
    quality: int


class Total(NamedTuple):
    """A sum over meters: ``value * 10**scaler`` in ``unit``, and how many meters took part.

    ``newest_at`` is when the newest of its values was captured, epoch seconds.
    """

    value: int
    scaler: int
    unit: int
    meters: int
    newest_at: int


class Newest(NamedTuple):
    """The newest value of one quantity of every meter that has one, as columns.

    ``values[i] * 10**scalers[i]`` in ``units[i]`` is what ``meters[i]`` captured at
    ``captured_at[i]``.
    """

    meters: list[str]
    values: Integers
    scalers: Integers
    units: Integers
    captured_at: Integers


class _Table:
    """Latest rows of one profile and one set of quantities."""

    def __init__(self, profile: str, quantities: tuple[Quantity, ...]) -> None:
        self.profile = profile
        self.quantities = quantities
        self.rows: dict[str, int] = {}
        self.names: list[str] = []
        self._asked: tuple[Sequence[str], Integers] = ((), np.empty(0, dtype=np.int64))
        self.rank = np.full(_FIRST_ROWS, _NEVER, dtype=np.int64)
        self.captured_at = np.zeros(_FIRST_ROWS, dtype=np.int64)
        self.stored_at = np.zeros(_FIRST_ROWS, dtype=np.int64)
        self.quality = np.zeros(_FIRST_ROWS, dtype=np.int64)
        self.version = np.zeros(_FIRST_ROWS, dtype=np.int64)
        self.values = np.zeros((len(quantities), _FIRST_ROWS), dtype=np.int64)
        self.missing = np.ones((len(quantities), _FIRST_ROWS), dtype=bool)

    def rows_of(self, meters: Sequence[str]) -> Integers:
        """Returns the rows of meters, adding those that are new.

        A group's meters are asked for by validation, rules and cache: one after the other.
        """
        if meters is self._asked[0]:
            return self._asked[1]
        try:
            rows = np.fromiter(map(self.rows.__getitem__, meters), np.int64, len(meters))
        except KeyError:
            self._add(meters)
            return self.rows_of(meters)
        self._asked = meters, rows
        return rows

    def _add(self, meters: Sequence[str]) -> None:
        fresh = [meter for meter in dict.fromkeys(meters) if meter not in self.rows]
        self.rows.update(
            zip(fresh, range(len(self.names), len(self.names) + len(fresh)), strict=True)
        )
        self.names += fresh
        while len(self.names) > len(self.rank):
            self._grow()

    def _grow(self) -> None:
        more = len(self.rank)
        self.rank = np.concatenate([self.rank, np.full(more, _NEVER, dtype=np.int64)])
        for name in ("captured_at", "stored_at", "quality", "version"):
            setattr(self, name, np.concatenate([getattr(self, name), np.zeros(more, np.int64)]))
        width = len(self.quantities)
        self.values = np.hstack([self.values, np.zeros((width, more), np.int64)])
        self.missing = np.hstack([self.missing, np.ones((width, more), bool)])

    def take(self, block: Block, mask: Flags, stored_at: Integers, version: int) -> dict[str, int]:
        """Puts in place the newest of a block's rows per meter, where newer than what is there.

        Returns the first capture, epoch seconds, of each meter that had no row.
        """
        rows = self.rows_of(block.meters)
        first, last = _ends(block, rows, mask)
        firsts = self._firsts(block, rows, first)
        rank = np.minimum(block.captured_at[last], block.received_at)
        newer = rank >= self.rank[rows[block.meter_index[last]]]
        chosen, rank = last[newer], rank[newer]
        target = rows[block.meter_index[chosen]]
        self.rank[target] = rank
        self.captured_at[target] = block.captured_at[chosen]
        self.stored_at[target] = stored_at[chosen]
        self.quality[target] = block.quality[chosen]
        self.version[target] = version
        self.values[:, target] = block.values[:, chosen]
        self.missing[:, target] = False if block.missing is None else block.missing[:, chosen]
        return firsts

    def _firsts(self, block: Block, rows: Integers, first: Integers) -> dict[str, int]:
        meter = block.meter_index[first]
        fresh = self.rank[rows[meter]] == _NEVER
        if not fresh.any():
            return {}
        meters = map(block.meters.__getitem__, meter[fresh].tolist())
        return dict(zip(meters, block.captured_at[first[fresh]].tolist(), strict=True))

    def older_than(self, block: Block, stored_at: Integers) -> Flags:
        """Says which of a block's rows are newer than what is there."""
        rows = self.rows_of(block.meters)[block.meter_index]
        rank = np.minimum(block.captured_at, block.received_at)
        corrected = (rank == self.rank[rows]) & (stored_at > self.stored_at[rows])
        found: Flags = (rank > self.rank[rows]) | corrected
        return found

    def has(self, meter: str) -> bool:
        """Says whether there is a row of a meter."""
        row = self.rows.get(meter)
        return row is not None and bool(self.rank[row] != _NEVER)

    def forget(self, row: int) -> None:
        """Empties one row, as if nothing had come for it yet."""
        self.rank[row] = _NEVER
        for column in (self.captured_at, self.stored_at, self.quality):
            column[row] = 0
        self.values[:, row], self.missing[:, row] = 0, True

    def value(self, row: int, place: int) -> LatestValue:
        """Returns one quantity of one row."""
        quantity = self.quantities[place]
        return LatestValue(
            self.profile,
            quantity.logical_name,
            None if self.missing[place, row] else int(self.values[place, row]),
            quantity.scaler,
            quantity.unit,
            int(self.captured_at[row]),
            int(self.stored_at[row]),
            int(self.quality[row]),
        )


def _ends(block: Block, rows: Integers, mask: Flags) -> tuple[Integers, Integers]:
    """Returns the places of each meter's first and last new row, by time.

    Mostly each meter stands once and ascends, and all is new: then no row has to be moved.
    """
    captured_at, meter = block.captured_at, block.meter_index
    ends = np.ones(block.row_count + 1, dtype=bool)  # of runs of rows of one meter
    ends[1:-1] = meter[1:] != meter[:-1]
    if mask.all() and (ends[1:-1] | (captured_at[1:] >= captured_at[:-1])).all():
        bounds = np.flatnonzero(ends)
        if all_differ(rows[meter[bounds[:-1]]]):
            return bounds[:-1], bounds[1:] - 1
    owners = rows[meter]
    order = np.lexsort((captured_at, np.minimum(captured_at, block.received_at), owners))
    order = order[mask[order]]
    ends = np.ones(len(order) + 1, dtype=bool)
    ends[1:-1] = owners[order[1:]] != owners[order[:-1]]
    bounds = np.flatnonzero(ends)
    return order[bounds[:-1]], order[bounds[1:] - 1]


class LatestValues:
    """The cache; every method may be called from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tables: dict[tuple[str, tuple[Quantity, ...]], _Table] = {}
        self._version = 0
        self._forgotten = 0

    def load(self, store: ReadingStore) -> None:
        """Rebuilds the cache from the store."""
        for block, stored_at in _believed(store):
            self._take(block, np.ones(block.row_count, dtype=bool), stored_at)

    def refresh(self, store: ReadingStore) -> None:
        """Takes what is newer in the store, and leaves everything else as it is."""
        forgotten = self._forgotten
        for block, stored_at in _believed(store):
            with self._lock:
                if self._forgotten != forgotten:
                    return  # what is erased may have been read before; the next time is soon
                table = self._table(block)
                newer = table.older_than(block, stored_at)
                if newer.any():
                    self._version += 1
                    table.take(block, newer, stored_at, self._version)

    def take(self, block: Block, accepted: Flags, stored_at: int) -> dict[str, int]:
        """Takes the accepted rows of a block that was committed.

        Returns the first capture, epoch seconds, of each meter that had none of this profile.
        """
        return self._take(block, accepted, np.full(block.row_count, stored_at, dtype=np.int64))

    def _take(self, block: Block, mask: Flags, stored_at: Integers) -> dict[str, int]:
        with self._lock:
            self._version += 1
            firsts = self._table(block).take(block, mask, stored_at, self._version)
            if not firsts:
                return {}
            others = [
                table
                for (profile, quantities), table in self._tables.items()
                if profile == block.profile and quantities != block.quantities
            ]
            return {
                meter: first
                for meter, first in firsts.items()
                if not any(table.has(meter) for table in others)
            }

    def _table(self, block: Block) -> _Table:
        key = (block.profile, block.quantities)
        found = self._tables.get(key)
        if found is None:
            found = self._tables[key] = _Table(*key)
        return found

    def forget(self, meter: str, start: int | None = None, end: int | None = None) -> None:
        """Forgets one meter's values, all or those captured in a range: they were erased."""
        with self._lock:
            self._forgotten += 1
            for table in self._tables.values():
                row = table.rows.get(meter)
                if row is not None and _within(int(table.captured_at[row]), start, end):
                    table.forget(row)

    def profiles(self) -> frozenset[str]:
        """Returns the profiles of which rows are stored."""
        with self._lock:
            return frozenset(profile for profile, _ in self._tables)

    def of(self, meter: str) -> list[LatestValue]:
        """Returns the newest value of each quantity of one meter, by logical name."""
        newest: dict[str, tuple[int, LatestValue]] = {}
        with self._lock:
            for table in self._tables.values():
                if not table.has(meter):
                    continue
                row = table.rows[meter]
                for place in range(len(table.quantities)):
                    found = (int(table.rank[row]), table.value(row, place))
                    name = found[1].logical_name
                    if name not in newest or newest[name][0] <= found[0]:
                        newest[name] = found
        return [newest[name][1] for name in sorted(newest)]

    def value(self, meter: str, logical_name: str) -> LatestValue | None:
        """Returns the newest value of one quantity of one meter."""
        return next((each for each in self.of(meter) if each.logical_name == logical_name), None)

    def newest(self, logical_name: str) -> Newest:
        """Returns one quantity of all meters at once; a meter stands there once."""
        meters, whole = self._newest(logical_name)
        return Newest(meters, *whole[1:])

    def _newest(self, logical_name: str) -> tuple[list[str], Integers]:
        """Returns meters, and as rows: rank, value, scaler, unit and capture time of each."""
        with self._lock:
            parts = [
                (table, names.index(logical_name))
                for table in self._tables.values()
                if logical_name in (names := [each.logical_name for each in table.quantities])
            ]
            rows = [np.flatnonzero((t.rank != _NEVER) & ~t.missing[place]) for t, place in parts]
            meters = [
                table.names[i] for (table, _), of in zip(parts, rows, strict=True) for i in of
            ]
            columns = [
                np.stack(
                    [
                        table.rank[of],
                        table.values[place, of],
                        np.full(len(of), table.quantities[place].scaler),
                        np.full(len(of), table.quantities[place].unit),
                        table.captured_at[of],
                    ]
                )
                for (table, place), of in zip(parts, rows, strict=True)
            ]
        whole = np.concatenate([np.empty((5, 0), np.int64), *columns], axis=1)
        if len(parts) > 1:  # a meter may stand in several tables: its last captured row counts
            order = np.argsort(whole[0], kind="stable")
            kept = sorted({meters[place]: place for place in order}.values())
            meters, whole = [meters[place] for place in kept], whole[:, kept]
        return meters, whole

    def changed_since(self, version: int) -> tuple[int, set[str]]:
        """Returns the present version and the meters that changed after an earlier one."""
        with self._lock:
            changed = {
                table.names[row]
                for table in self._tables.values()
                for row in np.flatnonzero(table.version > version)
            }
            return self._version, changed

    def last_captured(self) -> dict[str, int]:
        """Returns when each meter's newest row was captured, over all profiles."""
        found: dict[str, int] = {}
        with self._lock:
            for table in self._tables.values():
                ranks = table.rank[: len(table.names)].tolist()
                for meter, rank in zip(table.names, ranks, strict=True):
                    if rank != _NEVER:  # judged, and then refused by the store
                        found[meter] = max(found.get(meter, 0), rank)
        return found

    def previous(self, block: Block) -> Previous:
        """Returns the cached rows of a block's meters, as they are now."""
        with self._lock:
            table = self._tables.get((block.profile, block.quantities))
            if table is None:
                return None
            rows = table.rows_of(block.meters)
            return table.captured_at[rows], table.values[:, rows], table.missing[:, rows]

    def total(self, logical_name: str, since: int) -> Total | None:
        """Sums a quantity over meters whose newest value was captured at or after ``since``.

        Only the unit that most of them have is summed, and only scalers and values that meters
        have; None when no meter takes part.
        """
        _, (rank, values, scalers, units, captured_at) = self._newest(logical_name)
        usual = (rank >= since) & np.isin(scalers, SCALERS)
        most = 10 ** np.clip(_MOST_DIGITS - scalers.astype(np.int64), 0, 18)
        usual &= (values <= most) & (values >= -most)
        if not usual.any():
            return None
        known, counts = np.unique(units[usual], return_counts=True)
        unit = int(known[counts.argmax()])
        chosen = usual & (units == unit)
        scaler = int(scalers[chosen].min())
        value = sum(
            sum(values[chosen & (scalers == each)].tolist()) * 10 ** (int(each) - scaler)
            for each in np.unique(scalers[chosen])
        )
        return Total(value, scaler, unit, int(chosen.sum()), int(captured_at[chosen].max()))


def _believed(store: ReadingStore) -> Iterator[tuple[Block, Integers]]:
    """Yields the latest rows that are not kept apart."""
    return (found for found in store.latest_rows() if not is_apart(found[0].profile))


def _within(at: int, start: int | None, end: int | None) -> bool:
    return (start is None or start <= at) and (end is None or at < end)


class Runs(Protocol):
    """Rows as columns, meter by meter: a block on its way in, or what the store holds."""

    @property
    def meter_index(self) -> Integers: ...
    @property
    def captured_at(self) -> Integers: ...
    @property
    def values(self) -> Integers: ...
    @property
    def missing(self) -> Flags | None: ...
    @property
    def row_count(self) -> int: ...


def present(block: Runs, place: int) -> Flags:
    """Returns the mask of rows that have a value of one quantity."""
    if block.missing is None:
        return np.ones(block.row_count, dtype=bool)
    there: Flags = ~block.missing[place]
    return there


def value_before(block: Runs, place: int, previous: Previous) -> tuple[Integers, Flags]:
    """Returns the value of one quantity before each row, and the mask of rows that have one.

    Args:
        block: Rows, meter by meter, ascending in time.
        place: Which quantity.
        previous: What `LatestValues.previous` says of the block, for each meter's first row.
    """
    before = np.roll(block.values[place], 1)
    known = np.roll(present(block, place), 1)
    starts = np.ones(block.row_count, dtype=bool)
    starts[1:] = block.meter_index[1:] != block.meter_index[:-1]
    known[starts] = False
    if previous is not None and len(starts):
        captured_at, cached, missing = previous
        first, meter = np.flatnonzero(starts), block.meter_index[starts]
        before[first] = cached[place, meter]
        known[first] = ~missing[place, meter] & (captured_at[meter] < block.captured_at[first])
    return before, known
