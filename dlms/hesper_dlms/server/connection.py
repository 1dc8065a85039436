"""Meters on their links: octets in, octets out, nothing else (no sockets, no clock).

    ServerConnection   one meter behind one TCP connection or one serial line
    WrapperConnection  the same over TCP with the wrapper, lean
    WrapperShared      many meters behind one TCP connection, told apart by wPort
    HdlcMultidrop      many meters on one serial line, told apart by physical address

Give `receive` what arrived, in any chunks; send what it returns. `LinkError` from it means that the
stream is beyond repair: close it. Make a new connection object for every TCP connection; a
`LogicalServer` outlives them.
"""

from __future__ import annotations

from collections.abc import Mapping

from hesper_dlms.apdu.block_transfer import GENERAL_BLOCK_TRANSFER
from hesper_dlms.gbt import push_blocks
from hesper_dlms.hdlc.address import parse_server
from hesper_dlms.hdlc.frames import FrameReader
from hesper_dlms.hdlc.parameters import DEFAULT_INFORMATION
from hesper_dlms.hdlc.station import Station
from hesper_dlms.server.links import ServerLink
from hesper_dlms.server.model import LogicalServer
from hesper_dlms.server.session import Session, State
from hesper_dlms.wrapper import HEADER_OCTETS, WrapperReader, wports, wrap

PUSH_CLIENT = 102
"""The client address that pushes go to (pre-established association)."""


class Sessions:
    """One meter's associations on one link, one for each client address."""

    __slots__ = ("_by_client", "server")

    def __init__(self, server: LogicalServer) -> None:
        self.server = server
        self._by_client: dict[int, Session] = {}

    def answers(self, client_address: int, apdu: bytes) -> list[bytes]:
        """Return the APDUs that answer a client's: one, none, or a turn of general blocks."""
        session = self._by_client.get(client_address)
        if session is None:
            session = Session(self.server, client_address)
        answer = session.answer(apdu)
        if session.state is not State.IDLE:
            self._by_client[client_address] = session  # whoever never associates is forgotten
        if answer is None:
            return []
        return [answer] if answer[0] != GENERAL_BLOCK_TRANSFER else [answer, *session.following()]

    def closed(self, client_address: int) -> None:
        """Forget a client's association: its link is gone."""
        self._by_client.pop(client_address, None)


class ServerConnection:
    """One meter on one link.

    Args:
        server: The meter.
        link: How it is reached; a fresh one for each TCP connection.
    """

    __slots__ = ("_link", "_sessions")

    def __init__(self, server: LogicalServer, link: ServerLink) -> None:
        self._sessions = Sessions(server)
        self._link = link
        link.attach(self._sessions)

    @property
    def system_title(self) -> bytes:
        """The meter's system title, 8 octets."""
        return self._sessions.server.objects.system_title

    def receive(self, octets: bytes) -> bytes:
        """Take octets in, return octets to send; LinkError means: close the connection."""
        return self._link.receive(octets)

    def push(self, apdu: bytes, client_address: int = PUSH_CLIENT) -> bytes:
        """Return the octets of an APDU sent unasked."""
        return self._link.push(client_address, apdu)

    def push_in_blocks(self, apdu: bytes, max_pdu: int, client_address: int = PUSH_CLIENT) -> bytes:
        """Return the octets of an APDU sent unasked in general blocks of at most `max_pdu`."""
        blocks = push_blocks(apdu, max_pdu)
        return b"".join(self._link.push(client_address, block) for block in blocks)


class WrapperConnection:
    """One meter behind one TCP connection with the wrapper, for servers of thousands of them.

    Does what a `ServerConnection` over a `WrapperServerLink` does in one object instead of five,
    with nothing but a session while a single client sends whole APDUs: 0.5 KB less.

    Args:
        server: The meter.
        port: Its wPort.
    """

    __slots__ = ("_client", "_others", "_port", "_reader", "_server", "_session")

    def __init__(self, server: LogicalServer, port: int = 1) -> None:
        self._server = server
        self._port = port
        self._reader: WrapperReader | None = None
        self._client = -1
        self._session: Session | None = None
        self._others: dict[int, Session] | None = None

    def receive(self, octets: bytes) -> bytes:
        """Take octets in, return octets to send; LinkError means: close the connection."""
        whole = wports(octets) if self._reader is None else None
        if whole is not None:
            client, port = whole
            return self._answer(client, octets[HEADER_OCTETS:]) if port == self._port else b""
        reader = self._reader = self._reader or WrapperReader()
        out = b"".join(
            self._answer(frame.source, frame.apdu)
            for frame in reader.receive(octets)
            if frame.destination == self._port
        )
        if reader.waiting is None:
            self._reader = None
        return out

    def push(self, apdu: bytes, client_address: int = PUSH_CLIENT) -> bytes:
        """Return the octets of an APDU sent unasked."""
        return wrap(self._port, client_address, apdu)

    def _answer(self, client: int, apdu: bytes) -> bytes:
        session = self._session
        if session is None or client != self._client:
            session = self._session_of(client)
        answer = session.answer(apdu)
        if answer is None:
            return b""
        if answer[0] != GENERAL_BLOCK_TRANSFER:
            return wrap(self._port, client, answer)
        turn = (answer, *session.following())
        return b"".join(wrap(self._port, client, each) for each in turn)

    def _session_of(self, client: int) -> Session:
        """Return a client's session; those of clients that are not associated make room for it."""
        others = self._others or {}
        if client in others:
            return others[client]
        session = Session(self._server, client)
        if self._session is None or self._session.state is State.IDLE:
            self._client, self._session = client, session
        else:
            open_ones = {at: each for at, each in others.items() if each.state is not State.IDLE}
            self._others = {**open_ones, client: session}
        return session


class WrapperShared:
    """One TCP connection to many meters.

    Args:
        servers: The meters by wPort; looked up when asked for, so it may be a large mapping.
    """

    __slots__ = ("_reader", "_servers", "_sessions")

    def __init__(self, servers: Mapping[int, LogicalServer]) -> None:
        self._servers = servers
        self._reader = WrapperReader()
        self._sessions: dict[int, Sessions] = {}

    def receive(self, octets: bytes) -> bytes:
        """Take octets in, return octets to send; LinkError means: close the connection."""
        out = b""
        for frame in self._reader.receive(octets):
            sessions = self._sessions_of(frame.destination)
            if sessions is None:
                continue
            for answer in sessions.answers(frame.source, frame.apdu):
                out += wrap(frame.destination, frame.source, answer)
        return out

    def _sessions_of(self, port: int) -> Sessions | None:
        if port not in self._sessions and port in self._servers:
            self._sessions[port] = Sessions(self._servers[port])
        return self._sessions.get(port)


class HdlcMultidrop:
    """One serial line with many meters on it.

    Args:
        servers: The meters by physical address.
        logical: Logical device address that all of them answer to; None answers to any.
        max_info: Largest information field that they take and send.
        window: I frames that they send and accept without an acknowledgement between, 1 to 7.
    """

    __slots__ = ("_reader", "_stations")

    def __init__(
        self,
        servers: Mapping[int, LogicalServer],
        logical: int | None = 1,
        max_info: int = DEFAULT_INFORMATION,
        window: int = 1,
    ) -> None:
        self._reader = FrameReader()
        self._stations = {
            physical: Station(Sessions(server), physical, logical, max_info, window)
            for physical, server in servers.items()
        }

    def receive(self, octets: bytes) -> bytes:
        """Take octets in, return octets to send."""
        out = b""
        for frame in self._reader.receive(octets):
            station = self._station_of(frame.destination)
            if station is not None and station.accepts(frame):
                out += station.frame(frame)
        return out

    def push(self, physical: int, apdu: bytes, client_address: int = PUSH_CLIENT) -> bytes:
        """Return the octets of an APDU that one meter sends unasked."""
        return self._stations[physical].push(client_address, 1, apdu)

    def _station_of(self, destination: bytes) -> Station | None:
        physical = parse_server(destination).physical
        return None if physical is None else self._stations.get(physical)
