"""Pages of the energy book: sheets turned into rows of its tables."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any, Protocol

import numpy as np
import pyarrow as pa

from hesper_cloud.aggregates import totals
from hesper_cloud.aggregates.book import DAYS, SCORES, VERDICTS
from hesper_cloud.stores.port import Flags, Integers
from hesper_cloud.thresholds import Thresholds
from hesper_cloud.validation import runs
from hesper_cloud.validation.codes import BY_NAME
from hesper_cloud.validation.judge import Verdict
from hesper_cloud.validation.misread import Misread
from hesper_cloud.validation.sheet import Grid, Sheet

_HALF = 2
_PERCENT = 100


class Overlay(Protocol):
    """A sheet with its substitutes laid over."""

    @property
    def sheet(self) -> Sheet: ...
    @property
    def estimated(self) -> Mapping[str, Flags]: ...
    @property
    def edited(self) -> Mapping[str, Flags]: ...


def worked(meters: Sequence[str], day: date) -> pa.Table:
    """Returns which days were worked on."""
    return pa.table({"meter": list(meters), "day": pa.array([day] * len(meters), pa.date32())})


def days(laid: Overlay, day: date, limits: Thresholds, wrong: Mapping[str, Misread]) -> pa.Table:
    """Returns the aggregates of every quantity that has a value.

    Args:
        laid: One day.
        day: Which.
        limits: What the meters can take at most.
        wrong: By logical name what of registers was read wrong.
    """
    parts = []
    for name, grid in laid.sheet.grids.items():
        marks, period_s = laid.estimated.get(name), laid.sheet.period_s
        found = totals.amounts(grid, marks, limits, period_s, wrong.get(name))
        parts.append(_quantity(laid.sheet, grid, found, day))
    return pa.concat_tables([DAYS.empty_table(), *parts])


def _quantity(sheet: Sheet, grid: Grid, found: totals.Amounts, day: date) -> pa.Table:
    buckets = totals.buckets(found, sheet.period_s)
    chosen = np.flatnonzero(found.known.any(axis=1))
    count = len(chosen)
    columns: dict[str, Any] = {
        "meter": [sheet.meters[row] for row in chosen],
        "logical_name": [grid.quantity.logical_name] * count,
        "day": pa.array([day] * count, pa.date32()),
        "starts_at": [int(sheet.times[0])] * count,
        "scaler": [grid.quantity.scaler] * count,
        "unit": [grid.quantity.unit] * count,
        "step_s": [buckets.step_s] * count,
        "sums": _lists(buckets.sums[chosen], pa.int64()),
        "counts": _lists(buckets.counts[chosen], pa.int16()),
        "estimated": _lists(buckets.estimated[chosen], pa.int16()),
        "opening": _masked(grid.values[chosen, 0], grid.known[chosen, 0]),
        "closing": _masked(grid.values[chosen, -1], grid.known[chosen, -1]),
    }
    for minutes in (15, 30):
        highest = None
        if grid.is_register or grid.is_interval:
            highest = totals.demand(found, sheet.period_s, minutes * 60, int(sheet.times[0]))
        columns |= _demand(f"demand_{minutes}", highest, chosen)
    return pa.table(columns).cast(DAYS)


def _demand(name: str, highest: totals.Demand | None, chosen: Integers) -> dict[str, pa.Array]:
    if highest is None:
        nothing = pa.nulls(len(chosen), pa.int64())
        return {name: nothing, f"{name}_at": nothing}
    known = highest.known[chosen]
    return {
        name: _masked(highest.power[chosen], known),
        f"{name}_at": _masked(highest.ended_at[chosen], known),
    }


def _lists(values: Integers, kind: pa.DataType) -> pa.Array:
    offsets = np.arange(0, values.size + 1, values.shape[1] or 1, dtype=np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), pa.array(values.ravel(), kind))


def _masked(values: Integers, known: Flags) -> pa.Array:
    return pa.array(values, pa.int64(), mask=~known)


def scores(laid: Overlay, found: Sequence[Verdict], due: Flags, day: date) -> pa.Table:
    """Returns a meter's quality of a day, from 0 to 100.

    Each capture that is due counts 1 where a reading came and none of the checks that doubt it
    failed, ½ where it is doubted, or missing but estimated or edited in every register, else 0.
    """
    sheet = laid.sheet
    due = due.copy()
    due[:, 0] = False  # the capture that begins a day ends the day before
    doubted = np.zeros(sheet.present.shape, bool)
    for verdict in found:
        if BY_NAME[verdict.check].doubted:
            doubted |= verdict.failed
    stored = sheet.present & due
    good = stored & ~doubted
    estimated, edited = _anywhere(laid.estimated, due), _anywhere(laid.edited, due)
    mended = due & ~stored & (estimated | edited)
    weight = _HALF * (good | (stored & edited)).sum(axis=1)
    weight += (stored & doubted & ~edited).sum(axis=1) + mended.sum(axis=1)
    expected = due.sum(axis=1)
    score = np.where(expected, _PERCENT * weight // np.maximum(_HALF * expected, 1), _PERCENT)
    count = len(sheet.meters)
    rows = {
        "meter": list(sheet.meters),
        "day": pa.array([day] * count, pa.date32()),
        "starts_at": [int(sheet.times[0])] * count,
        "expected": expected,
        "stored": stored.sum(axis=1),
        "doubted": (stored & doubted).sum(axis=1),
        "estimated": (estimated & ~stored).sum(axis=1),
        "edited": edited.sum(axis=1),
        "score": score,
    }
    return pa.table(rows).cast(SCORES)


def _anywhere(marks: Mapping[str, Flags], due: Flags) -> Flags:
    found = np.zeros(due.shape, bool)
    for each in marks.values():
        found |= each & due
    return found


def verdicts(sheet: Sheet, found: Sequence[Verdict], due: Flags, day: date) -> pa.Table:
    """Returns where checks failed, as runs of captures with both ends included.

    A capture has the time that its meter gave it; one that is missing, that at which it was due.
    """
    rows: list[tuple[Any, ...]] = []
    moments = np.where(sheet.present, sheet.captured_at, sheet.times)
    for verdict in found:
        failed = verdict.failed & due
        failed[:, 0] = False
        for row, begin, end in zip(*runs.edges(failed), strict=True):
            rows.append(
                (
                    sheet.meters[row],
                    day,
                    verdict.logical_name,
                    verdict.check,
                    int(moments[row, begin]),
                    int(moments[row, end - 1]),
                    int(end - begin),
                )
            )
    columns = zip(*rows, strict=True) if rows else [[] for _ in VERDICTS]
    return pa.table(
        [
            pa.array(list(column), field.type)
            for column, field in zip(columns, VERDICTS, strict=True)
        ],
        schema=VERDICTS,
    )
