"""Queries of the embedded store; each works on a cursor of its own and a catalogue of keys."""

from collections.abc import Iterable, Iterator, Sequence

import duckdb
import numpy as np
import pyarrow as pa

from hesper_cloud.stores import curves
from hesper_cloud.stores.duckdb_schema import COLUMN_LIST, COLUMNS, OWN_COLUMNS, Catalogue
from hesper_cloud.stores.duckdb_snapshot import IDENTITY, Range, Row, Snapshot
from hesper_cloud.stores.port import (
    Arrivals,
    Block,
    Integers,
    Quantity,
    Reading,
    ReadValue,
    Series,
)

_FETCH = 10_000
_FIRST_VALUE = 8  # columns before v0
_OF_CURVE = ("meter", "profile", "captured_at", "clock_status", "quality", "layout")
NUMBERED = f"""
    SELECT {COLUMN_LIST}, row_number() OVER
        (PARTITION BY {IDENTITY} ORDER BY stored_at_ms, rowid) AS revision FROM revisions"""  # noqa: S608 - built from our own column names
_FIRST = "SELECT {columns}, 0 AS revision FROM {stored} WHERE {where}"
VERSIONS = f"""
    {_FIRST.replace("{columns}", COLUMN_LIST)}
    UNION ALL FROM ({NUMBERED} WHERE {{where}})"""
# A table of readings is sorted by nothing: first which row it is, by four columns, then that row.
_WHICH = """
    SELECT arg_max(rowid, least(captured_at, received_at)::HUGEINT * 1_000_000_000_000
        + greatest(captured_at - received_at, 0))
    FROM readings GROUP BY meter, profile, layout"""
_LATEST = f"""
    SELECT {COLUMN_LIST} FROM (FROM readings WHERE rowid IN ({_WHICH}) UNION ALL FROM newest)
    QUALIFY row_number() OVER (PARTITION BY meter, profile, layout
        ORDER BY least(captured_at, received_at) DESC, captured_at DESC) = 1"""  # noqa: S608 - built from our own column names


def readings(
    view: Snapshot,
    source: tuple[str, str | None],
    span: Range,
    limit: int,
) -> list[Reading]:
    """Returns one meter's readings with their revisions, newest first."""
    meter, profile = view.catalogue.known_meter(source[0]), None
    if source[1] is not None:
        profile = view.catalogue.known_profile(source[1])
    if meter is None or (source[1] is not None and profile is None):
        return []
    where = "meter = $meter AND captured_at >= $start AND captured_at < $end"
    if profile is not None:
        where += f" AND profile = {profile:d}"
    versions = _versions_of(view, meter, span).format(where=where)
    query = versions + " ORDER BY captured_at DESC, revision LIMIT $limit"
    names = {"meter": meter, "start": span[0], "end": span[1], "limit": limit}
    return [reading_of(view.catalogue, row) for row in view.cursor.execute(query, names).fetchall()]


def _versions_of(view: Snapshot, meter: int, span: Range) -> str:
    """Returns the SQL of a meter's versions but for their condition, ``{where}``.

    Revisions, and columns that no layout fills, cost as much as the others: only where there are.
    """
    revised = view.cursor.execute("SELECT 1 FROM revisions WHERE meter = ? LIMIT 1", [meter])
    if revised.fetchall():
        return VERSIONS.format(stored=view.of_meter(meter, span), where="{where}")
    used = _used_columns(view.catalogue)
    shown = ", ".join(each if each in used else f"NULL AS {each}" for each in COLUMNS)
    stored = view.of_meter(meter, span, used)
    return _FIRST.format(columns=shown, stored=stored, where="{where}")


def _used_columns(catalogue: Catalogue) -> list[str]:
    """Returns the columns that make a reading and that some layout fills."""
    width = max(map(len, catalogue.layouts), default=0)
    values = COLUMNS[_FIRST_VALUE : _FIRST_VALUE + min(width, OWN_COLUMNS)]
    return [*COLUMNS[:_FIRST_VALUE], *values, *(["more"] if width > OWN_COLUMNS else [])]


def fetched(result: duckdb.DuckDBPyConnection) -> Iterator[Row]:
    """Yields the rows of a result, a part at a time."""
    while rows := result.fetchmany(_FETCH):
        yield from rows


def reading_of(catalogue: Catalogue, row: Row) -> Reading:
    """Returns a fetched row, its revision last, as a reading."""
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
    view: Snapshot,
    curve: tuple[str, str, str],
    span: Range,
    step_s: int | None,
) -> Series:
    """Returns one quantity of one meter and profile."""
    meter, profile = view.catalogue.known_meter(curve[0]), view.catalogue.known_profile(curve[1])
    sources = view.catalogue.columns_of(curve[2])
    if meter is None or profile is None or not sources:
        return Series([], [], [], 0, 0)
    columns = [*_OF_CURVE, *sorted({place.partition("[")[0] for place, _ in sources.values()})]
    query = f"""
        SELECT captured_at, clock_status, {case_of(sources)} AS value, quality, layout
        FROM {view.of_meter(meter, span, columns)}
        WHERE meter = $meter AND profile = $profile AND layout IN ({listed(sources)})"""  # noqa: S608 - layout keys and column names are ours
    found = view.cursor.execute(query, {"meter": meter, "profile": profile}).fetchnumpy()
    order = np.lexsort((found["clock_status"], found["captured_at"]))
    found = {name: column[order] for name, column in found.items()}
    used = {sources[key][1] for key in np.unique(found["layout"]).tolist()}
    if len(used) == 1:
        return curves.of_one_quantity(found, used.pop(), step_s)
    names = ("captured_at", "value", "quality", "layout")
    rows = zip(*(found[name].tolist() for name in names), strict=True)
    points = [
        curves.Point(at, value, quality, sources[layout][1]) for at, value, quality, layout in rows
    ]
    return curves.joined(points, step_s)


def case_of(sources: dict[int, tuple[str, Quantity]]) -> str:
    """Returns the SQL of one quantity in rows whose layout is among the sources."""
    places = {key: place for key, (place, _) in sources.items()}
    return places[min(places)] if len(set(places.values())) == 1 else by_layout(places)


def by_layout(places: dict[int, str]) -> str:
    """Returns the SQL of a value that stands in another place in each layout."""
    branches = " ".join(f"WHEN {key} THEN {place}" for key, place in places.items())
    return f"CASE layout {branches} END"


def listed(keys: Iterable[int]) -> str:
    """Returns integers as an SQL list."""
    return ", ".join(map(str, keys))


def captured(
    view: Snapshot, profile: str, span: Range, chosen: Sequence[str] | None = None
) -> dict[str, Integers]:
    """Returns the distinct capture times of every meter, or of some."""
    where = condition(view.catalogue, profile, chosen)
    if where is None:
        return {}
    found = view.cursor.execute(
        f"SELECT meter, captured_at FROM {view.stored(span)} WHERE {where}"  # noqa: S608 - our own columns and keys
    ).fetchnumpy()
    width = span[1] - span[0]
    both = found["meter"] * np.int64(width) + (found["captured_at"] - span[0])
    both.sort()  # one sort of integers takes a fraction of what DISTINCT and ORDER BY of two do
    both = both[np.diff(both, prepend=-1) != 0]
    meters, times = np.divmod(both, width)
    firsts = np.flatnonzero(np.diff(meters, prepend=-1))
    pieces = np.split(times + span[0], firsts[1:]) if len(firsts) else []
    return {
        view.catalogue.meter_names[meter]: piece
        for meter, piece in zip(meters[firsts], pieces, strict=True)
    }


def condition(catalogue: Catalogue, profile: str, chosen: Sequence[str] | None) -> str | None:
    """Returns the condition for a profile, and for some meters; None: there are no such rows."""
    key = catalogue.known_profile(profile)
    if key is None:
        return None
    if chosen is None:
        return f"profile = {key}"
    known = (catalogue.known_meter(meter) for meter in chosen)
    keys = [each for each in known if each is not None]
    return f"profile = {key} AND meter IN ({listed(keys)})" if keys else None


def arrivals(
    view: Snapshot, profile: str, span: Range, chosen: Sequence[str]
) -> dict[str, Arrivals]:
    """Returns some meters' capture times and when they were stored, ascending."""
    where = condition(view.catalogue, profile, chosen)
    if where is None:
        return {}
    found = view.cursor.execute(
        f"SELECT meter, captured_at, stored_at_ms FROM {view.stored(span)} WHERE {where}"  # noqa: S608 - our own columns and keys
    ).fetchnumpy()
    order = np.lexsort((found["captured_at"], found["meter"]))
    meters, captured_at, stored_at_ms = (found[name][order] for name in found)
    firsts = np.flatnonzero(np.diff(meters, prepend=-1))
    pieces = zip(
        np.split(captured_at, firsts[1:]), np.split(stored_at_ms // 1000, firsts[1:]), strict=True
    )
    return {
        view.catalogue.meter_names[meter]: Arrivals(*piece)
        for meter, piece in zip(meters[firsts], pieces, strict=False)  # one empty piece of none
    }


def captured_times(view: Snapshot, source: tuple[str, str], span: Range) -> Integers:
    """Returns the distinct capture times of one meter."""
    meter, profile = view.catalogue.known_meter(source[0]), view.catalogue.known_profile(source[1])
    if meter is None or profile is None:
        return np.empty(0, dtype=np.int64)
    found = view.cursor.execute(
        f"""SELECT DISTINCT captured_at FROM {view.of_meter(meter, span, _OF_CURVE)}
            WHERE meter = $meter AND profile = $profile ORDER BY captured_at""",  # noqa: S608 - our own columns
        {"meter": meter, "profile": profile},
    ).fetchnumpy()
    return np.asarray(found["captured_at"], dtype=np.int64)


def latest_rows(view: Snapshot) -> Iterator[tuple[Block, Integers]]:
    """Yields the newest row of every meter, profile and layout, as few blocks as there can be."""
    table = view.cursor.sql(_LATEST).to_arrow_table()
    columns = {name: table.column(name).to_numpy() for name in ("layout", "profile", "received_at")}
    ahead = np.where(  # a block has one time of receipt: only of rows ahead of it does it matter
        table.column("captured_at").to_numpy() > columns["received_at"], columns["received_at"], -1
    )
    kinds = np.stack([columns["layout"], columns["profile"], ahead])
    for kind in np.unique(kinds, axis=1).T:
        rows = table.filter(pa.array((kinds == kind[:, None]).all(axis=0)))
        yield (
            _latest_block(view.catalogue, rows, kind),
            rows.column("stored_at_ms").to_numpy() // 1000,
        )


def _element(lists: pa.ChunkedArray, place: int) -> pa.ChunkedArray:
    """Returns one element of each list."""
    import pyarrow.compute as pc  # a tenth of a second; few meters have so many values

    return pc.list_element(lists, place)


def _latest_block(catalogue: Catalogue, rows: pa.Table, kind: Integers) -> Block:
    quantities = catalogue.layouts[kind[0]]
    columns = [
        rows.column(f"v{place}")
        if place < OWN_COLUMNS
        else _element(rows.column("more"), place - OWN_COLUMNS)
        for place in range(len(quantities))
    ]
    shape = (len(quantities), rows.num_rows)
    missing = np.array([column.is_null().to_numpy() for column in columns], bool).reshape(shape)
    values = [column.fill_null(0).to_numpy() for column in columns]
    return Block(
        profile=catalogue.profile_names[kind[1]],
        quantities=quantities,
        meters=tuple(catalogue.meter_names[key] for key in rows.column("meter").to_pylist()),
        meter_index=np.arange(rows.num_rows),
        captured_at=rows.column("captured_at").to_numpy(),
        clock_status=rows.column("clock_status").to_numpy(),
        quality=rows.column("quality").to_numpy(),
        received_at=int(rows.column("received_at").to_numpy().max()),
        values=np.array(values, dtype=np.int64).reshape(shape),
        missing=missing if missing.any() else None,
    )
