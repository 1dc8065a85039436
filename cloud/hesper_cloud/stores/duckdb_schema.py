"""Tables of the embedded store and the small integer keys that its rows use.

Readings carry no primary key: inserting without one is four times faster, and `write` keeps
identities distinct itself. Meters, profiles and layouts (the quantities of a row) are written once
and referred to by key. The first eight quantities have a column each, further ones share ``more``.
"""

import json
from collections.abc import Sequence

import duckdb
import numpy as np
import pyarrow as pa

from hesper_cloud.stores.port import Integers, Quantity

OWN_COLUMNS = 8
ROW_GROUP = 8_192  # rows; a write of more goes into the file at once, and never through its log
_VALUES = ", ".join(f"v{place} BIGINT" for place in range(OWN_COLUMNS))
_ROW = (
    "meter INTEGER, profile INTEGER, captured_at BIGINT, clock_status UTINYINT, quality INTEGER, "
    f"layout INTEGER, received_at BIGINT, stored_at_ms BIGINT, {_VALUES}, more BIGINT[], "
    "commit_number BIGINT DEFAULT 0"
)
_BATCH = "gateway VARCHAR, epoch VARCHAR, sequence BIGINT, digest VARCHAR, stored_at BIGINT"
COLUMNS = (
    *("meter", "profile", "captured_at", "clock_status", "quality", "layout", "received_at"),
    *("stored_at_ms", *(f"v{place}" for place in range(OWN_COLUMNS)), "more", "commit_number"),
)
COLUMN_LIST = ", ".join(COLUMNS)
_SEALED = (
    "name VARCHAR, first_day INTEGER, last_day INTEGER, row_count BIGINT, octets BIGINT, "
    "sha256 VARCHAR, last_commit BIGINT, aside VARCHAR"
)
_DAY_SUMS = (
    "day INTEGER, growth BOOLEAN, step_s INTEGER, profile INTEGER, logical_name VARCHAR, "
    "scaler INTEGER, unit INTEGER, step_start BIGINT, total HUGEINT, meters BIGINT"
)
_TABLES = (
    f"CREATE TABLE IF NOT EXISTS readings ({_ROW})",
    f"CREATE TABLE IF NOT EXISTS revisions ({_ROW})",
    f"CREATE TABLE IF NOT EXISTS newest ({_ROW})",  # of sealed days, per meter, profile, layout
    "CREATE TABLE IF NOT EXISTS marks (profile INTEGER, meter INTEGER, mark BIGINT)",  # of them too
    f"CREATE TABLE IF NOT EXISTS sealed ({_SEALED})",
    f"CREATE TABLE IF NOT EXISTS day_sums ({_DAY_SUMS})",
    "CREATE TABLE IF NOT EXISTS commit_floor (number BIGINT)",
    "CREATE TABLE IF NOT EXISTS lineage (epoch VARCHAR, until BIGINT)",
    f"CREATE TABLE IF NOT EXISTS batches ({_BATCH})",
    "CREATE TABLE IF NOT EXISTS meters (key INTEGER, id VARCHAR)",
    "CREATE TABLE IF NOT EXISTS profiles (key INTEGER, logical_name VARCHAR)",
    "CREATE TABLE IF NOT EXISTS layouts (key INTEGER, quantities VARCHAR)",
)
ISLANDS = """
    SELECT gateway, epoch, first, last FROM (
        SELECT gateway, epoch, min(sequence) AS first, max(sequence) AS last,
               max(stored_at) AS newest
        FROM (SELECT *, sequence - dense_rank() OVER (PARTITION BY gateway, epoch ORDER BY sequence)
                     AS island FROM batches)
        GROUP BY gateway, epoch, island)
    QUALIFY row_number() OVER (PARTITION BY gateway ORDER BY newest DESC, last DESC) <= ?
    ORDER BY newest, last"""


_USED_LAYOUTS = (
    "SELECT DISTINCT profile, layout FROM readings"
    " UNION SELECT DISTINCT profile, layout FROM newest"
)
_LATER_COLUMNS = tuple(
    f"ALTER TABLE {table} ADD COLUMN IF NOT EXISTS commit_number BIGINT DEFAULT 0"
    for table in ("readings", "revisions")
)
NEWEST_COMMIT = """
    SELECT max(number) FROM (
        SELECT max(commit_number) AS number FROM readings
        UNION ALL SELECT max(commit_number) FROM revisions
        UNION ALL SELECT max(last_commit) FROM sealed
        UNION ALL SELECT max(number) FROM commit_floor)"""


def create_tables(connection: duckdb.DuckDBPyConnection) -> None:
    """Creates what is missing; DuckDB complains of a file whose readings have other columns."""
    for statement in (*_TABLES, *_LATER_COLUMNS, "SELECT stored_at_ms FROM readings LIMIT 0"):
        connection.execute(statement)


class Catalogue:
    """Keys of meters, profiles and layouts; new ones are written in the caller's transaction.

    After a transaction that was rolled back, build a new catalogue: this one may hold its keys.

    Attributes:
        connection: The writer's.
    """

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self.connection = connection
        self._meters = _keys(connection, "SELECT id, key FROM meters ORDER BY key")
        self._profiles = _keys(connection, "SELECT logical_name, key FROM profiles ORDER BY key")
        texts = _keys(connection, "SELECT quantities, key FROM layouts ORDER BY key")
        self._layouts = {_quantities(text): key for text, key in texts.items()}
        self.meter_names = list(self._meters)
        self.profile_names = list(self._profiles)
        self.layouts = list(self._layouts)
        self._layouts_of: dict[int, set[int]] = {}
        for profile, layout in connection.execute(_USED_LAYOUTS).fetchall():
            self.uses(profile, layout)

    def uses(self, profile: int, layout: int) -> None:
        """Notes that rows of a profile have a layout."""
        self._layouts_of.setdefault(profile, set()).add(layout)

    def quantities_of(self, profile: int) -> dict[Quantity, dict[int, str]]:
        """Returns each quantity of a profile with the SQL expression of it by layout key."""
        found: dict[Quantity, dict[int, str]] = {}
        for key in sorted(self._layouts_of.get(profile, ())):
            for place, quantity in enumerate(self.layouts[key]):
                found.setdefault(quantity, {}).setdefault(key, column(place))
        return {quantity: found[quantity] for quantity in sorted(found)}

    def meter_keys(self, meters: Sequence[str]) -> Integers:
        """Returns the keys of meters, writing those that are new."""
        try:
            return np.fromiter(map(self._meters.__getitem__, meters), np.int64, len(meters))
        except KeyError:
            self._add_meters([m for m in dict.fromkeys(meters) if m not in self._meters])
            return self.meter_keys(meters)

    def _add_meters(self, fresh: list[str]) -> None:
        keys = range(len(self._meters), len(self._meters) + len(fresh))
        self._insert("meters", keys, fresh)
        self._meters.update(zip(fresh, keys, strict=True))
        self.meter_names.extend(fresh)

    def _insert(self, table: str, keys: range, texts: list[str]) -> None:
        """Inserts all of them with one statement."""
        rows = pa.table({"key": pa.array(np.array(keys)), "text": texts})  # noqa: F841 - named in SQL
        self.connection.execute(f"INSERT INTO {table} SELECT key, text FROM rows")  # noqa: S608 - our own table names

    def profile_keys(self, logical_names: Sequence[str]) -> list[int]:
        """Returns the keys of profiles, writing those that are new."""
        fresh = [each for each in dict.fromkeys(logical_names) if each not in self._profiles]
        if fresh:
            keys = range(len(self._profiles), len(self._profiles) + len(fresh))
            self._insert("profiles", keys, fresh)
            self._profiles.update(zip(fresh, keys, strict=True))
            self.profile_names.extend(fresh)
        return [self._profiles[each] for each in logical_names]

    def layout_keys(self, layouts: Sequence[tuple[Quantity, ...]]) -> list[int]:
        """Returns the keys of layouts, writing those that are new."""
        fresh = [each for each in dict.fromkeys(layouts) if each not in self._layouts]
        if fresh:
            keys = range(len(self._layouts), len(self._layouts) + len(fresh))
            self._insert("layouts", keys, list(map(json.dumps, fresh)))
            self._layouts.update(zip(fresh, keys, strict=True))
            self.layouts.extend(fresh)
        return [self._layouts[each] for each in layouts]

    def known_meter(self, meter: str) -> int | None:
        """Returns the key of a meter that is stored, else None."""
        return self._meters.get(meter)

    def known_profile(self, logical_name: str) -> int | None:
        """Returns the key of a profile that is stored, else None."""
        return self._profiles.get(logical_name)

    def columns_of(self, logical_name: str) -> dict[int, tuple[str, Quantity]]:
        """Returns, by layout key, the SQL expression that holds a quantity, and the quantity.

        Of one that a layout has twice the first counts, as everywhere.
        """
        found: dict[int, tuple[str, Quantity]] = {}
        for key, quantities in enumerate(self.layouts):
            for place, quantity in enumerate(quantities):
                if quantity.logical_name == logical_name:
                    found.setdefault(key, (column(place), quantity))
        return found


def column(place: int) -> str:
    """Returns the SQL expression of a layout's quantity by its place."""
    return f"v{place}" if place < OWN_COLUMNS else f"more[{place - OWN_COLUMNS + 1}]"


def _keys(connection: duckdb.DuckDBPyConnection, query: str) -> dict[str, int]:
    return {text: int(key) for text, key in connection.execute(query).fetchall()}


def _quantities(text: str) -> tuple[Quantity, ...]:
    return tuple(Quantity(*fields) for fields in json.loads(text))
