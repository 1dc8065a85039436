"""New firmware for meters: fetched, brought block by block, verified, activated when it is time."""

from hesper_gateway.firmware.building import build_downloads, build_firmware
from hesper_gateway.firmware.download import Downloads, Limits
from hesper_gateway.firmware.errand import Firmware
from hesper_gateway.firmware.images import ImageStore
from hesper_gateway.firmware.order import Means
from hesper_gateway.firmware.records import TransferRecords

__all__ = [
    "Downloads",
    "Firmware",
    "ImageStore",
    "Limits",
    "Means",
    "TransferRecords",
    "build_downloads",
    "build_firmware",
]
