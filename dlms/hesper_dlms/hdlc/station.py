"""The meter's side of HDLC connections (IEC 62056-46, 6.4), one `Station` per meter on the line.

Per client address a station keeps one connection. What it does is a table:

    kind     disconnected        connected
    SNRM     UA, connected       UA, connected anew
    DISC     DM                  UA, disconnected
    I        DM                  take it; answer with I frames or RR
    RR       DM                  next segment, or the last frame again
    RNR      DM                  RR, and no I frames until it is ready again
    unknown  nothing             FRMR, disconnected
    other    nothing             nothing

A client that takes several I frames at a time (the window of its SNRM) gets as many as this meter's
own window allows, the last with the final bit; it may send as many before it polls. A repeated
I frame (its N(S) was taken already) gets the last answer again, so a lost answer costs one
repetition and never a second execution; an RR that misses frames gets them again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from hesper_dlms.errors import DecodeError, LinkError
from hesper_dlms.hdlc import llc
from hesper_dlms.hdlc.address import client_octets, parse_server, server_octets
from hesper_dlms.hdlc.frames import (
    Frame,
    Kind,
    ready_control,
    unnumbered_control,
)
from hesper_dlms.hdlc.parameters import LinkParameters, agree, parse_parameters
from hesper_dlms.hdlc.reassembly import Reassembly, segments
from hesper_dlms.hdlc.send_window import SendWindow

_CONTROL_UNDEFINED = 0x01
"""FRMR's reason W: the control octet is none that we know (ISO/IEC 13239, 5.5.3.4)."""


class ApduHandler(Protocol):
    """What a link hands APDUs to on the meter's side."""

    def answers(self, client_address: int, apdu: bytes) -> list[bytes]:
        """Return the APDUs to answer with: one, none for silence, or a stream of blocks."""
        ...

    def closed(self, client_address: int) -> None:
        """The link below this client's association is gone."""
        ...


class _Connection:
    """One client's connection to this meter."""

    __slots__ = ("address", "incoming", "last", "outgoing", "parameters", "received")

    def __init__(self, address: bytes, parameters: LinkParameters) -> None:
        self.address = address
        self.parameters = parameters
        self.received = 0
        self.incoming = Reassembly()
        self.outgoing = SendWindow(parameters.window_transmit)
        self.last = b""


class Station:
    """One meter on an HDLC line.

    Args:
        handler: Who answers APDUs.
        physical: Physical address to answer to; None answers to any.
        logical: Logical address to answer to; None answers to any.
        max_info: Largest information field that this meter sends and accepts.
        window: I frames that it sends and accepts without an acknowledgement between, 1 to 7.
    """

    __slots__ = ("_connections", "_handler", "_limits", "_logical", "_physical")

    def __init__(
        self,
        handler: ApduHandler,
        physical: int | None = None,
        logical: int | None = None,
        max_info: int = 128,
        window: int = 1,
    ) -> None:
        self._handler = handler
        self._physical = physical
        self._logical = logical
        self._limits = LinkParameters(max_info, max_info, window, window)
        self._connections: dict[int, _Connection] = {}

    def accepts(self, frame: Frame) -> bool:
        """Return whether a frame is for this meter."""
        if not frame.fcs_right or len(frame.source) != 1:
            return False
        address = parse_server(frame.destination)
        if self._logical is not None and address.logical != self._logical:
            return False
        return self._physical is None or address.physical in (None, self._physical)

    def frame(self, frame: Frame) -> bytes:
        """Take one frame that `accepts` agreed to; return the octets to send."""
        client = frame.source[0] >> 1
        connection = self._connections.get(client)
        if connection is not None and connection.address != frame.destination:
            connection = None
        act = _TABLE[connection is not None].get(frame.kind)
        return act(self, client, frame) if act else b""

    def push(self, client_address: int, logical: int, apdu: bytes) -> bytes:
        """Return an APDU in as many UI frames as this meter's size needs, unasked."""
        source = server_octets(logical, self._physical)
        parts = segments(llc.RESPONSE + apdu, self._limits.max_transmit)
        control = unnumbered_control(Kind.UI)
        return b"".join(
            Frame(
                client_octets(client_address), source, control, part, number < len(parts)
            ).to_octets()
            for number, part in enumerate(parts, start=1)
        )

    def _connect(self, client: int, frame: Frame) -> bytes:
        try:
            parameters = agree(self._limits, parse_parameters(frame.information))
        except DecodeError:
            return self._reply(frame, unnumbered_control(Kind.DM))
        if client in self._connections:
            self._handler.closed(client)
        self._connections[client] = _Connection(frame.destination, parameters)
        return self._reply(frame, unnumbered_control(Kind.UA), parameters.to_octets())

    def _disconnect(self, client: int, frame: Frame) -> bytes:
        del self._connections[client]
        self._handler.closed(client)
        return self._reply(frame, unnumbered_control(Kind.UA))

    def _refuse(self, client: int, frame: Frame) -> bytes:
        del client
        return self._reply(frame, unnumbered_control(Kind.DM)) if frame.final else b""

    def _information(self, client: int, frame: Frame) -> bytes:
        connection = self._connections[client]
        polls = frame.final or connection.parameters.window_receive == 1
        if frame.send_sequence != connection.received:
            repeated = frame.send_sequence == connection.received - 1 & 7
            again = connection.last if repeated else b""
            ready = ready_control(connection.received)
            return (again or self._reply(frame, ready)) if polls else b""
        connection.received = connection.received + 1 & 7
        connection.outgoing.acknowledge(frame.receive_sequence)
        connection.outgoing.clear()
        try:
            apdu = connection.incoming.add(frame.information, frame.segmented)
        except LinkError:
            return self._disconnect(client, frame)
        if apdu is not None:
            size = connection.parameters.max_transmit
            for answer in self._handler.answers(client, llc.strip(apdu)):
                *before, last = segments(llc.RESPONSE + answer, size)
                connection.outgoing.queue((part, True) for part in before)
                connection.outgoing.queue([(last, False)])
        if not polls:
            connection.last = b""
            return b""
        return self._send(connection, frame)

    def _acknowledged(self, client: int, frame: Frame) -> bytes:
        connection = self._connections[client]
        connection.outgoing.acknowledge(frame.receive_sequence)
        if connection.outgoing:
            return self._send(connection, frame)
        return self._reply(frame, ready_control(connection.received)) if frame.final else b""

    def _not_ready(self, client: int, frame: Frame) -> bytes:
        connection = self._connections[client]
        connection.outgoing.acknowledge(frame.receive_sequence)
        return self._reply(frame, ready_control(connection.received)) if frame.final else b""

    def _reject(self, client: int, frame: Frame) -> bytes:
        connection = self._connections.pop(client)
        self._handler.closed(client)
        counts = connection.received << 5 | 0x10
        why = bytes((frame.control, counts, _CONTROL_UNDEFINED))
        return self._reply(frame, unnumbered_control(Kind.FRMR), why)

    def _send(self, connection: _Connection, frame: Frame) -> bytes:
        if not connection.outgoing:
            return self._ready(connection, frame)

        def encode(control: int, information: bytes, segmented: bool) -> bytes:
            return self._reply(frame, control, information, segmented)

        connection.last = connection.outgoing.send(connection.received, encode)
        return connection.last

    def _ready(self, connection: _Connection, frame: Frame) -> bytes:
        connection.last = self._reply(frame, ready_control(connection.received))
        return connection.last

    @staticmethod
    def _reply(
        frame: Frame, control: int, information: bytes = b"", segmented: bool = False
    ) -> bytes:
        return Frame(frame.source, frame.destination, control, information, segmented).to_octets()


_Act = Callable[[Station, int, Frame], bytes]
_TABLE: tuple[dict[Kind, _Act], dict[Kind, _Act]] = (
    {
        Kind.SNRM: Station._connect,  # noqa: SLF001 - the table of this class
        Kind.DISC: Station._refuse,  # noqa: SLF001
        Kind.I: Station._refuse,  # noqa: SLF001
        Kind.RR: Station._refuse,  # noqa: SLF001
        Kind.RNR: Station._refuse,  # noqa: SLF001
    },
    {
        Kind.SNRM: Station._connect,  # noqa: SLF001
        Kind.DISC: Station._disconnect,  # noqa: SLF001
        Kind.I: Station._information,  # noqa: SLF001
        Kind.RR: Station._acknowledged,  # noqa: SLF001
        Kind.RNR: Station._not_ready,  # noqa: SLF001
        Kind.UNKNOWN: Station._reject,  # noqa: SLF001
    },
)
