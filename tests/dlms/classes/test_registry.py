"""Names and numbers of the classes, their attributes and methods."""

import re

import pytest
from hesper_dlms import obis
from hesper_dlms.apdu import CosemAttribute, CosemMethod
from hesper_dlms.axdr import unsigned
from hesper_dlms.classes.description import generic
from hesper_dlms.classes.registry import (
    REGISTRY,
    attribute_name,
    by_id,
    by_name,
    method_name,
    method_offset,
    parse_attribute,
    parse_method,
)
from hesper_dlms.errors import LocalError


def test_every_class_of_the_plan_is_there() -> None:
    wanted = {1, *range(3, 13), 15, *range(17, 24), 25, 27, 28, 29, 40, 41, 42, 45, 47, 64}
    assert {number for number, _ in REGISTRY} >= wanted | {68, 70, 71, 72, 151}


@pytest.mark.parametrize("described", REGISTRY.values(), ids=lambda each: each.name)
def test_numbers_are_in_order_and_names_differ(described) -> None:
    numbers = [attribute.attribute_id for attribute in described.attributes]
    assert numbers == list(range(1, len(numbers) + 1))
    names = [attribute.name for attribute in described.attributes]
    assert len(set(names)) == len(names) == described.attribute_count
    assert all(re.fullmatch("[a-z0-9_]+", name) for name in names)
    assert described.attributes[0].name == "logical_name"
    assert described.record.__doc__.startswith(f"Class {described.class_id},")


@pytest.mark.parametrize(
    ("class_id", "attribute_id", "name"),
    [
        (3, 3, "scaler_unit"),
        (5, 9, "number_of_periods"),
        (7, 5, "sort_method"),
        (8, 9, "clock_base"),
        (15, 7, "secret"),
        (18, 6, "image_transfer_status"),
        (20, 10, "activate_passive_calendar_time"),
        (22, 4, "execution_time"),
        (40, 13, "last_confirmation_date_time"),
        (64, 5, "server_system_title"),
        (71, 11, "actions"),
        (3, 99, "attribute_99"),
        (9000, 4, "attribute_4"),
    ],
)
def test_names_of_attributes(class_id: int, attribute_id: int, name: str) -> None:
    assert attribute_name(class_id, attribute_id) == name


@pytest.mark.parametrize(
    ("class_id", "method_id", "name", "offset"),
    [
        (3, 1, "reset", 0x28),
        (5, 2, "next_period", 0x50),
        (7, 4, "get_buffer_by_index", 0x70),
        (8, 6, "shift_time", 0x88),
        (9, 1, "execute", 0x20),
        (12, 3, "read_by_logicalname", 0x30),
        (12, 8, "reply_to_hls_authentication", 0x58),
        (18, 4, "image_activate", 0x58),
        (20, 1, "activate_passive_calendar", 0x50),
        (70, 2, "remote_reconnect", 0x28),
    ],
)
def test_names_and_short_names_of_methods(
    class_id: int, method_id: int, name: str, offset: int
) -> None:
    assert method_name(class_id, method_id) == name
    assert method_offset(class_id, method_id) == offset


def test_short_names_depend_on_the_version_where_attributes_were_added() -> None:
    assert [method_offset(64, 1, version) for version in (0, 1)] == [0x28, 0x30]
    assert [by_name("push_setup", version).attributes[-1].attribute_id for version in range(3)] == [
        7,
        10,
        13,
    ]
    for unknown in ((40, 1, 2), (21, 1, None), (3, 2, None)):
        with pytest.raises(LocalError, match="no short name"):
            method_offset(*unknown)
    assert by_name("register").attribute_offset(3) == 0x10


def test_objects_are_named_by_words_or_numbers() -> None:
    expected = CosemAttribute(8, obis.CLOCK, 2)
    for text in ("clock:0.0.1.0.0.255:time", "8:0-0:1.0.0*255:2", "Clock:0-0:1.0.0:2"):
        assert parse_attribute(text) == expected
    assert parse_attribute("900:0.0.1.0.0.255:-7") == CosemAttribute(900, obis.CLOCK, -7)
    move = parse_method("disconnect-control:0.0.96.3.10.255:remote_disconnect")
    assert move == CosemMethod(70, obis.DISCONNECT_CONTROL, 1)
    assert parse_method("70:0.0.96.3.10.255:2").method_id == 2


@pytest.mark.parametrize(
    "text",
    [
        "",
        "clock",
        "clock:time",
        "watch:0.0.1.0.0.255:2",
        "clock:0.0.1.0.0:time",
        "clock:0.0.1.0.0.255:",
        "clock:0.0.1.0.0.255:colour",
        "clock:0.0.1.0.0.255:²",
        "99999999:0.0.1.0.0.255:2",
    ],
)
def test_what_names_no_object(text: str) -> None:
    with pytest.raises(LocalError):
        parse_attribute(text)
    with pytest.raises(LocalError):
        parse_method(text.replace("time", "adjust"))


def test_a_class_that_is_not_in_the_tables_is_generic() -> None:
    described = by_id(999)
    assert described == generic(999)
    assert described.decode("attribute_2", unsigned(1)) == unsigned(1)
    assert described.encode(3, unsigned(1)) == unsigned(1)
    assert described.method("method_2").encode(unsigned(3)) == unsigned(3)
    assert by_id(3, 9) == by_name("register")
    with pytest.raises(LocalError):
        described.attribute("value")


def test_a_method_without_parameters_takes_none() -> None:
    with pytest.raises(LocalError, match="no parameters"):
        by_name("clock").method("adjust_to_minute").encode(3)
