"""Work and memory in proportion to the octets, whatever they say."""

import struct
import time
import tracemalloc
from collections.abc import Callable
from datetime import UTC, date, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

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


def test_columns_without_octets_cannot_unfold_without_bounds() -> None:
    """2000 columns of null-data beside each of 2000 clocks: 4 million cells from 26 kB."""
    description = b"\x02" + axdr.write_length(2001) + b"\x19" + bytes(2000)
    cells = b"".join(clock_octets(START + 60 * row) for row in range(2000))
    octets = b"\x13" + description + axdr.write_length(len(cells)) + cells
    tracemalloc.start()
    with pytest.raises(DecodeError):
        decode_buffer(octets, 60, 0, UTC)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 20_000_000


@pytest.mark.parametrize("rows", [2, 40])
def test_counting_on_stays_within_the_calendar(rows: int) -> None:
    last_day = b"\x27\x0f\x0c\x1f\xff\x17\x00\x00\x00\x00\x00\x00"
    clocks = [axdr.octet_string(last_day), *[axdr.null_data()] * rows]
    octets = axdr.encode(axdr.array(*(axdr.structure(each, axdr.unsigned(1)) for each in clocks)))
    with pytest.raises(DecodeError, match="calendar"):
        decode_buffer(octets, 86400, 0, UTC)


@pytest.mark.parametrize("first", ["00010101ff00000000fd3000", "270f0c1fff1700000002d000"])
def test_deviations_that_lead_out_of_the_calendar_leave_rows_undated(first: str) -> None:
    moment = bytes.fromhex(first)
    doubled = bytes.fromhex("07ea0a19ff02000000800000")
    rows = [
        axdr.structure(axdr.octet_string(moment), axdr.unsigned(1)),
        axdr.structure(axdr.octet_string(doubled), axdr.long_unsigned(1)),
    ]
    found = decode_buffer(axdr.encode(axdr.array(*rows)), 60, 0, ZoneInfo("Europe/Budapest"))
    assert (found.undated, len(found.captured_at)) == (1, 1)
