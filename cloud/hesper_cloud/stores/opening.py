"""Opens the store that the settings name.

Each adapter is imported only where it is wanted: its client takes up to a second to load.
"""

from hesper_cloud.settings import InfluxSettings, Settings
from hesper_cloud.stores.influx_server import InfluxServer, InfluxV1
from hesper_cloud.stores.port import ReadingStore


def open_store(settings: Settings) -> ReadingStore:
    """Opens the embedded store, or a connection to InfluxDB.

    Raises:
        StoreUnavailable: the embedded store's file cannot be opened. InfluxDB is first spoken to
            when it is used.
    """
    if settings.store.kind == "duckdb":
        from hesper_cloud.stores.duckdb import DuckDbStore

        settings.readings_file.parent.mkdir(parents=True, exist_ok=True)
        return DuckDbStore(settings.readings_file)
    from hesper_cloud.stores.influx import InfluxStore

    return InfluxStore(influx_server(settings.store.influx))


def influx_server(settings: InfluxSettings) -> InfluxServer:
    """Returns the way to speak to a server: 2.x with a token, else 1.x."""
    if settings.token_file is not None:
        from hesper_cloud.stores.influx_v2 import InfluxV2

        token = settings.token_file.read_text(encoding="utf-8").strip()
        return InfluxV2(settings.url, settings.database, settings.organisation, token)
    password = None
    if settings.password_file is not None:
        password = settings.password_file.read_text(encoding="utf-8").strip()
    return InfluxV1(settings.url, settings.database, settings.username, password)
