"""Batches as a fleet of gateways would send them, made at the price of a copy.

A mould is one body in columns, taken apart where meters, time and registers stand. Filling it in
gives a new batch: other meters, six captures later, registers further on. So a publisher spends a
fraction of what a thousand gateways would spend together, and every batch is decoded, validated,
stored and receipted as what it is: new readings. Rows follow each other by the second, so that all
of a run is recent and the rules look at every row; values grow as those of a quarter of an hour.
"""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import chain
from typing import Final, Protocol

import zstandard
from hesper_contracts import batch, readings
from hesper_contracts.frame import Encoding, Kind
from hesper_contracts.readings import LOAD_PROFILE, MeterRows, Quantity, Section
from hesper_contracts.readings_json import logical_name, logical_name_text
from hesper_contracts.streams import zigzag

ROWS: Final = 6
QUANTITIES: Final = tuple(
    Quantity(logical_name(name), scaler, unit)
    for name, scaler, unit in (
        ("1.0.1.8.0.255", 0, 30),
        ("1.0.2.8.0.255", 0, 30),
        ("1.0.1.7.0.255", 0, 27),
        ("1.0.32.7.0.255", -1, 35),
        ("1.0.52.7.0.255", -1, 35),
        ("1.0.72.7.0.255", -1, 35),
        ("1.0.31.7.0.255", -2, 33),
        ("1.0.14.7.0.255", -2, 44),
    )
)
_REGISTERS: Final = 2
_TIME: Final = 1_700_000_000  # replaced in every batch; its octets are found once by it
_LOWEST_WH: Final = (73_123_457, 71_654_321)  # five octets as zigzag, and so they remain
_GROWN_WH: Final = 900
_MOULDS: Final = 8
_compress = zstandard.ZstdCompressor(level=3, write_checksum=False).compress


class Batches(Protocol):
    """What a publisher asks for its batches."""

    def payload(self, epoch: str, sequence: int, meters: range, turn: int) -> bytes:
        """Return the batch of these meters' rows of one turn; turns ascend for each meter."""
        ...


def name_of(meter: int) -> str:
    """Return a meter's serial number; all have the same length."""
    return f"HES{meter:08d}"


class Columns:
    """Batches in columns."""

    def __init__(self, meters: int, start: int) -> None:
        chance = random.Random(12_642_984)  # noqa: S311 - the same load curves in every run
        self._start = start
        self._moulds = [_Mould(meters, chance) for _ in range(_MOULDS)]

    def payload(self, epoch: str, sequence: int, meters: range, turn: int) -> bytes:
        """Return a batch."""
        mould = self._moulds[meters.start // len(meters) % _MOULDS]
        packed = _compress(mould.body(meters, self._start + turn * ROWS, turn * _GROWN_WH))
        return batch.seal(Kind.READINGS, Encoding.COLUMNS_ZSTD, epoch, sequence, packed)


class _Mould:
    """One body, cut at the places that differ from batch to batch."""

    def __init__(self, meters: int, chance: random.Random) -> None:
        rows = [_rows(number, chance) for number in range(meters)]
        lowest = [[low + row for row in range(ROWS)] for low in _LOWEST_WH]
        rows[0] = replace(rows[0], values=[*lowest, *rows[0].values[_REGISTERS:]])
        encoding, body = readings.encode([Section(LOAD_PROFILE, _TIME + 60, QUANTITIES, rows)])
        rest = body
        if encoding is Encoding.COLUMNS_ZSTD:
            rest = zstandard.ZstdDecompressor().decompress(body)
        self._pieces = []
        for place in (_names(range(meters)), *map(zigzag, (_TIME, *_LOWEST_WH))):
            if rest.count(place) != 1:
                raise ValueError("a mould's place is not to be told from its values")
            before, _, rest = rest.partition(place)
            self._pieces.append(before)
        self._rest = rest
        self._tail = (0, 0, b"")  # time and growth of the turn, and all that follows the names

    def body(self, meters: range, time: int, grown_wh: int) -> bytes:
        """Return the body for other meters, a later time, and registers further on."""
        if self._tail[:2] != (time, grown_wh):
            self._tail = (time, grown_wh, self._behind_names(time, grown_wh))
        return b"".join((self._pieces[0], _names(meters), self._tail[2]))

    def _behind_names(self, time: int, grown_wh: int) -> bytes:
        places = (zigzag(time), *(zigzag(low + grown_wh) for low in _LOWEST_WH), b"")
        pieces = (*self._pieces[1:], self._rest)
        return b"".join(chain.from_iterable(zip(pieces, places, strict=True)))


def _names(meters: range) -> bytes:
    return b"".join([b"%c%b" % (len(name), name) for name in map(_octets_of, meters)])


def _octets_of(meter: int) -> bytes:
    return name_of(meter).encode("ascii")


def _rows(number: int, chance: random.Random) -> MeterRows:
    """Return six rows of a home: registers that grow, power, three voltages, current, frequency."""
    import_wh = 75_000_000 + chance.randrange(20_000_000)
    export_wh = 74_000_000 + chance.randrange(500_000)
    values: list[list[int | None]] = [[] for _ in QUANTITIES]
    for _ in range(ROWS):
        power_w = chance.randrange(80, 580)
        import_wh, export_wh = import_wh + power_w // 4, export_wh + chance.choice((0, 0, 0, 25))
        phases = [2_300 + chance.randrange(-60, 60) for _ in range(3)]
        row = (import_wh, export_wh, power_w, *phases, power_w * 100 // 230, 5_000)
        for column, value in zip(values, row, strict=True):
            column.append(value)
    return MeterRows(
        name_of(number), list(range(_TIME, _TIME + ROWS)), [0] * ROWS, [0] * ROWS, values
    )


class Json:
    """Batches in the plain JSON form, as an integrator would send them; registers stand still."""

    def __init__(self, meters: int, start: int) -> None:
        chance = random.Random(12_642_984)  # noqa: S311 - the same load curves in every run
        self._start = start
        self._form = _json_form([_rows(number, chance) for number in range(meters)])

    def payload(self, epoch: str, sequence: int, meters: range, turn: int) -> bytes:
        """Return a batch."""
        first = self._start + turn * ROWS
        moments = [
            datetime.fromtimestamp(first + row, UTC).strftime("%Y-%m-%dT%H:%M:%SZ").encode()
            for row in range(ROWS)
        ]
        filled: list[object] = [epoch.encode(), sequence]
        for meter in meters:
            name = name_of(meter).encode()
            for moment in moments:
                filled += (name, moment)
        return self._form % tuple(filled)


def _json_form(rows: Sequence[MeterRows]) -> bytes:
    """Return the JSON of a batch with places for epoch, sequence, and each row's meter and time."""
    readings_ = ",".join(
        f'{{"meter":"%b","captured_at":"%b","values":{_json_values(meter, row)}}}'
        for meter in rows
        for row in range(ROWS)
    )
    named = '"batch":{"epoch":"%b","sequence":%d}'
    return f'{{"kind":"readings","version":1,{named},"readings":[{readings_}]}}'.encode("ascii")


def _json_values(meter: MeterRows, row: int) -> str:
    values = {
        logical_name_text(quantity.logical_name): (
            column[0 if place < _REGISTERS else row],
            quantity.scaler,
            quantity.unit,
        )
        for place, (quantity, column) in enumerate(zip(QUANTITIES, meter.values, strict=True))
    }
    return json.dumps(values, separators=(",", ":"))
