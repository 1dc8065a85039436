"""Estimates and edits laid over a sheet, so that checks and sums see what counts."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from hesper_cloud import quantities
from hesper_cloud.aggregates.roster import Member
from hesper_cloud.db.energy import Substitute
from hesper_cloud.stores.port import Flags, Quantity, Series
from hesper_cloud.validation.codes import EDIT
from hesper_cloud.validation.sheet import SCALERS, Grid, Sheet, is_summable, nearest
from hesper_cloud.validation.substitutes import Curve
from hesper_cloud.validation.surroundings import Surroundings

_Place = tuple[int, int]


@dataclass(slots=True, eq=False)
class Overlaid:
    """A sheet with its substitutes laid over.

    Attributes:
        sheet: Raw values, and over them what stands in for them.
        due: Which captures are expected; meters × captures.
        asked: Those, and times in between at which a meter with a longer period captures nothing.
        held: The substitutes, by meter and logical name.
        estimated: Where estimates are, by logical name.
        edited: Where edits are, by logical name.
        outdated: Rows and quantities with an estimate where the value itself has come.
        refined: Quantities in a finer scaler than their readings, for a substitute's sake.
    """

    sheet: Sheet
    due: Flags
    asked: Flags
    held: dict[tuple[str, str], list[Substitute]] = field(default_factory=dict)
    estimated: dict[str, Flags] = field(default_factory=dict)
    edited: dict[str, Flags] = field(default_factory=dict)
    outdated: set[tuple[int, str]] = field(default_factory=set)
    refined: set[str] = field(default_factory=set)

    def wanting(self, silent_after: Flags) -> Iterator[tuple[int, Curve]]:
        """Yields the registers with something missing, or with estimates that may not hold.

        What a meter lacks after its last value is no gap yet where it is silent ever after.
        """
        for name, grid in self.sheet.grids.items():
            if not grid.is_register:
                continue
            followed = np.logical_or.accumulate(grid.known[:, ::-1], axis=1)[:, ::-1]
            asking = ~grid.known & self.asked & (followed | ~silent_after[:, np.newaxis])
            if name in self.estimated:
                asking |= self.estimated[name]
            rows = set(np.flatnonzero(asking.any(axis=1)).tolist())
            rows |= {row for row, outdated in self.outdated if outdated == name}
            for row in sorted(rows):
                yield row, Curve(self.sheet.meters[row], quantities.LOAD_PROFILE, name)

    def surroundings(
        self, row: int, curve: Curve, longest_s: int, *, silent_after: bool
    ) -> Surroundings | None:
        """Returns what estimates of a register need, if the sheet holds it.

        It does where both its ends are known, or no value comes after them, and no gap in it is
        longer than is interpolated; not where it is in another scaler than the readings.
        """
        if curve.logical_name in self.refined:
            return None
        grid, period_s = self.sheet.grids[curve.logical_name], self.sheet.period_s
        known = grid.known[row]
        if curve.logical_name in self.estimated:
            known = known & ~self.estimated[curve.logical_name][row]
        places = np.flatnonzero(known)
        begins = bool(known[0]) or (silent_after and not len(places))
        if not begins or not (known[-1] or silent_after):
            return None
        if np.diff(places).max(initial=0) * period_s > longest_s:
            return None
        times = self.sheet.times[places].tolist()
        values: list[int | None] = grid.values[row][places].tolist()
        quantity = grid.quantity
        found = Series(times, values, [0] * len(times), quantity.scaler, quantity.unit)
        return Surroundings(found, self.held.get((curve.meter, curve.logical_name), []))


def overlay(sheet: Sheet, meters: Sequence[Member], held: Iterable[Substitute]) -> Overlaid:
    """Lays substitutes over a sheet; an estimate gives way to a value that is stored."""
    asked = _expected(sheet, meters)
    by_period = np.stack([each.captures(sheet.times) for each in meters])
    laid = Overlaid(sheet, asked & by_period, asked)
    rows = {meter: row for row, meter in enumerate(sheet.meters)}
    usable = [each for each in held if each.scaler in SCALERS]
    for each, column in zip(usable, _columns(sheet, usable), strict=True):
        laid.held.setdefault((each.meter, each.logical_name), []).append(each)
        grid = sheet.grids.get(each.logical_name) or _empty_grid(sheet, each)
        if 0 <= column < len(sheet.times) and _is_made_to_fit(laid, grid, each):
            _lay(laid, grid, each, (rows[each.meter], column))
    return laid


def _columns(sheet: Sheet, held: Sequence[Substitute]) -> list[int]:
    """Returns where substitutes belong, as readings do: some before or after the sheet."""
    moments = np.array([int(each.captured_at.timestamp()) for each in held], dtype=np.int64)
    columns: list[int] = nearest(sheet.times, moments, sheet.period_s).tolist()
    return columns


def _is_made_to_fit(laid: Overlaid, grid: Grid, each: Substitute) -> bool:
    """Brings a grid to a finer substitute's scaler, unless that is too fine for what it holds."""
    if each.unit != grid.quantity.unit:
        return False
    coarser = each.scaler - grid.quantity.scaler
    if coarser < 0 and (grid.summable_in(each.scaler) | ~grid.known).all():
        grid.refine(each.scaler)
        laid.refined.add(each.logical_name)
        coarser = 0
    return coarser >= 0 and is_summable(each.value * 10**coarser)


def _lay(laid: Overlaid, grid: Grid, each: Substitute, place: _Place) -> None:
    is_edit = each.method == EDIT
    if not is_edit and grid.known[place]:
        laid.outdated.add((place[0], each.logical_name))
        return
    if grid.known[place] and _is_farther(laid.sheet, each, place):
        return
    grid.values[place] = each.value * 10 ** (each.scaler - grid.quantity.scaler)
    grid.known[place] = True
    marks = laid.edited if is_edit else laid.estimated
    marks.setdefault(each.logical_name, np.zeros(grid.known.shape, bool))[place] = True


def _is_farther(sheet: Sheet, edit: Substitute, place: _Place) -> bool:
    """Says whether an edit lies further from the due time than the reading that counts."""
    due_at = int(sheet.times[place[1]])
    off_by = abs(int(edit.captured_at.timestamp()) - due_at)
    return off_by > abs(int(sheet.captured_at[place]) - due_at)


def _empty_grid(sheet: Sheet, like: Substitute) -> Grid:
    shape = sheet.present.shape
    grid = Grid(
        Quantity(like.logical_name, like.scaler, like.unit),
        np.zeros(shape, np.int64),
        np.zeros(shape, bool),
        np.zeros(shape, np.int16),
    )
    sheet.grids[like.logical_name] = grid
    return grid


def _expected(sheet: Sheet, meters: Sequence[Member]) -> Flags:
    """Returns when something is expected of each meter of a sheet, whatever its period.

    Of a meter that nobody said to keep a load profile nothing is where it captured nothing.
    """
    since = np.array([each.expected_from for each in meters], dtype=np.int64)[:, np.newaxis]
    away = np.array([each.away for each in meters], dtype=np.int64).reshape(-1, 2, 1)
    keeping = np.array([each.keeps_profile for each in meters], dtype=bool)[:, np.newaxis]
    due: Flags = since <= sheet.times
    due &= (sheet.times < away[:, 0]) | (away[:, 1] <= sheet.times)
    due &= keeping | sheet.present.any(axis=1, keepdims=True)
    return due
