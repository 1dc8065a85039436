"""Readings in a backup: copies of the embedded store, which other stores are brought into.

A store that cannot be copied as it runs (InfluxDB) is read by the store port, day by day, into an
embedded one that is made for the backup; a restore goes the same way back. Each day is compared by
count and digest both times. What comes in meanwhile may be in the backup or not: gateways send it
again. When a reading was stored and the ids of batches are not in it: readings count as stored at
the restore, and a batch that is sent again is found equal, row by row.
"""

import shutil
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Protocol, runtime_checkable

from hesper_cloud.backup.manifest import BackupError, Tables
from hesper_cloud.settings import Settings, StoreSettings
from hesper_cloud.stores import copying
from hesper_cloud.stores.copying import DAY_S
from hesper_cloud.stores.opening import open_file, open_store
from hesper_cloud.stores.port import ReadingStore, StoreError

PART = "readings"
_BETWEEN = "between"


@runtime_checkable
class CopiesItself(Protocol):
    """A store that can be copied while it runs."""

    def copy_to(self, folder: Path) -> Tables:
        """Copies everything into a folder; returns count and digest by table."""
        ...


@runtime_checkable
class KnowsWhetherNew(Protocol):
    """A store beside which nothing else can tell whether it was ever written to."""

    def is_new(self) -> bool:
        """Says whether nothing was ever stored in it."""
        ...


def copy(store: ReadingStore, folder: Path) -> Tables:
    """Copies a store into a folder that is not there yet; returns what it holds, for comparison.

    Raises:
        StoreError: something could not be read or written, or differs.
    """
    if isinstance(store, CopiesItself):
        return store.copy_to(folder)
    with (
        _between(folder.parent) as place,
        closing(open_file(place / "readings.duckdb", StoreSettings())) as between,
    ):
        _pass_on(store, between, place)
        if not isinstance(between, CopiesItself):
            raise BackupError("the embedded store cannot be copied")
        return between.copy_to(folder)


def refuse_to_overwrite(settings: Settings) -> None:
    """Raises BackupError where readings, or remains of them, are there already."""
    if settings.store.kind != "duckdb":
        _refuse_a_used_one(settings)
        return
    for remains in _files(settings):
        if remains.exists():
            raise BackupError(f"{remains} is there already; restore into an empty folder")


def _refuse_a_used_one(settings: Settings) -> None:
    influx = settings.store.influx
    try:
        with closing(open_store(settings)) as store:
            used = isinstance(store, KnowsWhetherNew) and not store.is_new()
    except StoreError as error:
        raise BackupError(f"{influx.url}: {error}") from error
    if used:
        name = influx.database
        raise BackupError(
            f"{name} or {name}-ledger on {influx.url} is not empty: drop both, or name others"
        )


def restore(folder: Path, settings: Settings) -> Tables:
    """Builds the store that the settings name; returns what the backup held, for comparison.

    Raises:
        StoreError: something could not be read or written, or differs.
    """
    from hesper_cloud.stores import duckdb_backup  # DuckDB is heavy, and only wanted here

    if settings.store.kind == "duckdb":
        return duckdb_backup.build(folder, settings.readings_file)
    with _between(settings.state) as place:
        path = place / "readings.duckdb"
        parts = duckdb_backup.build(folder, path)
        with (
            closing(open_file(path, StoreSettings())) as between,
            closing(open_store(settings)) as target,
        ):
            keep_days = settings.store.retention.removed_after_days
            if keep_days:  # the server refuses older ones
                between.expire(int(time.time()) - (keep_days - 1) * DAY_S)
            _pass_on(between, target, place)
        return parts


def positions(settings: Settings) -> dict[str, dict[str, int]]:
    """Returns the newest stored sequence of each outbox, as far as the restored store knows."""
    from hesper_cloud.stores import duckdb_backup

    if settings.store.kind != "duckdb" or not settings.readings_file.exists():
        return {}
    return duckdb_backup.newest_batches(settings.readings_file)


def remove(settings: Settings) -> None:
    """Removes what a restore has made; a part of it in InfluxDB is left, and refused next time."""
    for made in _files(settings):
        if made.is_dir():
            shutil.rmtree(made, ignore_errors=True)
        else:
            made.unlink(missing_ok=True)


def _pass_on(source: ReadingStore, target: ReadingStore, place: Path) -> None:
    progress = copying.Progress(place / "progress.json")
    copying.copy(source, target, progress, lambda *_: None)


@contextmanager
def _between(beside: Path) -> Iterator[Path]:
    place = beside / _BETWEEN
    place.mkdir(mode=0o700)
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


def _files(settings: Settings) -> list[Path]:
    path = settings.readings_file
    return [path, path.with_name(path.name + ".wal"), path.with_suffix(".sealed")]
