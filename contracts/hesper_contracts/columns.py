"""Readings batches as numpy columns, for the cloud (needs numpy; gateways never import this)."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import zstandard

from hesper_contracts import column_streams
from hesper_contracts.column_streams import Int64s, Rows
from hesper_contracts.frame import Encoding, Refused
from hesper_contracts.readings import (
    NULLS,
    PROFILES,
    QUANTITIES,
    SCALED,
    Quantity,
    Section,
    most_sections,
)
from hesper_contracts.short_sections import short_section
from hesper_contracts.streams import Cursor
from hesper_contracts.topics import METER, meter_id

MAX_BODY = 64 * 1024 * 1024
_MOST_KEPT = 512  # meters of one batch whose names are kept: 40 kB
MAX_CELLS = 4_000_000
"""Rows times columns of one batch: what a few hostile octets may make a consumer allocate."""
_LEAST_COLUMNS = 3  # time, clock status and quality

_decompressor = zstandard.ZstdDecompressor()


@dataclass(frozen=True, slots=True)
class SectionColumns:
    """One section as columns of N rows, meter by meter, ascending in time.

    ``meter_index`` points into ``meters``; ``values`` and ``nulls`` have shape (quantities, N);
    ``nulls`` is None when no value is missing; a null's place in ``values`` means nothing.
    """

    profile: bytes
    received_at: int
    quantities: tuple[Quantity, ...]
    meters: tuple[str, ...]
    meter_index: npt.NDArray[np.int32]
    captured_at: Int64s
    clock_status: npt.NDArray[np.uint8]
    quality: npt.NDArray[np.uint16]
    values: Int64s
    nulls: npt.NDArray[np.bool_] | None

    def __len__(self) -> int:
        return len(self.captured_at)


def decode(body: bytes, encoding: Encoding) -> list[SectionColumns]:
    """Return the sections of a readings body.

    Raises:
        Refused: octets that are no such body, or more than a batch may hold.
    """
    octets = plain(body, encoding)
    cursor = Cursor(octets)
    count, most = cursor.uvarint(), most_sections(len(body))
    if count > most:
        raise Refused(f"{count} sections in a body of {len(body)} octets: at most {most}")
    cells = 0
    sections = []
    for _ in range(count):
        left = MAX_CELLS - cells
        section, used = _short(octets, cursor, left) or _section(cursor, left)
        cells += used
        sections.append(section)
    if cursor.offset != len(cursor.view):
        raise Refused(f"{len(cursor.view) - cursor.offset} octets follow the last section")
    return sections


def plain(body: bytes, encoding: Encoding, most: int = MAX_BODY) -> bytes:
    """Return the octets of a readings body as they were before compression.

    Raises:
        Refused: another encoding, compressed wrongly, or larger than it may be.
    """
    if encoding is Encoding.COLUMNS:
        return body
    if encoding is not Encoding.COLUMNS_ZSTD:
        raise Refused(f"readings cannot be encoded as {encoding.name}")
    try:
        size = zstandard.frame_content_size(body)
        if not 0 <= size <= most:
            raise Refused(f"compressed body without a size, or of more than {most} octets")
        return _decompressor.decompress(body, max_output_size=size)
    except zstandard.ZstdError as error:
        raise Refused(f"compressed body does not open: {error}") from None


def _short(octets: bytes, cursor: Cursor, cells_left: int) -> tuple[SectionColumns, int] | None:
    """Return a section of a few rows; None, with the cursor where it was, for any other."""
    found = short_section(octets, cursor.offset)
    if found is None:
        return None
    short, end = found
    cells = len(short.captured_at) * (len(short.quantities) + _LEAST_COLUMNS)
    if cells > cells_left:
        return None
    try:
        section = SectionColumns(
            short.profile,
            short.received_at,
            short.quantities,
            short.meters,
            np.repeat(np.arange(len(short.meters), dtype=np.int32), short.counts),
            np.array(short.captured_at, np.int64),
            np.array(short.clock_status, np.uint8),
            np.array(short.quality, np.uint16),
            np.array(short.values, np.int64),
            None,
        )
    except OverflowError:
        return None
    cursor.take(end - cursor.offset)
    return section, cells


def _section(cursor: Cursor, cells_left: int) -> tuple[SectionColumns, int]:
    profile = _profile(cursor)
    quantities = tuple(_quantity(cursor) for _ in range(cursor.octet()))
    meters = _meters(cursor)
    rows = _rows(cursor, len(meters), len(quantities) + _LEAST_COLUMNS, cells_left)
    columns = np.empty((1 + len(quantities), rows.total), np.int64)
    rows.read(cursor, columns[0])
    received_at = int(columns[0, 0]) + cursor.zigzag()
    clock_status = column_streams.read(cursor, rows.total, np.uint8)
    quality = column_streams.read(cursor, rows.total, np.uint16)
    nulls: npt.NDArray[np.bool_] | None = None
    for index, column in enumerate(columns[1:]):
        missing = _bitmap(cursor, rows.total)
        if missing is not None:
            shape = (len(quantities), rows.total)
            nulls = np.zeros(shape, np.bool_) if nulls is None else nulls
            nulls[index] = missing
        rows.read(cursor, column)
    rows.settle(columns)
    section = SectionColumns(
        profile,
        received_at,
        quantities,
        meters,
        rows.owners(),
        columns[0],
        clock_status,
        quality,
        columns[1:],
        nulls,
    )
    return section, columns.size + 2 * rows.total


def _profile(cursor: Cursor) -> bytes:
    code = cursor.octet()
    if code == 0:
        return bytes(cursor.take(6))
    if code >= len(PROFILES):
        raise Refused(f"unknown profile code {code}: sent by a newer release")
    return PROFILES[code]


def _quantity(cursor: Cursor) -> Quantity:
    marked = cursor.octet()
    code = marked & ~SCALED
    if code == 0:
        logical_name, unit = bytes(cursor.take(6)), cursor.octet()
    elif code < len(QUANTITIES):
        logical_name, unit = QUANTITIES[code]
    else:
        raise Refused(f"unknown quantity code {code}: sent by a newer release")
    scaler = int.from_bytes(cursor.take(1), "big", signed=True) if marked & SCALED else 0
    return Quantity(logical_name, scaler, unit)


def _meters(cursor: Cursor) -> tuple[str, ...]:
    count = cursor.uvarint()
    if count > MAX_CELLS // _LEAST_COLUMNS:
        raise Refused(f"{count} meters, each with a row: more than {MAX_CELLS} cells in one batch")
    octets = cursor.texts(count)
    return names_of(octets) if count <= _MOST_KEPT else _names(octets)


def _names(octets: bytes) -> tuple[str, ...]:
    """Return the names of meters, each after one octet of length.

    Raises:
        Refused: one cannot be a meter's name.
    """
    names, start = [], 0
    while start < len(octets):
        end = start + 1 + octets[start]
        names.append(octets[start + 1 : end].decode("ascii", "replace"))
        start = end
    if not all(map(METER.fullmatch, names)):
        list(map(meter_id, names))  # says which one cannot be a name, and why
    return tuple(names)


names_of = lru_cache(maxsize=1024)(_names)  # a gateway's next batch has the same meters


def _rows(cursor: Cursor, meters: int, columns: int, cells_left: int) -> Rows:
    counts = column_streams.read(cursor, meters, np.int64)
    if not meters or counts.min() < 1 or counts.max() > MAX_CELLS:
        raise Refused("a section or meter without rows, or with more than a batch may hold")
    rows = Rows(counts)
    if rows.total * columns > cells_left:
        raise Refused(f"more than {MAX_CELLS} cells in one batch")
    return rows


def _bitmap(cursor: Cursor, total: int) -> npt.NDArray[np.bool_] | None:
    if cursor.peek() != NULLS:
        return None
    cursor.octet()
    octets = np.frombuffer(cursor.take((total + 7) // 8), np.uint8)
    return np.unpackbits(octets, count=total, bitorder="little").astype(np.bool_)


def from_sections(sections: Sequence[Section]) -> list[SectionColumns]:
    """Return the columns of sections that were built row by row, as the JSON form is."""
    return [_from_section(section) for section in sections]


def _from_section(section: Section) -> SectionColumns:
    rows = section.rows
    flat = [
        [value for row in rows for value in row.values[index]]
        for index in range(len(section.quantities))
    ]
    shape = (len(section.quantities), sum(len(row.captured_at) for row in rows))
    nulls = np.array([[value is None for value in column] for column in flat], np.bool_)
    return SectionColumns(
        section.profile,
        section.received_at,
        section.quantities,
        tuple(row.meter for row in rows),
        np.repeat(np.arange(len(rows), dtype=np.int32), [len(row.captured_at) for row in rows]),
        np.array([at for row in rows for at in row.captured_at], np.int64),
        np.array([status for row in rows for status in row.clock_status], np.uint8),
        np.array([quality for row in rows for quality in row.quality], np.uint16),
        np.array([[value or 0 for value in column] for column in flat], np.int64).reshape(shape),
        nulls.reshape(shape) if nulls.any() else None,
    )
