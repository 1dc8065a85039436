"""A sheet: some meters × the captures that one local day should have, a grid per quantity.

Column 0 is the capture at which the day begins, the last one that at which it ends, so that a day
of n intervals has n + 1 columns; a day has 92, 96 or 100 quarters of an hour, as its zone has it.
A reading falls into the column that its capture time is nearest to; of several the nearest counts.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from hesper_cloud.quantities import ENERGY_UNITS, is_net, is_of_interval, is_register
from hesper_cloud.stores.port import SCALERS as SCALERS
from hesper_cloud.stores.port import Flags, Integers, Quantity

_LARGEST = 2**53


class Columns(Protocol):
    """Stored rows as the store gives them out."""

    @property
    def quantities(self) -> tuple[Quantity, ...]: ...
    @property
    def meters(self) -> tuple[str, ...]: ...
    @property
    def meter_index(self) -> Integers: ...
    @property
    def captured_at(self) -> Integers: ...
    @property
    def quality(self) -> Integers: ...
    @property
    def values(self) -> Integers: ...
    @property
    def missing(self) -> Any: ...


def in_steps(amount: int, scaler: int) -> int:
    """Returns an amount as an integer of a scaler, rounded down."""
    return int(amount * 10**-scaler if scaler <= 0 else amount // 10**scaler)


@dataclass(slots=True, eq=False)
class Grid:
    """One quantity: ``values`` where ``known``, and how many readings fell into each place."""

    quantity: Quantity
    values: Integers
    known: Flags
    copies: Integers

    @property
    def is_register(self) -> bool:
        """Says whether it is an energy register (OBIS value group D = 8)."""
        return is_register(self.quantity.logical_name, self.quantity.unit)

    @property
    def may_fall(self) -> bool:
        """Says whether it is a register of net energy: it falls where a home feeds in."""
        return self.is_register and is_net(self.quantity.logical_name)

    @property
    def is_interval(self) -> bool:
        """Says whether it is the energy of one interval."""
        return self.quantity.unit in ENERGY_UNITS and is_of_interval(self.quantity.logical_name)

    def of(self, rows: slice) -> "Grid":
        """Returns a copy that holds some of the meters."""
        return Grid(
            self.quantity,
            self.values[rows].copy(),
            self.known[rows].copy(),
            self.copies[rows].copy(),
        )

    def summable_in(self, scaler: int) -> Flags:
        """Says which values can be summed in a finer scaler."""
        found: Flags = np.abs(self.values // 2) < _LARGEST // 10 ** (self.quantity.scaler - scaler)
        return found

    def refine(self, scaler: int) -> None:
        """Brings it to a finer scaler, in which what is known can be summed."""
        steps = 10 ** (self.quantity.scaler - scaler)
        self.values = np.where(self.known, self.values, 0) * steps
        self.quantity = self.quantity._replace(scaler=scaler)

    def steps(self, amount: int) -> int:
        """Returns an amount in the quantity's unit as an integer of its scaler."""
        return in_steps(amount, self.quantity.scaler)


@dataclass(slots=True, eq=False)
class Sheet:
    """What is stored of some meters for one span of captures.

    Attributes:
        meters: One row each.
        period_s: Seconds from capture to capture, but where the clock changes by no multiple of it.
        times: When each column is due, epoch seconds.
        captured_at: What the meters' clocks said; meaningless where nothing is `present`.
        quality: The stored flags.
        present: Where any reading is.
        grids: By logical name.
    """

    meters: tuple[str, ...]
    period_s: int
    times: Integers
    captured_at: Integers
    quality: Integers
    present: Flags
    grids: dict[str, Grid]

    def of(self, rows: slice) -> "Sheet":
        """Returns a copy that holds some of the meters."""
        return Sheet(
            self.meters[rows],
            self.period_s,
            self.times,
            self.captured_at[rows].copy(),
            self.quality[rows].copy(),
            self.present[rows].copy(),
            {name: grid.of(rows) for name, grid in self.grids.items()},
        )


def lay_out(
    parts: Iterable[Columns], meters: Sequence[str], times: Integers, period_s: int
) -> Sheet:
    """Returns the sheet of some meters, a column per due time; other meters' rows are left out.

    Of a quantity with several units the first counts; several scalers are brought to the finest.
    """
    shape = (len(meters), len(times))
    sheet = Sheet(
        tuple(meters),
        period_s,
        times,
        np.zeros(shape, np.int64),
        np.zeros(shape, np.int64),
        np.zeros(shape, bool),
        {},
    )
    places = {meter: row for row, meter in enumerate(meters)}
    for part in parts:
        _lay(sheet, part, places)
    return sheet


def alike(
    parts: Sequence[Columns],
    held: Mapping[str, Iterable[Quantity]],
    meters: Sequence[str],
    times: Integers,
    period_s: int,
) -> Iterator[list[str]]:
    """Yields meters that can share a sheet: what counts of them has the same scaler and unit.

    So no meter's values depend on which others are looked at with it.

    Args:
        parts: What is stored of the sheet, and around it.
        held: In what their substitutes are, by meter.
        meters: Which.
        times: When the sheet's captures are due.
        period_s: The capture period.
    """
    told = {each for part in parts for each in part.quantities if each.scaler in SCALERS}
    told.update(each for of_meter in held.values() for each in of_meter)
    counts = Counter(each.logical_name for each in told)
    several = {name for name, count in counts.items() if count > 1}
    if not several:
        yield list(meters)
        return
    measured = defaultdict[str, set[tuple[Quantity, bool]]](set)
    for meter, of_meter in held.items():
        measured[meter] = {(each, True) for each in of_meter if each.logical_name in several}
    for part in parts:
        column = nearest(times, part.captured_at, period_s)
        inside = (column >= 0) & (column < len(times))
        for place, quantity in enumerate(part.quantities):
            if quantity.logical_name in several:
                there = np.ones(len(inside), bool) if part.missing is None else ~part.missing[place]
                for is_inside in (True, False):
                    for number in np.unique(part.meter_index[there & (inside == is_inside)]):
                        measured[part.meters[number]].add((quantity, is_inside))
    together = defaultdict[frozenset[tuple[Quantity, bool]], list[str]](list)
    for meter in meters:
        together[frozenset(measured.get(meter, ()))].append(meter)
    yield from together.values()


def nearest(times: Integers, moments: Integers, period_s: int) -> Integers:
    """Returns which due time each moment is nearest to, the later one of two.

    It is -1, or the number of due times, for what lies half a period or more outside of them.
    """
    lengths = np.append(np.diff(times), period_s)
    edges = np.append(times[0] - period_s // 2, times + lengths - lengths // 2)
    return np.searchsorted(edges, moments, side="right") - 1


def _lay(sheet: Sheet, part: Columns, places: dict[str, int]) -> None:
    times = sheet.times
    of_meter = np.array([places.get(meter, -1) for meter in part.meters], dtype=np.int64)
    row = of_meter[part.meter_index]
    column = nearest(times, part.captured_at, sheet.period_s)
    inside = np.flatnonzero((row >= 0) & (column >= 0) & (column < len(times)))
    off_by = np.abs(part.captured_at[inside] - times[column[inside]])
    inside = inside[np.argsort(-off_by, kind="stable")]  # the nearest is written last
    at = (row[inside], column[inside])
    sheet.captured_at[at] = part.captured_at[inside]
    sheet.quality[at] |= part.quality[inside].astype(np.int64)
    sheet.present[at] = True
    for place, quantity in enumerate(part.quantities):
        there = np.ones(len(inside), bool) if part.missing is None else ~part.missing[place][inside]
        grid = _grid(sheet, quantity) if there.any() else None  # other meters may have it alone
        if grid is not None:
            _fill(grid, quantity, part.values[place][inside], there, at)


def is_summable(value: int) -> bool:
    """Says whether a day of such values can be added up in 64 bits."""
    return abs(value) // 2 < _LARGEST


def _grid(sheet: Sheet, quantity: Quantity) -> Grid | None:
    if quantity.scaler not in SCALERS:
        return None
    grid = sheet.grids.get(quantity.logical_name)
    if grid is None:
        shape = sheet.present.shape
        grid = Grid(
            quantity, np.zeros(shape, np.int64), np.zeros(shape, bool), np.zeros(shape, np.int16)
        )
        sheet.grids[quantity.logical_name] = grid
    return grid if grid.quantity.unit == quantity.unit else None


def _fill(
    grid: Grid,
    quantity: Quantity,
    values: Integers,
    there: Flags,
    at: tuple[Integers, Integers],
) -> None:
    coarser = grid.quantity.scaler - quantity.scaler
    if coarser > 0:
        grid.known &= grid.summable_in(quantity.scaler)
        grid.refine(quantity.scaler)
    values = values.astype(np.int64)
    factor = 10 ** max(-coarser, 0)
    there = there & (np.abs(values // 2) < _LARGEST // factor)
    at = (at[0][there], at[1][there])
    grid.values[at] = values[there] * factor
    grid.known[at] = True
    np.add.at(grid.copies, at, 1)
