"""What carries whole APDUs between one meter and its clients: the wrapper, or HDLC frames.

A link is made for every TCP connection or serial line, and handed to a `ServerConnection`.
"""

from __future__ import annotations

from typing import Protocol

from hesper_dlms.hdlc.frames import FrameReader
from hesper_dlms.hdlc.parameters import DEFAULT_INFORMATION
from hesper_dlms.hdlc.station import ApduHandler, Station
from hesper_dlms.wrapper import WrapperReader, wrap


class ServerLink(Protocol):
    """What carries whole APDUs between one meter and its clients."""

    def attach(self, handler: ApduHandler) -> None:
        """Hand APDUs to `handler` from now on."""
        ...

    def receive(self, octets: bytes) -> bytes:
        """Take octets in, return octets to send."""
        ...

    def push(self, client_address: int, apdu: bytes) -> bytes:
        """Return the octets of an unsolicited APDU."""
        ...


class WrapperServerLink:
    """One meter over TCP with the wrapper.

    Args:
        server: The meter's wPort.
    """

    __slots__ = ("_handler", "_reader", "_server")

    def __init__(self, server: int = 1) -> None:
        self._server = server
        self._reader = WrapperReader()
        self._handler: ApduHandler | None = None

    def attach(self, handler: ApduHandler) -> None:
        """Hand APDUs to `handler` from now on."""
        self._handler = handler

    def receive(self, octets: bytes) -> bytes:
        """Take octets in, return octets to send; LinkError when they are no wrapper stream."""
        out = b""
        for frame in self._reader.receive(octets):
            if frame.destination != self._server or self._handler is None:
                continue
            for answer in self._handler.answers(frame.source, frame.apdu):
                out += wrap(self._server, frame.source, answer)
        return out

    def push(self, client_address: int, apdu: bytes) -> bytes:
        """Return an unsolicited APDU with its header."""
        return wrap(self._server, client_address, apdu)


class HdlcServerLink:
    """One meter alone on a serial line (or a TCP connection that carries HDLC).

    Args:
        logical: Logical device address that the meter answers to; None answers to any.
        physical: Physical address that the meter answers to; None answers to any.
        max_info: Largest information field that the meter takes and sends.
        window: I frames that it sends and accepts without an acknowledgement between, 1 to 7.
    """

    __slots__ = ("_limits", "_logical", "_physical", "_reader", "_station")

    def __init__(
        self,
        logical: int | None = 1,
        physical: int | None = None,
        max_info: int = DEFAULT_INFORMATION,
        window: int = 1,
    ) -> None:
        self._logical = logical
        self._physical = physical
        self._limits = max_info, window
        self._reader = FrameReader()
        self._station: Station | None = None

    def attach(self, handler: ApduHandler) -> None:
        """Hand APDUs to `handler` from now on."""
        self._station = Station(handler, self._physical, self._logical, *self._limits)

    def receive(self, octets: bytes) -> bytes:
        """Take octets in, return octets to send."""
        station = self._station
        frames = self._reader.receive(octets)
        if station is None:
            return b""
        return b"".join(station.frame(frame) for frame in frames if station.accepts(frame))

    def push(self, client_address: int, apdu: bytes) -> bytes:
        """Return an unsolicited APDU in UI frames."""
        if self._station is None:
            return b""
        return self._station.push(client_address, self._logical or 1, apdu)
