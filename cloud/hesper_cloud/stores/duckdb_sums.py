"""Sums over meters in the embedded store: the whole fleet, or those of an area or feeder."""

from collections.abc import Sequence
from typing import NamedTuple

from hesper_cloud.stores.duckdb_reads import case_of, listed
from hesper_cloud.stores.duckdb_schema import Catalogue
from hesper_cloud.stores.duckdb_snapshot import Range, Snapshot
from hesper_cloud.stores.port import FleetSeries, Quantity

_LOOK_BACK_S = 86_400  # how far before the range a previous register value is sought
_LEVELS = """
    SELECT captured_at - captured_at % $step AS step, meter, arg_max(value, captured_at) AS part
    FROM curve WHERE value IS NOT NULL AND captured_at >= $start AND captured_at < $end
    GROUP BY ALL"""
_GROWTH = """
    SELECT ended - ended % $step AS step, meter, sum(growth) AS part FROM (
        SELECT captured_at - 1 AS ended, meter, value::HUGEINT - lag(value) OVER
            (PARTITION BY meter ORDER BY captured_at, clock_status) AS growth
        FROM curve WHERE value IS NOT NULL)
    WHERE growth >= 0 AND ended >= $start AND ended < $end GROUP BY ALL"""


class SumOf(NamedTuple):
    """What is summed: a quantity of a profile, over which meters (None: all), in which steps."""

    profile: str
    logical_name: str
    step_s: int
    meters: Sequence[str] | None = None


def levels(view: Snapshot, asked: SumOf, span: Range) -> FleetSeries:
    """Sums each meter's last value in each step."""
    return _summed(view, asked, span, (_LEVELS, span))


def growth(view: Snapshot, asked: SumOf, span: Range) -> FleetSeries:
    """Sums growth between captures; a capture at a step's end belongs to that step."""
    return _summed(view, asked, span, (_GROWTH, (span[0] - _LOOK_BACK_S, span[1] + 1)))


def _summed(view: Snapshot, asked: SumOf, span: Range, query: tuple[str, Range]) -> FleetSeries:
    profile = view.catalogue.known_profile(asked.profile)
    sources = view.catalogue.columns_of(asked.logical_name)
    chosen = _meters(view.catalogue, asked.meters)
    if profile is None or not sources or chosen == "":
        return FleetSeries([], [], [], 0, 0)
    newest = sources[max(sources)][1]
    sources = {key: found for key, found in sources.items() if found[1].unit == newest.unit}
    scaler = min(found[1].scaler for found in sources.values())
    per_meter, seen = query
    rows = view.cursor.execute(
        f"""
        WITH curve AS (
            SELECT meter, captured_at, clock_status, {_scaled(sources, scaler)} AS value
            FROM {view.stored(seen)}
            WHERE profile = {profile:d} AND layout IN ({listed(sources)}) {chosen or ""})
        SELECT step, sum(part)::HUGEINT, count(DISTINCT meter) FROM ({per_meter})
        GROUP BY step ORDER BY step""",  # noqa: S608 - keys and column names are ours
        {"start": span[0], "end": span[1], "step": asked.step_s},
    ).fetchall()
    times, values, meters = zip(*rows, strict=True) if rows else ((), (), ())
    return FleetSeries(list(times), list(map(int, values)), list(meters), scaler, newest.unit)


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
