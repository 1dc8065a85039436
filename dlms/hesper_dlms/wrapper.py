"""The wrapper that carries APDUs over TCP and UDP (IEC 62056-47, clause 5; Green Book, 7.3).

    version 0001 | source wPort | destination wPort | length | APDU

There is nothing to connect and nothing to repeat: TCP does both. A stream whose version is wrong
has lost its place and cannot find it again, so the link ends; over a file or a noisy line
`WrapperReader(resynchronise=True)` searches on, for a version field behind whose header an APDU
begins with a tag of the standard.
"""

from __future__ import annotations

import struct
from collections import deque
from collections.abc import Sequence
from typing import Final, NamedTuple

from hesper_dlms.errors import DecodeError, LinkError, LocalError, NoAnswer
from hesper_dlms.exchange import Exchange

_HEADER: Final = struct.Struct(">HHHH")
_VERSION: Final = b"\x00\x01"
HEADER_OCTETS: Final = _HEADER.size
MAX_APDU: Final = 0xFFFF
_TAGS: Final = frozenset(
    (
        *(0x05, 0x06, 0x0C, 0x0D, 0x0E, 0x0F, 0x10, 0x16, 0x18, *range(0x60, 0x64)),
        *(0x25, 0x26, 0x2C, 0x2D, 0x2E, 0x45, 0x46, 0x4C, 0x4D, 0x4E),
        *(*range(0xC0, 0xE1), 0xE6, 0xE7),
    )
)
"""How APDUs begin (IEC 62056-5-3, clause 8): xDLMS with and without ciphering, ACSE, gateways.

An initiate-request or -response stands inside of others only."""


class WrapperFrame(NamedTuple):
    """One APDU with its wPorts; `offset` counts from the first octet ever received."""

    source: int
    destination: int
    apdu: bytes
    offset: int = 0

    def to_octets(self) -> bytes:
        """Encode with the header."""
        return wrap(self.source, self.destination, self.apdu)


def wrap(source: int, destination: int, apdu: bytes) -> bytes:
    """Return an APDU with the wrapper's header before it."""
    if len(apdu) > MAX_APDU:
        raise LocalError(f"an APDU of {len(apdu)} octets does not fit the wrapper's length field")
    try:
        return _HEADER.pack(1, source, destination, len(apdu)) + apdu
    except struct.error:
        raise LocalError(f"wPort {source} or {destination} does not fit 16 bits") from None


def wports(octets: bytes) -> tuple[int, int] | None:
    """Return source and destination of one whole APDU with its header, as TCP mostly brings.

    None where the octets are less, or more, or something else: that is for a `WrapperReader`.
    """
    if len(octets) < _HEADER.size:
        return None
    version, source, destination, length = _HEADER.unpack_from(octets)
    whole = version == 1 and length == len(octets) - _HEADER.size
    return (source, destination) if whole else None


def unwrap(datagram: bytes) -> WrapperFrame:
    """Return the one APDU of a UDP datagram; DecodeError when it is not exactly that."""
    if len(datagram) < _HEADER.size:
        raise DecodeError("a datagram without a whole wrapper header", 0)
    version, source, destination, length = _HEADER.unpack_from(datagram)
    if version != 1 or length != len(datagram) - _HEADER.size:
        raise DecodeError("a datagram is no wrapper APDU: wrong version or length", 0)
    return WrapperFrame(source, destination, datagram[_HEADER.size :])


def datagrams(octets: bytes) -> list[bytes]:
    """Take wrapped APDUs in a row apart: each goes into a UDP datagram of its own."""
    parts: list[bytes] = []
    while len(octets) >= _HEADER.size:
        end = _HEADER.size + _HEADER.unpack_from(octets)[3]
        parts.append(octets[:end])
        octets = octets[end:]
    return parts


class WrapperReader:
    """Finds wrapped APDUs in a stream.

    Args:
        resynchronise: Search for the next header instead of ending the link.
    """

    __slots__ = ("_buffer", "_consumed", "_resynchronise")

    def __init__(self, resynchronise: bool = False) -> None:
        self._buffer = bytearray()
        self._consumed = 0
        self._resynchronise = resynchronise

    def receive(self, octets: bytes) -> list[WrapperFrame]:
        """Take octets in, return the APDUs that are complete now.

        Frames before a wrong version are given first; the call after that raises.

        Raises:
            LinkError: The stream is no wrapper stream (only without resynchronise).
        """
        # Nearly always one whole APDU arrives at once: 0.7 µs less than through the buffer.
        whole = None if self._buffer or self._resynchronise else wports(octets)
        if whole is not None:
            at = self._consumed
            self._consumed += len(octets)
            return [WrapperFrame(*whole, octets[_HEADER.size :], at)]
        self._buffer += octets
        frames: list[WrapperFrame] = []
        at = self._next_version(0)
        while len(self._buffer) - at >= _HEADER.size:
            version, source, destination, length = _HEADER.unpack_from(self._buffer, at)
            if self._resynchronise:
                if len(self._buffer) == at + _HEADER.size:
                    break
                if not length or self._buffer[at + _HEADER.size] not in _TAGS:
                    at = self._next_version(at + 1)
                    continue
            if version != 1:
                if frames:
                    break
                self._buffer.clear()
                raise LinkError("the stream carries no wrapper: its version is not 1")
            end = at + _HEADER.size + length
            if len(self._buffer) < end:
                break
            apdu = bytes(self._buffer[at + _HEADER.size : end])
            frames.append(WrapperFrame(source, destination, apdu, self._consumed + at))
            at = self._next_version(end)
        del self._buffer[:at]
        self._consumed += at
        return frames

    @property
    def waiting(self) -> int | None:
        """The offset of an APDU whose rest is awaited; None when nothing is."""
        return self._consumed if self._buffer else None

    def idle(self) -> list[WrapperFrame]:
        """Give up an APDU whose rest does not come; return what hid behind its beginning."""
        frames: list[WrapperFrame] = []
        while self._buffer:
            del self._buffer[:1]
            self._consumed += 1
            frames += self.receive(b"")
        return frames

    def _next_version(self, start: int) -> int:
        """Return where the next header may begin: at `start`, unless this reader searches on."""
        if not self._resynchronise:
            return start
        found = self._buffer.find(_VERSION, start)
        if found >= 0:
            return found
        return len(self._buffer) - self._buffer.endswith(_VERSION[:1], start)


class WrapperLink:
    """A client's link to one meter over a stream that is open already.

    Args:
        client: Client wPort (16 public, 1 management, …).
        server: Server wPort (1 management logical device, …).
    """

    def __init__(self, client: int, server: int) -> None:
        self._client = client
        self._server = server
        self._reader = WrapperReader()
        self._arrived: deque[WrapperFrame] = deque()

    def connect(self) -> Exchange[None]:
        """Forget what is left of an earlier stream; the new one's connection is the link."""
        self._reader = WrapperReader()
        self._arrived.clear()
        yield from ()

    def disconnect(self) -> Exchange[None]:
        """Nothing to do: the driver closes the stream."""
        yield from ()

    def request(self, apdu: bytes) -> Exchange[bytes]:
        """Send an APDU and return the one that answers."""
        return self._collect(wrap(self._client, self._server, apdu))

    def request_all(self, apdus: Sequence[bytes]) -> Exchange[bytes]:
        """Send APDUs in a row and return the first that comes back."""
        return self._collect(b"".join(wrap(self._client, self._server, apdu) for apdu in apdus))

    def send(self, apdu: bytes) -> Exchange[None]:
        """Send an APDU that the meter does not answer; what comes meanwhile is kept."""
        self._arrived.extend(self._reader.receive((yield wrap(self._client, self._server, apdu))))

    def receive(self) -> Exchange[bytes]:
        """Wait for another APDU of the meter."""
        return self._collect(b"")

    def take_notifications(self) -> list[bytes]:
        """The wrapper sets nothing apart: notifications come through `receive`."""
        return []

    def _collect(self, out: bytes) -> Exchange[bytes]:
        while True:
            if out or not self._arrived:
                arrived = yield out
                out = b""
                if not arrived:
                    raise NoAnswer("the meter did not answer")
                self._arrived.extend(self._reader.receive(arrived))
            while self._arrived:
                frame = self._arrived.popleft()
                if frame.source == self._server and frame.destination == self._client:
                    return frame.apdu


class DatagramLink(WrapperLink):
    """A client's link to one meter over UDP.

    What it is sent are whole datagrams, one at a time. What it yields may be several APDUs in a
    row: the driver takes them apart with `datagrams` and sends each by itself.

    Datagrams get lost. A request is sent again into silence where `retries` allow it: an unciphered
    request may then be carried out twice, a ciphered one is refused the second time. Where both are
    answered alike the second answer is passed over.

    Args:
        client: Client wPort.
        server: Server wPort.
        retries: How often a request is sent again.
    """

    def __init__(self, client: int, server: int, retries: int = 0) -> None:
        super().__init__(client, server)
        self._retries = retries
        self._answered = b""

    def send(self, apdu: bytes) -> Exchange[None]:
        """Send an APDU that the meter does not answer."""
        yield wrap(self._client, self._server, apdu)

    def _collect(self, out: bytes) -> Exchange[bytes]:
        request, silences = out, 0
        while True:
            arrived = yield out
            out = b""
            if not arrived:
                silences += 1
                if silences > self._retries:
                    raise NoAnswer("the meter did not answer")
                out = request
                continue
            try:
                frame = unwrap(arrived)
            except DecodeError:
                continue
            if (frame.source, frame.destination) != (self._server, self._client):
                continue
            if frame.apdu and frame.apdu == self._answered:
                continue
            self._answered = frame.apdu if silences else b""
            return frame.apdu
