"""Twice the input, about twice the steps: counted, so that no clock has a say."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
from hesper_dlms import axdr
from hesper_dlms.deframing import LINKS
from hesper_dlms.errors import DlmsError
from hesper_dlms.hdlc import FrameReader
from hesper_dlms.hdlc.address import client_octets, server_octets
from hesper_dlms.hdlc.fcs import frame_check_sequence
from hesper_dlms.hdlc.frames import Frame
from hesper_dlms.oneshot import PushReceiver
from hesper_dlms.wrapper import wrap
from hesper_lab.fuzz import reach
from hesper_lab.fuzz.registry import TARGETS

SMALL = 1500
MOST = 2.15


def promise(length: int) -> bytes:
    """The header of an HDLC frame, its check sequence right, whose rest never comes."""
    header = bytes((0xA0 | length >> 8, length & 0xFF, 0x03, 0x21, 0x13))
    return b"\x7e" + header + frame_check_sequence(header)


PATTERNS = {
    "flags": b"\x7e",
    "long headers": b"\x7e\xa7\xff",
    "promises": promise(0x7FF),
    "frames": Frame(client_octets(102), server_octets(1), 0x13, b"\xe6\xe7\x00\x0f").to_octets(),
    "long M-Bus frames": b"\x68\xff\xff\x68",
    "short M-Bus frames": bytes.fromhex("6805056853ff00016754 16".replace(" ", "")),
    "versions": b"\x00\x01",
    "wrapper frames": wrap(1, 102, b"\x0f\x00"),
    "nested structures": b"\x02\x01",
    "wide arrays": b"\x01\x82\x04\x00",
    "empty compact-arrays": b"\x13\x00\x00",
    "zeros": b"\x00",
}


def steps(target: Callable[[bytes], object], octets: bytes) -> int:
    def quiet(octets: bytes) -> None:
        try:
            target(octets)
        except DlmsError:
            return

    return reach.traced(quiet, octets)[1]


def grows_in_proportion(target: Callable[[bytes], object], pattern: bytes) -> None:
    small, large = (
        steps(target, (pattern * size)[:size] if pattern else b"") for size in (SMALL, 2 * SMALL)
    )
    assert large <= MOST * small + 500, (small, large)


def receive(link: str, chunk: int, octets: bytes) -> None:
    receiver = PushReceiver(link)
    for at in range(0, len(octets), chunk):
        receiver.receive(octets[at : at + chunk])
    receiver.finish()


@pytest.mark.parametrize("chunk", [1, 64])
@pytest.mark.parametrize("link", LINKS)
@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_receiver_takes_linear_work(link: str, chunk: int, pattern: str) -> None:
    grows_in_proportion(partial(receive, link, chunk), PATTERNS[pattern])


@pytest.mark.parametrize("name", ["axdr", "compact-array", "push-body", "profile-buffer", "apdu"])
@pytest.mark.parametrize("pattern", PATTERNS)
def test_a_parser_takes_linear_work(name: str, pattern: str) -> None:
    grows_in_proportion(TARGETS[name], PATTERNS[pattern])


def test_a_compact_array_unfolds_no_further_than_its_octets_justify() -> None:
    element = b"\x01\xff\xff" * 14 + b"\x00"
    octets = bytes((axdr.Tag.COMPACT_ARRAY,)) + element + b"\x02\x00\x00"
    with pytest.raises(DlmsError):
        axdr.decode(octets)
    assert steps(axdr.decode, octets) < 300 * len(octets)


def test_a_buffer_never_holds_more_than_one_frame_that_is_awaited() -> None:
    """Copies count too: what waits is bounded, so no octet is moved more than a few times."""
    reader = FrameReader()
    for octet in promise(0x7FF) * 2000:
        reader.receive(bytes((octet,)))
        assert len(reader._buffer) <= 0x7FF + 2
