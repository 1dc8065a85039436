"""Taking back from the journal what a few meters remember; see `nonvolatile`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from hesper_dlms import obis
from hesper_dlms.classes.keys_and_images import ImageTransferStatus as ImageStatus

from hesper_sim.district import District
from hesper_sim.journal import Record
from hesper_sim.meter import Meter
from hesper_sim.nonvolatile import Image, Keys


def _set(district: District, meter: Meter, record: Record) -> None:
    class_id, name, attribute_id = record["attribute"].split(":")
    key = int(class_id), obis.parse(name), int(attribute_id)
    district.remembered(meter).settings[key] = bytes.fromhex(record["octets"])


def _keys(district: District, meter: Meter, record: Record) -> None:
    keys = {name: bytes.fromhex(key) for name, key in record["keys"].items()}
    district.remembered(meter).keys = Keys(**keys)


def _firmware(district: District, meter: Meter, record: Record) -> None:
    district.remembered(meter).firmware = record["version"]


def _image(district: District, meter: Meter, record: Record) -> None:
    kept = district.remembered(meter)
    if record["step"] == "initiate":
        identifier = bytes.fromhex(record["identifier"])
        kept.image = Image(identifier, record["size"], record["block_size"])
    elif kept.image is not None and record["step"] == "block":
        kept.image.blocks[record["number"]] = district.shared(bytes.fromhex(record["octets"]))
    elif kept.image is not None:
        kept.image.status = ImageStatus(record["status"])


def _executed(district: District, meter: Meter, record: Record) -> None:
    name = obis.parse(record["schedule"])
    district.remembered(meter).executed_at[name] = record["due"]


KINDS: Final[dict[str, Callable[[District, Meter, Record], None]]] = {
    "set": _set,
    "keys": _keys,
    "firmware": _firmware,
    "image": _image,
    "executed": _executed,
}
"""What takes in a record, by its kind."""
