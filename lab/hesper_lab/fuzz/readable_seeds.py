"""The first inputs of the targets beyond the DLMS stack."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Final

from hesper_contracts import readings
from hesper_contracts.frame import Encoding
from hesper_contracts.readings import LOAD_PROFILE, MeterRows, Quantity, Section

from hesper_lab.fuzz.inputs import joined

_AT: Final = 1_790_000_000
_NAMES: Final = ("1.0.1.8.0.255", "1.0.32.7.0.255")


def seeds(
    asked: Sequence[bytes], answered: Sequence[bytes], framed: Sequence[bytes]
) -> dict[str, list[bytes]]:
    """Return inputs from requests, answers, and frames of all kinds."""
    return {
        "explain": [*asked, *answered, *framed],
        "conversation": [
            joined(b"\x01" + request, b"\x00" + answer)
            for request, answer in zip(asked, answered, strict=False)
            if max(len(request), len(answer)) < 255
        ],
        "readings-json": list(map(_json, range(6))),
        "readings-columns": _columns(),
    }


def _json(variant: int) -> bytes:
    """Return three readings: alike, and with each way of not being so."""
    rows: list[dict[str, object]] = [
        {
            "meter": f"M{number}",
            "captured_at": f"2026-09-21T14:0{number}:00Z",
            "values": {name: [1000 * number - 5, -1, 30] for name in _NAMES},
        }
        for number in range(3)
    ]
    odd = rows[1]
    if variant == 1:
        odd["values"] = {name: [None, -1, 30] for name in reversed(_NAMES)}
    elif variant == 2:
        odd |= {"profile": "1.0.99.2.0.255", "clock_status": 128, "quality": 4}
    elif variant == 3:
        odd["captured_at"] = "1969-12-31T23:59:59.5+02:00"
    elif variant == 4:
        odd["values"] = {_NAMES[0]: [1 << 63, 0, 30]}
    told: dict[str, object] = {"kind": "readings", "version": 1, "readings": rows}
    if variant == 5:
        told |= {"batch": {"epoch": "00" * 8, "sequence": 7}, "received_at": "2026-09-21T14:05:00Z"}
    return json.dumps(told, separators=(",", ":")).encode()


def _columns() -> list[bytes]:
    quantities = tuple(Quantity(bytes((1, 0, c, 8, 0, 255)), c - 2, 30) for c in (1, 2))
    found = []
    for count in (1, 3, 100):
        times = [_AT + 900 * row for row in range(count)]
        values = [[7 * row for row in range(count)], [None, *range(count - 1)]]
        rows = [MeterRows(f"M{meter}", times, [0] * count, [0] * count, values) for meter in (1, 2)]
        encoding, body = readings.encode([Section(LOAD_PROFILE, _AT, quantities, rows)] * 2)
        found.append(bytes((encoding is Encoding.COLUMNS_ZSTD,)) + body)
    return found
