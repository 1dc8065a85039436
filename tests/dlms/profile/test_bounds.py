"""Work and memory in proportion to the octets, whatever they say."""

import struct
import time
import tracemalloc
from collections.abc import Callable
from datetime import UTC, date, timedelta
from itertools import pairwise

import pytest
from hesper_dlms import axdr
from hesper_dlms.axdr import Data, Tag
from hesper_dlms.classes.recurrence import next_date
from hesper_dlms.cosem_time import CosemDate
from hesper_dlms.errors import DecodeError
from hesper_dlms.profile import clock_octets, decode_buffer

START = 1_790_000_100


def compact(rows: int) -> bytes:
    """Rows of a clock and numbers, in which every second octet-string is one octet longer."""
    cells = b"".join(
        b"\x0c" + clock_octets(START + 60 * row) + (b"\x01a" if row % 2 else b"\x02ab")
        for row in range(rows)
    )
    return b"\x13\x02\x02\x09\x09" + axdr.write_length(len(cells)) + cells


def differences(rows: int) -> bytes:
    """Rows that alternate between null-data and differences."""
    first = [axdr.octet_string(clock_octets(START)), axdr.unsigned(1)]
    more = (
        [axdr.null_data(), Data(Tag.DELTA_LONG, 7) if row % 2 else axdr.null_data()]
        for row in range(rows - 1)
    )
    return axdr.encode(axdr.array(*(axdr.structure(*row) for row in (first, *more))))


@pytest.mark.parametrize("made", [compact, differences])
def test_work_grows_with_the_rows_only(made: Callable[[int], bytes]) -> None:
    def cost_s(rows: int) -> float:
        octets = made(rows)
        begun = time.process_time()
        assert len(decode_buffer(octets, 60, 0, UTC).captured_at) == rows
        return time.process_time() - begun

    costs = [min(cost_s(rows) for _ in range(3)) for rows in (1000, 4000, 16000)]
    assert all(after < 12 * before for before, after in pairwise(costs))


def test_a_compact_array_cannot_unfold_without_bounds() -> None:
    """Arrays of arrays of null-data: 2^64 values from 20 octets."""
    nested = (b"\x01" + struct.pack(">H", 0xFFFF)) * 4 + b"\x00"
    octets = b"\x13\x02\x02\x11" + nested + b"\x04" + b"\x01\x02\x03\x04"
    tracemalloc.start()
    with pytest.raises(DecodeError):
        decode_buffer(octets, 60, 0, UTC)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 1_000_000


def test_a_date_that_never_is_costs_little() -> None:
    begun = time.process_time()
    for octets in (b"\xff\xff\x02\x1e\xff", b"\xff\xff\xff\x20\xff", b"\xff\xff\xff\xff\x09"):
        assert next_date(CosemDate.from_octets(octets), date(2026, 1, 1)) is None
    assert time.process_time() - begun < 1
    assert next_date(CosemDate(2026, 2, 29), date(2026, 1, 1) + timedelta(days=1)) is None
