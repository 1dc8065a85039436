"""Profile buffers: the fast path must give what the generic decoder gives, nulls and all."""

import time
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hesper_dlms import axdr
from hesper_dlms.axdr import Data, Tag
from hesper_dlms.cosem_time import CosemDateTime
from hesper_dlms.errors import DecodeError, LocalError
from hesper_dlms.profile import (
    BufferRules,
    ProfileColumns,
    clock_octets,
    decode_buffer,
    encode_buffer,
)
from hypothesis import given, settings
from hypothesis import strategies as st

VIENNA = ZoneInfo("Europe/Vienna")
START = 1_790_000_100
NULL = axdr.null_data()


def clock(captured_at: int, deviation: int = 0, status: int = 0) -> Data:
    return axdr.octet_string(clock_octets(captured_at, deviation, status))


def buffer(*rows: Sequence[Data]) -> bytes:
    return axdr.encode(axdr.array(*(axdr.structure(*row) for row in rows)))


def test_a_load_profile_both_ways() -> None:
    times = [START + 900 * row for row in range(1440)]
    energy = [7 * row for row in range(1440)]
    power = [row - 700 for row in range(1440)]
    octets = encode_buffer(
        [clock_octets(at, -120, 0x80) for at in times],
        [(Tag.DOUBLE_LONG_UNSIGNED, energy), (Tag.LONG, power)],
    )
    assert axdr.encode(axdr.decode(octets)) == octets
    found = decode_buffer(octets, 900, 0, UTC)
    assert found.captured_at == times
    assert found.clock_status == [0x80] * 1440
    assert found.columns == [times, energy, power]
    assert found.undated == 0


def test_the_clock_may_stand_anywhere() -> None:
    clocks = [clock_octets(START), clock_octets(START + 60)]
    octets = encode_buffer(clocks, [(Tag.UNSIGNED, [1, 2]), (Tag.ENUM, [3, 4])], clock_column=1)
    assert decode_buffer(octets, 60, 1, UTC).columns == [[1, 2], [START, START + 60], [3, 4]]


def test_an_empty_buffer_has_no_rows() -> None:
    assert decode_buffer(bytes.fromhex("0100"), 900, 0, UTC) == ProfileColumns()
    assert decode_buffer(bytes.fromhex("130000"), 900, 0, UTC).captured_at == []


def test_null_means_one_period_later_and_the_value_before() -> None:
    octets = buffer(
        [clock(START, -60, 2), NULL, axdr.unsigned(1)],
        [NULL, axdr.unsigned(7), NULL],
        [NULL, NULL, NULL],
        [clock(START + 9000), NULL, axdr.unsigned(2)],
        [NULL, axdr.unsigned(8), NULL],
    )
    found = decode_buffer(octets, 900, 0, UTC)
    assert found.captured_at == [START, START + 900, START + 1800, START + 9000, START + 9900]
    assert found.clock_status == [2, 2, 2, 0, 0]
    assert found.columns[1:] == [[None, 7, 7, 7, 8], [1, 1, 1, 2, 2]]


def test_a_null_clock_without_a_period_is_refused() -> None:
    octets = buffer([clock(START), axdr.unsigned(1)], [NULL, axdr.unsigned(2)])
    with pytest.raises(DecodeError, match="capture period"):
        decode_buffer(octets, 0, 0, UTC)


def test_rows_without_an_instant_are_left_out_and_counted() -> None:
    wild = axdr.octet_string(b"\xff" * 12)
    octets = buffer(
        [wild, axdr.unsigned(1)],
        [NULL, axdr.unsigned(2)],
        [clock(START), NULL],
        [axdr.octet_string(bytes.fromhex("07e6021e0610360000ffc400")), axdr.unsigned(3)],
        [clock(START + 900), NULL],
    )
    found = decode_buffer(octets, 900, 0, UTC)
    assert found.captured_at == [START, START + 900]
    assert found.columns[1] == [2, 3]
    assert found.undated == 3


def test_every_flat_type_comes_out_as_the_generic_decoder_gives_it() -> None:
    cells = [
        axdr.boolean(True),
        axdr.double_long(-5),
        axdr.double_long_unsigned(2**32 - 1),
        axdr.long64(-(2**63)),
        axdr.long64_unsigned(2**64 - 1),
        axdr.integer(-1),
        axdr.unsigned(255),
        axdr.long_(-2),
        axdr.long_unsigned(65535),
        axdr.enum(9),
        axdr.float32(1.5),
        axdr.float64(-2.25),
        axdr.octet_string(b"\x00\xff"),
        axdr.octet_string(b""),
        axdr.visible_string("tamper"),
        axdr.utf8_string("Zähler"),
        axdr.date_time(bytes(12)),
        Data(Tag.DATE, bytes(5)),
        Data(Tag.BCD, 7),
    ]
    rows = [[clock(START + 60 * row), *cells] for row in range(3)]
    found = decode_buffer(buffer(*rows), 60, 0, UTC)
    assert found.columns[1:] == [[cell.value] * 3 for cell in cells]


def test_nested_and_compact_buffers_take_the_slow_path() -> None:
    nested = axdr.structure(axdr.unsigned(1), axdr.octet_string(b"\x01"))
    octets = buffer([clock(START), nested, axdr.bit_string("101")])
    assert decode_buffer(octets, 60, 0, UTC).columns[1:] == [[[1, "hex:01"]], ["101"]]
    rows = [axdr.structure(clock(START + 60 * n), axdr.unsigned(n)) for n in range(4)]
    compact = axdr.encode(axdr.compact_array(*rows))
    plain = axdr.encode(axdr.array(*rows))
    assert decode_buffer(compact, 60, 0, UTC) == decode_buffer(plain, 60, 0, UTC)


@pytest.mark.parametrize("day", ["2025-03-30", "2025-10-26", "2025-07-01"])
def test_the_days_on_which_clocks_change(day: str) -> None:
    midnight = datetime.combine(date.fromisoformat(day), datetime.min.time(), VIENNA)
    next_day = date.fromisoformat(day) + timedelta(days=1)
    tomorrow = datetime.combine(next_day, datetime.min.time(), VIENNA)
    first, last = int(midnight.timestamp()), int(tomorrow.timestamp())
    times = list(range(first, last, 900))
    assert len(times) == {"2025-03-30": 92, "2025-10-26": 100, "2025-07-01": 96}[day]
    clocks = [
        CosemDateTime.from_datetime(datetime.fromtimestamp(at, VIENNA)).without_deviation()
        for at in times
    ]
    octets = encode_buffer([each.to_octets() for each in clocks], [(Tag.LONG, [0] * len(times))])
    assert decode_buffer(octets, 900, 0, VIENNA).captured_at == times


def test_a_deviation_of_the_wrong_sign() -> None:
    octets = encode_buffer([clock_octets(START, 60)] * 2, [(Tag.ENUM, [1, 2])])
    found = decode_buffer(octets, 900, 0, UTC, BufferRules(wrong_sign=True))
    assert found.captured_at == [START - 7200] * 2


@pytest.mark.parametrize(
    "octets",
    [
        "",
        "02",
        "01",
        "0101",
        "010102",
        "01010201",
        "01021105",
        "0184ffffffff",
        "0101020209040000000011" + "05",
        "01010201" + "1105",
        "010102011907e60b0c0610360000ffc40000",
        "010102001105",
    ],
)
def test_buffers_that_do_not_parse(octets: str) -> None:
    with pytest.raises(DecodeError):
        decode_buffer(bytes.fromhex(octets), 900, 0, UTC)


def test_rows_of_different_width_are_refused() -> None:
    octets = buffer([clock(START), axdr.unsigned(1)], [clock(START + 900)])
    with pytest.raises(DecodeError, match="among rows of 2"):
        decode_buffer(octets, 900, 0, UTC)
    with pytest.raises(DecodeError, match="has no column 5"):
        decode_buffer(octets, 900, 5, UTC)


def test_values_that_do_not_fit_are_our_mistake() -> None:
    for values in ([300, 1], [1]):
        with pytest.raises(LocalError):
            encode_buffer([clock_octets(START)] * 2, [(Tag.UNSIGNED, values)])


def by_hand(octets: bytes, period_s: int, zone: ZoneInfo) -> ProfileColumns:
    """The rules of null-data in their plainest form."""
    found = ProfileColumns()
    at: int | None = None
    status = 0xFF
    last: list[object] = []
    for row in axdr.decode(octets).as_items():
        head, *cells = row.as_items()
        last = last or [None] * len(cells)
        if head.value is None:
            at = None if at is None else at + period_s
        else:
            status = head.as_octets()[11]
            try:
                found_at = CosemDateTime.from_octets(head.as_octets()).resolve(zone)
                at = int(found_at.captured_at.timestamp() // 1)
            except DecodeError:
                at = None
        last = [
            old if new.value is None else new.value for old, new in zip(last, cells, strict=True)
        ]
        if at is None:
            found.undated += 1
            continue
        found.captured_at.append(at)
        found.clock_status.append(status)
        found.columns = found.columns or [[] for _ in row.as_items()]
        for column, value in zip(found.columns[1:], last, strict=True):
            column.append(value)
    if found.columns:
        found.columns[0] = list(found.captured_at)
    return found


CLOCKS = st.one_of(
    st.just(NULL),
    st.builds(
        clock, st.integers(0, 2**32), st.sampled_from([0, -60, -120, 330]), st.integers(0, 255)
    ),
    st.integers(0, 2**32).map(lambda at: axdr.octet_string(clock_octets(at)[:9] + b"\x80\x00\x80")),
    st.binary(min_size=12, max_size=12).map(axdr.date_time),
)
CELLS = st.one_of(
    st.just(NULL),
    st.integers(0, 2**32 - 1).map(axdr.double_long_unsigned),
    st.integers(-(2**15), 2**15 - 1).map(axdr.long_),
    st.binary(max_size=4).map(axdr.octet_string),
    st.booleans().map(axdr.boolean),
)
ROW = st.tuples(CLOCKS, CELLS, CELLS)
RUNS = st.lists(st.tuples(ROW, st.integers(1, 80)), min_size=1, max_size=6)


@settings(max_examples=150)
@given(RUNS)
def test_runs_give_what_single_rows_give(runs: list[tuple[tuple[Data, Data, Data], int]]) -> None:
    octets = buffer(*(row for row, count in runs for _ in range(count)))
    found = decode_buffer(octets, 900, 0, VIENNA)
    expected = by_hand(octets, 900, VIENNA)
    assert found.captured_at == expected.captured_at
    assert found.clock_status == expected.clock_status
    assert found.undated == expected.undated
    if found.captured_at:
        assert found.columns == expected.columns


@settings(max_examples=300)
@given(RUNS, st.data())
def test_nothing_but_decode_errors_on_altered_buffers(
    runs: list[tuple[tuple[Data, Data, Data], int]], draw: st.DataObject
) -> None:
    octets = bytearray(buffer(*(row for row, count in runs for _ in range(count % 5 + 1))))
    for place in draw.draw(st.lists(st.integers(0, len(octets) - 1), max_size=5)):
        octets[place] = draw.draw(st.integers(0, 255))
    try:
        found = decode_buffer(bytes(octets), 900, 0, VIENNA)
    except DecodeError:
        return
    lengths = {len(column) for column in found.columns} | {len(found.captured_at)}
    assert len(lengths) == 1
    assert len(found.clock_status) == len(found.captured_at)


def test_work_grows_with_the_rows_only() -> None:
    def cost_s(rows: int) -> float:
        wide, narrow = axdr.double_long_unsigned(1), axdr.unsigned(1)
        cells = [wide if row % 2 else narrow for row in range(rows)]
        octets = buffer(*([clock(START + 60 * row), cell] for row, cell in enumerate(cells)))
        begun = time.process_time()
        decode_buffer(octets, 60, 0, UTC)
        return time.process_time() - begun

    costs = [min(cost_s(rows) for _ in range(3)) for rows in (500, 2000, 8000)]
    assert all(after < 12 * before for before, after in pairwise(costs))
