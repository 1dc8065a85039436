"""Meters on TCP: one behind its own port, many behind a shared one, and those that call themselves.

A port of its own carries wrapper APDUs, or the HDLC frames of a serial line behind a serial server
(Green Book, 10.2). A shared address tells its meters apart by wrapper port (IEC 62056-47). A meter
that dials in sends a plain data-notification with its system title and logical device name first,
and then answers on that connection as if it had been called; when the connection ends it calls
again, later and later while nobody picks up.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Mapping
from typing import Final, cast

from hesper_dlms import axdr
from hesper_dlms.apdu import DataNotification
from hesper_dlms.errors import LinkError
from hesper_dlms.server import HdlcServerLink, ServerConnection, WrapperConnection
from hesper_dlms.wrapper import WrapperReader, wports

from hesper_sim.served import MeterEnd, MeterServer

FIRST_PAUSE_S: Final = 0.25
LONGEST_PAUSE_S: Final = 15.0
_DIAL_TIMEOUT_S: Final = 10.0


class OwnPort(asyncio.Protocol):
    """A connection to one meter, in wrapper APDUs unless given another framing."""

    __slots__ = ("_end", "_server", "_transport", "connection")

    def __init__(self, server: MeterServer, framed: ServerConnection | None = None) -> None:
        self._server = server
        self._end: MeterEnd | None = None
        self._transport: asyncio.Transport | None = None
        self.connection = framed or WrapperConnection(server, server.meter.plan.server_address)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is open."""
        self._transport = cast("asyncio.Transport", transport)
        self._end = MeterEnd(self._server.meter, self.connection, self._transport.write)

    def data_received(self, data: bytes) -> None:
        """Answer requests; a stream that cannot be taken apart ends the connection."""
        if self._end is None or self._transport is None:
            return
        try:
            self._end.receive(data)
        except LinkError:
            self._transport.close()


def serial_server(server: MeterServer) -> OwnPort:
    """Return a connection in HDLC frames: a meter's serial line behind a serial server."""
    plan = server.meter.plan
    link = HdlcServerLink(plan.server_address, plan.physical_address)
    return OwnPort(server, ServerConnection(server, link))


class SharedPort(asyncio.Protocol):
    """A connection to the meters behind one address.

    Most speak to one meter alone, in whole APDUs: reader and other meters are made when needed.
    """

    __slots__ = ("_end", "_ends", "_port", "_reader", "_servers", "_transport")

    def __init__(self, servers: Mapping[int, MeterServer]) -> None:
        self._servers = servers
        self._reader: WrapperReader | None = None
        self._port = -1
        self._end: MeterEnd | None = None
        self._ends: dict[int, MeterEnd] | None = None
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is open."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Hand each APDU to the meter whose wPort it names; unknown ports get no answer."""
        if self._transport is None:
            return
        try:
            whole = wports(data) if self._reader is None else None
            if whole is not None:
                self._hand(whole[1], data, self._transport)
                return
            reader = self._reader = self._reader or WrapperReader()
            for frame in reader.receive(data):
                self._hand(frame.destination, frame.to_octets(), self._transport)
            if reader.waiting is None:
                self._reader = None
        except LinkError:
            self._transport.close()

    def _hand(self, port: int, octets: bytes, transport: asyncio.Transport) -> None:
        for _ in range(2):
            end = self._end if port == self._port else self._end_of(port, transport)
            if end is None:
                return
            try:
                end.receive(octets)
            except LinkError:  # this meter alone has started anew, or hangs up: forget it
                self._forget(port)
            else:
                return

    def _forget(self, port: int) -> None:
        if port == self._port:
            self._port, self._end = -1, None
        elif self._ends is not None:
            self._ends.pop(port, None)

    def _end_of(self, port: int, transport: asyncio.Transport) -> MeterEnd | None:
        if self._ends is not None and port in self._ends:
            return self._ends[port]
        server = self._servers.get(port)
        if server is None:
            return None
        port = server.meter.plan.server_address  # the plan's own integer, not one more like it
        end = MeterEnd(server.meter, WrapperConnection(server, port), transport.write)
        if self._end is None:
            self._port, self._end = port, end
        else:
            self._ends = self._ends or {}
            self._ends[port] = end
        return end


class Calling(OwnPort):
    """A connection that the meter itself opened."""

    __slots__ = ("closed",)

    def __init__(self, server: MeterServer) -> None:
        super().__init__(server)
        self.closed = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Say who is calling."""
        super().connection_made(transport)
        plan = self._server.meter.plan
        names = (plan.system_title, plan.logical_device_name.encode())
        body = axdr.encode(axdr.structure(*(axdr.octet_string(name) for name in names)))
        greeting = DataNotification(0, None, body).to_octets()
        cast("asyncio.Transport", transport).write(self.connection.push(greeting))

    def connection_lost(self, exc: Exception | None) -> None:
        """The line went dead."""
        del exc
        if not self.closed.done():
            self.closed.set_result(None)


async def dial(server: MeterServer, host: str, port: int) -> None:
    """Call the gateway for ever."""
    loop = asyncio.get_running_loop()
    chance = random.Random(server.meter.serial)  # noqa: S311 - spreads calls, no secret
    pause_s = FIRST_PAUSE_S
    while True:
        try:
            async with asyncio.timeout(_DIAL_TIMEOUT_S):
                transport, calling = await loop.create_connection(
                    lambda: Calling(server), host, port
                )
        except (OSError, TimeoutError):
            pause_s = min(pause_s * 2, LONGEST_PAUSE_S)
        else:
            pause_s = FIRST_PAUSE_S
            try:
                await calling.closed
            finally:
                transport.close()
        await asyncio.sleep(pause_s * chance.uniform(0.5, 1.0))
