"""Reads validated curves and what the book knows of their quality."""

from dataclasses import dataclass

from sqlalchemy import Engine

from hesper_cloud.aggregates.book import EnergyBook
from hesper_cloud.db.engines import reading
from hesper_cloud.quantities import LOAD_PROFILE
from hesper_cloud.stores.curves import common_scaler
from hesper_cloud.stores.port import ReadingStore, Series
from hesper_cloud.validation import substitutes
from hesper_cloud.validation.substitutes import Curve
from hesper_cloud.validation.view import FailedRun, ValidatedValue, merged

_FAILED = """
    SELECT check_name, from_at, to_at FROM verdicts
    WHERE meter = $meter AND logical_name IN ('', $logical_name)
      AND from_at <= $end AND to_at >= $start"""
_JUDGED = """
    SELECT min(starts_at), max(starts_at + 86400) FROM scores
    WHERE meter = $meter AND starts_at BETWEEN $start - 90000 AND $end + 3600"""


@dataclass(frozen=True, slots=True)
class ValidatedCurve:
    """A curve of the validated view, in one scaler and unit."""

    values: list[ValidatedValue]
    scaler: int
    unit: int


@dataclass(frozen=True, slots=True)
class Shelf:
    """Where curves are read from."""

    engine: Engine
    store: ReadingStore
    book: EnergyBook


def validated(shelf: Shelf, curve: Curve, start: int, end: int) -> ValidatedCurve:
    """Returns what counts for a curve with ``start <= captured_at < end``, epoch seconds."""
    found = shelf.store.series(curve.meter, curve.profile, curve.logical_name, start, end, None)
    with reading(shelf.engine) as session:
        held = [
            row
            for row in substitutes.current(session, [curve.meter], curve.profile, start, end - 1)
            if row.logical_name == curve.logical_name
        ]
    if not found.times and held:
        unit = held[0].unit
        scaler = common_scaler(row.scaler for row in held if row.unit == unit)
        found = Series([], [], [], scaler, unit)
    names = {"meter": curve.meter, "start": start, "end": end}
    failed, judged = list[FailedRun](), list[int]()
    if curve.profile == LOAD_PROFILE:  # the only one that checks see
        rows = shelf.book.rows(_FAILED, logical_name=curve.logical_name, **names)
        failed = [FailedRun(*row) for row in rows]
        judged = [each for each in shelf.book.rows(_JUDGED, **names)[0] if each is not None]
    return ValidatedCurve(merged(found, held, failed, judged), found.scaler, found.unit)
