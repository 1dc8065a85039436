"""A file of meters as a spreadsheet writes it, with mistakes in it, and what must be found."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

HEADER: Final = (
    *("meterNumber", "concentratorId", "meterType", "brand", "model", "firmware", "ipAddress"),
    *("port", "area", "customer", "simCard"),
)
AREA: Final = "North"
GATEWAYS: Final = 4
_MISTAKE_EVERY: Final = 100
_MISTAKES: Final = 6


@dataclass(frozen=True, slots=True)
class MeterFile:
    """The octets of a file, how many rows it has, and how many of them hold a mistake."""

    octets: bytes
    rows: int
    mistaken: int


def meter_file(rows: int) -> MeterFile:
    """Return a file of so many meters; every hundredth row holds one of six mistakes."""
    text = io.StringIO()
    writer = csv.writer(text, delimiter=";")
    writer.writerow(HEADER)
    writer.writerows(_rows(rows))
    mistaken = len(range(_MISTAKE_EVERY, rows, _MISTAKE_EVERY))
    return MeterFile(text.getvalue().encode("utf-8-sig"), rows, mistaken)


def _rows(count: int) -> Iterator[list[object]]:
    for number in range(count):
        row: list[object] = [
            f"HESIMP{number:07d}",
            f"gw-{number % GATEWAYS}",
            "single phase",
            "Hesper",
            "HSP 230",
            "1.0.7",
            f"10.{number // 65536 % 256}.{number // 256 % 256}.{number % 256}",
            4059,
            AREA,
            "",
            "",
        ]
        if number and number % _MISTAKE_EVERY == 0:
            _mistake(row, number)
        yield row


def _mistake(row: list[object], number: int) -> None:
    """Put one mistake into a row: a cell of its own kind, a duplicate, or what nobody knows."""
    match number // _MISTAKE_EVERY % _MISTAKES:
        case 0:
            row[6] = "10.20.30"
        case 1:
            row[7] = "a port"
        case 2:
            row[0] = f"HESIMP{number - 1:07d}"
        case 3:
            row[1] = "gw-nowhere"
        case 4:
            row[8] = "=HYPERLINK(A1)"
        case _:
            row[9] = "nobody's account"
