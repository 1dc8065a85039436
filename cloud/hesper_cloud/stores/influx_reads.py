"""InfluxQL queries of the store, and points turned into readings."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from operator import itemgetter
from typing import Any

import numpy as np

from hesper_cloud.stores.influx_layouts import Layouts
from hesper_cloud.stores.influx_lines import READINGS, REVISIONS, fields_of, untagged
from hesper_cloud.stores.influx_ql import Range, of_meters, quoted, select, within
from hesper_cloud.stores.influx_server import InfluxServer, Table
from hesper_cloud.stores.port import Arrivals, Integers, Reading, ReadValue

TAGS = "meter, profile, clock_status"
_NAMED_AT_ONCE = 100
_first = itemgetter(0)
_EVERY_POINT_HAS = ("layout", "quality", "received_at", "stored_at_ms", "commit")


def versions(server: InfluxServer, layouts: Layouts, where: str) -> Iterator[Reading]:
    """Yields readings and their revisions; `where` is the condition, without the word."""
    for table in points(server, where):
        yield from readings_of(table, layouts)
    yield from revisions(server, layouts, where)


def revisions(server: InfluxServer, layouts: Layouts, where: str) -> Iterator[Reading]:
    """Yields revisions, numbered in the order in which they were stored."""
    return (reading for _, reading in revisions_by_commit(server, layouts, where))


def revisions_by_commit(
    server: InfluxServer, layouts: Layouts, where: str
) -> Iterator[tuple[int, Reading]]:
    """Yields revisions as `revisions` does, each with the number of its commit."""
    revised: dict[tuple[str, str, int, int], list[tuple[int, Reading]]] = {}
    for table in points(server, where, f"{TAGS}, revision", REVISIONS):
        place = table.columns.index("commit")
        numbers = (row[place] for row in table.rows)
        for number, reading in zip(numbers, readings_of(table, layouts), strict=True):
            revised.setdefault(reading.identity, []).append((number, reading))
    for listed in revised.values():
        listed.sort(key=lambda each: (each[1].stored_at_ms, each[0]))
        for n, (number, reading) in enumerate(listed, start=1):
            yield number, replace(reading, revision=n)


def points(
    server: InfluxServer, where: str, group_by: str = TAGS, measurement: str = READINGS
) -> Iterator[Table]:
    """Yields series with all their fields, without the points that are only in part there yet.

    InfluxDB 1 shows the fields of a point one by one as it takes them. Nobody was told of such a
    point: its write is not answered.
    """
    return map(whole, server.query(select("*", measurement, where, group_by)))


def few_points(server: InfluxServer, where: str) -> Iterator[Table]:
    """Yields the same where they are some MB at most: it takes the server a third less."""
    return map(whole, server.query_at_once(select("*", READINGS, where, TAGS)))


def whole(table: Table) -> Table:
    """Returns a series with all its fields without the points that are only in part there yet."""
    if not set(_EVERY_POINT_HAS) <= set(table.columns):
        return table._replace(rows=[])
    needed = itemgetter(*map(table.columns.index, _EVERY_POINT_HAS))
    return table._replace(rows=[row for row in table.rows if None not in needed(row)])


def readings_of(table: Table, layouts: Layouts) -> Iterator[Reading]:
    """Yields the readings of one series, as `points` gives it."""
    places = {name: place for place, name in enumerate(table.columns)}
    for row in table.rows:
        quantities = layouts.quantities(row[places["layout"]])
        yield Reading(
            meter=untagged(table.tags["meter"]),
            profile=table.tags["profile"],
            captured_at=row[0],
            clock_status=int(table.tags["clock_status"]),
            quality=row[places["quality"]],
            received_at=row[places["received_at"]],
            stored_at_ms=row[places["stored_at_ms"]],
            values=tuple(
                ReadValue(
                    quantity.logical_name,
                    row[places[name]] if name in places else None,
                    quantity.scaler,
                    quantity.unit,
                )
                for quantity, name in zip(quantities, fields_of(quantities), strict=True)
            ),
        )


def latest(server: InfluxServer, layouts: Layouts, now: int) -> Iterator[Reading]:
    """Yields the newest reading of every series, and of each layout where there are several."""
    conditions = [f"time <= {now}s"]
    if len(layouts.known) > 1:
        conditions += [f"time <= {now}s AND layout = {name}" for name in list(layouts.known)]
    for condition in conditions:
        for table in points(server, condition, f"{TAGS} ORDER BY time DESC LIMIT 1"):
            yield from readings_of(table, layouts)


def in_order(tables: Sequence[Table]) -> list[list[Any]]:
    """Returns the rows of series that differ by the clock status alone, ascending by time."""
    if len(tables) == 1:
        return tables[0].rows
    by_status = sorted(tables, key=lambda table: int(table.tags["clock_status"]))
    return sorted((row for table in by_status for row in table.rows), key=_first)


def captured(
    server: InfluxServer, profile: str, span: Range, meters: Sequence[str] | None = None
) -> dict[str, Integers]:
    """Returns the distinct capture times of every meter, or of some."""
    names: list[str] = []
    parts: list[Integers] = []
    for where in _wheres(profile, span, meters):
        for table in server.query(select("quality", READINGS, where, "meter")):  # shortest field
            names.append(untagged(table.tags["meter"]))
            parts.append(np.fromiter(map(_first, table.rows), np.int64, len(table.rows)))
    return _by_meter(names, parts)


def arrivals(
    server: InfluxServer, profile: str, span: Range, meters: Sequence[str]
) -> dict[str, Arrivals]:
    """Returns some meters' capture times and when they were stored, ascending."""
    parts: dict[str, list[Any]] = {}
    for where in _wheres(profile, span, meters):
        for table in server.query(select("stored_at_ms", READINGS, where, "meter")):
            parts.setdefault(untagged(table.tags["meter"]), []).extend(table.rows)
    found = {meter: np.array(rows, dtype=np.int64) for meter, rows in parts.items()}
    return {meter: Arrivals(rows[:, 0], rows[:, 1] // 1000) for meter, rows in found.items()}


def _wheres(profile: str, span: Range, meters: Sequence[str] | None) -> Iterator[str]:
    """Yields conditions that together choose a profile's readings of the meters; None: of all."""
    every = f"profile = {quoted(profile)} AND {within(span)}"
    if meters is None:
        yield every
        return
    for start in range(0, len(meters), _NAMED_AT_ONCE):
        yield f"{of_meters(meters[start : start + _NAMED_AT_ONCE])} AND {every}"


def _by_meter(names: Sequence[str], parts: Sequence[Integers]) -> dict[str, Integers]:
    """Returns each meter's distinct times; parts ascend, and those of a meter follow each other."""
    if not names:
        return {}
    times = np.concatenate(parts)
    begins = [place for place, name in enumerate(names) if not place or name != names[place - 1]]
    firsts = np.concatenate([[0], np.cumsum([len(part) for part in parts])])[begins]
    distinct = np.ones(len(times), dtype=bool)
    distinct[1:] = times[1:] != times[:-1]
    distinct[firsts] = True
    edges = np.cumsum(distinct)[firsts[1:] - 1]
    found = np.split(times[distinct], edges)
    return dict(zip((names[place] for place in begins), found, strict=True))
