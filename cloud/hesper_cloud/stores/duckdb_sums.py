"""Sums over meters in the embedded store: the whole fleet, or those of an area or feeder.

Theory of operation. Sealed days do not change, so the fleet's sums over each of them are kept in
the database for the usual steps (`duckdb_day_sums`). At other steps the sums over each sealed file
are computed once and remembered, as long as the same files cover what the sum has seen. Either
holds while the table has no late row of those days; the rest costs a look at every row.
"""

import threading
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from hesper_cloud.stores import curves
from hesper_cloud.stores import duckdb_day_sums as day_sums
from hesper_cloud.stores.duckdb_day_sums import Kept, Wanted
from hesper_cloud.stores.duckdb_reads import case_of, listed
from hesper_cloud.stores.duckdb_schema import Catalogue
from hesper_cloud.stores.duckdb_sealed import DAY_S
from hesper_cloud.stores.duckdb_snapshot import Range, Snapshot
from hesper_cloud.stores.duckdb_summing import LOOK_BACK_S, days_seen
from hesper_cloud.stores.port import FleetSeries, Quantity
from hesper_cloud.stores.stepped_sums import STEPS

_REMEMBERED_STEPS = 500_000  # about 60 MB
_LEVELS = """
    SELECT captured_at - captured_at % $step AS step, meter,
           arg_max(value, captured_at * 256 + clock_status) AS part
    FROM curve WHERE value IS NOT NULL AND captured_at >= $start AND captured_at < $end
    GROUP BY ALL"""
_GROWTH = """
    SELECT ended - ended % $step AS step, meter, sum(growth) AS part FROM (
        SELECT captured_at - 1 AS ended, meter, value::HUGEINT - lag(value) OVER
            (PARTITION BY meter ORDER BY captured_at, clock_status) AS growth
        FROM curve WHERE value IS NOT NULL)
    WHERE growth >= 0 AND ended >= $start AND ended < $end GROUP BY ALL"""

Step = tuple[int, int, int]  # start, sum, meters


class SumOf(NamedTuple):
    """What is summed: a quantity of a profile, over which meters (None: all), in which steps."""

    profile: str
    logical_name: str
    step_s: int
    meters: Sequence[str] | None = None


class _Query(NamedTuple):
    """A sum as SQL: the parts per meter, how far it sees around a range, the curve's condition."""

    parts: str
    before_s: int
    after_s: int
    value: str
    condition: str

    @property
    def growth(self) -> bool:
        return bool(self.before_s)

    def seen(self, span: Range) -> Range:
        return span[0] - self.before_s, span[1] + self.after_s


class Sums:
    """Sums over meters; remembers those of sealed files."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._remembered: dict[object, list[Step]] = {}
        self._step_count = 0

    def levels(self, view: Snapshot, asked: SumOf, span: Range) -> FleetSeries:
        """Sums each meter's last value in each step."""
        return self._summed(view, asked, span, (_LEVELS, 0, 0))

    def growth(self, view: Snapshot, asked: SumOf, span: Range) -> FleetSeries:
        """Sums growth between captures; a capture at a step's end belongs to that step."""
        return self._summed(view, asked, span, (_GROWTH, LOOK_BACK_S, 1))

    def _summed(
        self, view: Snapshot, asked: SumOf, span: Range, form: tuple[str, int, int]
    ) -> FleetSeries:
        profile = view.catalogue.known_profile(asked.profile)
        columns = view.catalogue.columns_of(asked.logical_name)
        summed = curves.summed_together({key: found[1] for key, found in columns.items()})
        sources = {key: columns[key] for key in summed}
        chosen = _meters(view.catalogue, asked.meters)
        if profile is None or not sources or chosen == "":
            return FleetSeries([], [], [], 0, 0)
        unit = next(iter(summed.values())).unit
        scaler = min(found[1].scaler for found in sources.values())
        condition = f"profile = {profile:d} AND layout IN ({listed(sources)}) {chosen or ''}"
        query = _Query(*form, _scaled(sources, scaler), condition)
        wanted = Wanted(query.growth, asked.step_s, profile, asked.logical_name, unit)
        days, sums = _kept(view, wanted, span) if asked.meters is None else (set[int](), [])
        found = _together(sums, scaler)
        pieces = (
            each for rest in _without(span, days) for each in _pieces(view, asked, rest, query)
        )
        for piece, sealed in pieces:
            ask = self._once if sealed else _ask
            found.update((step, (total, count)) for step, total, count in
                         ask(view, query, piece, asked.step_s))  # fmt: skip
        steps = [(at, *found[at]) for at in sorted(found)]
        times, values, meters = map(list, zip(*steps, strict=True)) if steps else ([], [], [])
        return FleetSeries(times, values, meters, scaler, unit)

    def _once(self, view: Snapshot, query: _Query, span: Range, step_s: int) -> list[Step]:
        """Answers for a sealed range, from memory where the same files cover it."""
        files = tuple(file.name for file in view.files(query.seen(span)))
        key = (query, span, step_s, files)
        with self._lock:
            known = self._remembered.get(key)
        if known is not None:
            return known
        found = _ask(view, query, span, step_s)
        with self._lock:
            self._step_count += len(found) - len(self._remembered.pop(key, ()))
            self._remembered[key] = found
            while self._step_count > _REMEMBERED_STEPS:
                self._step_count -= len(self._remembered.pop(next(iter(self._remembered))))
        return found


def _kept(view: Snapshot, wanted: Wanted, span: Range) -> tuple[set[int], list[Kept]]:
    """Returns the days of a range that are answered by kept sums, and the sums."""
    days = range(-(-span[0] // DAY_S), span[1] // DAY_S)
    sealed = {day for start, end in view.extents() for day in range(start // DAY_S, end // DAY_S)}
    if wanted.step_s not in STEPS or sealed.isdisjoint(days):
        return set(), []
    kept, sums = day_sums.kept(view.cursor, wanted, days)
    touched = view.days_in_table((span[0] - DAY_S, span[1] + DAY_S))
    kept = {
        day for day in kept & sealed if touched.isdisjoint(days_seen(day, growth=wanted.growth))
    }
    return kept, [each for each in sums if each.day in kept]


def _together(sums: Iterable[Kept], scaler: int) -> dict[int, tuple[int, int]]:
    """Adds up the sums of meters with different scalers; returns total and meters by step."""
    found = dict[int, tuple[int, int]]()
    for each in sums:
        total, meters = found.get(each.at, (0, 0))
        found[each.at] = (
            total + each.total * 10 ** (each.scaler - scaler),
            meters + each.meters,
        )
    return found


def _without(span: Range, days: set[int]) -> Iterator[Range]:
    """Yields what is left of a range without some whole days of it."""
    at = span[0]
    for day in sorted(days):
        if at < day * DAY_S:
            yield at, day * DAY_S
        at = (day + 1) * DAY_S
    if at < span[1]:
        yield at, span[1]


def _pieces(
    view: Snapshot, asked: SumOf, span: Range, query: _Query
) -> Iterator[tuple[Range, bool]]:
    """Cuts a range where sealed files begin and end; says which pieces are sealed for good."""
    at = span[0]
    if asked.meters is None and DAY_S % asked.step_s == 0:
        touched = view.days_in_table(query.seen(span))
        for start, end in view.extents():
            if start < at or end > span[1]:
                continue
            if start > at:
                yield (at, start), False
            first, last = query.seen((start, end))
            days = range(first // DAY_S, (last - 1) // DAY_S + 1)
            yield (start, end), touched.isdisjoint(days)
            at = end
    if at < span[1]:
        yield (at, span[1]), False


def _ask(view: Snapshot, query: _Query, span: Range, step_s: int) -> list[Step]:
    rows = view.cursor.execute(
        f"""
        WITH curve AS (
            SELECT meter, captured_at, clock_status, {query.value} AS value
            FROM {view.stored(query.seen(span))} WHERE {query.condition})
        SELECT step, sum(part)::HUGEINT, count(*) FROM ({query.parts})
        GROUP BY step ORDER BY step""",  # noqa: S608 - keys and column names are ours
        {"start": span[0], "end": span[1], "step": step_s},
    ).fetchall()
    return [(step, int(total), count) for step, total, count in rows]


def _scaled(sources: dict[int, tuple[str, Quantity]], scaler: int) -> str:
    if all(quantity.scaler == scaler for _, quantity in sources.values()):
        return case_of(sources)
    return case_of(
        {
            key: (f"({place})::HUGEINT * {10 ** (quantity.scaler - scaler)}", quantity)
            for key, (place, quantity) in sources.items()
        }
    )


def _meters(catalogue: Catalogue, meters: Sequence[str] | None) -> str | None:
    """Returns the condition for some meters; empty text where none of them is known."""
    if meters is None:
        return None
    keys = [catalogue.known_meter(meter) for meter in meters]
    known = sorted({key for key in keys if key is not None})
    return f"AND meter IN ({listed(known)})" if known else ""
