"""HDLC frames over TCP: a meter's serial line behind a serial server (Green Book, 10.2)."""

from __future__ import annotations

import asyncio
from typing import cast

from hesper_dlms.errors import LinkError
from hesper_dlms.server import HdlcServerLink, ServerConnection

from hesper_sim.served import MeterEnd, MeterServer


class HdlcPort(asyncio.Protocol):
    """A connection to one meter."""

    def __init__(self, server: MeterServer) -> None:
        self._server = server
        self._end: MeterEnd | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is open."""
        self._transport = cast("asyncio.Transport", transport)
        plan = self._server.meter.plan
        link = HdlcServerLink(plan.server_address, plan.physical_address)
        connection = ServerConnection(self._server, link)
        self._end = MeterEnd(self._server.meter, connection, self._transport.write)

    def data_received(self, data: bytes) -> None:
        """Answer frames; noise between them is passed over."""
        if self._end is None or self._transport is None:
            return
        try:
            self._end.receive(data)
        except LinkError:
            self._transport.close()
