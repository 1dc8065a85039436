"""A-XDR: every type both ways, hostile octets, and round trips of anything."""

import math
import struct
import time
import tracemalloc
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC

import pytest
from hesper_dlms import axdr
from hesper_dlms.apdu.get import read_results
from hesper_dlms.axdr import Data, Tag
from hesper_dlms.errors import DecodeError, LocalError
from hesper_dlms.profile import decode_buffer
from hesper_dlms.push import parse_body
from hypothesis import given, settings
from hypothesis import strategies as st

BOTH_WAYS = [
    ("00", axdr.null_data()),
    ("0300", axdr.boolean(False)),
    ("0301", axdr.boolean(True)),
    ("0405a8", axdr.bit_string("10101")),
    ("0400", axdr.bit_string("")),
    ("05fffffffe", axdr.double_long(-2)),
    ("0600000080", axdr.double_long_unsigned(128)),
    ("0900", axdr.octet_string(b"")),
    ("09060100010800ff", axdr.octet_string(bytes.fromhex("0100010800ff"))),
    ("0a0448455350", axdr.visible_string("HESP")),
    ("0c04c2b04365", axdr.utf8_string("°Ce")),
    ("0d12", Data(Tag.BCD, 0x12)),
    ("0fff", axdr.integer(-1)),
    ("10ff38", axdr.long_(-200)),
    ("11ff", axdr.unsigned(255)),
    ("12ffff", axdr.long_unsigned(65535)),
    ("14ffffffffffffff00", axdr.long64(-256)),
    ("15ffffffffffffffff", axdr.long64_unsigned(2**64 - 1)),
    ("161b", axdr.enum(27)),
    ("173f800000", axdr.float32(1.0)),
    ("183ff8000000000000", axdr.float64(1.5)),
    ("1907e60b0c0610360000ffc400", axdr.date_time(bytes.fromhex("07e60b0c0610360000ffc400"))),
    ("1a07e60b0c06", Data(Tag.DATE, bytes.fromhex("07e60b0c06"))),
    ("1b10360000", Data(Tag.TIME, bytes.fromhex("10360000"))),
    ("1c81", Data(Tag.DELTA_INTEGER, -127)),
    ("1dff81", Data(Tag.DELTA_LONG, -127)),
    ("1effffff81", Data(Tag.DELTA_DOUBLE_LONG, -127)),
    ("1f81", Data(Tag.DELTA_UNSIGNED, 129)),
    ("200081", Data(Tag.DELTA_LONG_UNSIGNED, 129)),
    ("2100000081", Data(Tag.DELTA_DOUBLE_LONG_UNSIGNED, 129)),
    ("ff", Data(Tag.DONT_CARE, None)),
    ("0100", axdr.array()),
    ("02020fff161b", axdr.structure(axdr.integer(-1), axdr.enum(27))),
    ("0102020111050201" + "1106", axdr.array(*(axdr.structure(axdr.unsigned(n)) for n in (5, 6)))),
    ("13110301" + "0203", axdr.compact_array(*(axdr.unsigned(n) for n in (1, 2, 3)))),
    (
        "13020212120800010002" + "00030004",
        axdr.compact_array(
            axdr.structure(axdr.long_unsigned(1), axdr.long_unsigned(2)),
            axdr.structure(axdr.long_unsigned(3), axdr.long_unsigned(4)),
        ),
    ),
    (
        "1301000211040102" + "0304",
        axdr.compact_array(
            axdr.array(axdr.unsigned(1), axdr.unsigned(2)),
            axdr.array(axdr.unsigned(3), axdr.unsigned(4)),
        ),
    ),
    ("130000", axdr.compact_array()),
]


@pytest.mark.parametrize(("octets", "data"), BOTH_WAYS)
def test_every_type_both_ways(octets: str, data: Data) -> None:
    assert axdr.encode(data).hex() == octets
    assert axdr.decode(bytes.fromhex(octets)) == data


@pytest.mark.parametrize(
    "octets",
    [
        "",
        "06000000",
        "0905aabb",
        "07",
        "22",
        "0405",
        "19" + "00" * 11,
        "0102" + "11",
        "020100" + "00",
        "0984ffffffff",
        "0184ffffffff",
        "0980",
        "0985" + "00" * 9,
        "1311" + "05" + "01",
        "130003000000",
        "13" + "13" + "1100",
        "13" + "01ffff00" + "01" + "00",
    ],
)
def test_octets_that_do_not_parse(octets: str) -> None:
    with pytest.raises(DecodeError):
        axdr.decode(bytes.fromhex(octets))


def test_long_lengths_are_read_in_any_size_and_written_shortest() -> None:
    text = axdr.octet_string(bytes(300))
    assert axdr.encode(text)[:4].hex() == "0982012c"
    assert axdr.decode(bytes.fromhex("09840000012c") + bytes(300)) == text
    assert axdr.decode(bytes.fromhex("098103aabbcc")) == axdr.octet_string(b"\xaa\xbb\xcc")


def test_nesting_ends_at_16_levels() -> None:
    deep = bytes.fromhex("0201" * 16) + b"\x00"
    data = axdr.decode(deep)
    assert axdr.encode(data) == deep
    with pytest.raises(DecodeError, match="deeper than 16"):
        axdr.decode(bytes.fromhex("0201" * 17) + b"\x00")
    with pytest.raises(LocalError):
        axdr.encode(axdr.structure(data))
    with pytest.raises(DecodeError):
        axdr.decode(bytes.fromhex("0201" * 100_000))


def test_a_compact_array_cannot_unfold_without_bound() -> None:
    nulls = b"\x02\x82\x03\xe8" + bytes(999) + b"\x11"
    bomb = b"\x13" + nulls + b"\x82\xff\xff" + bytes(65535)
    with pytest.raises(DecodeError, match="too many values"):
        axdr.decode(bomb)


ROWS = b"\x13\x02\x10" + bytes(15) + b"\x11\x20" + bytes(32)
"""A compact-array of 32 octets: as many rows, of 15 null-data and a number."""


@pytest.mark.parametrize(
    "octets",
    [
        b"\x01\x82\x04\x01" + bytes(0x401),
        b"\x01\x03" + ROWS * 3,
        b"\x01\x05" + (b"\x02\x82\x01\x00" + bytes(256)) * 5,
    ],
    ids=["null-data", "compact-arrays", "structures"],
)
@pytest.mark.parametrize("decode", [axdr.decode, parse_body])
def test_no_meter_fills_the_memory_with_a_megabyte(
    octets: bytes, decode: Callable[[bytes], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """All that the gateway does waits meanwhile: 4 MB took 5 GB, and minutes."""
    decode(octets)
    for module in ("octets", "compact"):
        monkeypatch.setattr(f"hesper_dlms.axdr.{module}.MAX_VALUES", 1024)
    with pytest.raises(DecodeError, match=r"1024 values|too many values"):
        decode(octets)


def test_a_profile_has_no_more_values_than_anything_else(monkeypatch: pytest.MonkeyPatch) -> None:
    octets = b"\x01\x82\x04\x01" + b"\x02\x01\x00" * 0x401
    assert decode_buffer(octets, 60, 0, UTC).undated == 0x401
    monkeypatch.setattr("hesper_dlms.axdr.octets.MAX_VALUES", 1024)
    with pytest.raises(DecodeError, match="more than 1024 values"):
        decode_buffer(octets, 60, 0, UTC)


def test_a_list_of_values_has_no_more_than_one(monkeypatch: pytest.MonkeyPatch) -> None:
    octets = b"\x03" + (b"\x00" + ROWS) * 3
    assert len(read_results(octets)) == 3
    for module in ("octets", "compact"):
        monkeypatch.setattr(f"hesper_dlms.axdr.{module}.MAX_VALUES", 1024)
    with pytest.raises(DecodeError, match=r"too many values"):
        read_results(octets)


def test_the_largest_array_ends_before_it_is_read() -> None:
    with pytest.raises(DecodeError, match=r"more than 1048576 values \(at octet 6\)"):
        axdr.decode(b"\x01\x84\x00\xf0\x00\x00" + bytes(0xF00000))


def test_a_long_bit_string_takes_as_many_octets_as_it_has_bits() -> None:
    octets = b"\x04\x83\x80\x00\x00" + bytes(1 << 20)
    tracemalloc.start()
    assert axdr.decode(octets).value == "0" * (1 << 23)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert most < 4 << 23


def test_a_prefix_tells_where_it_ends() -> None:
    octets = bytes.fromhex("aa1105aa")
    assert axdr.decode_prefix(octets, 1) == (axdr.unsigned(5), 3)
    with pytest.raises(DecodeError, match="too many"):
        axdr.decode(octets[1:])


@pytest.mark.parametrize(
    "data",
    [
        axdr.unsigned(256),
        axdr.integer(-129),
        axdr.double_long_unsigned(-1),
        axdr.date_time(b"short"),
        axdr.visible_string("€"),
        axdr.bit_string("012"),
        axdr.float32(1e300),
        Data(Tag.OCTET_STRING, "text"),
        Data(Tag.NULL_DATA, 1),
        Data(Tag.ARRAY, None),
        axdr.compact_array(axdr.unsigned(1), axdr.long_(1)),
        axdr.compact_array(axdr.null_data()),
    ],
)
def test_a_value_that_does_not_fit_is_our_mistake(data: Data) -> None:
    with pytest.raises(LocalError):
        axdr.encode(data)


def test_plain_json_keeps_types_apart() -> None:
    data = axdr.structure(
        axdr.octet_string(b"\x01\xff"),
        axdr.visible_string("HES\0"),
        axdr.bit_string("0101"),
        axdr.date_time(bytes(12)),
        axdr.null_data(),
        axdr.boolean(True),
        axdr.float32(math.inf),
        axdr.array(axdr.enum(3)),
    )
    assert axdr.plain(data) == [
        "hex:01ff",
        "HES\0",
        "bits:0101",
        "date-time:" + "00" * 12,
        None,
        True,
        "inf",
        [3],
    ]


def test_what_a_caller_expects_is_checked() -> None:
    assert axdr.enum(3).as_int() == 3
    assert axdr.boolean(True).as_int() == 1
    assert axdr.visible_string("HES").as_octets() == b"HES"
    assert axdr.octet_string(b"HES\xff").as_text() == "HES\\xff"
    for wrong in (axdr.null_data().as_int, axdr.unsigned(1).as_items, axdr.enum(1).as_octets):
        with pytest.raises(DecodeError):
            wrong()


def _floats(width: int) -> st.SearchStrategy[float]:
    return st.floats(width=width, allow_nan=False)


SIMPLE = st.one_of(
    st.just(axdr.null_data()),
    st.booleans().map(axdr.boolean),
    st.text("01", max_size=20).map(axdr.bit_string),
    st.integers(-(2**31), 2**31 - 1).map(axdr.double_long),
    st.integers(0, 2**32 - 1).map(axdr.double_long_unsigned),
    st.integers(-(2**63), 2**63 - 1).map(axdr.long64),
    st.integers(0, 2**16 - 1).map(axdr.long_unsigned),
    st.binary(max_size=300).map(axdr.octet_string),
    st.text(st.characters(max_codepoint=255), max_size=20).map(axdr.visible_string),
    st.text(st.characters(exclude_categories=["Cs"]), max_size=20).map(axdr.utf8_string),
    _floats(32).map(axdr.float32),
    _floats(64).map(axdr.float64),
    st.binary(min_size=12, max_size=12).map(axdr.date_time),
)
DATA = st.recursive(
    SIMPLE,
    lambda inner: st.lists(inner, max_size=5).flatmap(
        lambda items: st.sampled_from([axdr.array(*items), axdr.structure(*items)])
    ),
    max_leaves=20,
)


@given(DATA)
def test_round_trip(data: Data) -> None:
    assert axdr.decode(axdr.encode(data)) == data


@given(st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=9)), min_size=1, max_size=20))
def test_round_trip_of_compact_arrays(rows: list[tuple[int, bytes]]) -> None:
    data = axdr.compact_array(
        *(axdr.structure(axdr.unsigned(n), axdr.octet_string(octets)) for n, octets in rows)
    )
    assert axdr.decode(axdr.encode(data)) == data


@settings(max_examples=500)
@given(st.binary(max_size=200) | st.lists(st.sampled_from(range(34)), max_size=80).map(bytes))
def test_nothing_but_decode_errors_on_noise(octets: bytes) -> None:
    with suppress(DecodeError):
        data = axdr.decode(octets)
        axdr.plain(data)
        assert axdr.decode(axdr.encode(data)) == data or "nan" in repr(data)


@given(DATA, st.data())
def test_cut_short_is_a_decode_error(data: Data, draw: st.DataObject) -> None:
    octets = axdr.encode(data)
    cut = draw.draw(st.integers(0, len(octets) - 1))
    with pytest.raises(DecodeError):
        axdr.decode(octets[:cut])


def test_time_on_noise_grows_with_its_length_only() -> None:
    def cost_s(octets: bytes) -> float:
        begun = time.process_time()
        with pytest.raises(DecodeError):
            axdr.decode(octets)
        return time.process_time() - begun

    def nest(size: int) -> bytes:
        return b"\x01\x84" + struct.pack(">I", size) + b"\x00" * (size - 1)

    short, long = min(cost_s(nest(20_000)) for _ in range(3)), cost_s(nest(320_000))
    assert long < 16 * short * 8
