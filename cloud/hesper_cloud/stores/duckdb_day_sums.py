"""Sums over the whole fleet, kept beside each sealed day in the table ``day_sums``.

Theory of operation. What a sealed day sums up to changes only when its file does (and, for growth,
that of the day before or after). So sums are made once, by upkeep (`duckdb_summing`), and taken
away in the transaction that changes a file's rows; a day for which rows lie in the table is not
answered from here. A month that is merged changes no row and keeps them.

Each day that was summed has a row with step 0 and no name; one more with step 0 for every quantity
whose sums are not kept, because one meter had it in two scalers.
"""

from collections.abc import Iterable
from typing import NamedTuple

import duckdb
import pyarrow as pa

from hesper_cloud.stores.duckdb_snapshot import Range
from hesper_cloud.stores.port import Quantity
from hesper_cloud.stores.stepped_sums import DAY_S, StepSum

_MADE = """
    SELECT DISTINCT day FROM day_sums
    WHERE growth = $growth AND step_s = 0 AND day >= $first AND day < $end AND logical_name = ''
    EXCEPT SELECT day FROM day_sums
    WHERE growth = $growth AND step_s = 0 AND profile = $profile AND logical_name = $name"""
_SUMS = """
    SELECT day, step_start, scaler, total, meters FROM day_sums
    WHERE growth = $growth AND step_s = $step AND profile = $profile AND logical_name = $name
        AND unit = $unit AND day >= $first AND day < $end ORDER BY step_start"""
_HALF = 2**32


class Wanted(NamedTuple):
    """Which sums: levels or growth of a profile's quantity in one unit, by step."""

    growth: bool
    step_s: int
    profile: int
    logical_name: str
    unit: int


class Kept(NamedTuple):
    """One kept sum, in the scaler that its meters have."""

    day: int
    at: int
    scaler: int
    total: int
    meters: int


def kept(
    connection: duckdb.DuckDBPyConnection, wanted: Wanted, days: range
) -> tuple[set[int], list[Kept]]:
    """Returns those of the days whose sums are kept, and the sums."""
    names = {
        "growth": wanted.growth, "profile": wanted.profile, "name": wanted.logical_name,
        "first": days.start, "end": days.stop,
    }  # fmt: skip
    made = {day for (day,) in connection.execute(_MADE, names).fetchall()}
    if not made:
        return made, []
    rows = connection.execute(_SUMS, names | {"step": wanted.step_s, "unit": wanted.unit})
    sums = [Kept(*row) for row in rows.fetchall()]
    return made, [each for each in sums if each.day in made]


def summed_days(connection: duckdb.DuckDBPyConnection) -> set[tuple[int, bool]]:
    """Returns the days that were summed up, levels and growth apart."""
    query = "SELECT day, growth FROM day_sums WHERE step_s = 0 AND logical_name = ''"
    return set(connection.execute(query).fetchall())


def insert(
    connection: duckdb.DuckDBPyConnection,
    day: int,
    sums: Iterable[tuple[int, Quantity, StepSum]],
    *,
    growth: bool,
) -> None:
    """Inserts a day's sums: profile, quantity and sum; those of step 0 say what is not kept."""
    connection.execute(
        "INSERT INTO day_sums VALUES (?, ?, 0, -1, '', 0, 0, 0, 0, 0)", [day, growth]
    )
    rows = [
        (each.step_s, profile, *quantity, each.at, *divmod(each.total, _HALF), each.meters)
        for profile, quantity, each in sums
    ]
    names = (
        "step_s",
        "profile",
        "logical_name",
        "scaler",
        "unit",
        "step_start",
        "high",
        "low",
        "meters",
    )
    if rows:
        columns = dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))
        connection.register("summed", pa.table(columns))
        connection.execute(
            f"""INSERT INTO day_sums SELECT {day:d}, {growth}, step_s, profile, logical_name,
                scaler, unit, step_start, high::HUGEINT * {_HALF} + low, meters FROM summed"""  # noqa: S608 - integers of ours
        )
        connection.unregister("summed")


def forget(connection: duckdb.DuckDBPyConnection, span: Range) -> None:
    """Takes sums away that rows of a range have a part in; growth looks a day around."""
    first, last = span[0] // DAY_S, (span[1] - 1) // DAY_S
    connection.execute(
        "DELETE FROM day_sums WHERE day BETWEEN $first AND $last"
        " OR growth AND day BETWEEN $first - 1 AND $last + 1",
        {"first": first, "last": last},
    )
