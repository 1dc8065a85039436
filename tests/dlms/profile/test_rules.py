"""Orders, padding, differences and compact arrays, against rules written down plainly."""

from collections.abc import Sequence
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hesper_dlms import axdr
from hesper_dlms.axdr import Data, Tag
from hesper_dlms.cosem_time import CosemDateTime
from hesper_dlms.errors import DecodeError
from hesper_dlms.profile import BufferRules, clock_octets, decode_buffer
from hypothesis import given, settings
from hypothesis import strategies as st

VIENNA = ZoneInfo("Europe/Vienna")
START = 1_790_000_100
NULL = axdr.null_data()
NEWEST_FIRST = BufferRules(newest_first=True)


def clock(at: int, deviation: int = 0, status: int = 0) -> Data:
    return axdr.octet_string(clock_octets(at, deviation, status))


def buffer(*rows: Sequence[Data], compact: bool = False) -> bytes:
    structures = [axdr.structure(*row) for row in rows]
    return axdr.encode(axdr.compact_array(*structures) if compact else axdr.array(*structures))


def test_null_clocks_of_a_newest_first_buffer_go_back_in_time() -> None:
    octets = buffer([clock(START), axdr.unsigned(3)], [NULL, axdr.unsigned(2)], [NULL, NULL])
    found = decode_buffer(octets, 900, 0, UTC, NEWEST_FIRST)
    assert found.captured_at == [START, START - 900, START - 1800]
    assert found.columns[1] == [3, 2, 2]
    assert found.how == ["deviation", "counted", "counted"]


@settings(max_examples=60)
@given(st.lists(st.tuples(st.booleans(), st.integers(0, 255)), min_size=1, max_size=60))
def test_a_newest_first_buffer_is_the_oldest_first_one_reversed(
    rows: list[tuple[bool, int]],
) -> None:
    cells = [axdr.unsigned(value) for _, value in rows]
    full = [[clock(START + 900 * row), each] for row, each in enumerate(cells)]
    thinned = [
        [NULL if row and is_null else clock(START + 900 * at), cells[at]]
        for row, (at, (is_null, _)) in enumerate(reversed(list(enumerate(rows))))
    ]
    oldest_first = decode_buffer(buffer(*full), 900, 0, UTC)
    newest_first = decode_buffer(buffer(*thinned), 900, 0, UTC, NEWEST_FIRST)
    assert newest_first.captured_at == oldest_first.captured_at[::-1]
    assert newest_first.columns[1] == oldest_first.columns[1][::-1]


@pytest.mark.parametrize(
    ("sort_method", "by_clock", "newest_first"),
    [
        (1, False, False),
        (2, False, True),
        (3, True, True),
        (3, False, False),
        (4, True, False),
        (5, True, False),
        (6, False, False),
    ],
)
def test_what_a_sort_method_means(sort_method: int, by_clock: bool, newest_first: bool) -> None:
    assert BufferRules.of_sort_method(sort_method, by_clock).newest_first is newest_first


def test_there_are_six_sort_methods() -> None:
    for wrong in (0, 7):
        with pytest.raises(DecodeError):
            BufferRules.of_sort_method(wrong)


def test_padding_is_no_value() -> None:
    rows = [[clock(START), axdr.unsigned(1), NULL], [NULL, NULL, axdr.unsigned(5)], [NULL] * 3]
    found = decode_buffer(buffer(*rows), 60, 0, UTC, BufferRules(null_is_padding=True))
    assert found.columns[1:] == [[1, None, None], [None, 5, None]]
    assert found.captured_at == [START, START + 60, START + 120]
    run = [[clock(START + 60 * row), axdr.unsigned(1), NULL] for row in range(50)]
    found = decode_buffer(buffer(*run), 60, 0, UTC, BufferRules(null_is_padding=True))
    assert found.columns[2] == [None] * 50


DELTAS = {
    Tag.DELTA_INTEGER: (-128, 127),
    Tag.DELTA_LONG: (-(2**15), 2**15 - 1),
    Tag.DELTA_DOUBLE_LONG: (-(2**31), 2**31 - 1),
    Tag.DELTA_UNSIGNED: (0, 255),
    Tag.DELTA_LONG_UNSIGNED: (0, 2**16 - 1),
    Tag.DELTA_DOUBLE_LONG_UNSIGNED: (0, 2**32 - 1),
}


@settings(max_examples=60)
@given(st.data(), st.integers(0, 2**32 - 1))
def test_differences_add_up(draw: st.DataObject, first: int) -> None:
    rows, expected = [[clock(START), axdr.double_long_unsigned(first)]], [first]
    for _ in range(draw.draw(st.integers(1, 5))):
        tag = draw.draw(st.sampled_from(list(DELTAS)))
        differences = draw.draw(st.lists(st.integers(*DELTAS[tag]), min_size=1, max_size=20))
        for difference in differences:
            rows.append([NULL, Data(tag, difference)])
            expected.append(expected[-1] + difference)
    assert decode_buffer(buffer(*rows), 900, 0, UTC).columns[1] == expected


def test_a_difference_counts_from_the_last_value_that_was_given() -> None:
    rows = [
        [clock(START), axdr.long_unsigned(100)],
        [NULL, NULL],
        [NULL, Data(Tag.DELTA_INTEGER, -3)],
        [NULL, axdr.long_unsigned(7)],
        [NULL, Data(Tag.DELTA_UNSIGNED, 1)],
    ]
    assert decode_buffer(buffer(*rows), 900, 0, UTC).columns[1] == [100, 100, 97, 7, 8]
    padded = decode_buffer(buffer(*rows), 900, 0, UTC, BufferRules(null_is_padding=True))
    assert padded.columns[1] == [100, None, 97, 7, 8]


@pytest.mark.parametrize("before", [None, axdr.octet_string(b"x"), axdr.boolean(True)])
def test_a_difference_without_a_number_before_it_is_refused(before: Data | None) -> None:
    rows = [[clock(START), before]] if before else []
    rows += [[clock(START + 60 * row), Data(Tag.DELTA_LONG, 1)] for row in range(1, 3)]
    with pytest.raises(DecodeError, match="difference"):
        decode_buffer(buffer(*rows), 900, 0, UTC)


CELLS = [
    st.integers(0, 2**32 - 1).map(axdr.double_long_unsigned),
    st.integers(-(2**15), 2**15 - 1).map(axdr.long_),
    st.binary(max_size=3).map(axdr.octet_string),
    st.text("abc", max_size=2).map(axdr.visible_string),
    st.booleans().map(axdr.boolean),
    st.floats(width=32, allow_nan=False).map(axdr.float32),
    st.just(NULL),
    st.integers(0, 9).map(lambda value: Data(Tag.BCD, value)),
    st.text("01", min_size=8, max_size=9).map(axdr.bit_string),
    st.integers(0, 255).map(lambda value: axdr.structure(axdr.unsigned(value), axdr.enum(1))),
    st.integers(0, 255).map(lambda value: axdr.array(axdr.unsigned(value), axdr.unsigned(1))),
]


@settings(max_examples=80)
@given(st.data(), st.lists(st.sampled_from(CELLS), min_size=1, max_size=5))
def test_a_compact_array_gives_what_an_array_gives(
    draw: st.DataObject, kinds: list[st.SearchStrategy[Data]]
) -> None:
    rows = draw.draw(st.lists(st.tuples(*kinds), min_size=1, max_size=40))
    timed = [[clock(START + 900 * at), *row] for at, row in enumerate(rows)]
    compact = decode_buffer(buffer(*timed, compact=True), 900, 0, UTC)
    assert compact == decode_buffer(buffer(*timed), 900, 0, UTC)
    assert len(compact.captured_at) == len(rows)


@settings(max_examples=150)
@given(st.data(), st.lists(st.sampled_from(CELLS), min_size=1, max_size=4))
def test_altered_compact_arrays_are_decode_errors(
    draw: st.DataObject, kinds: list[st.SearchStrategy[Data]]
) -> None:
    rows = draw.draw(st.lists(st.tuples(*kinds), min_size=1, max_size=9))
    timed = [[clock(START + 900 * at), *row] for at, row in enumerate(rows)]
    octets = bytearray(buffer(*timed, compact=True))
    for place in draw.draw(st.lists(st.integers(0, len(octets) - 1), max_size=4)):
        octets[place] = draw.draw(st.integers(0, 255))
    try:
        found = decode_buffer(bytes(octets), 900, 0, UTC)
    except DecodeError:
        return
    assert {len(each) for each in found.columns} <= {len(found.captured_at)}


@pytest.mark.parametrize(
    "octets",
    [
        "13020200000000",  # more octets behind the rows
        "1302020000" + "01" + "00",  # rows without octets
        "131101aa",  # rows that are no structures
        "13020111" + "0201" + "02",  # a clock that is a number
        "130201090d0c" + "00" * 11,  # a clock cut short
    ],
)
def test_compact_arrays_that_are_no_buffers(octets: str) -> None:
    with pytest.raises(DecodeError):
        decode_buffer(bytes.fromhex(octets), 900, 0, UTC)


@pytest.mark.parametrize("newest_first", [False, True])
@pytest.mark.parametrize("status", [0xFF, 0x00])
def test_the_doubled_hour_is_told_by_the_order(newest_first: bool, status: int) -> None:
    """A hundred quarters on the day that winter time begins, with no word of daylight saving."""
    first = int(datetime(2025, 10, 26, tzinfo=VIENNA).timestamp())
    times = [first + 900 * quarter for quarter in range(100)]
    ordered = times[::-1] if newest_first else times
    rows = [[axdr.octet_string(_unmarked(at, status)), axdr.unsigned(1)] for at in ordered]
    found = decode_buffer(buffer(*rows), 900, 0, VIENNA, BufferRules(newest_first=newest_first))
    assert found.captured_at == ordered
    assert found.columns[0] == ordered
    assert found.how.count("zone-order") == 8
    assert found.clock_status == [status] * 100
    assert found.deviation == [None] * 100


@pytest.mark.parametrize("newest_first", [False, True])
@pytest.mark.parametrize("minutes", [5, 15, 30, 60])
def test_what_is_counted_on_in_the_doubled_hour_moves_with_it(
    minutes: int, newest_first: bool
) -> None:
    """A clock in the first row and where local time steps, from 01:00 to 04:00; never the bit."""
    first = int(datetime(2025, 10, 26, 1, tzinfo=VIENNA).timestamp())
    times = list(range(first, first + 4 * 3600, 60 * minutes))
    ordered = times[::-1] if newest_first else times
    step = times.index(first + 2 * 3600)
    hours = {0, 60 // minutes, step} if not newest_first else {0, 60 // minutes, len(times) - step}
    rows = [
        [axdr.octet_string(_unmarked(at, 0)) if row in hours else NULL, axdr.unsigned(1)]
        for row, at in enumerate(ordered)
    ]
    rules = BufferRules(newest_first=newest_first)
    assert decode_buffer(buffer(*rows), 60 * minutes, 0, VIENNA, rules).captured_at == ordered


@pytest.mark.parametrize("newest_first", [False, True])
@pytest.mark.parametrize("period_s", [0, 900])
def test_what_is_read_within_the_first_hour_is_not_of_the_second(
    period_s: int, newest_first: bool
) -> None:
    """Half past two: with the last row counted on, and of events, which show no seam later on."""
    first = int(datetime(2025, 10, 26, 1, 30, tzinfo=VIENNA).timestamp())
    times = list(range(first, first + 3601, 900))
    ordered = times[::-1] if newest_first else times
    rows = [[axdr.octet_string(_unmarked(at, 0)), axdr.unsigned(1)] for at in ordered]
    if period_s:
        rows[-1][0] = NULL
    for late_s in (-1, 0, 899):
        rules = BufferRules(newest_first=newest_first, present_s=times[-1] + late_s)
        found = decode_buffer(buffer(*rows), period_s, 0, VIENNA, rules)
        second = [at + 3600 if at >= first + 1800 else at for at in ordered]
        assert found.captured_at == (ordered if period_s else second)


SUMMER, WINTER = 0x80, 0x00


@pytest.mark.parametrize(
    "rows",
    [
        [(45, SUMMER), (0, WINTER), (15, WINTER), (30, WINTER)],
        [(0, SUMMER), (0, WINTER), (15, WINTER), (15, WINTER)],
        [(30, WINTER), (45, WINTER), (0, SUMMER), (45, WINTER), (0, WINTER)],
        [(15, WINTER), (30, WINTER), (45, WINTER), (30, WINTER), (45, WINTER)],
        [(15, WINTER), (15, WINTER), (30, WINTER)],
    ],
    ids=["right", "a row twice", "a bit among them", "a clock set back", "twice in winter"],
)
def test_a_daylight_saving_bit_that_may_be_right_is_believed(rows: list[tuple[int, int]]) -> None:
    clocks = [
        bytes.fromhex(f"07e90a1a0702{minute:02x}00ff8000{status:02x}") for minute, status in rows
    ]
    octets = buffer(*([axdr.octet_string(each), axdr.unsigned(1)] for each in clocks))
    believed = [CosemDateTime.from_octets(each).resolve(VIENNA).captured_at for each in clocks]
    found = decode_buffer(octets, 900, 0, VIENNA)
    assert found.captured_at == [int(each.timestamp()) for each in believed]
    assert found.how == ["zone-daylight-saving"] * len(rows)


def _unmarked(at: int, status: int) -> bytes:
    moment = CosemDateTime.from_datetime(datetime.fromtimestamp(at, VIENNA))
    return moment.without_deviation().to_octets()[:11] + bytes((status,))


def test_an_hour_that_is_skipped_in_spring_is_told() -> None:
    times = [f"07ea031dff02{minute:02x}00ff800000" for minute in (0, 15)]
    rows = [[axdr.octet_string(bytes.fromhex(time)), axdr.unsigned(1)] for time in times]
    found = decode_buffer(buffer(*rows), 900, 0, VIENNA)
    assert found.how == ["zone-skipped"] * 2
    assert found.captured_at[1] - found.captured_at[0] == 900


def test_what_the_meter_wrote_of_its_clock_is_kept() -> None:
    rows = [
        [clock(START, -60, 0x00), axdr.unsigned(1)],
        [clock(START + 900, -120, 0x82), axdr.unsigned(1)],
        [NULL, NULL],
    ]
    found = decode_buffer(buffer(*rows), 900, 0, UTC)
    assert found.deviation == [-60, -120, -120]
    assert found.clock_status == [0, 0x82, 0x82]
    assert found.how == ["deviation", "deviation", "counted"]
    wrong = decode_buffer(buffer(*rows[:2]), 900, 0, UTC, BufferRules(wrong_sign=True))
    assert wrong.how == ["deviation-reversed"] * 2
