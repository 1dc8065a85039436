"""Meters behind one UDP port: a datagram in, a datagram out (IEC 62056-47, clause 5).

Every datagram holds one wrapper APDU. An association belongs to the address that a client sends
from, to its wPort and to the meter's. As UDP tells nobody that a client has gone, the clients heard
of longest ago are forgotten when there are too many.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Mapping

from hesper_dlms.errors import DecodeError
from hesper_dlms.server.connection import Sessions
from hesper_dlms.server.model import LogicalServer
from hesper_dlms.wrapper import unwrap, wrap

CLIENTS_MAX = 1024


class WrapperDatagrams:
    """The meters of one UDP port.

    Args:
        servers: The meters by wPort; looked up when asked for, so it may be a large mapping.
        clients_max: Pairs of client and meter that are remembered.
    """

    __slots__ = ("_clients_max", "_servers", "_sessions")

    def __init__(
        self, servers: Mapping[int, LogicalServer], clients_max: int = CLIENTS_MAX
    ) -> None:
        self._servers = servers
        self._clients_max = clients_max
        self._sessions: OrderedDict[tuple[Hashable, int], Sessions] = OrderedDict()

    def receive(self, datagram: bytes, sender: Hashable) -> list[bytes]:
        """Take a datagram in, return those to send back to `sender`; noise gets no answer."""
        try:
            frame = unwrap(datagram)
        except DecodeError:
            return []
        server = self._servers.get(frame.destination)
        if server is None:
            return []
        sessions = self._sessions_of(sender, frame.destination, server)
        return [
            wrap(frame.destination, frame.source, answer)
            for answer in sessions.answers(frame.source, frame.apdu)
        ]

    @staticmethod
    def push(port: int, client_address: int, apdu: bytes) -> bytes:
        """Return the datagram of an APDU that the meter at wPort `port` sends unasked."""
        return wrap(port, client_address, apdu)

    def _sessions_of(self, sender: Hashable, port: int, server: LogicalServer) -> Sessions:
        name = sender, port
        sessions = self._sessions.pop(name, None) or Sessions(server)
        self._sessions[name] = sessions
        while len(self._sessions) > self._clients_max:
            self._sessions.popitem(last=False)
        return sessions
