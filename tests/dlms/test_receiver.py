"""The push receiver: the simulator's captures of real meters, and what goes wrong with pushes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hesper_dlms import apdu, axdr, gbt, obis
from hesper_dlms.hdlc import Frame
from hesper_dlms.mbus import MbusReader
from hesper_dlms.oneshot import Dropped, PushedMessage, PushReceiver
from hesper_dlms.push import read_push
from hesper_dlms.security import SecurityContext, SecuritySettings

CAPTURES = Path(__file__).parents[2] / "firmware-sim" / "hesper_sim" / "captures"
PUSH = apdu.DataNotification(1, None, axdr.encode(axdr.octet_string(bytes(60))))


def keys_of(capture: dict[str, Any]) -> SecuritySettings | None:
    if capture["encryption_key"] is None:
        return None
    authentication = capture["authentication_key"]
    return SecuritySettings(
        0,
        bytes.fromhex(capture["encryption_key"]),
        None if authentication is None else bytes.fromhex(authentication),
        authentication_key_unknown=authentication is None,
    )


@pytest.mark.parametrize("chunk", [1, 50, 1 << 20])
@pytest.mark.parametrize("path", sorted(CAPTURES.glob("*.json")), ids=lambda path: path.stem)
def test_captures_of_real_meters(path: Path, chunk: int) -> None:
    capture = json.loads(path.read_text())
    line = b"\xff\x00\x7e\x13" + bytes.fromhex(capture["hex"])
    receiver = PushReceiver(capture["link"], keys_of(capture))
    found = [
        each
        for at in range(0, len(line), chunk)
        for each in receiver.receive(line[at : at + chunk])
    ]
    stored = [each for each in found if isinstance(each, PushedMessage) and each.link.intact]
    assert len(stored) == len(capture["expected"])
    for message, expected in zip(stored, capture["expected"], strict=True):
        names = [obis.parse(name) for name in capture["positional"] or ()]
        assert isinstance(message.notification, apdu.DataNotification)
        reading = read_push(
            message.notification,
            capture["layout"],
            {len(names): tuple(names)},
            zone=ZoneInfo(capture["meter_zone"]),
        )
        values = {obis.text(v.logical_name): v.value for v in reading.values if v.logical_name}
        assert {name: values[name] for name in expected["values"]} == expected["values"]
        if expected["captured_at"] is not None:
            assert reading.captured_at is not None
            assert int(reading.captured_at.timestamp()) == expected["captured_at"]


def ui(information: bytes, segmented: bool = False, source: bytes = b"\x02\x23") -> bytes:
    return Frame(b"\x21", source, 0x13, information, segmented).to_octets()


def segments(source: bytes = b"\x02\x23") -> list[bytes]:
    octets = b"\xe6\xe7\x00" + PUSH.to_octets()
    return [ui(octets[at : at + 30], at + 30 < len(octets), source) for at in range(0, 70, 30)]


def part(number: int, last: bool, octets: bytes, spoil: int = 0) -> bytes:
    body = bytes((0x53, 0xFF, number | last << 4, 0x01, 0x67)) + octets
    head = bytes((0x68, len(body), len(body), 0x68))
    return head + body + bytes((sum(body) + spoil & 0xFF, 0x16))


def kinds(found: list[Any]) -> list[str]:
    return [each.reason if isinstance(each, Dropped) else "message" for each in found]


def test_segments_of_two_meters_may_interleave() -> None:
    one, two = segments(), segments(b"\x02\x25")
    line = b"".join(octets for pair in zip(one, two, strict=True) for octets in pair)
    found = PushReceiver("hdlc").receive(line)
    assert [each.link.source for each in found if isinstance(each, PushedMessage)] == [
        b"\x02\x23",
        b"\x02\x25",
    ]


def test_a_missing_segment_drops_the_message_and_not_the_next() -> None:
    first, _, last = segments()
    receiver = PushReceiver("hdlc")
    found = receiver.receive(first + last + b"".join(segments()))
    assert len(found) == 2
    assert isinstance(found[1], PushedMessage)
    if isinstance(found[0], PushedMessage):
        with pytest.raises(Exception, match="octet"):
            found[0].to_json()


def test_what_the_next_message_cuts_short_is_told_before_it() -> None:
    receiver = PushReceiver("hdlc")
    first, second, _ = segments()
    found = receiver.receive(first + second + b"".join(segments()))
    assert kinds(found) == ["HDLC segments cut short: whole message dropped", "message"]
    assert isinstance(found[0], Dropped)
    assert found[0].offset == 0
    blocks = gbt.push_blocks(PUSH.to_octets(), 30)
    raw = PushReceiver("raw")
    told = [kinds(raw.receive(block)) for block in (blocks[0], *blocks)]
    assert [*told[1], *told[-1]] == [
        "general block transfer cut short: whole message dropped",
        "message",
    ]


def test_what_never_ends_is_dropped_at_the_end() -> None:
    receiver = PushReceiver("hdlc")
    assert receiver.receive(segments()[0]) == []
    assert kinds(receiver.finish()) == ["HDLC segments cut short: whole message dropped"]
    receiver.receive(segments()[0][:-4])
    assert kinds(receiver.finish()) == ["HDLC frame cut short"]
    assert kinds(receiver.receive(b"".join(segments()))) == ["message"]
    assert receiver.finish() == []


def test_mbus_parts_in_order_out_of_order_and_repeated() -> None:
    octets = PUSH.to_octets()
    first, second, third = part(0, False, octets[:20]), part(1, False, octets[20:40]), b""
    third = part(2, True, octets[40:])
    whole = first + second + third
    out_of_order = "M-Bus part out of order: whole message dropped"
    cases = {
        whole: ["message"],
        part(0, True, octets): ["message"],
        first + third + whole: [out_of_order, "message"],
        first + second + second + third + whole: [out_of_order, "message"],
        second + third + whole: [out_of_order, "message"],
        first + whole: ["M-Bus parts cut short: whole message dropped", "message"],
    }
    for line, expected in cases.items():
        assert kinds(PushReceiver("mbus").receive(line)) == expected
        receiver = PushReceiver("mbus")
        assert kinds([e for o in line for e in receiver.receive(bytes((o,)))]) == expected


def test_a_wrong_mbus_checksum_is_marked() -> None:
    receiver = PushReceiver("mbus")
    found = receiver.receive(part(0, True, PUSH.to_octets(), spoil=1)) + receiver.finish()
    assert len(found) == 1
    assert isinstance(found[0], PushedMessage)
    assert not found[0].link.intact
    assert found[0].to_json()["link"] == {"checksum": False}


def test_mbus_frames_of_other_protocols_are_passed_over() -> None:
    wired = bytearray(part(0, True, b"\x01\x02\x03"))
    wired[6] = 0x72
    wired[-2] = sum(wired[4:-2]) & 0xFF
    assert MbusReader().receive(bytes(wired) + b"\xe5") == []


def protected(bench: Any, counter: int, keys: SecuritySettings | None = None) -> bytes:
    chosen = keys or SecuritySettings(
        0, bench.ENCRYPTION_KEY, bench.AUTHENTICATION_KEY, general=True
    )
    return SecurityContext(chosen, bench.METER_TITLE).protect(PUSH.to_octets(), counter)


def test_with_one_meters_keys_only_what_they_protect_is_taken(bench: Any) -> None:
    counters: dict[bytes, int] = {}
    receiver = PushReceiver("raw", bench.Meter.security, counters)
    good = protected(bench, 7)
    flipped = good[:-1] + bytes((good[-1] ^ 1,))
    found = [receiver.receive(each)[0] for each in (flipped, good, good, PUSH.to_octets())]
    assert [isinstance(each, PushedMessage) for each in found] == [False, True, False, False]
    after_restart = PushReceiver("raw", bench.Meter.security, counters)
    assert isinstance(after_restart.receive(good)[0], Dropped)
    assert isinstance(after_restart.receive(protected(bench, 8))[0], PushedMessage)


def test_keys_by_system_title(bench: Any) -> None:
    receiver = PushReceiver("raw", {bench.METER_TITLE: bench.Meter.security})
    message = receiver.receive(protected(bench, 7))[0]
    assert isinstance(message, PushedMessage)
    assert message.ciphering is not None
    assert message.ciphering.system_title == bench.METER_TITLE
    plain = receiver.receive(PUSH.to_octets())[0]
    assert isinstance(plain, PushedMessage)
    assert plain.ciphering is None
    stranger = PushReceiver("raw", {}).receive(protected(bench, 7))[0]
    assert isinstance(stranger, Dropped)


def test_event_notifications_are_messages_too() -> None:
    attribute = apdu.CosemAttribute(1, obis.EVENT_CODE, 2)
    event = apdu.EventNotification(None, attribute, axdr.encode(axdr.unsigned(3)))
    message = PushReceiver("raw").receive(event.to_octets())[0]
    assert isinstance(message, PushedMessage)
    assert message.to_json()["values"] == [1, "hex:0000600b00ff", 2, 3]


def test_drops_come_in_the_order_of_the_stream() -> None:
    frame = Frame(b"\x21", b"\x03", 0x13, b"\xe6\xe7\x00\xc4").to_octets()
    bad = bytearray(frame)
    bad[7] ^= 1
    found = PushReceiver("hdlc").receive(frame + bytes(bad))
    assert [each.offset for each in found if isinstance(each, Dropped)] == [0, len(frame)]
