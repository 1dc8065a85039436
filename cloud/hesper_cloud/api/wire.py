"""How records become octets: JSON by orjson, times in RFC 3339 with Z, integers as they are."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from itertools import islice
from typing import Any

import orjson
from fastapi import Response

from hesper_cloud.stores.port import Reading

_OPTIONS = orjson.OPT_UTC_Z
_ROWS_PER_CHUNK = 500


def encode(record: object) -> bytes:
    """Returns a record, list or dict as JSON octets."""
    return orjson.dumps(record, option=_OPTIONS)


def answer(record: object, status: int = 200) -> Response:
    """Returns a JSON response without a second validation of what services made."""
    return Response(encode(record), status_code=status, media_type="application/json")


def instant(epoch_s: int) -> datetime:
    """Returns epoch seconds as the aware UTC time that answers show."""
    return datetime.fromtimestamp(epoch_s, UTC)


def reading(row: Reading) -> dict[str, Any]:
    """Returns a stored reading as the export shows it: raw integers by logical name."""
    return {
        "meter": row.meter,
        "profile": row.profile,
        "captured_at": datetime.fromtimestamp(row.captured_at, UTC),
        "received_at": datetime.fromtimestamp(row.received_at, UTC),
        "stored_at": datetime.fromtimestamp(row.stored_at_ms / 1000, UTC),
        "clock_status": row.clock_status,
        "quality": row.quality,
        "revision": row.revision,
        "values": {
            each.logical_name: {"value": each.value, "scaler": each.scaler, "unit": each.unit}
            for each in row.values
        },
    }


def lines(rows: Iterable[Reading]) -> Iterator[bytes]:
    """Yields readings as NDJSON, some hundred lines at a time."""
    pending = iter(rows)
    while chunk := list(islice(pending, _ROWS_PER_CHUNK)):
        yield b"".join(encode(reading(row)) + b"\n" for row in chunk)
