"""Sending the meters' pushes: each meter in its own moment of the period, alarms at once.

Over TCP a meter opens a connection, sends, and closes; if nobody listens the push is lost, as it is
in the field. On a serial line pushes leave while somebody listens.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Final

from hesper_sim.district import District
from hesper_sim.fleet import PushLink
from hesper_sim.meter import Meter
from hesper_sim.notifications import notification, on_link
from hesper_sim.pty_port import PtyPort
from hesper_sim.served import MeterServer

log = logging.getLogger(__name__)

_CONNECT_S: Final = 5.0
_AT_ONCE: Final = 32
_ALARMS_WAITING: Final = 1000


class Outgoing:
    """The pushes of a fleet.

    Args:
        district: The fleet and its settings.
        servers: Its meters.
        port: The serial line that pushes leave on; None sends them over TCP.
    """

    def __init__(
        self, district: District, servers: Sequence[MeterServer], port: PtyPort | None
    ) -> None:
        self.sent_count = 0
        self._district = district
        self._servers = list(servers)
        self._by_serial = {server.meter.serial: server for server in servers}
        self._port = port
        self._alarms: asyncio.Queue[Meter] = asyncio.Queue(_ALARMS_WAITING)
        self._free = asyncio.Semaphore(_AT_ONCE)
        district.pushes.append(self._wanted)

    def _wanted(self, meter: Meter) -> None:
        if not self._alarms.full():
            self._alarms.put_nowait(meter)

    async def run(self) -> None:
        """Send for ever."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self._schedule(), name="scheduled pushes")
            group.create_task(self._alarmed(), name="alarm pushes")

    async def _schedule(self) -> None:
        pause_s = self._district.fleet.settings.data_push_s / max(len(self._servers), 1)
        async with asyncio.TaskGroup() as group:
            while True:
                for server in self._servers:
                    await self._free.acquire()
                    group.create_task(self._send(server), name=f"push {server.meter.serial}")
                    await asyncio.sleep(pause_s)

    async def _alarmed(self) -> None:
        while True:
            meter = await self._alarms.get()
            await self._free.acquire()
            await self._send(self._by_serial[meter.serial])

    async def _send(self, server: MeterServer) -> None:
        try:
            if not server.meter.faults.keys() & _MUTE:
                await self._deliver(server)
        finally:
            self._free.release()

    async def _deliver(self, server: MeterServer) -> None:
        settings = self._district.fleet.settings
        if self._port is not None and not self._port.somebody_listens:
            return
        apdu = notification(self._district, server, settings.data_push_ciphered)
        octets = on_link(server, apdu, settings.data_push_link, settings.data_push_block)
        if self._port is not None:
            self._port.write(octets)
        elif not await self._connect_and_send(octets):
            return
        self.sent_count += 1

    async def _connect_and_send(self, octets: bytes) -> bool:
        settings = self._district.fleet.settings
        try:
            async with asyncio.timeout(_CONNECT_S):
                _, writer = await asyncio.open_connection(
                    settings.data_push_host, settings.data_push_port
                )
                writer.write(octets)
                await writer.drain()
                writer.close()
                await writer.wait_closed()
        except (OSError, TimeoutError) as error:
            log.debug("a push was lost: %s", error)
            return False
        return True


_MUTE: Final = frozenset({"silent", "outage"})


def is_wanted(district: District) -> bool:
    """Return whether a fleet's settings ask for pushes."""
    settings = district.fleet.settings
    return settings.data_push_link is not PushLink.WRAPPER or settings.data_push_port != 0
