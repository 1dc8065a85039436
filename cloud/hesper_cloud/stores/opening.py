"""Opens the store that the settings name.

Each adapter is imported only where it is wanted: its client takes up to a second to load.
"""

import errno
import os
from pathlib import Path
from typing import TYPE_CHECKING

from hesper_cloud.settings import InfluxSettings, Settings, StoreSettings
from hesper_cloud.stores.port import ReadingStore

if TYPE_CHECKING:
    from hesper_cloud.stores.influx_server import InfluxServer


def open_store(settings: Settings) -> ReadingStore:
    """Opens the embedded store, or a connection to InfluxDB.

    Raises:
        StoreUnavailable: the embedded store's file cannot be opened. InfluxDB is first spoken to
            when it is used.
    """
    if settings.store.kind == "duckdb":
        return open_file(settings.readings_file, settings.store)
    from hesper_cloud.stores.influx import InfluxStore

    return InfluxStore(
        influx_server(settings.store.influx),
        sole_writer=settings.store.sole_writer,
        keep_days=settings.store.retention.removed_after_days,
        is_archived=bool(settings.store.retention.archive),
    )


def is_ours_alone(settings: StoreSettings) -> bool:
    """Says whether no other process stores readings in the store that the settings name."""
    return settings.kind == "duckdb" or settings.sole_writer


def open_file(path: Path, settings: StoreSettings) -> ReadingStore:
    """Opens the embedded store in a file, which is made if it is missing."""
    from hesper_cloud.stores.duckdb import DuckDbStore
    from hesper_cloud.stores.duckdb_sealing import Retention

    path.parent.mkdir(parents=True, exist_ok=True)
    kept = settings.retention
    retention = Retention(
        seal_after_s=settings.seal_after_h * 3600,
        raw_days=kept.removed_after_days,
        batch_days=kept.batch_days,
    )
    return DuckDbStore(path, retention, settings.memory_mib)


def open_named(place: str, *, is_there: bool = False) -> ReadingStore:
    """Opens the store that a person names: a ``.duckdb`` file, a ``cloud.toml``, or a URL.

    A URL is that of an InfluxDB 1.x database without accounts, ``http://host:8086/hesper``.

    Raises:
        FileNotFoundError: it is an embedded store that should be there already, and is not.
    """
    if place.startswith(("http://", "https://")):
        from hesper_cloud.stores.influx import InfluxStore
        from hesper_cloud.stores.influx_server import InfluxV1

        url, _, database = place.rpartition("/")
        return InfluxStore(InfluxV1(url, database))
    settings = Settings.load(Path(place)) if place.endswith(".toml") else None
    file = Path(place) if settings is None else settings.readings_file
    is_embedded = settings is None or settings.store.kind == "duckdb"
    if is_there and is_embedded and not file.exists():
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(file))
    return open_file(file, StoreSettings()) if settings is None else open_store(settings)


def influx_server(settings: InfluxSettings) -> "InfluxServer":
    """Returns the way to speak to a server: 2.x with a token, else 1.x.

    Raises:
        OSError: the token or password cannot be read.
    """
    from hesper_cloud.stores.influx_server import Account, InfluxV1, secret_in

    if settings.token_file is not None:
        from hesper_cloud.stores.influx_v2 import InfluxV2

        token = secret_in(settings.token_file)
        return InfluxV2(settings.url, settings.database, settings.organisation, token)
    account = None
    if settings.username:
        file = settings.password_file
        account = Account(settings.username, secret_in(file) if file else str)
    return InfluxV1(settings.url, settings.database, account)


def initialise(settings: Settings) -> str:
    """Makes what the store that the settings name needs; returns a line about it."""
    store = open_store(settings)
    try:
        store.extent()  # an InfluxDB is spoken to, and prepared, when it is first used
    finally:
        store.close()
    days = settings.store.retention.raw_days
    kept = f"kept for {days} days" if days else "kept for ever"
    kept += ", then archived" if settings.store.retention.archive else ""
    if settings.store.kind == "duckdb":
        return f"{settings.readings_file} is ready, readings are {kept}"
    influx = settings.store.influx
    return f"{influx.database} on {influx.url} is ready, readings are {kept}"
