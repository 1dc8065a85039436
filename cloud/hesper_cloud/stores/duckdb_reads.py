"""Queries of the embedded store; each works on a cursor of its own and a catalogue of keys."""

from collections.abc import Iterable, Iterator
from typing import Any

import duckdb
import numpy as np

from hesper_cloud.stores import curves
from hesper_cloud.stores.blocks import blocks_of
from hesper_cloud.stores.duckdb_schema import OWN_COLUMNS, Catalogue
from hesper_cloud.stores.port import (
    Block,
    FleetSeries,
    Integers,
    Quantity,
    Reading,
    ReadValue,
    Series,
)

Range = tuple[int, int]
Row = tuple[Any, ...]

_FETCH = 10_000
_LOOK_BACK_S = 86_400  # how far before the range a previous register value is sought
_COLUMNS = (
    "meter, profile, captured_at, clock_status, quality, layout, received_at, stored_at_ms, "
    + ", ".join(f"v{place}" for place in range(OWN_COLUMNS))
    + ", more"
)
_FIRST_VALUE = 8  # columns before v0
_VERSIONS = f"""
    SELECT {_COLUMNS}, 0 AS revision FROM readings WHERE {{where}}
    UNION ALL SELECT {_COLUMNS}, row_number() OVER
        (PARTITION BY meter, profile, captured_at, clock_status ORDER BY stored_at_ms, rowid)
    FROM revisions WHERE {{where}}"""  # noqa: S608 - built from our own column names
_LATEST = f"""
    SELECT {_COLUMNS} FROM readings
    QUALIFY row_number() OVER (PARTITION BY meter, profile, layout
        ORDER BY least(captured_at, received_at) DESC, captured_at DESC) = 1
    ORDER BY layout, profile, received_at"""  # noqa: S608 - built from our own column names


def readings(
    cursor: duckdb.DuckDBPyConnection,
    catalogue: Catalogue,
    source: tuple[str, str | None],
    span: Range,
    limit: int,
) -> list[Reading]:
    """Returns one meter's readings with their revisions, newest first."""
    meter, profile = catalogue.known_meter(source[0]), None
    if source[1] is not None:
        profile = catalogue.known_profile(source[1])
    if meter is None or (source[1] is not None and profile is None):
        return []
    where = "meter = $meter AND captured_at >= $start AND captured_at < $end"
    if profile is not None:
        where += f" AND profile = {profile:d}"
    query = _VERSIONS.format(where=where) + " ORDER BY captured_at DESC, revision LIMIT $limit"
    names = {"meter": meter, "start": span[0], "end": span[1], "limit": limit}
    return [_reading(catalogue, row) for row in cursor.execute(query, names).fetchall()]


def export(
    cursor: duckdb.DuckDBPyConnection, catalogue: Catalogue, span: Range
) -> Iterator[Reading]:
    """Yields every reading of a range, a part at a time."""
    query = _VERSIONS.format(where="captured_at >= $start AND captured_at < $end")
    for row in _rows(cursor.execute(query, {"start": span[0], "end": span[1]})):
        yield _reading(catalogue, row)


def _rows(result: duckdb.DuckDBPyConnection) -> Iterator[Row]:
    while rows := result.fetchmany(_FETCH):
        yield from rows


def _reading(catalogue: Catalogue, row: Row) -> Reading:
    quantities = catalogue.layouts[row[5]]
    values = _values_of(row)
    return Reading(
        meter=catalogue.meter_names[row[0]],
        profile=catalogue.profile_names[row[1]],
        captured_at=row[2],
        clock_status=row[3],
        quality=row[4],
        received_at=row[6],
        stored_at_ms=row[7],
        values=tuple(
            ReadValue(quantity.logical_name, values[place], quantity.scaler, quantity.unit)
            for place, quantity in enumerate(quantities)
        ),
        revision=row[-1],
    )


def _values_of(row: Row) -> list[int | None]:
    own = row[_FIRST_VALUE : _FIRST_VALUE + OWN_COLUMNS]
    return [*own, *(row[_FIRST_VALUE + OWN_COLUMNS] or ())]


def series(
    cursor: duckdb.DuckDBPyConnection,
    catalogue: Catalogue,
    curve: tuple[str, str, str],
    span: Range,
    step_s: int | None,
) -> Series:
    """Returns one quantity of one meter and profile."""
    meter, profile = catalogue.known_meter(curve[0]), catalogue.known_profile(curve[1])
    sources = catalogue.columns_of(curve[2])
    if meter is None or profile is None or not sources:
        return Series([], [], [], 0, 0)
    query = f"""
        SELECT captured_at, {_case(sources)}, quality, layout FROM readings
        WHERE meter = $meter AND profile = $profile
          AND captured_at >= $start AND captured_at < $end AND layout IN ({_listed(sources)})
        ORDER BY captured_at, clock_status"""  # noqa: S608 - layout keys and column names are ours
    names = {"meter": meter, "profile": profile, "start": span[0], "end": span[1]}
    rows = cursor.execute(query, names).fetchall()
    points = [curves.Point(row[0], row[1], row[2], sources[row[3]][1]) for row in rows]
    return curves.joined(points, step_s)


def _case(sources: dict[int, tuple[str, Quantity]]) -> str:
    branches = " ".join(f"WHEN {key} THEN {place}" for key, (place, _) in sources.items())
    return f"CASE layout {branches} END"


def _listed(keys: Iterable[int]) -> str:
    return ", ".join(map(str, keys))


def fleet_series(
    cursor: duckdb.DuckDBPyConnection,
    catalogue: Catalogue,
    curve: tuple[str, str],
    span: Range,
    step_s: int,
) -> FleetSeries:
    """Sums each meter's last value in each step."""
    return _fleet(
        cursor,
        catalogue,
        curve,
        """
        SELECT captured_at - captured_at % $step AS step, meter, arg_max(value, captured_at) AS part
        FROM curve WHERE value IS NOT NULL AND captured_at >= $start AND captured_at < $end
        GROUP BY ALL""",
        {"start": span[0], "end": span[1], "step": step_s},
    )


def fleet_increase(
    cursor: duckdb.DuckDBPyConnection,
    catalogue: Catalogue,
    curve: tuple[str, str],
    span: Range,
    step_s: int,
) -> FleetSeries:
    """Sums growth between captures; a capture at a step's end belongs to that step."""
    return _fleet(
        cursor,
        catalogue,
        curve,
        """
        SELECT ended - ended % $step AS step, meter, sum(growth) AS part FROM (
            SELECT captured_at - 1 AS ended, meter, value - lag(value) OVER
                (PARTITION BY meter ORDER BY captured_at, clock_status) AS growth
            FROM curve WHERE value IS NOT NULL)
        WHERE growth >= 0 AND ended >= $start AND ended < $end GROUP BY ALL""",
        {"start": span[0], "end": span[1], "step": step_s},
    )


def _fleet(
    cursor: duckdb.DuckDBPyConnection,
    catalogue: Catalogue,
    curve: tuple[str, str],
    per_meter: str,
    names: dict[str, int],
) -> FleetSeries:
    sources = catalogue.columns_of(curve[1])
    profile = catalogue.known_profile(curve[0])
    if profile is None or not sources:
        return FleetSeries([], [], [], 0, 0)
    newest = sources[max(sources)][1]
    sources = {key: found for key, found in sources.items() if found[1].unit == newest.unit}
    scaler = min(found[1].scaler for found in sources.values())
    scaled = {
        key: (f"({place})::HUGEINT * {10 ** (quantity.scaler - scaler)}", quantity)
        for key, (place, quantity) in sources.items()
    }
    query = f"""
        WITH curve AS (
            SELECT meter, captured_at, clock_status, {_case(scaled)} AS value FROM readings
            WHERE profile = {profile:d} AND layout IN ({_listed(scaled)})
              AND captured_at >= $start - {_LOOK_BACK_S} AND captured_at <= $end)
        SELECT step, sum(part)::HUGEINT, count(DISTINCT meter) FROM ({per_meter})
        GROUP BY step ORDER BY step"""  # noqa: S608 - layout keys and column names are ours
    rows = cursor.execute(query, names).fetchall()
    return FleetSeries(
        [row[0] for row in rows], [int(row[1]) for row in rows], [row[2] for row in rows],
        scaler, newest.unit,
    )  # fmt: skip


def captured(
    cursor: duckdb.DuckDBPyConnection, catalogue: Catalogue, profile: str, span: Range
) -> dict[str, Integers]:
    """Returns the distinct capture times of every meter."""
    key = catalogue.known_profile(profile)
    if key is None:
        return {}
    found = cursor.execute(
        "SELECT DISTINCT meter, captured_at FROM readings WHERE profile = $profile"
        " AND captured_at >= $start AND captured_at < $end ORDER BY meter, captured_at",
        {"profile": key, "start": span[0], "end": span[1]},
    ).fetchnumpy()
    meters, firsts = np.unique(found["meter"], return_index=True)
    pieces = np.split(found["captured_at"], firsts[1:]) if len(meters) else []
    return {
        catalogue.meter_names[meter]: piece for meter, piece in zip(meters, pieces, strict=True)
    }


def captured_times(
    cursor: duckdb.DuckDBPyConnection, catalogue: Catalogue, source: tuple[str, str], span: Range
) -> Integers:
    """Returns the distinct capture times of one meter."""
    meter, profile = catalogue.known_meter(source[0]), catalogue.known_profile(source[1])
    if meter is None or profile is None:
        return np.empty(0, dtype=np.int64)
    found = cursor.execute(
        "SELECT DISTINCT captured_at FROM readings WHERE meter = $meter AND profile = $profile"
        " AND captured_at >= $start AND captured_at < $end ORDER BY captured_at",
        {"meter": meter, "profile": profile, "start": span[0], "end": span[1]},
    ).fetchnumpy()
    return np.asarray(found["captured_at"], dtype=np.int64)


def latest_rows(
    cursor: duckdb.DuckDBPyConnection, catalogue: Catalogue
) -> Iterator[tuple[Block, Integers]]:
    """Yields the newest row of every meter, profile and layout."""
    rows = _rows(cursor.execute(_LATEST))
    return blocks_of(_reading(catalogue, (*row, 0)) for row in rows)
