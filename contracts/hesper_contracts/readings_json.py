"""The plain JSON form of a readings batch, for Node-RED, Telegraf and ``mosquitto_pub``.

The payload opens with ``{``. ``batch`` is optional: whoever names one gets a receipt for it.
A value is ``[integer, scaler, unit]``, the unit a Blue Book code (30 Wh, 35 V, 33 A, 255 none).
"""

from collections import defaultdict
from datetime import datetime

import msgspec

from hesper_contracts import jsonbody
from hesper_contracts.frame import VERSION, Refused
from hesper_contracts.jsonbody import UtcTime
from hesper_contracts.readings import LOAD_PROFILE, MeterRows, Quantity, Section
from hesper_contracts.topics import meter_id

FIRST_OCTET = b"{"
_INT64 = range(-(1 << 63), 1 << 63)


class JsonBatch(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The identity of a JSON batch: epoch of 16 hex digits, sequence."""

    epoch: str
    sequence: int


class JsonReading(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
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


def parse(payload: bytes) -> JsonReadings:
    """Return the JSON form of a readings batch.

    Raises:
        Refused: not JSON, another kind or version, or a field wrong.
    """
    found = jsonbody.decode(payload, JsonReadings)
    if found.kind != "readings" or found.version != VERSION:
        raise Refused(f"kind {found.kind!r} version {found.version}: 'readings' {VERSION} expected")
    return found


def sections(batch: JsonReadings, received_at: datetime) -> list[Section]:
    """Return the batch as sections: rows that share profile and quantities, by meter and time.

    Raises:
        Refused: a logical name, meter or number that cannot be one.
    """
    received = int((batch.received_at or received_at).timestamp())
    grouped: dict[tuple[bytes, tuple[Quantity, ...]], dict[str, list[JsonReading]]]
    grouped = defaultdict(lambda: defaultdict(list))
    for reading in batch.readings:
        key = (_profile(reading.profile), _quantities(reading))
        grouped[key][meter_id(reading.meter)].append(reading)
    return [
        Section(profile, received, quantities, [_rows(name, rows) for name, rows in meters.items()])
        for (profile, quantities), meters in grouped.items()
    ]


def _rows(meter: str, readings: list[JsonReading]) -> MeterRows:
    ordered = sorted(readings, key=lambda reading: reading.captured_at)
    columns = zip(
        *([_value(v) for v in reading.values.values()] for reading in ordered), strict=True
    )
    return MeterRows(
        meter,
        [int(reading.captured_at.timestamp()) for reading in ordered],
        [_within(reading.clock_status, 0xFF) for reading in ordered],
        [_within(reading.quality, 0xFFFF) for reading in ordered],
        [list(column) for column in columns],
    )


def _value(entry: tuple[int | None, int, int]) -> int | None:
    if entry[0] is not None and entry[0] not in _INT64:
        raise Refused(f"value {entry[0]} is outside signed 64 bit")
    return entry[0]


def _within(value: int, limit: int) -> int:
    if not 0 <= value <= limit:
        raise Refused(f"{value} is not between 0 and {limit}")
    return value


def _quantities(reading: JsonReading) -> tuple[Quantity, ...]:
    if not reading.values:
        raise Refused(f"reading of meter {reading.meter!r} has no values")
    quantities = []
    for name, (_, scaler, unit) in reading.values.items():
        if not -128 <= scaler <= 127:
            raise Refused(f"scaler {scaler} of {name} is not a signed octet")
        quantities.append(Quantity(logical_name(name), scaler, _within(unit, 255)))
    return tuple(quantities)


def _profile(text: str | None) -> bytes:
    return LOAD_PROFILE if text is None else logical_name(text)


def logical_name(text: str) -> bytes:
    """Return the 6 octets of ``1.0.1.8.0.255``.

    Raises:
        Refused: not six numbers of 0 to 255 with dots between.
    """
    try:
        octets = bytes(int(part) for part in text.split("."))
    except ValueError:
        octets = b""
    if len(octets) != 6:
        raise Refused(f"{text!r} is no logical name: six numbers of 0 to 255 with dots between")
    return octets


def logical_name_text(octets: bytes) -> str:
    """Return ``1.0.1.8.0.255`` for its 6 octets."""
    return ".".join(map(str, octets))
