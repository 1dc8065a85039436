"""What is known of registers around a span of captures, read for many meters at a time."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from hesper_cloud import quantities
from hesper_cloud.db.energy import Substitute
from hesper_cloud.db.engines import batched, reading
from hesper_cloud.stores.curves import Point, joined, of_one_quantity
from hesper_cloud.stores.port import Integers, Quantity, ReadingColumns, ReadingStore, Series
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
    """What is known of a register around a span.

    Attributes:
        found: Stored values, in the finest scaler of any.
        held: The substitutes that hold.
        coarser: The scalers of those that were captured in a coarser one, by capture time.
    """

    found: Series
    held: Sequence[Substitute]
    coarser: Mapping[int, int] = field(default_factory=dict)


def silent_after(
    session: Session, store: ReadingStore, meters: Sequence[str], span: Span, rules: Estimation
) -> set[str]:
    """Returns the meters of which nothing is known after a span: no gap ends there."""
    first, last = span.end + 1, span.end + rules.up_to_days * _DAY_S
    stored = store.captured(quantities.LOAD_PROFILE, first, last + 1, meters)
    held = substitutes.current(session, meters, quantities.LOAD_PROFILE, first, last)
    return set(meters) - stored.keys() - {row.meter for row in held if row.method == EDIT}


def far(
    engine: Engine,
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
    for some in batched(list(of_meter), _METERS_AT_ONCE):
        asked = {(name, each.logical_name): each for name in some for each in of_meter[name]}
        stored = _stored(store.rows(quantities.LOAD_PROFILE, first, last + 1, some), asked.keys())
        held: dict[_Register, list[Substitute]] = {}
        with reading(engine) as session:
            for row in substitutes.current(session, some, quantities.LOAD_PROFILE, first, last):
                held.setdefault((row.meter, row.logical_name), []).append(row)
        for register, curve in asked.items():
            pieces = stored.get(register, [])
            found = _series(pieces)
            coarser = _coarser(pieces, found.scaler)
            yield curve, Surroundings(found, held.get(register, []), coarser)


class _Piece(NamedTuple):
    """Stored values of a register in one quantity, ascending in time."""

    quantity: Quantity
    columns: dict[str, Integers]


def _stored(
    parts: Iterable[ReadingColumns], asked: Collection[_Register]
) -> dict[_Register, list[_Piece]]:
    """Returns the stored values of registers."""
    found: dict[_Register, list[_Piece]] = {}
    for part in parts:
        bounds = np.searchsorted(part.meter_index, np.arange(len(part.meters) + 1))
        for place, quantity in enumerate(part.quantities):
            for number, meter in enumerate(part.meters):
                register = meter, quantity.logical_name
                rows = slice(bounds[number], bounds[number + 1])
                there = ~part.missing[place][rows]
                if register in asked and there.any():
                    columns = {
                        "captured_at": part.captured_at[rows][there],
                        "value": part.values[place][rows][there],
                        "quality": part.quality[rows][there],
                    }
                    found.setdefault(register, []).append(_Piece(quantity, columns))
    return found


def _series(pieces: Sequence[_Piece]) -> Series:
    """Returns pieces as one series; most registers have one quantity all the time."""
    if len({piece.quantity for piece in pieces}) == 1:
        columns = {
            name: np.concatenate([piece.columns[name] for piece in pieces])
            for name in pieces[0].columns
        }
        return of_one_quantity(columns, pieces[0].quantity, None)
    points = [
        Point(at, value, quality, piece.quantity)
        for piece in pieces
        for at, value, quality in zip(*map(np.ndarray.tolist, piece.columns.values()), strict=True)
    ]
    return joined(sorted(points, key=attrgetter("captured_at")), None)


def _coarser(pieces: Sequence[_Piece], scaler: int) -> dict[int, int]:
    """Returns the scalers of what was captured in a coarser one, by capture time."""
    return {
        at: piece.quantity.scaler
        for piece in pieces
        if piece.quantity.scaler > scaler
        for at in piece.columns["captured_at"].tolist()
    }
