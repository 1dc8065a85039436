"""The shipped captures decode to what they promise, and a receiver takes their replays."""

from __future__ import annotations

import os
import select
import time
import tty
from zoneinfo import ZoneInfo

import pytest
from hesper_dlms import obis
from hesper_dlms.errors import DlmsError, LocalError
from hesper_dlms.oneshot import PushedMessage, PushReceiver
from hesper_dlms.push import read_push
from hesper_dlms.security import AUTHENTICATED_ENCRYPTION, ENCRYPTED, SecuritySettings
from hesper_sim.capture import Capture, load_all
from hesper_sim.fleet import FleetSettings
from hesper_sim.reframing import apdu_of, with_apdu

NOW = 1_795_000_000
CAPTURES = load_all()
GOOD = [capture for capture in CAPTURES if capture.dropped is None]
BAD = [capture for capture in CAPTURES if capture.dropped is not None]
CIPHERED = [capture for capture in CAPTURES if capture.encryption_key]


def receiver(*captures: Capture) -> PushReceiver:
    keys = {}
    for each in captures:
        if each.encryption_key is None:
            continue
        known = each.authentication_key
        keys[bytes.fromhex(each.identity["system_title"])] = SecuritySettings(
            0,
            bytes.fromhex(each.encryption_key),
            bytes.fromhex(known) if known else None,
            authentication_key_unknown=known is None,
            policy=AUTHENTICATED_ENCRYPTION if known else ENCRYPTED,
        )
    return PushReceiver(captures[0].link, keys)


def stored(found: list) -> list[PushedMessage]:
    return [each for each in found if isinstance(each, PushedMessage) and each.link.intact]


def reading(capture: Capture, message: PushedMessage):
    names = [obis.parse(name) for name in capture.positional or ()]
    return read_push(
        message.notification,
        capture.layout,
        {len(names): tuple(names)} if names else {},
        zone=ZoneInfo(capture.meter_zone),
    )


def check(capture: Capture, message: PushedMessage) -> None:
    (expected,) = capture.expected
    pushed = reading(capture, message)
    values = {
        obis.text(value.logical_name): value.value
        for value in pushed.values
        if value.logical_name and value.attribute_id == 2 and type(value.value) is int
    }
    assert values == expected.values
    at = None if pushed.captured_at is None else int(pushed.captured_at.timestamp())
    assert at == expected.captured_at
    if at is not None:
        assert pushed.clock_status == expected.clock_status
    if "text" in capture.identity:
        assert capture.identity["text"] in pushed.identities
    if "system_title" in capture.identity:
        assert message.ciphering is not None
        assert message.ciphering.system_title.hex() == capture.identity["system_title"]


def test_all_the_ways_of_segmenting_and_protecting_are_there():
    assert len(CAPTURES) == 19
    assert len({capture.meter for capture in CAPTURES}) == 19
    assert {capture.link for capture in CAPTURES} == {"hdlc", "mbus"}
    assert len(CIPHERED) == 4
    assert len(BAD) == 2
    assert sum(len(each.expected[0].values) for each in GOOD) == 229


@pytest.mark.parametrize("capture", GOOD, ids=lambda capture: capture.name)
def test_a_capture_holds_what_it_promises(capture):
    (message,) = stored(receiver(capture).receive(capture.octets(NOW)))
    check(capture, message)


@pytest.mark.parametrize("capture", BAD, ids=lambda capture: capture.name)
def test_a_damaged_capture_gives_nothing_to_store(capture):
    decoder = receiver(capture)
    found = decoder.receive(capture.octets(NOW)) + decoder.finish()
    assert stored(found) == []
    assert found
    assert list(capture.records(NOW)) == []


@pytest.mark.parametrize("capture", CIPHERED, ids=lambda capture: capture.name)
def test_a_ciphered_push_is_fresh_each_time(capture):
    decoder = receiver(capture)
    again = next(each for each in load_all() if each.name == capture.name)
    first, second = again.octets(NOW), again.octets(NOW + 1)
    assert len(stored(decoder.receive(first))) == 1
    assert stored(decoder.receive(first)) == []
    (message,) = stored(decoder.receive(second))
    check(capture, message)


@pytest.mark.parametrize("capture", CAPTURES, ids=lambda capture: capture.name)
def test_reframing_with_the_same_apdu_changes_nothing_but_checks(capture):
    octets = bytes.fromhex(capture.hex)
    again = with_apdu(capture.link, octets, apdu_of(capture.link, octets))
    assert (again == octets) == (capture.dropped is None or "order" in capture.dropped)
    with pytest.raises(LocalError):
        with_apdu(capture.link, octets, b"\x0f")


@pytest.mark.integration
def test_a_listener_gets_every_good_push_and_the_journal_knows(start_simulator):
    simulator = start_simulator(
        FleetSettings(tcp=0, shared=0, dial_in=0, rs485=0, replay_s=1), "--history-days", "0"
    )
    on_lines: dict[str, list[Capture]] = {}
    for capture in CAPTURES:
        on_lines.setdefault(capture.push_line, []).append(capture)
    assert simulator.journal("push") == []
    ports = {
        name: os.open(simulator.ready["ports"][name], os.O_RDWR | os.O_NOCTTY) for name in on_lines
    }
    try:
        for port in ports.values():
            tty.setraw(port)
        messages = {name: _listen(ports[name], on_lines[name]) for name in on_lines}
    finally:
        for port in ports.values():
            os.close(port)
    for name, captures in on_lines.items():
        for capture in captures:
            if capture.dropped is None:
                assert any(_matches(capture, message) for message in messages[name]), capture.name
    journalled = {record["meter"]: record for record in simulator.journal("push")}
    for capture in GOOD:
        record = journalled.pop(capture.meter)
        assert record["values"] == capture.expected[0].values
        assert record["captured_at"] == capture.expected[0].captured_at
    assert journalled == {}


def _listen(port: int, captures: list[Capture]) -> list[PushedMessage]:
    decoder = receiver(*captures)
    wanted = sum(capture.dropped is None for capture in captures)
    messages: list[PushedMessage] = []
    end = time.monotonic() + 20
    while time.monotonic() < end:
        if select.select([port], [], [], 0.5)[0]:
            messages += stored(decoder.receive(os.read(port, 65536)))
        if sum(any(_matches(c, m) for m in messages) for c in captures if not c.dropped) == wanted:
            return messages
    raise AssertionError(f"{wanted} pushes did not arrive")


def _matches(capture: Capture, message: PushedMessage) -> bool:
    try:
        check(capture, message)
    except (AssertionError, DlmsError):
        return False
    return True
