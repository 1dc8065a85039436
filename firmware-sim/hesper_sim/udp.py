"""A meter on UDP with the wrapper (IEC 62056-47, 5): one APDU with its header in each datagram.

There are no connections: a client is known by the address that its datagrams come from. Clients
that were not heard for long make room for others.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import Final, cast

from hesper_dlms.errors import LinkError
from hesper_dlms.server import ServerConnection, WrapperServerLink

from hesper_sim.served import MeterEnd, MeterServer

Address = tuple[str, int]
MOST_PEERS: Final = 16


class DatagramPort(asyncio.DatagramProtocol):
    """The UDP port of one meter."""

    def __init__(self, server: MeterServer) -> None:
        self._server = server
        self._ends: OrderedDict[Address, MeterEnd] = OrderedDict()
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The port is open."""
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: Address) -> None:
        """Answer one datagram; one that is no wrapper frame is dropped, and its sender forgotten.

        So is a sender whose meter has started anew, before it is heard as a new one.
        """
        for _ in range(2):
            end = self._end_of(addr)
            try:
                end.receive(data)
            except LinkError:
                del self._ends[addr]
            else:
                return

    def _end_of(self, address: Address) -> MeterEnd:
        end = self._ends.get(address)
        if end is None:
            meter = self._server.meter
            link = WrapperServerLink(meter.plan.server_address)
            connection = ServerConnection(self._server, link)
            end = MeterEnd(meter, connection, lambda octets: self._send(octets, address))
            self._ends[address] = end
            if len(self._ends) > MOST_PEERS:
                self._ends.popitem(last=False)
        self._ends.move_to_end(address)
        return end

    def _send(self, octets: bytes, address: Address) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.sendto(octets, address)
