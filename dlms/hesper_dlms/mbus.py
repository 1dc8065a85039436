"""Pushes over wired M-Bus (EN 13757-2 long frames; EN 13757-3 CI 00 to 1F; Austrian smart meters).

    68 | L | L | 68 | C | A | CI | STSAP | DTSAP | part of an APDU | checksum | 16

L counts from C to the last octet before the checksum, which is their sum modulo 256. Some meters
send up to 511 octets behind a length that counts modulo 256 (Sagemcom T210-D: 68 01 01 68, 257
octets): where the shorter frame is too short for DLMS, does not end in 16, or ends in 16 by chance
(its checksum is wrong and more follows), the longer one is looked for. What stands between frames
(an acknowledgement E5, short frames) is passed over.

The CI octet numbers the parts of an APDU: the low four bits count from 0, bit 4 marks the last part
(00, 11: two parts; 10: a single one). A part out of order drops the whole APDU. A frame whose
checksum is wrong is handed out marked, as a wrong FCS is.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from hesper_dlms.errors import DecodeError, LocalError

_START: Final = 0x68
_STOP: Final = 0x16
_BEGINNINGS: Final = (_START, 0x10, 0xE5)
"""Of a long frame, a short one, an acknowledgement."""

_HEADER: Final = 4
_LAST_PART: Final = 0x10
_TRANSPORT: Final = 5
_MAX_PARTS: Final = 16
_WRAP: Final = 256
_SEND_USER_DATA: Final = 0x53
_BROADCAST: Final = 0xFF

LARGEST_PART: Final = 250
"""Octets of an APDU in one long frame whose length octet does not overflow."""


class MbusFrame(NamedTuple):
    """One long frame that carries DLMS: the parts' number, the last's mark, the addresses."""

    number: int
    last: bool
    source: int
    destination: int
    part: bytes
    checksum_right: bool
    offset: int


def long_frames(
    apdu: bytes, source: int = 1, destination: int = 0x67, part_octets: int = LARGEST_PART
) -> bytes:
    """Return an APDU as a meter pushes it: in as many long frames as its parts need.

    Args:
        apdu: The APDU, ciphered where it has to be.
        source: The meter's transport service access point (STSAP).
        destination: The reader's (DTSAP), 0x67 in Austria.
        part_octets: Octets of the APDU in one frame, 250 at most.
    """
    size = min(part_octets, LARGEST_PART)
    parts = [apdu[at : at + size] for at in range(0, len(apdu), max(size, 1))]
    if size < 1 or not parts or len(parts) > _MAX_PARTS:
        raise LocalError(f"{len(apdu)} octets do not fit {_MAX_PARTS} M-Bus frames of {size}")
    if not (0 <= source <= 0xFF and 0 <= destination <= 0xFF):
        raise LocalError(f"an M-Bus address is one octet, not {source} or {destination}")
    frames = b""
    for number, part in enumerate(parts):
        ci = number | (_LAST_PART if number == len(parts) - 1 else 0)
        body = bytes((_SEND_USER_DATA, _BROADCAST, ci, source, destination)) + part
        length = bytes((_START, len(body), len(body), _START))
        frames += length + body + bytes((sum(body) & 0xFF, _STOP))
    return frames


class MbusReader:
    """Finds long frames in a stream of octets."""

    __slots__ = ("_buffer", "_consumed")

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._consumed = 0

    def receive(self, octets: bytes) -> list[MbusFrame]:
        """Take octets in, return the frames that are complete now; others are passed over."""
        self._buffer += octets
        return self._frames(silent=False)

    def _frames(self, *, silent: bool) -> list[MbusFrame]:
        frames: list[MbusFrame] = []
        at = 0
        while (at := self._buffer.find(_START, at)) >= 0:
            if not self._plausible(self._buffer[at : at + _HEADER]):
                at += 1
                continue
            end = self._end(at, silent=silent)
            if end is None:
                break
            if end:
                frames += self._frame(bytes(self._buffer[at + _HEADER : end - 1]), at)
            at = end or at + 1
        at = len(self._buffer) if at < 0 else at
        del self._buffer[:at]
        self._consumed += at
        return frames

    @property
    def waiting(self) -> int | None:
        """The offset of a frame whose rest is awaited; None when nothing is."""
        return self._consumed if self._buffer else None

    def idle(self) -> list[MbusFrame]:
        """Give up a frame whose rest does not come; return what hid behind its beginning."""
        frames = self._frames(silent=True)
        while self._buffer:
            del self._buffer[:1]
            self._consumed += 1
            frames += self._frames(silent=True)
        return frames

    def _end(self, at: int, *, silent: bool) -> int | None:
        """Return where the frame that begins at `at` ends: 0 nowhere, None while it is awaited.

        A wrong checksum may mean that the frame is the longer one: what follows tells, or silence.
        """
        if len(self._buffer) < at + _HEADER:
            return None
        length = self._buffer[at + 1]
        short = at + _HEADER + length + 2
        stops = False
        if length >= _TRANSPORT:
            if len(self._buffer) < short:
                return None
            stops = self._buffer[short - 1] == _STOP
            if stops and (silent or self._sums_up(at, short) or self._begins_another(short)):
                return short
        long = short + _WRAP
        if len(self._buffer) < long:
            return None
        if self._buffer[long - 1] == _STOP and self._sums_up(at, long):
            return long
        return short if stops else 0

    def _sums_up(self, at: int, end: int) -> bool:
        """Return whether the checksum of the frame between two offsets is right."""
        return sum(self._buffer[at + _HEADER : end - 2]) & 0xFF == self._buffer[end - 2]

    def _begins_another(self, at: int) -> bool:
        return len(self._buffer) > at and self._buffer[at] in _BEGINNINGS

    @staticmethod
    def _plausible(head: bytearray) -> bool:
        if len(head) > 2 and head[2] != head[1]:
            return False
        return len(head) < _HEADER or head[3] == _START

    def _frame(self, body: bytes, at: int) -> list[MbusFrame]:
        content, checksum = body[:-1], body[-1]
        ci = content[2]
        if ci >= 0x20:
            return []
        return [
            MbusFrame(
                number=ci & 0x0F,
                last=bool(ci & _LAST_PART),
                source=content[3],
                destination=content[4],
                part=content[_TRANSPORT:],
                checksum_right=sum(content) & 0xFF == checksum,
                offset=self._consumed + at,
            )
        ]


class MbusAssembly:
    """Puts the numbered parts of an APDU together; part 0 always begins a new one."""

    __slots__ = ("_parts",)

    def __init__(self) -> None:
        self._parts: list[MbusFrame] = []

    @property
    def first(self) -> MbusFrame | None:
        """The first part of the APDU that is under way."""
        return self._parts[0] if self._parts else None

    def add(self, frame: MbusFrame) -> list[MbusFrame] | None:
        """Take one frame; return all parts when it was the last, None while more must come.

        Raises:
            DecodeError: It is not the next part; what was collected is forgotten.
        """
        if frame.number == 0:
            self._parts = [frame]
        elif frame.number != len(self._parts) or frame.number >= _MAX_PARTS:
            self._parts = []
            raise DecodeError("M-Bus part out of order: whole message dropped")
        else:
            self._parts.append(frame)
        if not frame.last:
            return None
        whole, self._parts = self._parts, []
        return whole
