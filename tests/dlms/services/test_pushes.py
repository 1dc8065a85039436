"""Pushes in general blocks, from our meter's side to our receiver and to an open association."""

from __future__ import annotations

from typing import Any

import pytest
from hesper_dlms import axdr
from hesper_dlms.apdu import DataNotification, EventNotification
from hesper_dlms.oneshot import PushedMessage, PushReceiver
from hesper_dlms.security import SecurityContext


@pytest.mark.parametrize("size", [40, 100, 2000])
@pytest.mark.parametrize("ciphered", [False, True])
def test_a_push_in_blocks_is_received(
    bench: Any, kit: Any, link: str, size: int, ciphered: bool
) -> None:
    note = DataNotification(7, None, axdr.encode(kit.octets(700))).to_octets()
    keys = bench.Meter.security
    pair = kit.Pair(bench, link)
    octets = note
    if ciphered:
        octets = SecurityContext(keys, bench.METER_TITLE).protect(note, 5)
    pushed = pair.connection.push_in_blocks(octets, size)
    for chunk in (1, len(pushed)):
        receiver = PushReceiver(link, keys if ciphered else None)
        found = [
            each
            for at in range(0, len(pushed), chunk)
            for each in receiver.receive(pushed[at : at + chunk])
        ]
        assert [each.octets for each in found if isinstance(each, PushedMessage)] == [note]
        assert len(found) == 1


def test_an_event_between_answers_keeps_its_content(bench: Any, kit: Any, link: str) -> None:
    pair = kit.Pair(bench, link)
    value = kit.octets(30)
    event = EventNotification(None, kit.attribute(3), axdr.encode(value)).to_octets()
    pushed = pair.connection.push(event, 16)
    pair.objects.values[kit.attribute(1)] = axdr.encode(axdr.unsigned(1))
    pair.spoil = lambda answer: pushed + answer
    assert pair.run(pair.client.get(kit.attribute(1))).value == 1
    (note,) = pair.client.take_notifications()
    read = EventNotification.from_octets(note.apdu)
    assert (read.attribute, axdr.decode(read.octets)) == (kit.attribute(3), value)
