"""What is known of registers around a span of captures, read for many meters at a time."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from zoneinfo import ZoneInfo

import numpy as np
from sqlalchemy.orm import Session

from hesper_cloud import quantities
from hesper_cloud.db.energy import Substitute
from hesper_cloud.stores.curves import Point, joined
from hesper_cloud.stores.port import ReadingColumns, ReadingStore, Series
from hesper_cloud.thresholds import Estimation
from hesper_cloud.validation import substitutes
from hesper_cloud.validation.codes import EDIT
from hesper_cloud.validation.substitutes import Curve

_DAY_S = 86_400
_METERS_AT_ONCE = 50  # of each some ten thousand captures are read
_Register = tuple[str, str]  # meter and logical name


@dataclass(frozen=True, slots=True)
class Span:
    """Captures from ``start`` to ``end``, both included, due every ``period_s``, in a zone."""

    start: int
    end: int
    period_s: int
    zone: ZoneInfo


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What is known of a register around a span: stored values, and the substitutes that hold."""

    found: Series
    held: Sequence[Substitute]


def silent_after(
    session: Session, store: ReadingStore, meters: Sequence[str], span: Span, rules: Estimation
) -> set[str]:
    """Returns the meters of which nothing is known after a span: no gap ends there."""
    first, last = span.end + 1, span.end + rules.up_to_days * _DAY_S
    stored = store.captured(quantities.LOAD_PROFILE, first, last + 1, meters)
    held = substitutes.current(session, meters, quantities.LOAD_PROFILE, first, last)
    return set(meters) - stored.keys() - {row.meter for row in held if row.method == EDIT}


def far(
    session: Session,
    store: ReadingStore,
    curves: Sequence[Curve],
    span: Span,
    rules: Estimation,
) -> Iterator[tuple[Curve, Surroundings]]:
    """Yields what shows both ends of the longest gap that is estimated, and its references.

    The curves are of the load profile.
    """
    far_s = rules.up_to_days * _DAY_S
    first = span.start - far_s - (rules.reference_weeks + 1) * 7 * _DAY_S
    last = span.end + far_s
    of_meter: dict[str, list[Curve]] = {}
    for curve in curves:
        of_meter.setdefault(curve.meter, []).append(curve)
    meters = list(of_meter)
    for start in range(0, len(meters), _METERS_AT_ONCE):
        some = meters[start : start + _METERS_AT_ONCE]
        asked = {(name, each.logical_name): each for name in some for each in of_meter[name]}
        parts = store.rows(quantities.LOAD_PROFILE, first, last + 1, some)
        points = _points(parts, asked.keys())
        held: dict[_Register, list[Substitute]] = {}
        for row in substitutes.current(session, some, quantities.LOAD_PROFILE, first, last):
            held.setdefault((row.meter, row.logical_name), []).append(row)
        for register, curve in asked.items():
            found = joined(points.get(register, []), None)
            yield curve, Surroundings(found, held.get(register, []))


def _points(
    parts: Iterable[ReadingColumns], asked: Iterable[_Register]
) -> dict[_Register, list[Point]]:
    """Returns the stored values of registers, ascending in time."""
    wanted = set(asked)
    found: dict[_Register, list[Point]] = {}
    for part in parts:
        bounds = np.searchsorted(part.meter_index, np.arange(len(part.meters) + 1))
        for place, quantity in enumerate(part.quantities):
            for number, meter in enumerate(part.meters):
                register = meter, quantity.logical_name
                if register not in wanted:
                    continue
                rows = slice(bounds[number], bounds[number + 1])
                there = ~part.missing[place][rows]
                columns = (part.captured_at[rows], part.values[place][rows], part.quality[rows])
                of_meter = zip(*(column[there].tolist() for column in columns), strict=True)
                found.setdefault(register, []).extend(
                    Point(at, value, quality, quantity) for at, value, quality in of_meter
                )
    for points in found.values():
        points.sort(key=lambda point: point.captured_at)
    return found
