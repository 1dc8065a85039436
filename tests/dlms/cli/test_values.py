"""Values and orders as they are typed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hesper_dlms import axdr
from hesper_dlms.axdr import Data, Tag
from hesper_dlms.cosem_time import CosemDateTime
from hesper_dlms.errors import LocalError
from hesper_gateway.desk.orders import parse_invocation, parse_write
from hesper_gateway.desk.values import TYPES, parse_value
from hypothesis import given
from hypothesis import strategies as st

VALUES = {
    "null": axdr.null_data(),
    "null-data": axdr.null_data(),
    "boolean:true": axdr.boolean(True),
    "boolean:0": axdr.boolean(False),
    "double-long-unsigned:5": axdr.double_long_unsigned(5),
    "double-long:-5": axdr.double_long(-5),
    "long-unsigned:0x10": axdr.long_unsigned(16),
    "enum:255": axdr.enum(255),
    "float32:0.5": axdr.float32(0.5),
    "octet-string:0102ff": axdr.octet_string(b"\x01\x02\xff"),
    "octet-string:": axdr.octet_string(b""),
    "visible-string:a, b (c): d": axdr.visible_string("a, b (c): d"),
    "utf8-string:Zähler": axdr.utf8_string("Zähler"),
    "bit-string:0101": axdr.bit_string("0101"),
    "date-time:07ea0101ff0a000000800000": axdr.date_time(bytes.fromhex("07ea0101ff0a000000800000")),
    "structure()": axdr.structure(),
    "structure(unsigned:1, enum:2)": axdr.structure(axdr.unsigned(1), axdr.enum(2)),
    "array( structure(octet-string:00,null) ,structure(octet-string:01,null) )": axdr.array(
        axdr.structure(axdr.octet_string(b"\0"), axdr.null_data()),
        axdr.structure(axdr.octet_string(b"\1"), axdr.null_data()),
    ),
    "axdr:0600000005": axdr.double_long_unsigned(5),
}


@pytest.mark.parametrize("text", VALUES)
def test_values(text: str) -> None:
    assert parse_value(text) == VALUES[text]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "5",
        "unsigned:256",
        "unsigned:x",
        "nonsense:1",
        "structure(unsigned:1",
        "structure(unsigned:1 enum:2)",
        "unsigned(1)",
        "structure(unsigned:1))",
        "boolean:maybe",
        "bit-string:012",
        "octet-string:0",
        "axdr:06",
        "date-time:yesterday",
        "date:07ea",
        "null:1",
        "(" * 100,
        "structure(" * 40,
    ],
)
def test_what_is_no_value(text: str) -> None:
    with pytest.raises(LocalError):
        parse_value(text)


@given(st.text(max_size=60) | st.builds(":".join, st.tuples(st.sampled_from(TYPES), st.text())))
def test_any_text_is_a_value_or_refused(text: str) -> None:
    try:
        data = parse_value(text)
    except LocalError:
        return
    assert axdr.encode(data)


@pytest.mark.parametrize("text", ["octet-string:now", "date-time:now", "now"])
def test_now(text: str) -> None:
    octets = parse_value(text).as_octets()
    moment = CosemDateTime.from_octets(octets).resolve(UTC).captured_at
    assert abs(moment - datetime.now(UTC)) < timedelta(seconds=10)


def test_types_apart() -> None:
    assert parse_value("5", "double-long-unsigned") == axdr.double_long_unsigned(5)
    assert parse_value("a:b", "visible-string") == axdr.visible_string("a:b")
    with pytest.raises(LocalError, match="types are"):
        parse_value("5", "number")


def test_writes_take_the_type_of_the_attribute() -> None:
    clock = parse_write("clock:0.0.1.0.0.255:time_zone=-60", None)
    assert clock.data == axdr.long_(-60)
    assert clock.attribute.attribute_id == 3
    assert parse_write("8:0.0.1.0.0.255:2=now", None).data.tag is Tag.OCTET_STRING
    assert parse_write("7:1.0.99.1.0.255:4=900", None).data == axdr.double_long_unsigned(900)
    typed = parse_write("1:0.0.96.50.0.255:2=visible-string:a=b", None)
    assert typed.data == axdr.visible_string("a=b")
    for text in ("1:0.0.96.50.0.255:2", "1:0.0.96.50.0.255:2=5", "clock:0.0.1.0.0.255:time=noon"):
        with pytest.raises(LocalError, match=r"VALUE|double-long-unsigned:5"):
            parse_write(text, None)


def test_invocations() -> None:
    reset = parse_invocation("register:1.0.1.8.0.255:reset", None)
    assert (reset.method.method_id, reset.data) == (1, axdr.integer(0))
    capture = parse_invocation("7:1.0.99.1.0.255:2=integer:0", None)
    assert (capture.method.method_id, capture.danger) == (2, None)
    with pytest.raises(LocalError, match="no type"):
        parse_invocation("8:0.0.1.0.0.255:6=5", None)
    with pytest.raises(LocalError, match="takes a parameter"):
        parse_invocation("clock:0.0.1.0.0.255:shift_time", None)
    shifted = parse_invocation("clock:0.0.1.0.0.255:shift_time=5", "long")
    assert shifted.data == Data(Tag.LONG, 5)


@pytest.mark.parametrize(
    "text",
    [
        "70:0.0.96.3.10.255:1",
        "70:0.0.96.3.10.255:2",
        "64:0.0.43.0.0.255:2=array()",
        "18:0.0.44.0.0.255:4",
        "15:0.0.40.0.0.255:2=octet-string:00",
        "7:1.0.99.1.0.255:1",
        "9:0.0.10.0.106.255:1=long-unsigned:1",
        "10:0.0.12.0.0.255:1=array()",
        "20:0.0.13.0.0.255:1",
        "68:0.0.96.3.20.255:1=bit-string:1",
        "70:0.0.96.3.10.255:3",
        "112:0.0.19.10.0.255:3=integer:0",
    ],
)
def test_dangerous_methods(text: str) -> None:
    assert parse_invocation(text, None).danger


@pytest.mark.parametrize(
    "text",
    [
        "70:0.0.96.3.10.255:4=enum:1",
        "15:0.0.40.0.0.255:7=octet-string:00",
        "single_action_schedule:0.0.15.0.1.255:execution_time=array()",
        "9:0.0.10.0.106.255:2=array()",
        "10:0.0.12.0.0.255:2=array()",
        "20:0.0.13.0.0.255:9=array()",
        "21:0.0.16.1.0.255:4=array()",
        "68:0.0.96.3.20.255:2=array()",
        "7:1.0.99.1.0.255:4=900",
        "23:0.0.22.0.0.255:9=unsigned:17",
        "ipv4_setup:0.0.25.1.0.255:ip_address=double-long-unsigned:1",
        "45:0.0.25.4.0.255:2=octet-string:00",
        "112:0.0.19.10.0.255:2=double-long:0",
        "3:1.0.1.8.0.255:-5=double-long-unsigned:0",
    ],
)
def test_dangerous_writes(text: str) -> None:
    assert parse_write(text, None).danger


@pytest.mark.parametrize(
    "text",
    ["8:0.0.1.0.0.255:2=now", "1:0.0.96.50.1.255:2=unsigned:7", "7:1.0.99.1.0.255:2=array()"],
)
def test_writes_that_need_no_second_thought(text: str) -> None:
    assert parse_write(text, None).danger is None
