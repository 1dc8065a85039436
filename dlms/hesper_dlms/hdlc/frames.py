"""HDLC frames, type 3 (IEC 62056-46, 6.4): encoding one, and finding them in a stream.

    7E | format 2 | destination 1-4 | source 1-4 | control | HCS 2 | information | FCS 2 | 7E

The format field is 0xA in its top four bits, the segmentation bit, and eleven bits of length
(everything between the flags). A header without information ends in the FCS alone. There is no
octet stuffing: 0x7E may occur anywhere inside, so frames are found by length. One flag may close a
frame and open the next.

`FrameReader` takes octets in any chunks. At every flag it checks the header as soon as its ten or
so octets are there; only a right header check sequence lets it wait for the rest, so noise never
makes it wait long, and every octet is looked at a bounded number of times. A frame whose FCS is
wrong is still handed out, marked, for engineers to see: links drop it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from hesper_dlms.errors import LocalError
from hesper_dlms.hdlc.fcs import frame_check_sequence

FLAG: Final = 0x7E
MAX_LENGTH: Final = 0x7FF
_FORMAT: Final = 0xA
_BEGIN: Final = re.compile(rb"\x7e(?=[\xa0-\xaf]|\Z)")
"""A flag that a format field of type 3 follows, or nothing yet."""
_SHORTEST: Final = 7
_LONGEST_HEADER: Final = 2 + 4 + 4 + 1
_POLL_FINAL: Final = 0x10


class Kind(IntEnum):
    """The frames of the unbalanced connection-mode and unnumbered classes that DLMS uses."""

    I = 0x00  # noqa: E741 - the standard's name
    RR = 0x01
    RNR = 0x05
    UI = 0x03
    DM = 0x0F
    DISC = 0x43
    UA = 0x63
    SNRM = 0x83
    FRMR = 0x87
    UNKNOWN = 0xFF


_UNNUMBERED = {kind.value: kind for kind in Kind if kind & 0x03 == 0x03 and kind != Kind.UNKNOWN}
_SUPERVISORY = {0x01: Kind.RR, 0x05: Kind.RNR}


def kind_of(control: int) -> Kind:
    """Return what a control octet says the frame is, poll/final bit and sequence numbers aside."""
    if control & 1 == 0:
        return Kind.I
    if control & 3 == 1:
        return _SUPERVISORY.get(control & 0x0F, Kind.UNKNOWN)
    return _UNNUMBERED.get(control & ~_POLL_FINAL, Kind.UNKNOWN)


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame: address octets as they are on the line, control octet, information.

    `offset` is where its opening flag was, counted from the first octet ever received.
    """

    destination: bytes
    source: bytes
    control: int
    information: bytes = b""
    segmented: bool = False
    fcs_right: bool = True
    offset: int = 0

    @property
    def kind(self) -> Kind:
        """What the control octet says."""
        return kind_of(self.control)

    @property
    def final(self) -> bool:
        """The poll/final bit."""
        return bool(self.control & _POLL_FINAL)

    @property
    def send_sequence(self) -> int:
        """N(S) of an I frame."""
        return self.control >> 1 & 7

    @property
    def receive_sequence(self) -> int:
        """N(R) of an I, RR or RNR frame."""
        return self.control >> 5

    def to_octets(self) -> bytes:
        """Encode with both flags and both check sequences."""
        addresses = self.destination + self.source
        length = 2 + len(addresses) + 1 + 2
        if self.information:
            length += len(self.information) + 2
        if length > MAX_LENGTH:
            raise LocalError(f"an HDLC frame of {length} octets does not fit its length field")
        shape = _FORMAT << 12 | self.segmented << 11 | length
        header = shape.to_bytes(2, "big") + addresses + bytes((self.control,))
        body = header + frame_check_sequence(header)
        if self.information:
            body += self.information
            body += frame_check_sequence(body)
        return b"\x7e" + body + b"\x7e"


def information_control(send: int, receive: int, final: bool = True) -> int:
    """Return the control octet of an I frame."""
    return receive << 5 | final << 4 | send << 1


def ready_control(receive: int) -> int:
    """Return the control octet of a receive-ready frame."""
    return receive << 5 | _POLL_FINAL | Kind.RR


def unnumbered_control(kind: Kind, final: bool = True) -> int:
    """Return the control octet of SNRM, DISC, UA, DM, FRMR or UI."""
    return kind | final << 4


@dataclass(frozen=True, slots=True)
class BadHeader:
    """Something that began like a frame and whose header check sequence is wrong."""

    offset: int


class _Skip(Exception):
    """The flag under examination opens no frame."""


class FrameReader:
    """Finds frames in a stream of octets; `bad_headers` tells what the last call skipped."""

    __slots__ = ("_buffer", "_consumed", "bad_headers")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._consumed = 0
        self.bad_headers: list[BadHeader] = []

    def receive(self, octets: bytes) -> list[Frame]:
        """Take octets in, return the frames that are complete now, in order."""
        self._buffer += octets
        self.bad_headers.clear()
        frames: list[Frame] = []
        position = 0
        while True:
            begin = _BEGIN.search(self._buffer, position)
            if begin is None:
                position = len(self._buffer)
                break
            position = begin.start()
            try:
                frame, end = self._examine(position)
            except _Skip:
                position += 1
                continue
            if frame is None:
                break
            frames.append(frame)
            position = end
        del self._buffer[:position]
        self._consumed += position
        return frames

    @property
    def waiting(self) -> int | None:
        """The offset of a frame whose rest is awaited; None when nothing is."""
        return self._consumed if len(self._buffer) > 1 else None

    def idle(self) -> list[Frame]:
        """Give up a frame whose rest does not come; return what hid behind its beginning."""
        frames: list[Frame] = []
        while self._buffer:
            del self._buffer[:1]
            self._consumed += 1
            frames += self.receive(b"")
        return frames

    def _examine(self, start: int) -> tuple[Frame | None, int]:
        """Return the frame that opens at `start` and where it closes; None until all is here."""
        head = bytes(self._buffer[start + 1 : start + 1 + _LONGEST_HEADER + 2])
        if len(head) < 2:
            if head and head[0] >> 4 != _FORMAT:
                raise _Skip
            return None, start
        length = (head[0] & 0x07) << 8 | head[1]
        if head[0] >> 4 != _FORMAT or length < _SHORTEST:
            raise _Skip
        source_at = self._address_end(head, 2)
        control_at = self._address_end(head, source_at) if source_at else 0
        if not source_at or not control_at or len(head) < control_at + 3:
            return None, start
        header_end = control_at + 1
        if head[header_end : header_end + 2] != frame_check_sequence(head[:header_end]):
            self.bad_headers.append(BadHeader(self._consumed + start))
            raise _Skip
        if length != header_end + 2 and length < header_end + 4:
            raise _Skip
        end = start + 1 + length
        if len(self._buffer) <= end:
            return None, start
        if self._buffer[end] != FLAG:
            raise _Skip
        body = bytes(self._buffer[start + 1 : end])
        frame = Frame(
            destination=head[2:source_at],
            source=head[source_at:control_at],
            control=head[control_at],
            information=body[header_end + 2 : -2],
            segmented=bool(head[0] & 0x08),
            fcs_right=body[-2:] == frame_check_sequence(body[:-2]),
            offset=self._consumed + start,
        )
        return frame, end

    @staticmethod
    def _address_end(head: bytes, at: int) -> int:
        """Return the index behind the address that begins at `at`; 0 while it is cut short."""
        for index in range(at, min(at + 4, len(head))):
            if head[index] & 1:
                return index + 1
        if len(head) >= at + 4:
            raise _Skip
        return 0
