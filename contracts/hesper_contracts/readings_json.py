"""The plain JSON form of a readings batch, for Node-RED, Telegraf and ``mosquitto_pub``.

The payload opens with ``{``. ``batch`` is optional: whoever names one gets a receipt for it.
A value is ``[integer, scaler, unit]``, the unit a Blue Book code (30 Wh, 35 V, 33 A, 255 none).
`json_columns` makes columns of it.
"""

import msgspec

from hesper_contracts.frame import VERSION, Refused
from hesper_contracts.jsonbody import UtcTime, check_years

FIRST_OCTET = b"{"


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


_decode = msgspec.json.Decoder(JsonReadings).decode


def parse(payload: bytes) -> JsonReadings:
    """Return the JSON form of a readings batch; the years of readings are not looked at yet.

    Raises:
        Refused: not JSON, another kind or version, or a field wrong.
    """
    try:
        found = _decode(payload)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Refused(f"JsonReadings: {error}") from None
    if found.kind != "readings" or found.version != VERSION:
        raise Refused(f"kind {found.kind!r} version {found.version}: 'readings' {VERSION} expected")
    check_years(found.received_at)
    return found


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
