"""Readings as they cross the broker: columns of integers, by section.

A section holds the rows of several meters that share one profile and one list of quantities.
Octets of the body, before compression (integers little-endian, streams as in ``streams``)::

    uvarint number of sections, then for each section
      profile         1 octet: index in PROFILES, or 0 and the 6 octets of a logical name
      quantities      1 octet count; each: 1 octet, the low 7 bits an index in QUANTITIES or 0;
                      after 0 logical name (6) and unit (1); if bit 7 is set the scaler (signed
                      octet), else it is 0
      meters          uvarint count M; each: 1 octet length and ASCII
      rows            stream of M counts; N rows in all, meter by meter, ascending in time
      captured_at     stream of M first times, stream of N-M differences to the row before
      received_at     zigzag LEB128, seconds from the first time of all to the gateway's read
      clock_status    stream of N
      quality         stream of N
      each quantity   stream of M first values, stream of N-M differences. If some are null, an
                      octet 0x80 and a bitmap of N (first row in bit 0) come first; a null repeats
                      the value before it

The encoder is plain Python, so that a gateway needs no numpy; ``columns`` decodes.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import NamedTuple

import zstandard

from hesper_contracts.frame import Encoding
from hesper_contracts.streams import stream, uvarint, zigzag
from hesper_contracts.topics import meter_id

MAX_QUANTITIES = 255
MAX_SECTIONS = 4096
SECTIONS_ALWAYS = 64
"""How many sections a body of any size may have."""
SCALED = 0x80
NULLS = 0x80
_INT64 = range(-(1 << 63), 1 << 63)
_compress = zstandard.ZstdCompressor(level=3, write_checksum=False).compress

LOAD_PROFILE = bytes((1, 0, 99, 1, 0, 255))
REGISTER_SNAPSHOT = bytes((0, 0, 21, 0, 1, 255))
PUSH = bytes((0, 7, 25, 9, 0, 255))
PROFILES: tuple[bytes, ...] = (
    b"",
    LOAD_PROFILE,
    bytes((1, 0, 99, 2, 0, 255)),
    bytes((0, 0, 98, 1, 0, 255)),
    REGISTER_SNAPSHOT,
    PUSH,
)
"""Profiles by their one-octet code; 0 is the escape. Codes are for ever."""

_WH, _VARH, _VAH, _W, _VAR, _VA, _V, _A, _HZ, _NONE = 30, 32, 31, 27, 29, 28, 35, 33, 44, 255


def _c(group_c: Sequence[int], group_d: int, unit: int) -> tuple[tuple[bytes, int], ...]:
    return tuple((bytes((1, 0, c, group_d, 0, 255)), unit) for c in group_c)


QUANTITIES: tuple[tuple[bytes, int], ...] = (
    (b"", 0),
    *_c((1, 2), 8, _WH),
    *_c((3, 4, 5, 6, 7, 8), 8, _VARH),
    *_c((9, 10), 8, _VAH),
    *_c((1, 2), 7, _W),
    *_c((3, 4), 7, _VAR),
    *_c((9, 10), 7, _VA),
    *_c((32, 52, 72), 7, _V),
    *_c((31, 51, 71, 91), 7, _A),
    *_c((13, 33, 53, 73), 7, _NONE),
    *_c((14,), 7, _HZ),
    *_c((15,), 8, _WH),
    *_c((16, 21, 22, 41, 42, 61, 62), 7, _W),
)
"""Logical name and unit by their one-octet code; 0 is the escape. Codes are for ever."""

_PROFILE_CODES = {name: code for code, name in enumerate(PROFILES) if code}
_QUANTITY_CODES = {pair: code for code, pair in enumerate(QUANTITIES) if code}


class Quantity(NamedTuple):
    """What a column holds: 6-octet logical name, scaler (power of ten), unit (Blue Book code)."""

    logical_name: bytes
    scaler: int
    unit: int


@dataclass(frozen=True, slots=True)
class MeterRows:
    """Rows of one meter, ascending in time; ``values[q][row]`` is an integer or None.

    ``captured_at`` is in epoch seconds (UTC), ``clock_status`` the octet of the COSEM date-time,
    ``quality`` a ``Quality`` set.
    """

    meter: str
    captured_at: Sequence[int]
    clock_status: Sequence[int]
    quality: Sequence[int]
    values: Sequence[Sequence[int | None]]


@dataclass(frozen=True, slots=True)
class Section:
    """Rows of several meters that share one profile and one list of quantities."""

    profile: bytes
    received_at: int
    quantities: tuple[Quantity, ...]
    rows: list[MeterRows] = field(default_factory=list)


def most_sections(octets: int) -> int:
    """Return how many sections a body of so many octets, as it travels, may have.

    Each costs whoever decodes it, and a million of them that hold nothing are a few octets.
    """
    return min(SECTIONS_ALWAYS + octets // 2, MAX_SECTIONS)


def encode(sections: Sequence[Section]) -> tuple[Encoding, bytes]:
    """Return the body of a readings batch and how it is encoded: compressed where that is shorter.

    Raises:
        ValueError: a value outside signed 64 bit, a name of the wrong length, columns of unequal
            length: our own bug or a template's.
    """
    plain = uvarint(len(sections)) + b"".join(map(_section, sections))
    packed = _compress(plain)
    if len(packed) < len(plain):
        return Encoding.COLUMNS_ZSTD, packed
    return Encoding.COLUMNS, plain


def _section(section: Section) -> bytes:
    rows = section.rows
    _check(section)
    return b"".join(
        (
            _profile(section.profile),
            bytes([len(section.quantities)]),
            *map(_quantity, section.quantities),
            uvarint(len(rows)),
            *(bytes([len(row.meter)]) + row.meter.encode("ascii") for row in rows),
            stream([len(row.captured_at) for row in rows]),
            _stepped([row.captured_at for row in rows]),
            zigzag(section.received_at - rows[0].captured_at[0]),
            stream([status for row in rows for status in row.clock_status]),
            stream([quality for row in rows for quality in row.quality]),
            *(
                _nullable([row.values[index] for row in rows])
                for index in range(len(section.quantities))
            ),
        )
    )


def _check(section: Section) -> None:
    if not section.rows:
        raise ValueError("a section without rows")
    if len(section.quantities) > MAX_QUANTITIES:
        raise ValueError(f"a section holds at most {MAX_QUANTITIES} quantities")
    for row in section.rows:
        meter_id(row.meter)
        count = len(row.captured_at)
        lengths = {len(row.clock_status), len(row.quality), *map(len, row.values)}
        if count == 0 or lengths != {count}:
            raise ValueError(f"columns of unequal length, or none, for meter {row.meter}")
        if len(row.values) != len(section.quantities):
            raise ValueError(f"{len(row.values)} columns for {len(section.quantities)} quantities")


def _profile(logical_name: bytes) -> bytes:
    code = _PROFILE_CODES.get(logical_name)
    return bytes([code]) if code else b"\x00" + _six(logical_name)


def _quantity(quantity: Quantity) -> bytes:
    code = _QUANTITY_CODES.get((quantity.logical_name, quantity.unit), 0)
    named = b"" if code else _six(quantity.logical_name) + bytes([quantity.unit])
    if quantity.scaler == 0:
        return bytes([code]) + named
    return bytes([code | SCALED]) + named + quantity.scaler.to_bytes(1, "big", signed=True)


def _six(logical_name: bytes) -> bytes:
    if len(logical_name) != 6:
        raise ValueError(f"a logical name has 6 octets, not {len(logical_name)}")
    return logical_name


def _stepped(columns: Sequence[Sequence[int]]) -> bytes:
    firsts = [column[0] for column in columns]
    steps = [after - before for column in columns for before, after in pairwise(column)]
    return stream(firsts) + stream(steps)


def _nullable(columns: Sequence[Sequence[int | None]]) -> bytes:
    flat = [value for column in columns for value in column]
    if any(value is not None and value not in _INT64 for value in flat):
        raise ValueError("a value is outside signed 64 bit")
    if None not in flat:
        return _stepped(columns)  # type: ignore[arg-type]
    bits = sum(1 << index for index, value in enumerate(flat) if value is None)
    bitmap = bits.to_bytes((len(flat) + 7) // 8, "little")
    return bytes([NULLS]) + bitmap + _stepped([_filled(column) for column in columns])


def _filled(column: Sequence[int | None]) -> list[int]:
    previous = next((value for value in column if value is not None), 0)
    filled = []
    for value in column:
        previous = previous if value is None else value
        filled.append(previous)
    return filled
