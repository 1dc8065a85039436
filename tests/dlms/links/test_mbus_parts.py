"""Wired M-Bus long frames, sent and received, in one part and in several."""

from __future__ import annotations

import pytest
from hesper_dlms.deframing import Piece, deframer
from hesper_dlms.errors import LocalError
from hesper_dlms.mbus import LARGEST_PART, MbusReader, long_frames
from hypothesis import given
from hypothesis import strategies as st


def test_a_frame_byte_by_byte() -> None:
    assert long_frames(b"\xdb\x08").hex() == "6807076853ff100167db08ad16"


def test_two_parts_byte_by_byte() -> None:
    assert long_frames(b"\xdb\x08\x4b", part_octets=2).hex() == (
        "6807076853ff000167db089d1668060668" + "53ff1101674b1616"
    )


@given(st.binary(min_size=1, max_size=2000), st.integers(125, 400), st.integers(1, 300))
def test_what_is_sent_is_received_in_any_chunks(apdu: bytes, part: int, chunk: int) -> None:
    octets = b"\xe5" + long_frames(apdu, 1, 0x67, part)
    reader = deframer("mbus")
    found = [
        each
        for at in range(0, len(octets), chunk)
        for each in reader.receive(octets[at : at + chunk])
    ]
    assert [each.apdu for each in found if isinstance(each, Piece)] == [apdu]
    assert len(found) == 1


def test_parts_are_numbered_and_the_last_is_marked() -> None:
    frames = MbusReader().receive(long_frames(bytes(600)))
    assert [(each.number, each.last, len(each.part)) for each in frames] == [
        (0, False, LARGEST_PART),
        (1, False, LARGEST_PART),
        (2, True, 100),
    ]


@pytest.mark.parametrize(("apdu", "part"), [(b"", 250), (bytes(17), 1), (b"x", 0)])
def test_what_does_not_fit(apdu: bytes, part: int) -> None:
    with pytest.raises(LocalError):
        long_frames(apdu, part_octets=part)


def long_frame(part: bytes) -> bytes:
    """Return a frame of more than 255 octets, whose length counts modulo 256 (Sagemcom)."""
    body = bytes((0x53, 0xFF, 0x10, 1, 0x67)) + part
    length = len(body) & 0xFF
    return bytes((0x68, length, length, 0x68)) + body + bytes((sum(body) & 0xFF, 0x16))


@pytest.mark.parametrize("chunk", [1, 7, 600])
@pytest.mark.parametrize("size", [257, 300, 500])
@pytest.mark.parametrize("stray", [b"\x00", b"\x16\x42", b"\x16\x16"])
def test_a_long_frame_may_hold_a_stop_where_a_short_one_would_end(
    size: int, chunk: int, stray: bytes
) -> None:
    part = bytearray(bytes(range(7, 107)) * 6)[: size - 5]
    part[(size & 0xFF) + 1 - 5 : (size & 0xFF) + 1 - 5 + len(stray)] = stray
    octets = long_frame(bytes(part)) + long_frames(b"\xdb\x08")
    reader = MbusReader()
    found = [
        each
        for at in range(0, len(octets), chunk)
        for each in reader.receive(octets[at : at + chunk])
    ]
    assert [(each.part, each.checksum_right) for each in found] == [
        (bytes(part), True),
        (b"\xdb\x08", True),
    ]


@pytest.mark.parametrize("chunk", [1, 600])
def test_a_spoiled_frame_is_marked_once_the_next_begins_or_the_line_is_silent(chunk: int) -> None:
    spoiled = bytearray(long_frames(bytes(40)))
    spoiled[20] ^= 1
    octets = bytes(spoiled) + long_frames(b"\xdb\x08") + bytes(spoiled)
    reader = MbusReader()
    found = [
        each
        for at in range(0, len(octets), chunk)
        for each in reader.receive(octets[at : at + chunk])
    ]
    found += reader.idle()
    assert [each.checksum_right for each in found] == [False, True, False]
    assert reader.waiting is None
