"""Shapes of pushes that no capture at hand has, built and received as meters might send them."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from typing import Any

import pytest
from hesper_dlms import apdu, axdr
from hesper_dlms.axdr import Data, Tag
from hesper_dlms.hdlc.frames import Frame
from hesper_dlms.oneshot import PushReceiver
from hesper_dlms.security import SecurityContext, SecuritySettings
from hesper_dlms.wrapper import wrap

Receive = Callable[..., list[dict[str, Any]]]

TIME = bytes.fromhex("07ea0101ff0a000000800000")
BODY = axdr.encode(axdr.structure(*(axdr.double_long_unsigned(n) for n in range(60))))
PUSH = apdu.DataNotification(77, TIME, BODY)
KEYS = SecuritySettings(0, bytes(range(16)), bytes(range(16, 32)))
TITLE = b"HSPmt\0\0\1"


def received_values(found: list[dict[str, Any]]) -> list[Any]:
    return [each["values"] for each in found if "values" in each]


def mbus_frame(ci: int, part: bytes, control: int = 0x53, address: int = 0xFF) -> bytes:
    content = bytes((control, address, ci, 0x01, 0x67)) + part
    length = len(content) & 0xFF
    return bytes((0x68, length, length, 0x68)) + content + bytes((sum(content) & 0xFF, 0x16))


def mbus(octets: bytes, size: int, between: bytes = b"", **fields: int) -> bytes:
    parts = [octets[at : at + size] for at in range(0, len(octets), size)]
    last = len(parts) - 1
    return between.join(
        mbus_frame(number | (0x10 if number == last else 0), part, **fields)
        for number, part in enumerate(parts)
    )


@pytest.mark.parametrize("size", [22, 100, 245, 250, 252, 256, 400])
@pytest.mark.parametrize("between", [b"", b"\xe5", bytes.fromhex("e5105bfe5916")])
@pytest.mark.parametrize("fields", [{}, {"control": 0x73, "address": 0x01}, {"control": 0x08}])
def test_mbus_parts_of_any_size(
    receive: Receive, size: int, between: bytes, fields: dict[str, int]
) -> None:
    line = between + mbus(PUSH.to_octets(), size, between, **fields) + between
    found = receive(PushReceiver("mbus"), [line])
    assert received_values(found) == [list(range(60))]
    octets = [bytes((octet,)) for octet in line]
    assert receive(PushReceiver("mbus"), octets) == found


def test_other_mbus_frames_are_passed_over(receive: Receive) -> None:
    """CI 72 is a plain M-Bus answer of a heat or water meter on the same line."""
    other = mbus_frame(0x72, bytes(30))
    line = other + mbus(PUSH.to_octets(), 100, other) + other
    assert received_values(receive(PushReceiver("mbus"), [line])) == [list(range(60))]


def test_a_damaged_mbus_part_is_marked(receive: Receive) -> None:
    line = bytearray(mbus(PUSH.to_octets(), 200))
    line[50] ^= 1
    found = receive(PushReceiver("mbus"), [bytes(line)])
    assert found[0]["link"] == {"checksum": False}


@pytest.mark.parametrize("size", [1, 2, 13, 127, 128, 200, 1000])
def test_blocks_of_any_size(receive: Receive, size: int) -> None:
    octets = PUSH.to_octets()
    parts = [octets[at : at + size] for at in range(0, len(octets), size)]
    blocks = [
        apdu.GeneralBlockTransfer(number == len(parts), True, 1, number, 0, part).to_octets()
        for number, part in enumerate(parts, start=1)
    ]
    over_hdlc = b"".join(
        Frame(b"\x21", b"\x03", 0x13, b"\xe6\xe7\x00" + block).to_octets() for block in blocks
    )
    assert received_values(receive(PushReceiver("hdlc"), [over_hdlc])) == [list(range(60))]
    over_tcp = b"".join(wrap(1, 102, block) for block in blocks)
    assert received_values(receive(PushReceiver("wrapper"), [over_tcp])) == [list(range(60))]


@pytest.mark.parametrize(("source", "destination"), [(1, 102), (16, 1), (0x66, 0x67), (0xFFFF, 0)])
def test_wrapper_ports(receive: Receive, source: int, destination: int) -> None:
    line = b"\x00\x01\x00\x01" + wrap(source, destination, PUSH.to_octets()) * 2
    found = receive(PushReceiver("wrapper"), [line])
    assert received_values(found) == [list(range(60))] * 2
    assert found[-1]["link"] == {
        "destination": f"{destination:04x}",
        "source": f"{source:04x}",
    }


def test_a_wrapper_frame_behind_a_false_beginning(receive: Receive) -> None:
    line = bytes.fromhex("000100010066ffff0f") + wrap(1, 102, PUSH.to_octets())
    found = receive(PushReceiver("wrapper"), [line])
    assert received_values(found) == [list(range(60))]
    assert found[0] == {"offset": 0, "reason": "wrapper APDU cut short"}


@pytest.mark.parametrize(
    ("encoded", "expected"),
    [
        (b"\x00", None),
        (b"\x0c" + TIME, TIME.hex()),
        (b"\x09\x0c" + TIME, TIME.hex()),
        (b"\x09\x00", None),
    ],
)
def test_forms_of_the_date_time(receive: Receive, encoded: bytes, expected: str | None) -> None:
    octets = b"\x0f\x40\x00\x00\x01" + encoded + BODY
    found = receive(PushReceiver("raw"), [octets])
    assert found[0]["date_time"] == expected
    assert found[0]["values"] == list(range(60))


@pytest.mark.parametrize("general", [False, True])
@pytest.mark.parametrize("time", [None, TIME])
def test_ciphered_notifications(receive: Receive, general: bool, time: bytes | None) -> None:
    event = apdu.EventNotification(
        time, apdu.CosemAttribute(1, bytes(6), 2), axdr.encode(axdr.unsigned(7))
    )
    settings = SecuritySettings(0, KEYS.encryption_key, KEYS.authentication_key, general=general)
    receiver = PushReceiver("raw", KEYS)
    sealed = SecurityContext(settings, TITLE).protect(event.to_octets(), 5)
    found = receive(receiver, [sealed])
    if not general:  # glo-event-notification does not say who sends it
        assert "system title" in found[0]["reason"]
        return
    assert found[0]["values"] == [1, "hex:000000000000", 2, 7]
    assert found[0]["long_invoke_id"] is None
    assert found[0]["date_time"] == (None if time is None else time.hex())
    assert found[0]["ciphering"] == {
        "system_title": TITLE.hex(),
        "security_control": 0x30,
        "invocation_counter": 5,
        "tag_verified": True,
    }


def test_a_bare_body_and_nothing_alike(receive: Receive) -> None:
    found = receive(PushReceiver("raw"), [axdr.encode(axdr.array(axdr.unsigned(1)))])
    assert (found[0]["long_invoke_id"], found[0]["values"]) == (None, [1])
    assert "reason" in receive(PushReceiver("raw"), [b"\x02\x02\x11\x01"])[0]
    assert "CRC" in receive(PushReceiver("raw"), [b"/TST5\r\n!0000\r\n"])[0]["reason"]
    assert "reason" in receive(PushReceiver("raw"), [b"/no telegram at all"])[0]


TYPED = [
    (axdr.null_data(), None),
    (axdr.boolean(True), True),
    (axdr.bit_string("10100"), "bits:10100"),
    (axdr.bit_string(""), "bits:"),
    (axdr.bit_string("1" * 300), "bits:" + "1" * 300),
    (axdr.double_long(-5), -5),
    (axdr.octet_string(b""), "hex:"),
    (axdr.octet_string(bytes(300)), "hex:" + "00" * 300),
    (axdr.visible_string("Zähler"), "Zähler"),
    (axdr.utf8_string("Zähler ⚡"), "Zähler ⚡"),
    (Data(Tag.BCD, 0x12), 0x12),
    (axdr.integer(-1), -1),
    (axdr.long64(-(2**63)), -(2**63)),
    (axdr.long64_unsigned(2**64 - 1), 2**64 - 1),
    (axdr.enum(255), 255),
    (axdr.float32(0.5), 0.5),
    (axdr.float64(1e300), 1e300),
    (axdr.date_time(TIME), "date-time:" + TIME.hex()),
    (Data(Tag.DATE, TIME[:5]), "date:" + TIME[:5].hex()),
    (Data(Tag.TIME, TIME[5:9]), "time:" + TIME[5:9].hex()),
    (Data(Tag.DONT_CARE, None), None),
    (Data(Tag.DELTA_INTEGER, -3), -3),
    (Data(Tag.DELTA_LONG, -300), -300),
    (Data(Tag.DELTA_DOUBLE_LONG, -70000), -70000),
    (Data(Tag.DELTA_UNSIGNED, 200), 200),
    (Data(Tag.DELTA_LONG_UNSIGNED, 40000), 40000),
    (Data(Tag.DELTA_DOUBLE_LONG_UNSIGNED, 2**32 - 1), 2**32 - 1),
    (axdr.compact_array(axdr.long_unsigned(1), axdr.long_unsigned(2)), [1, 2]),
    (
        axdr.compact_array(axdr.structure(axdr.unsigned(1), axdr.octet_string(b"a"))),
        [[1, "hex:61"]],
    ),
    (axdr.array(), []),
    (axdr.structure(axdr.array(axdr.unsigned(1)), axdr.null_data()), [[1], None]),
]


@pytest.mark.parametrize(("data", "expected"), TYPED, ids=lambda each: str(each)[:40])
def test_every_type_in_json(run: Callable[..., Any], data: Data, expected: object) -> None:
    push = apdu.DataNotification(1, None, axdr.encode(data)).to_octets()
    done = run("decode", "--link", "raw", "--json", stdin=push.hex())
    assert json.loads(done.stdout)["messages"][0]["values"] == expected


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_floats_that_json_has_not(run: Callable[..., Any], value: float) -> None:
    push = apdu.DataNotification(1, None, b"\x17" + struct.pack(">f", value)).to_octets()
    done = run("decode", "--link", "raw", "--json", stdin=push.hex())
    shown = json.loads(done.stdout, parse_constant=pytest.fail)["messages"][0]["values"]
    assert shown is None or isinstance(shown, str)


@pytest.mark.parametrize("depth", [17, 1000])
def test_deep_nesting_is_refused(run: Callable[..., Any], depth: int) -> None:
    push = apdu.DataNotification(1, None, b"\x02\x01" * depth + b"\x00").to_octets()
    done = run("decode", "--link", "raw", "--json", stdin=push.hex())
    found = json.loads(done.stdout)
    assert done.returncode == 1
    assert found["messages"] == []
    assert "nested deeper" in found["dropped"][0]["reason"]
