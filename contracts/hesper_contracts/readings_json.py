"""The plain JSON form of a readings batch, for Node-RED, Telegraf and ``mosquitto_pub``.

The payload opens with ``{``. ``batch`` is optional: whoever names one gets a receipt for it.
A value is ``[integer, scaler, unit]``, the unit a Blue Book code (30 Wh, 35 V, 33 A, 255 none).
`json_columns` makes columns of it. A reading that cannot be does not take the others with it:
`parse_each` tells them apart.
"""

from functools import lru_cache
from typing import NamedTuple

import msgspec

from hesper_contracts.frame import VERSION, Refused
from hesper_contracts.jsonbody import UtcTime
from hesper_contracts.readings import Quantity
from hesper_contracts.topics import meter_id

FIRST_OCTET = b"{"
MOST_STATUS = 0xFF
MOST_QUALITY = 0xFFFF
_INT64 = range(-(1 << 63), 1 << 63)


class JsonBatch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The identity of a JSON batch: epoch of 16 hex digits, sequence."""

    epoch: str
    sequence: int


class JsonReading(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """One reading: meter, time, and values by logical name."""

    meter: str
    captured_at: UtcTime
    values: dict[str, tuple[int | None, int, int]]
    profile: str | None = None
    clock_status: int = 0
    quality: int = 0


class JsonReadings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The whole payload."""

    kind: str
    version: int
    readings: tuple[JsonReading, ...]
    batch: JsonBatch | None = None
    received_at: UtcTime | None = None


class _Unread(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The whole payload, its readings not looked at."""

    kind: str
    version: int
    readings: tuple[msgspec.Raw, ...]
    batch: JsonBatch | None = None
    received_at: UtcTime | None = None


class RefusedReading(NamedTuple):
    """A reading that cannot be, as a payload of its own, and why."""

    payload: bytes
    reason: str


class Parted(NamedTuple):
    """The readings of a payload that can be, and each other one."""

    batch: JsonReadings
    refused: tuple[RefusedReading, ...]


_decode = msgspec.json.Decoder(JsonReadings).decode
_decode_unread = msgspec.json.Decoder(_Unread).decode
_decode_reading = msgspec.json.Decoder(JsonReading).decode
_Error = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)


def parse(payload: bytes) -> JsonReadings:
    """Return the JSON form of a readings batch; names, times and numbers are not looked at yet.

    Raises:
        Refused: not JSON, another kind or version, or a field wrong.
    """
    try:
        found = _decode(payload)
    except _Error as error:
        raise Refused(f"JsonReadings: {error}") from None
    _expect_readings(found)
    return found


def parse_each(payload: bytes) -> Parted:
    """Return the JSON form of a readings batch without the readings that cannot be.

    Raises:
        Refused: not JSON, another kind or version, or none of its readings can be.
    """
    found = _unread(payload)
    readings: list[JsonReading] = []
    refused: list[RefusedReading] = []
    for octets in found.readings:
        try:
            readings.append(_reading(octets))
        except Refused as refusal:
            alone = _Unread(found.kind, found.version, (octets,), received_at=found.received_at)
            refused.append(RefusedReading(msgspec.json.encode(alone), str(refusal)))
    if refused and not readings:
        raise Refused(refused[0].reason)
    batch = JsonReadings(found.kind, found.version, tuple(readings), found.batch, found.received_at)
    return Parted(batch, tuple(refused))


def batch_named(payload: bytes) -> JsonBatch | None:
    """Return the identity that a payload gives, whatever its readings are.

    Raises:
        Refused: not JSON, or another kind or version.
    """
    return _unread(payload).batch


def _unread(payload: bytes) -> _Unread:
    try:
        found = _decode_unread(payload)
    except _Error as error:
        raise Refused(f"JsonReadings: {error}") from None
    _expect_readings(found)
    return found


def _expect_readings(found: JsonReadings | _Unread) -> None:
    if found.kind != "readings" or found.version != VERSION:
        raise Refused(f"kind {found.kind!r} version {found.version}: 'readings' {VERSION} expected")


def _reading(octets: msgspec.Raw) -> JsonReading:
    """Return one reading, looked at as closely as columns are."""
    try:
        found = _decode_reading(octets)
    except _Error as error:
        raise Refused(f"JsonReading: {error}") from None
    meter_id(found.meter)
    if found.profile is not None:
        logical_name(found.profile)
    within(found.clock_status, MOST_STATUS)
    within(found.quality, MOST_QUALITY)
    if not found.values:
        raise Refused(f"reading of meter {found.meter!r} has no values")
    for name, (value, scaler, unit) in found.values.items():
        quantity(name, scaler, unit)
        if value is not None:
            signed_64_bit(value)
    return found


@lru_cache(maxsize=4096)
def quantity(name: str, scaler: int, unit: int) -> Quantity:
    """Return what a value is of.

    Raises:
        Refused: no logical name, or a scaler or unit that no octet holds.
    """
    if not -128 <= scaler <= 127:
        raise Refused(f"scaler {scaler} of {name} is not a signed octet")
    return Quantity(logical_name(name), scaler, within(unit, 255))


def within(value: int, limit: int) -> int:
    """Return a number from 0 to a limit; refuse any other."""
    if not 0 <= value <= limit:
        raise Refused(f"{value} is not between 0 and {limit}")
    return value


def signed_64_bit(value: int) -> int:
    """Return a number that columns hold; refuse any other."""
    if value not in _INT64:
        raise Refused(f"value {value} is outside signed 64 bit")
    return value


def logical_name(text: str) -> bytes:
    """Return the 6 octets of ``1.0.1.8.0.255``.

    Raises:
        Refused: not six numbers of 0 to 255 with dots between.
    """
    try:
        octets = bytes(map(int, text.split(".")))
    except ValueError:
        octets = b""
    if len(octets) != 6 or logical_name_text(octets) != text:  # each has one spelling
        raise Refused(f"{text!r} is no logical name: six numbers of 0 to 255 with dots between")
    return octets


def logical_name_text(octets: bytes) -> str:
    """Return ``1.0.1.8.0.255`` for its 6 octets."""
    return ".".join(map(str, octets))
