"""A manufacturer's shipment file: which keys are in the meters that were delivered.

Reading ends in keys for every meter, or in a list of all that is wrong, by row and column. No text
of a fault repeats what stands in a cell, except serial numbers.
"""

import base64
import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap
from hesper_contracts.frame import Refused
from hesper_contracts.topics import meter_id

from hesper_cloud.meter_keys import key_set
from hesper_cloud.meter_keys.key_set import BadKeys, KeySet
from hesper_cloud.meter_keys.layout import SERIAL, Layout

MOST_OCTETS = 256 * 1024 * 1024
_KEK_OCTETS = (16, 24, 32)
_NUMBER = re.compile(r"[+-]?\d+([.,]\d+)?[eE]\+?\d+")


@dataclass(frozen=True, slots=True)
class Row:
    """One meter as the file has it, by our names of columns; it never shows."""

    number: int
    values: dict[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True, order=True)
class Fault:
    """What is wrong in one place of a file; an empty column means the whole row."""

    row: int
    column: str
    text: str

    def __str__(self) -> str:
        return f"row {self.row}{f', {self.column}' if self.column else ''}: {self.text}"


class ShipmentRefused(Exception):
    """A file of which nothing is taken."""

    def __init__(self, faults: Sequence[Fault]) -> None:
        super().__init__("; ".join(map(str, faults[:3])))
        self.faults = tuple(sorted(faults))


@dataclass(frozen=True, slots=True)
class Delivered:
    """The keys of one delivered meter."""

    row: int
    meter: str
    keys: KeySet


class TransportKey:
    """The key under which a manufacturer wrapped the others (AES key wrap, RFC 3394)."""

    def __init__(self, text: str) -> None:
        """Takes hex digits.

        Raises:
            BadKeys: they are no key.
        """
        octets = _hex(text, "the transport key")
        if len(octets) not in _KEK_OCTETS:
            raise BadKeys("", f"the transport key has {len(octets)} octets, expected 16, 24 or 32")
        self._octets = octets

    def __repr__(self) -> str:
        return "TransportKey(…)"

    def unwrapped(self, octets: bytes) -> bytes:
        """Returns what is wrapped.

        Raises:
            BadKeys: it was wrapped under another key, or is not wrapped.
        """
        try:
            return aes_key_unwrap(self._octets, octets)
        except (InvalidUnwrap, ValueError):
            raise BadKeys("", "does not open with this transport key") from None


def delivered(rows: Sequence[Row], layout: Layout, kek: TransportKey | None) -> list[Delivered]:
    """Returns the keys of every meter.

    Raises:
        ShipmentRefused: with everything that is wrong.
    """
    found: list[Delivered] = []
    faults: list[Fault] = []
    seen: dict[str, int] = {}
    for row in rows:
        meter, wrong = _meter(row, seen)
        keys = _keys(row, layout, kek, wrong)
        faults += wrong
        if not wrong and keys is not None:
            found.append(Delivered(row.number, meter, keys))
    if not rows:
        faults.append(Fault(1, "", "no meter is in it"))
    if faults:
        raise ShipmentRefused(faults)
    return found


def _meter(row: Row, seen: dict[str, int]) -> tuple[str, list[Fault]]:
    serial = row.values.get(SERIAL, "")
    try:
        meter_id(serial)
    except Refused:  # whose words repeat what may be a key in the wrong column
        text = "1 to 32 printable characters without blanks and / \\ ? # % are expected"
        return serial, [Fault(row.number, SERIAL, text)]
    if _NUMBER.fullmatch(serial):
        return serial, [Fault(row.number, SERIAL, _rounded())]
    if serial in seen:
        return serial, [Fault(row.number, SERIAL, f"{serial} stands in row {seen[serial]}, too")]
    seen[serial] = row.number
    return serial, []


def _keys(row: Row, layout: Layout, kek: TransportKey | None, faults: list[Fault]) -> KeySet | None:
    values: dict[str, bytes | str | None] = {}
    for name, text in row.values.items():
        if name == SERIAL:
            continue
        try:
            values[name] = _value(name, text, layout, kek)
        except BadKeys as error:
            faults.append(Fault(row.number, name, error.text))
    if faults:
        return None
    try:
        return key_set.of(values).check()
    except BadKeys as error:
        faults.append(Fault(row.number, error.name, error.text))
    return None


def _value(name: str, text: str, layout: Layout, kek: TransportKey | None) -> bytes | str:
    if name == "password":
        return text
    octets = _hex(text) if layout.encoding == "hex" else _base64(text)
    if not layout.is_wrapped(name):
        return octets
    if kek is None:
        raise BadKeys(name, "is wrapped: the transport key is needed (--kek-file)")
    return kek.unwrapped(octets)


def _hex(text: str, what: str = "this") -> bytes:
    digits = re.sub(r"[\s:.-]|^0[xX]", "", text)
    if _NUMBER.fullmatch(text.strip()):
        raise BadKeys("", _rounded())
    if len(digits) % 2:
        raise BadKeys("", f"{len(digits)} hex digits: did a spreadsheet drop leading zeros?")
    try:
        return bytes.fromhex(digits)
    except ValueError:
        raise BadKeys("", f"{what} is not in hex") from None


def _base64(text: str) -> bytes:
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        raise BadKeys("", "this is not in base64") from None


def _rounded() -> str:
    return "a spreadsheet has made a rounded number of it; make the column text and export anew"
