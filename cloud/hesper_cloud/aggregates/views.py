"""The validated view of many curves: some meters at a time, each with all its quantities.

The same view as `curves.validated` gives of one curve, from one reading of the store, the
substitutes and the energy book for all meters of a handful.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import timedelta
from typing import NamedTuple

from sqlalchemy import select

from hesper_cloud.aggregates.book import Row
from hesper_cloud.aggregates.curves import Shelf
from hesper_cloud.aggregates.pieces import Key, joined, pieces
from hesper_cloud.db.energy import Substitute
from hesper_cloud.db.engines import reading
from hesper_cloud.db.registry import Meter
from hesper_cloud.quantities import LOAD_PROFILE
from hesper_cloud.stores.curves import common_scaler
from hesper_cloud.stores.port import Quantity
from hesper_cloud.validation import substitutes
from hesper_cloud.validation.view import FailedRun, ValidatedValue, merged

_METER_DAYS = 3_000
"""How many days of single meters are held at once."""
_DAY_S = int(timedelta(days=1).total_seconds())
_FAILED = """
    SELECT meter, logical_name, check_name, from_at, to_at FROM verdicts
    WHERE meter IN (SELECT unnest($meters)) AND from_at <= $end AND to_at >= $start"""
_JUDGED = """
    SELECT meter, min(starts_at), max(starts_at + 86400) FROM scores
    WHERE meter IN (SELECT unnest($meters)) AND starts_at BETWEEN $start - 90000 AND $end + 3600
    GROUP BY meter"""


class Range(NamedTuple):
    """Captures of one profile with ``start <= captured_at < end``; epoch seconds."""

    profile: str
    start: int
    end: int


class View(NamedTuple):
    """What counts for one quantity of one meter, ascending in time; never empty."""

    meter: str
    quantity: Quantity
    values: list[ValidatedValue]


def views(shelf: Shelf, span: Range, meters: Sequence[str] | None) -> Iterator[View]:
    """Yields what counts, meter by meter; None: every meter on record."""
    if meters is None:
        with reading(shelf.engine) as session:
            meters = session.scalars(select(Meter.id).order_by(Meter.id)).all()
    at_once = max(1, _METER_DAYS * _DAY_S // max(_DAY_S, span.end - span.start))
    for start in range(0, len(meters), at_once):
        yield from _Handful(shelf, span, meters[start : start + at_once]).views()


class _Handful:
    """What is known of some meters in a range."""

    def __init__(self, shelf: Shelf, span: Range, meters: Sequence[str]) -> None:
        self._stored = pieces(shelf.store.rows(span.profile, span.start, span.end, meters))
        with reading(shelf.engine) as session:
            held = substitutes.current(session, meters, span.profile, span.start, span.end - 1)
        self._held: dict[Key, list[Substitute]] = defaultdict(list)
        for row in held:
            self._held[row.meter, row.logical_name, row.unit].append(row)
        names = {"meters": list(meters), "start": span.start, "end": span.end}
        is_judged = span.profile == LOAD_PROFILE
        self._failed: dict[str, list[Row]] = defaultdict(list)
        for verdict in shelf.book.rows(_FAILED, **names) if is_judged else ():
            self._failed[verdict[0]].append(verdict)
        judged = shelf.book.rows(_JUDGED, **names) if is_judged else ()
        self._judged = {meter: (first, last) for meter, first, last in judged}

    def views(self) -> Iterator[View]:
        for key in sorted(self._stored.keys() | self._held.keys()):
            meter, name, unit = key
            held, stored = self._held.get(key, []), self._stored.get(key, [])
            scaler = common_scaler(each.scaler for each in stored or held)
            runs = [FailedRun(*row[2:]) for row in self._failed[meter] if row[1] in ("", name)]
            found = joined(stored, scaler, unit)
            values = merged(found, held, runs, self._judged.get(meter, ()))
            if values:
                yield View(meter, Quantity(name, scaler, unit), values)
