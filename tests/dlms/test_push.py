"""Pushes: every layout that captures of real meters have shown, with serial numbers made up."""

from contextlib import suppress
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hesper_dlms import axdr, obis
from hesper_dlms.apdu import DataNotification
from hesper_dlms.axdr import Data
from hesper_dlms.errors import DecodeError, LocalError
from hesper_dlms.push import PushedReading, parse_body, read_push
from hesper_dlms.push.body import SWAPPED_TAG, UNTAGGED_DESCRIPTORS
from hesper_dlms.units import ScalerUnit, Unit
from hypothesis import given, settings
from hypothesis import strategies as st

VIENNA = ZoneInfo("Europe/Vienna")
TIME = bytes.fromhex("07e60b0c0610360000ffc400")
LOCAL = bytes.fromhex("07e60b0c06103600ff800000")
INSTANT = datetime(2022, 11, 12, 15, 54, tzinfo=UTC)
SERIAL = b"HES00000001"
WH, VOLT = ScalerUnit(0, Unit.WATT_HOUR), ScalerUnit(-1, Unit.VOLT)
ENERGY, VOLTAGE = obis.ACTIVE_ENERGY_IMPORT, obis.VOLTAGE_L1


def name(octets: bytes) -> Data:
    return axdr.octet_string(octets)


def energy(value: int) -> Data:
    return axdr.double_long_unsigned(value)


def push(*items: Data, time: bytes | None = None, **how: object) -> PushedReading:
    body = axdr.encode(axdr.structure(*items))
    return read_push(DataNotification(1, time, body), zone=VIENNA, **how)  # type: ignore[arg-type]


def values(reading: PushedReading) -> dict[bytes | None, object]:
    return {value.logical_name: value.value for value in reading.values}


def test_pairs_behind_a_version_text() -> None:
    reading = push(
        axdr.visible_string("Kamstrup_V0001"),
        *(name(ENERGY), energy(6307498)),
        *(name(obis.parse("0.1.1.0.0.255")), axdr.octet_string(LOCAL)),
        *(name(VOLTAGE), axdr.long_unsigned(222)),
        time=TIME,
    )
    assert values(reading)[ENERGY] == 6307498
    assert values(reading)[VOLTAGE] == 222
    assert (reading.captured_at, reading.how) == (INSTANT, "zone")
    assert reading.identities == ["Kamstrup_V0001"]


def test_pairs_with_scalers_and_a_serial_at_the_end() -> None:
    reading = push(
        axdr.octet_string(TIME),
        *(name(ENERGY), energy(12937), WH.to_data()),
        *(name(VOLTAGE), axdr.long_unsigned(2337), VOLT.to_data()),
        axdr.octet_string(b"181220000000"),
    )
    found = {value.logical_name: value.scaler_unit for value in reading.values}
    assert (found[ENERGY], found[VOLTAGE]) == (WH, VOLT)
    assert (reading.captured_at, reading.how, reading.clock_status) == (INSTANT, "deviation", 0)
    assert reading.identities == ["181220000000"]


def test_rows_of_two_and_three() -> None:
    rows = [
        axdr.structure(name(obis.SERIAL_NUMBER), axdr.visible_string("HES00000001\0\0")),
        axdr.structure(name(obis.parse("0.0.96.1.1.255")), axdr.octet_string(b"160456")),
        axdr.structure(name(obis.CLOCK), axdr.octet_string(LOCAL)),
        axdr.structure(name(VOLTAGE), axdr.long_unsigned(2500), VOLT.to_data()),
    ]
    for body in (rows, [axdr.array(*rows)]):
        reading = push(*body)
        assert reading.identities == ["HES00000001", "160456"]
        assert reading.captured_at == INSTANT
        assert reading.values[-1] == (VOLTAGE, 2, 2500, VOLT)


def test_a_pair_before_rows() -> None:
    reading = push(
        *(name(obis.CLOCK), axdr.octet_string(TIME)),
        axdr.structure(name(obis.LOGICAL_DEVICE_NAME), axdr.octet_string(b"HSP0000000000001")),
        axdr.structure(name(ENERGY), energy(1327456), WH.to_data()),
    )
    assert reading.captured_at == INSTANT
    assert reading.identities == ["HSP0000000000001"]
    assert reading.values[-1] == (ENERGY, 2, 1327456, WH)


def definition(class_id: int, logical_name: bytes, attribute: int = 2, more: int = 0) -> Data:
    tail = [axdr.structure(axdr.enum(0), axdr.null_data()), axdr.array()][:more]
    return axdr.structure(
        axdr.long_unsigned(class_id),
        name(logical_name),
        axdr.integer(attribute),
        axdr.long_unsigned(0),
        *tail,
    )


@pytest.mark.parametrize("more", [0, 2])
def test_an_object_list_that_begins_with_itself(more: int) -> None:
    objects = axdr.array(
        definition(40, obis.PUSH_SETUP, 2, more),
        definition(40, obis.PUSH_SETUP, 1, more),
        definition(1, obis.LOGICAL_DEVICE_NAME, 2, more),
        definition(8, obis.CLOCK, 2, more),
        definition(3, ENERGY, 2, more),
    )
    cells = [name(obis.PUSH_SETUP), axdr.octet_string(SERIAL), axdr.octet_string(TIME), energy(5)]
    reading = push(objects, *cells, time=LOCAL)
    assert [value.attribute_id for value in reading.values] == [1, 2, 2, 2]
    assert values(reading)[ENERGY] == 5
    assert reading.captured_at == INSTANT
    assert reading.identities == ["HES00000001"]
    assert push(objects, *cells, layout="object-list").values == reading.values


def test_an_object_list_that_does_not_list_itself() -> None:
    reading = push(axdr.array(definition(3, ENERGY)), energy(5))
    assert reading.values == [(ENERGY, 2, 5, None)]
    with pytest.raises(DecodeError, match="2 values follow"):
        push(axdr.array(definition(3, ENERGY)), energy(5), energy(6))
    with pytest.raises(DecodeError, match="no list"):
        push(energy(5), layout="object-list")


def test_values_alone_are_named_by_the_template() -> None:
    items = [axdr.octet_string(b"KFM_001"), axdr.octet_string(SERIAL), energy(948)]
    names = (obis.parse("1.1.0.2.129.255"), obis.SERIAL_NUMBER, obis.ACTIVE_POWER_IMPORT)
    reading = push(*items, time=LOCAL, objects={3: names, 1: names[2:]})
    assert values(reading)[obis.ACTIVE_POWER_IMPORT] == 948
    assert reading.identities == ["HES00000001"]
    assert reading.captured_at == INSTANT
    assert push(energy(948), objects={1: names[2:]}).values == [(names[2], 2, 948, None)]
    assert [value.logical_name for value in push(*items).values] == [None] * 3
    assert push(*items, layout="positional").identities == ["KFM_001", "HES00000001"]


def test_descriptors_without_tags() -> None:
    rows = (
        "0202" + "0001" + "00002a0000ff" + "02" + "0909" + b"HES012345".hex(),
        "0202" + "0046" + "000060030aff" + "03" + "1601",
        "0202" + "0003" + "0100010800ff" + "02" + "0600000008",
        "0202" + "0001" + "0000600d00ff" + "02" + "0900",
    )
    body = bytes.fromhex("02021601" + "0104" + "".join(rows))
    found = parse_body(body)
    assert found.quirks == (UNTAGGED_DESCRIPTORS,)
    assert found.plain() == [
        [1, "hex:00002a0000ff", 2, "hex:" + b"HES012345".hex()],
        [70, "hex:000060030aff", 3, 1],
        [3, "hex:0100010800ff", 2, 8],
        [1, "hex:0000600d00ff", 2, "hex:"],
    ]
    reading = read_push(DataNotification(1, None, body))
    assert reading.values[1] == (obis.DISCONNECT_CONTROL, 3, 1, None)
    assert reading.identities == ["HES012345"]
    assert (reading.captured_at, reading.clock_status) == (None, 255)


def test_a_swapped_tag_of_a_logical_name() -> None:
    body = bytes.fromhex(
        "0102" + "0203" + "0906" + "0100010700ff" + "0600000230" + "02020f00161b"
        "0203" + "0609" + "0100330700ff" + "100000" + "02020ffe1621"
    )
    found = parse_body(body)
    assert found.quirks == (SWAPPED_TAG,)
    reading = read_push(DataNotification(1, None, body))
    assert reading.values == [
        (obis.ACTIVE_POWER_IMPORT, 2, 560, ScalerUnit(0, Unit.WATT)),
        (obis.CURRENT_L2, 2, 0, ScalerUnit(-2, Unit.AMPERE)),
    ]
    assert reading.quirks == (SWAPPED_TAG,)


def test_a_well_formed_body_is_never_bent() -> None:
    data = axdr.structure(axdr.double_long_unsigned(0x09010033), axdr.null_data())
    assert parse_body(axdr.encode(data)).data == data
    assert parse_body(axdr.encode(data)).quirks == ()


def test_a_single_value_is_a_push_too() -> None:
    reading = read_push(DataNotification(1, TIME, axdr.encode(energy(5))))
    assert reading.values == [(None, 2, 5, None)]
    assert reading.captured_at == INSTANT


SUMMER, WINTER = (datetime(2026, 10, 25, hour, 30, tzinfo=UTC) for hour in (0, 1))
"""02:30 in Vienna, both of them."""


@pytest.mark.parametrize(
    ("status", "late", "instant", "how"),
    [
        (0x80, SUMMER, SUMMER, "zone-daylight-saving"),
        (0x80, WINTER, SUMMER, "zone-daylight-saving"),
        (0x00, WINTER, WINTER, "zone-daylight-saving"),
        (0x00, SUMMER, SUMMER, "zone-arrival"),
        (0x00, WINTER + timedelta(hours=1), WINTER, "zone-daylight-saving"),
        (0xFF, SUMMER, SUMMER, "zone-arrival"),
        (0xFF, WINTER, WINTER, "zone-arrival"),
        (0xFF, WINTER + timedelta(hours=1), SUMMER, "zone-ambiguous"),
    ],
)
def test_a_push_of_the_doubled_hour_that_came_at_once_is_told_by_its_arrival(
    status: int, late: datetime, instant: datetime, how: str
) -> None:
    clock = bytes.fromhex("07ea0a1907021e00ff8000") + bytes((status,))
    for delay in (timedelta(seconds=-2), timedelta(minutes=29)):
        reading = push(name(obis.CLOCK), name(clock), arrived_at=late + delay)
        assert (reading.captured_at, reading.how) == (instant, how)
    assert push(name(obis.CLOCK), name(clock)).how in ("zone-daylight-saving", "zone-ambiguous")


def test_the_arrival_changes_no_other_time() -> None:
    for time in (TIME, LOCAL):
        assert push(energy(5), time=time, arrived_at=SUMMER) == push(energy(5), time=time)


def test_an_unknown_layout_is_our_mistake() -> None:
    with pytest.raises(LocalError, match="positional"):
        push(energy(5), layout="brand-of-the-day")


def test_deep_or_broken_bodies_are_refused() -> None:
    for octets in ("0201" * 17 + "00", "0202" + "0609", "", "02021601" + "0184ffffffff"):
        with pytest.raises(DecodeError):
            parse_body(bytes.fromhex(octets))


PIECES = st.sampled_from(
    [
        "0202",
        "0203",
        "0102",
        "0906",
        "0609",
        "0001",
        "0100010700ff",
        "00002a0000ff",
        "02",
        "1601",
        "0600000230",
        "02020f00161b",
        "090c" + TIME.hex(),
        "00",
    ]
)


@settings(max_examples=500)
@given(st.lists(PIECES, max_size=30).map("".join).map(bytes.fromhex) | st.binary(max_size=60))
def test_nothing_but_decode_errors_on_noise(octets: bytes) -> None:
    with suppress(DecodeError):
        read_push(DataNotification(1, TIME, octets))
