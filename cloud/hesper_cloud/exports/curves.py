"""Curves of single meters, for formats that go quantity by quantity, each value with its quality.

They are cut from columns as they were stored, or taken from the validated view, in which edits and
estimates stand in the place of what is doubted or missing.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from functools import lru_cache
from itertools import groupby
from operator import itemgetter
from typing import NamedTuple

import numpy as np
from hesper_contracts.quality import Quality

from hesper_cloud.aggregates.curves import Shelf
from hesper_cloud.aggregates.views import Range, views
from hesper_cloud.stores.port import Quantity, ReadingColumns
from hesper_cloud.validation.codes import VALID_RAW, Grade, of_flags

_MARKS = (
    (Quality.EDITED, Grade.MANUALLY_EDITED),
    (Quality.ESTIMATED, Grade.ESTIMATED_LINEAR),
)


class Value(NamedTuple):
    """One value, integer in its curve's scaler, with Green Button's grade and IEC 61968-9's codes.

    ``source`` is raw, estimate or edit; ``raw`` what the meter said, where another value counts;
    ``failed`` the checks that it failed, None where none has seen it.
    """

    captured_at: int
    value: int
    grade: Grade
    codes: tuple[str, ...]
    source: str = "raw"
    raw: int | None = None
    failed: tuple[str, ...] | None = None


class Curve(NamedTuple):
    """Values of one quantity of one meter, ascending in time; it may go on in another piece."""

    meter: str
    profile: str
    quantity: Quantity
    values: list[Value]


def stored_curves(parts: Iterable[ReadingColumns]) -> Iterator[Curve]:
    """Yields one curve per part, meter and quantity that has values."""
    for part in parts:
        for meter, rows in part.by_meter():
            yield from _of_meter(part, meter, rows)


def stored_stretches(parts: Iterable[ReadingColumns]) -> Iterator[Curve]:
    """Yields the same, one stretch of a scaler after the other where a meter's scaler changed.

    Of what was captured in two scalers at once the finer is told.
    """
    for part in parts:
        for meter, rows in part.by_meter():
            alike = defaultdict[tuple[str, int], list[Curve]](list)
            for curve in _of_meter(part, meter, rows):
                alike[curve.quantity.logical_name, curve.quantity.unit].append(curve)
            for curves in alike.values():
                yield from curves if len(curves) == 1 else _in_turn(curves)


def _in_turn(curves: list[Curve]) -> Iterator[Curve]:
    captured: dict[int, tuple[Quantity, Value]] = {}
    for curve in sorted(curves, key=lambda curve: -curve.quantity.scaler):
        captured |= {value.captured_at: (curve.quantity, value) for value in curve.values}
    in_time = (captured[at] for at in sorted(captured))
    for quantity, stretch in groupby(in_time, itemgetter(0)):
        yield curves[0]._replace(quantity=quantity, values=[value for _, value in stretch])


def _of_meter(part: ReadingColumns, meter: str, rows: slice) -> Iterator[Curve]:
    times, flags = part.captured_at[rows].tolist(), part.quality[rows].tolist()
    for place, quantity in enumerate(part.quantities):
        columns = (part.values[place, rows].tolist(), part.missing[place, rows].tolist())
        values = [
            Value(at, value, *_told(quality))
            for at, quality, value, gone in zip(times, flags, *columns, strict=True)
            if not gone
        ]
        if values:
            yield Curve(meter, part.profile, quantity, values)


def validated_curves(shelf: Shelf, span: Range, meters: list[str] | None) -> Iterator[Curve]:
    """Yields one curve per meter and quantity, as it counts."""
    for view in views(shelf, span, meters):
        values = [
            Value(
                each.captured_at,
                each.value,
                each.grade,
                each.codes,
                each.source,
                each.raw,
                each.failed,
            )
            for each in view.values
        ]
        yield Curve(view.meter, span.profile, view.quantity, values)


def period_of(values: list[Value]) -> int:
    """Returns the commonest distance between captures; 900 where there is only one."""
    distances = np.diff([each.captured_at for each in values])
    if not len(distances):
        return 900
    found, counts = np.unique(distances, return_counts=True)
    return int(found[counts.argmax()])


@lru_cache(maxsize=4096)
def _told(quality: int) -> tuple[Grade, tuple[str, ...]]:
    """Returns grade and codes of a stored value by its flags."""
    codes = of_flags(quality) or (VALID_RAW,)
    for flag, grade in _MARKS:
        if quality & flag:
            return grade, codes
    return (Grade.QUESTIONABLE if quality else Grade.RAW), codes
