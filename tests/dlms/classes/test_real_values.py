"""Values that meters (or their head ends) really sent, as published, through the tables.

Sources: an Elster AS220's calendar, Hexing day tables and season set-requests, a Kamstrup
association view, the clock settings of Dutch meters, push setups of Russian (SPODES) and Austrian
meters, push schedules of Indian meters. None of them was made with this code.
"""

from datetime import date, datetime

import pytest
from hesper_dlms import axdr, obis
from hesper_dlms.axdr import decode, encode
from hesper_dlms.classes.access import ObjectListElement
from hesper_dlms.classes.activity import Calendar, next_execution
from hesper_dlms.classes.control import PushObject, RestrictionType
from hesper_dlms.classes.registry import by_name
from hesper_dlms.classes.scheduling import ActivityCalendar
from hesper_dlms.cosem_time import CosemDate, CosemTime
from hesper_dlms.errors import DecodeError

TARIFFS = obis.parse("0.0.10.0.100.255")

AS220 = {
    "season_profile_active": "01010203090100090cffff0101ffffffffffffffff090100",
    "week_profile_table_active": "010102080901001101110111011101110111021102",
    "day_profile_table_active": (
        "01030202110201010203090400000000090600000a0064ff12000002021101010302030904000000000906"
        "00000a0064ff1200000203090406000000090600000a0064ff1200010203090415000000090600000a0064"
        "ff1200000202110001010203090400000000090600000a0064ff120001"
    ),
}
HEXING = {
    "day_profile_table_passive": (
        "0104020211010102020309040100FFFF090600000A0064FF120001020309040100FFFF090600000A0064FF"
        "120001020211020101020309040400FFFF090600000A0064FF120002020211030101020309040800FFFF09"
        "0600000A0064FF120003020211040101020309040E00FFFF090600000A0064FF120004"
    ),
    "week_profile_table_passive": "0101020809067765656B30301104110511021101110211041101",
    "season_profile_passive": (
        "01010203090673656173306E090C07DC0B0001FFFFFF0080000009077765656B303020"
    ),
}
KAMSTRUP_OBJECTS = (
    "020412001d110009060000020100ff0202010602030f0116030002030f0216030002030f0316030002030f0416"
    "030002030f0516030002030f06160300010002041200091100090600000a0000ff0202010202030f0116030002"
    "030f02160300010102020f0103ff020412000b1100090600000b0000ff0202010202030f0116030002030f0216"
    "0300010202020f0103ff02020f0203ff"
)


def test_a_calendar_of_an_elster_meter() -> None:
    described = by_name("activity_calendar")
    values = {name: described.decode(name, decode(bytes.fromhex(AS220[name]))) for name in AS220}
    calendar = ActivityCalendar(bytes((0, 0, 13, 0, 0, 255)), **values)
    assert [week[1:] for week in values["week_profile_table_active"]] == [(1, 1, 1, 1, 1, 2, 2)]
    night, day = values["day_profile_table_active"][1].day_schedule[:2]
    assert (night.script_selector, day.script_selector) == (0, 1)
    assert day.start_time == CosemTime(6, 0, 0, 0)
    assert day.script_logical_name == TARIFFS
    days = described.decode(
        "season_profile_active", decode(bytes.fromhex(AS220["season_profile_active"]))
    )
    assert (days[0].season_start.month, days[0].season_start.day) == (1, 1)
    assert Calendar.active(calendar).day_id(date.fromisoformat("2026-11-23")) == 1
    for name, octets in AS220.items():
        assert encode(described.encode(name, values[name])).hex() == octets


def test_special_days_of_an_elster_meter() -> None:
    octets = (
        "010302031200000905ffff0b0bff110002031200010905ffff0c19ff11000203120002090507db0418ff1100"
    )
    described = by_name("special_days_table")
    days = described.decode("entries", decode(bytes.fromhex(octets)))
    assert [day.specialday_date for day in days] == [
        CosemDate(None, 11, 11),
        CosemDate(None, 12, 25),
        CosemDate(2011, 4, 24),
    ]
    assert encode(described.encode("entries", days)).hex() == octets
    calendar = Calendar((), (), (), days)
    assert calendar.day_id(date.fromisoformat("2026-12-25")) == 0
    assert calendar.day_id(date.fromisoformat("2026-12-24")) is None


def test_tables_of_hexing_meters() -> None:
    described = by_name("activity_calendar")
    for name, octets in HEXING.items():
        value = described.decode(name, decode(bytes.fromhex(octets)))
        assert encode(described.encode(name, value)).hex() == octets.lower()
    day = described.decode(
        "day_profile_table_passive", decode(bytes.fromhex(HEXING["day_profile_table_passive"]))
    )[0]
    assert day.day_schedule[0].start_time == CosemTime(1, 0, None, None)
    season = described.decode(
        "season_profile_passive", decode(bytes.fromhex(HEXING["season_profile_passive"]))
    )[0]
    assert season.season_profile_name == b"seas0n"
    assert (season.season_start.day, season.season_start.hour) == (0, None)
    persian = by_name("special_days_table").decode(
        "entries", decode(bytes.fromhex("010102031200010905056F0615031101"))
    )
    assert persian[0].specialday_date == CosemDate(1391, 6, 21, 3)


def test_an_association_view_of_a_kamstrup_meter() -> None:
    """Its access modes of methods are booleans, as version 0 has them."""
    described = by_name("association_ln")
    raw, offset = bytes.fromhex(KAMSTRUP_OBJECTS), 0
    objects = []
    while offset < len(raw):
        element, offset = axdr.decode_prefix(raw, offset)
        objects.append(element)
    listed: tuple[ObjectListElement, ...] = described.decode("object_list", axdr.array(*objects))
    assert [(each.class_id, obis.text(each.logical_name)) for each in listed] == [
        (29, "0.0.2.1.0.255"),
        (9, "0.0.10.0.0.255"),
        (11, "0.0.11.0.0.255"),
    ]
    rights = listed[2].access_rights
    assert [(each.attribute_id, each.access_mode) for each in rights.attribute_access] == [
        (1, 3),
        (2, 3),
    ]
    assert [(each.method_id, bool(each.access_mode)) for each in rights.method_access] == [
        (1, True),
        (2, True),
    ]


def test_clock_settings_of_dutch_meters() -> None:
    clock = by_name("clock")
    begin, end = (
        clock.decode(name, axdr.octet_string(bytes.fromhex(octets)))
        for name, octets in (
            ("daylight_savings_begin", "FFFF03FE0702000000FFC400"),
            ("daylight_savings_end", "FFFF0AFE0703000000FF8880"),
        )
    )
    assert (begin.month, begin.day, begin.weekday, begin.hour, begin.deviation) == (
        3,
        0xFE,
        7,
        2,
        -60,
    )
    assert (end.month, end.hour, end.deviation, end.clock_status) == (10, 3, -120, 0x80)


def test_a_push_of_a_russian_meter_lists_objects_with_restrictions() -> None:
    octets = (
        "0103"
        "020612002809060000190900ff0f0112000002021600000100"
        "020612000109060000600100ff0f0212000002021600000100"
        "020612000109060000616214ff0f0212000002021600000100"
    )
    described = by_name("push_setup")
    pushed: tuple[PushObject, ...] = described.decode(
        "push_object_list", decode(bytes.fromhex(octets))
    )
    assert [(each.class_id, each.attribute_index) for each in pushed] == [(40, 1), (1, 2), (1, 2)]
    assert pushed[0].logical_name == obis.PUSH_SETUP
    assert pushed[0].restriction is not None
    assert pushed[0].restriction.restriction_type is RestrictionType.NONE
    assert pushed[0].columns == ()
    assert encode(described.encode("push_object_list", pushed)).hex() == octets


def test_a_push_of_an_austrian_meter_lists_objects_without() -> None:
    octets = "0102020412002809060008190900ff0f02120000020412000309060100010700ff0f02120000"
    described = by_name("push_setup", 0)
    pushed = described.decode("push_object_list", decode(bytes.fromhex(octets)))
    assert pushed[1] == PushObject(3, obis.ACTIVE_POWER_IMPORT, 2, 0)
    assert encode(described.encode("push_object_list", pushed)).hex() == octets


@pytest.mark.parametrize(
    ("octets", "minutes", "then"),
    [
        (
            (
                "010402020904FF0000000905FFFFFFFFFF02020904FF0F00000905FFFFFFFFFF"
                "02020904FF1E00000905FFFFFFFFFF02020904FF2D00000905FFFFFFFFFF"
            ),
            [0, 15, 30, 45],
            "2026-11-21T10:30:00",
        ),
        ("0101020209040000000009" + "05FFFFFF01FF", [0], "2026-12-01T00:00:00"),
    ],
)
def test_push_schedules_of_indian_meters(octets: str, minutes: list[int], then: str) -> None:
    described = by_name("single_action_schedule")
    times = described.decode("execution_time", decode(bytes.fromhex(octets)))
    assert [each.time.minute for each in times] == minutes
    after = datetime.fromisoformat("2026-11-21T10:20:00")
    following = next_execution(times, after)
    assert following is not None
    assert following.isoformat() == then
    assert encode(described.encode("execution_time", times)).hex() == octets.lower()


def test_names_of_contexts_travel_in_two_ways() -> None:
    described = by_name("association_ln")
    arcs = (2, 16, 756, 5, 8, 1, 1)
    for octets in (
        "0907" + "60857405080101",
        "0909" + "0607" + "60857405080101",
        "0207" + "1102" + "1110" + "1202f4" + "1105" + "1108" + "1101" + "1101",
    ):
        assert described.decode("application_context_name", decode(bytes.fromhex(octets))) == arcs
    assert encode(described.encode("application_context_name", arcs)).hex() == (
        "0907" + "60857405080101"
    )
    for wrong in (b"", b"\x80", b"\xff" * 70, b"\x2a" + b"\xff" * 9 + b"\x01"):
        with pytest.raises(DecodeError):
            described.decode("application_context_name", axdr.octet_string(wrong))


def test_what_other_types_are_taken_for() -> None:
    clock, ipv4 = by_name("clock"), by_name("ipv4_setup")
    fields = bytes.fromhex("07ea0b1506040000ffffc400")
    assert clock.decode("time", axdr.date_time(fields)) == clock.decode(
        "time", axdr.octet_string(fields)
    )
    for nothing in (axdr.null_data(), axdr.octet_string(b"")):
        assert clock.decode("time", nothing) is None
    assert clock.decode("daylight_savings_enabled", axdr.unsigned(1)) is True
    assert str(ipv4.decode("ip_address", axdr.octet_string(bytes((10, 0, 0, 7))))) == "10.0.0.7"
    assert str(ipv4.decode("ip_address", axdr.double_long_unsigned(0x0A000007))) == "10.0.0.7"
    cell = axdr.structure(*map(axdr.long_unsigned, (1, 2, 3)), axdr.unsigned(99))
    assert by_name("gsm_diagnostic").decode("cell_info", cell).mcc is None
    for described, name, wrong in (
        (clock, "time_zone", axdr.double_long(70_000)),
        (clock, "time", axdr.octet_string(b"short")),
        (clock, "time", axdr.unsigned(1)),
        (clock, "daylight_savings_enabled", axdr.unsigned(2)),
        (ipv4, "ip_address", axdr.octet_string(b"12345")),
        (by_name("gsm_diagnostic"), "cell_info", axdr.structure(axdr.unsigned(1))),
        (by_name("gsm_diagnostic"), "cell_info", axdr.array()),
        (by_name("gsm_diagnostic"), "operator", axdr.unsigned(1)),
        (by_name("image_transfer"), "image_transferred_blocks_status", axdr.octet_string(b"1")),
        (by_name("special_days_table"), "entries", axdr.structure()),
    ):
        with pytest.raises(DecodeError, match=f"{described.name}.{name}: "):
            described.decode(name, wrong)
