"""Putting another APDU of the same length into captured frames.

What carries the APDU stays as the meter sent it: HDLC frames, segmentation, general block transfer
or M-Bus telegrams. Only the APDU's octets are replaced and the check sequences computed anew.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from hesper_dlms.errors import LocalError
from hesper_dlms.hdlc.fcs import frame_check_sequence
from hesper_dlms.hdlc.frames import FrameReader

_LLC: Final = b"\xe6\xe7\x00"
_BLOCK_TAG: Final = 0xE0
_BLOCK_HEADER: Final = 7
_FORMAT: Final = 2
_CONTROL_AND_HCS: Final = 3
_MBUS_START: Final = 4
_MBUS_HEADER: Final = 5
_MBUS_OVERHEAD: Final = 6


class Span(NamedTuple):
    """Where a piece of the APDU lies, and from where the check behind it counts."""

    checked_from: int
    start: int
    end: int


def apdu_of(link: str, octets: bytes) -> bytes:
    """Return the APDU that captured frames carry, over `hdlc` or `mbus`."""
    return b"".join(octets[span.start : span.end] for span in _spans(link, octets))


def with_apdu(link: str, octets: bytes, apdu: bytes) -> bytes:
    """Return the same frames with another APDU; LocalError unless it is as long as the first."""
    spans = _spans(link, octets)
    if sum(span.end - span.start for span in spans) != len(apdu):
        raise LocalError("the APDU does not fill the captured frames")
    frames = bytearray(octets)
    taken = 0
    for checked_from, start, end in spans:
        frames[start:end] = apdu[taken : taken + end - start]
        taken += end - start
        checked = bytes(frames[checked_from:end])
        if link == "hdlc":
            frames[end : end + 2] = frame_check_sequence(checked)
        else:
            frames[end] = sum(checked) & 0xFF
    return bytes(frames)


def _spans(link: str, octets: bytes) -> list[Span]:
    return _mbus_spans(octets) if link == "mbus" else _hdlc_spans(octets)


def _hdlc_spans(octets: bytes) -> list[Span]:
    spans = []
    for frame in FrameReader().receive(octets):
        first = frame.offset + 1
        start = first + _FORMAT + len(frame.destination) + len(frame.source) + _CONTROL_AND_HCS
        end = start + len(frame.information)
        if octets[start : start + len(_LLC)] == _LLC:
            start += len(_LLC)
        if octets[start] == _BLOCK_TAG:
            start += _BLOCK_HEADER
        spans.append(Span(first, start, end))
    return spans


def _mbus_spans(octets: bytes) -> list[Span]:
    spans = []
    at = 0
    while at < len(octets):
        length = octets[at + 1]
        first = at + _MBUS_START
        spans.append(Span(first, first + _MBUS_HEADER, first + length))
        at += length + _MBUS_OVERHEAD
    return spans
