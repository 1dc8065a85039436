"""InfluxQL queries of the store, and points turned into readings."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from operator import itemgetter
from typing import Any

import numpy as np

from hesper_cloud.stores import curves
from hesper_cloud.stores.influx_layouts import Layouts
from hesper_cloud.stores.influx_lines import READINGS, REVISIONS, fields_of, untagged
from hesper_cloud.stores.influx_ql import Range, field, of_meter, quoted, select, within
from hesper_cloud.stores.influx_server import InfluxServer, Table
from hesper_cloud.stores.port import Integers, Reading, ReadValue, Series

TAGS = "meter, profile, clock_status"
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
            key = (reading.meter, reading.profile, reading.captured_at, reading.clock_status)
            revised.setdefault(key, []).append((number, reading))
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
    return map(_whole, server.query(select("*", measurement, where, group_by)))


def _whole(table: Table) -> Table:
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
        conditions += [f"time <= {now}s AND layout = {name}" for name in layouts.known]
    for condition in conditions:
        for table in points(server, condition, f"{TAGS} ORDER BY time DESC LIMIT 1"):
            yield from readings_of(table, layouts)


def series(
    server: InfluxServer,
    layouts: Layouts,
    curve: tuple[str, str, str],
    span: Range,
    step_s: int | None,
) -> Series:
    """Returns one quantity of one meter and profile."""
    sources = layouts.having(curve[2])
    where = of_meter(curve[0], curve[1], span)
    query = select(f"{field(curve[2])}, quality, layout", READINGS, where, "clock_status")
    rows = _in_order(server.query_at_once(query)) if sources else []
    if not rows:
        return curves.joined([], step_s)
    times, values, quality, used = zip(*rows, strict=True)
    alike = {sources.get(layout) for layout in set(used)}
    one = alike.pop() if len(alike) == 1 else None
    if one is not None and step_s is None and None not in quality:
        return Series(list(times), list(values), list(quality), one.scaler, one.unit)
    points = [
        curves.Point(at, value, quality, sources[layout])
        for at, value, quality, layout in rows
        if layout in sources and quality is not None  # else it is only in part there yet
    ]
    return curves.joined(points, step_s)


def _in_order(tables: Sequence[Table]) -> list[list[Any]]:
    """Returns the rows of series that differ by the clock status alone, ascending by time."""
    if len(tables) == 1:
        return tables[0].rows
    stated = [
        (row[0], int(table.tags["clock_status"]), row) for table in tables for row in table.rows
    ]
    return [row for _, _, row in sorted(stated, key=itemgetter(0, 1))]


def captured(
    server: InfluxServer, profile: str, span: Range, meter: str | None = None
) -> dict[str, Integers]:
    """Returns the distinct capture times of every meter, or of one."""
    chosen = "" if meter is None else f"meter = {quoted(meter)} AND "
    where = f"{chosen}profile = {quoted(profile)} AND {within(span)}"
    names: list[str] = []
    parts: list[Integers] = []
    for table in server.query(select("quality", READINGS, where, "meter")):  # its shortest field
        names.append(untagged(table.tags["meter"]))
        parts.append(np.fromiter(map(_first, table.rows), np.int64, len(table.rows)))
    return _by_meter(names, parts)


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
