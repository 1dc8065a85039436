"""Makes the sums that are kept beside sealed days; see `duckdb_day_sums`."""

import time
from collections.abc import Iterator, Sequence

import numpy as np

from hesper_cloud.stores import duckdb_day_sums as day_sums
from hesper_cloud.stores.duckdb_file import DuckDbFile
from hesper_cloud.stores.duckdb_reads import by_layout
from hesper_cloud.stores.duckdb_snapshot import Range, Snapshot
from hesper_cloud.stores.port import SCALERS, Integers, Quantity
from hesper_cloud.stores.stepped_sums import DAY_S, DayTotals, Rows, StepSum

LOOK_BACK_S = DAY_S  # how far before a range a previous register value is sought
_ROWS_AT_ONCE = 500_000
_NOT_KEPT = StepSum(0, 0, 0, 0)
_PLAIN = ("meter", "profile", "captured_at", "clock_status", "quality", "layout")
_Summed = tuple[int, Quantity, StepSum]


def days_seen(day: int, *, growth: bool) -> range:
    """Returns the days whose rows have a part in a day's sums."""
    return range(day - 1, day + 2) if growth else range(day, day + 1)


def keep(file: DuckDbFile, deadline: float) -> None:
    """Sums up the sealed days that are not, newest first; begins none after the deadline."""
    for day, growth in _waiting(file):
        if time.monotonic() >= deadline:
            return
        with file.snapshot() as view:
            if _is_touched(view, day, growth=growth):  # since it was found waiting
                continue
            sums = list(_sums_of(view, day, growth=growth))
        with file.transaction() as connection:
            if file.sealed == view.listed:  # else a file went aside meanwhile
                day_sums.insert(connection, day, sums, growth=growth)


def _is_touched(view: Snapshot, day: int, *, growth: bool) -> bool:
    """Says whether the table has rows that would have a part in a day's sums."""
    days = days_seen(day, growth=growth)
    return bool(view.days_in_table((days.start * DAY_S, days.stop * DAY_S)))


def _waiting(file: DuckDbFile) -> list[tuple[int, bool]]:
    with file.snapshot() as view:
        done = day_sums.summed_days(view.cursor)
        days = [each for one in view.listed for each in range(one.first_day, one.last_day + 1)]
        wanted = {(day, growth) for day in days for growth in (False, True)} - done
        if not wanted:
            return []
        around = ((min(days) - 1) * DAY_S, (max(days) + 2) * DAY_S)
        touched = view.days_in_table(around)
    return sorted(
        (each for each in wanted if touched.isdisjoint(days_seen(each[0], growth=each[1]))),
        reverse=True,
    )


def _sums_of(view: Snapshot, day: int, *, growth: bool) -> Iterator[_Summed]:
    start = day * DAY_S
    span = (start - LOOK_BACK_S, start + DAY_S + 1) if growth else (start, start + DAY_S)
    for profile in range(len(view.catalogue.profile_names)):
        quantities = view.catalogue.quantities_of(profile)
        usual = {each: places for each, places in quantities.items() if each.scaler in SCALERS}
        totals = {quantity: DayTotals(start) for quantity in usual}
        refused = set[str]()
        for parts in _parts(view, profile, usual, span):
            refused |= _in_two_scalers(parts)
            for quantity, rows in parts.items():
                if quantity.logical_name not in refused:
                    (totals[quantity].add_growth if growth else totals[quantity].add_levels)(rows)
        for quantity, total in totals.items():
            each = [_NOT_KEPT] if quantity.logical_name in refused else total.sums()
            yield from ((profile, quantity, one) for one in each)


def _parts(
    view: Snapshot, profile: int, quantities: dict[Quantity, dict[int, str]], span: Range
) -> Iterator[dict[Quantity, Rows]]:
    """Yields the rows of some meters after the other, by quantity."""
    if not quantities:
        return
    columns = sorted({
        place.partition("[")[0] for places in quantities.values() for place in places.values()
    })  # fmt: skip
    values = [f"{by_layout(each)} AS q{n}" for n, each in enumerate(quantities.values())]
    query = f"""
        SELECT meter, captured_at, clock_status, {", ".join(values)}
        FROM {view.stored(span, columns=(*_PLAIN, *columns))}
        WHERE profile = {profile:d} AND meter >= $first AND meter < $end"""  # noqa: S608 - keys and column names are ours
    count = len(view.catalogue.meter_names)
    per_meter = sum(file.row_count for file in view.used) // max(1, count) + 1
    at_once = max(1, _ROWS_AT_ONCE // per_meter)
    for first in range(0, count, at_once):
        asked = {"first": first, "end": first + at_once}
        found = view.cursor.execute(query, asked).fetchnumpy()
        order = np.lexsort((found["clock_status"], found["captured_at"], found["meter"]))
        meter, at = (np.asarray(found[name])[order] for name in ("meter", "captured_at"))
        yield {
            quantity: _present(meter, at, found[f"q{n}"][order])
            for n, quantity in enumerate(quantities)
        }


def _present(meter: Integers, at: Integers, value: Integers) -> Rows:
    """Returns the rows that have a value."""
    rows = Rows(meter, at, np.ma.getdata(value))
    mask = np.ma.getmask(value)
    return rows if mask is np.ma.nomask else rows.at(~np.asarray(mask))


def _in_two_scalers(parts: dict[Quantity, Rows]) -> set[str]:
    """Returns names of quantities that a meter has in two scalers."""
    found = set[str]()
    for name in {quantity.logical_name for quantity in parts}:
        alike = [rows.meter for quantity, rows in parts.items() if quantity.logical_name == name]
        alike = [meters for meters in alike if len(meters)]
        if len(alike) > 1 and _share_some(alike):
            found.add(name)
    return found


def _share_some(parts: Sequence[Integers]) -> bool:
    distinct = [np.unique(meters) for meters in parts]
    return len(np.unique(np.concatenate(distinct))) < sum(map(len, distinct))
