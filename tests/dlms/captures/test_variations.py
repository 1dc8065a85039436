"""The same captures as other meters, converters and noisy lines would deliver them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hesper_dlms.hdlc import llc
from hesper_dlms.hdlc.frames import Frame

NOISE = bytes.fromhex("00ff7e7ea0a0017e68010168686868160001000100000f")

Receive = Callable[..., list[dict[str, Any]]]
OverHdlc = tuple[Any, list[Frame]]


def messages(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [each for each in found if "values" in each]


def line_of(frames: list[Frame]) -> bytes:
    return b"".join(frame.to_octets() for frame in frames)


def test_octet_by_octet_as_whole(capture: Any, receive: Receive) -> None:
    octets = [bytes((octet,)) for octet in capture.octets]
    whole = receive(capture.receiver(), [capture.octets])
    assert receive(capture.receiver(), octets) == whole
    assert messages(whole)


def test_noise_before_and_behind(capture: Any, receive: Receive) -> None:
    expected = messages(receive(capture.receiver(), [capture.octets]))
    noisy = receive(capture.receiver(), [NOISE + capture.octets + NOISE])
    assert messages(noisy) == expected
    assert all(each["reason"] and each["offset"] >= 0 for each in noisy if "values" not in each)


def test_twice_in_a_row(capture: Any, receive: Receive) -> None:
    once = messages(receive(capture.receiver(), [capture.octets]))
    twice = receive(capture.receiver(), [capture.octets * 2])
    if capture.encryption_key is None:
        assert messages(twice) == once * 2
    else:
        assert messages(twice) == once
        assert "replay" in twice[-1]["reason"]


@pytest.mark.parametrize("flags", [1, 2, 5])
def test_flags_between_frames(over_hdlc: OverHdlc, receive: Receive, flags: int) -> None:
    capture, frames = over_hdlc
    between = b"\x7e" * flags
    line = between + between.join(frame.to_octets()[1:-1] for frame in frames) + between
    found = messages(receive(capture.receiver(), [line]))
    assert found == messages(receive(capture.receiver(), [line_of(frames)]))
    assert found


@pytest.mark.parametrize("headers", [b"", llc.RESPONSE * 2, llc.REQUEST, llc.REQUEST * 3])
def test_llc_headers(over_hdlc: OverHdlc, receive: Receive, headers: bytes) -> None:
    capture, frames = over_hdlc
    changed = [
        replace(frame, information=headers + frame.information[3:])
        if frame.information[:3] == llc.RESPONSE
        else frame
        for frame in frames
    ]
    found = messages(receive(capture.receiver(), [line_of(changed)]))
    assert found == messages(receive(capture.receiver(), [line_of(frames)]))


@pytest.mark.parametrize("size", [1, 7, 100, 300, 2000])
def test_segments_of_any_size(over_hdlc: OverHdlc, receive: Receive, size: int) -> None:
    """A message in one frame or several comes again in others; blocks each in their own."""
    capture, frames = over_hdlc
    cut: list[Frame] = []
    whole = b""
    for frame in frames:
        whole += frame.information
        if not frame.segmented:
            parts = [whole[at : at + size] for at in range(0, len(whole), size)]
            cut += [replace(frame, information=part, segmented=True) for part in parts]
            cut[-1] = replace(cut[-1], segmented=False)
            whole = b""
    found = messages(receive(capture.receiver(), [line_of(cut)]))
    expected = messages(receive(capture.receiver(), [line_of(frames)]))
    assert [each["values"] for each in found] == [each["values"] for each in expected]
    assert sum(each["link"]["frames"] for each in found) <= len(cut)


@pytest.mark.parametrize("control", [0x03, 0x13, 0x10, 0x00, 0x32])
def test_control_octets(over_hdlc: OverHdlc, receive: Receive, control: int) -> None:
    capture, frames = over_hdlc
    changed = [replace(frame, control=control) for frame in frames]
    expected = messages(receive(capture.receiver(), [line_of(frames)]))
    assert messages(receive(capture.receiver(), [line_of(changed)])) == expected


@pytest.mark.parametrize("destination", [b"\x21", b"\x02\x23", b"\x00\x02\x00\x23"])
@pytest.mark.parametrize("source", [b"\x03", b"\xce\xff", b"\x00\x00\xfe\xff"])
def test_address_sizes(
    over_hdlc: OverHdlc, receive: Receive, destination: bytes, source: bytes
) -> None:
    capture, frames = over_hdlc
    changed = [replace(each, destination=destination, source=source) for each in frames]
    found = messages(receive(capture.receiver(), [line_of(changed)]))
    expected = messages(receive(capture.receiver(), [line_of(frames)]))
    assert [each["values"] for each in found] == [each["values"] for each in expected]
    assert {each["link"]["destination"] for each in found} == {destination.hex()}
    assert {each["link"]["source"] for each in found} == {source.hex()}


def test_another_station_between_the_frames(over_hdlc: OverHdlc, receive: Receive) -> None:
    capture, frames = over_hdlc
    other = Frame(b"\x41", b"\x55", 0x13, llc.RESPONSE + b"\x0f\0\0\0\x01\0\x00")
    line = other.to_octets().join(frame.to_octets() for frame in frames)
    found = messages(receive(capture.receiver(), [other.to_octets() + line]))
    own = [each for each in found if each["link"]["source"] != "55"]
    assert own == messages(receive(capture.receiver(), [line_of(frames)]))
    others = 0 if capture.encryption_key else len(frames)
    assert len(found) - len(own) == others
