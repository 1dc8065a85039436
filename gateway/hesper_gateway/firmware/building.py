"""From gateway.toml to what carries out firmware commands."""

from collections.abc import Callable
from datetime import datetime

from hesper_contracts.signing import Keyring

from hesper_gateway.config import GatewayConfig
from hesper_gateway.database import Database
from hesper_gateway.firmware.download import Alarm, Downloads, Limits
from hesper_gateway.firmware.errand import Firmware
from hesper_gateway.firmware.images import ImageStore
from hesper_gateway.firmware.order import Means
from hesper_gateway.firmware.records import TransferRecords

FOLDER = "images"
_MEGABYTE = 1024 * 1024


def build_downloads(config: GatewayConfig, alarm: Alarm) -> Downloads:
    """Return what fetches images, once there is an uplink."""
    chosen = config.firmware
    store = ImageStore(config.state / FOLDER, chosen.quota_mb * _MEGABYTE)
    limits = Limits(chosen.octets_per_s, chosen.blocks_in_flight)
    return Downloads(config.gateway, store, limits, alarm)


def build_firmware(
    config: GatewayConfig,
    downloads: Downloads,
    database: Database,
    now: Callable[[], datetime | None],
) -> Firmware:
    """Return what carries out firmware commands; `now` is the proven time."""
    records = TransferRecords(database)
    known = {name: bytes.fromhex(key) for name, key in config.keys.releases.items()}
    return Firmware(Means(downloads, records, now, config.firmware.slice_s), Keyring(known))
