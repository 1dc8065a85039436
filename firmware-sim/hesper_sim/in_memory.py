"""Meters without sockets or files: for tests of clients and for measuring, all in one process.

    meters = in_memory.meters(FleetSettings(tcp=3, dial_in=0, rs485=0, shared=0))
    answer = meters["HES11000003"].receive(octets)

Nothing is remembered beyond the process. Faults of answers and links work as on a socket, but slow
answers need a running event loop.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

from hesper_dlms.errors import LinkError
from hesper_dlms.server import HdlcServerLink, ServerConnection, WrapperServerLink

from hesper_sim.district import Clock, District
from hesper_sim.fleet import FleetSettings, plan
from hesper_sim.history import History
from hesper_sim.journal import Forgetful
from hesper_sim.served import MeterEnd, MeterServer

_DAY_S = 86_400


class InMemory:
    """One meter and one client's link to it, wrapper or HDLC as the plan says."""

    def __init__(self, server: MeterServer) -> None:
        self.server = server
        self._waiting = bytearray()
        self._end = self._begin()

    def receive(self, octets: bytes) -> bytes:
        """Take octets in, return what the meter sends; nothing when it hung up or is silent."""
        try:
            self._end.receive(octets)
        except LinkError:
            self._end = self._begin()
        sent = bytes(self._waiting)
        self._waiting.clear()
        return sent

    def _begin(self) -> MeterEnd:
        plan = self.server.meter.plan
        link = (
            WrapperServerLink(plan.server_address)
            if plan.physical_address is None
            else HdlcServerLink(plan.server_address, plan.physical_address)
        )
        connection = ServerConnection(self.server, link)
        return MeterEnd(self.server.meter, connection, self._waiting.extend)


def meters(
    settings: FleetSettings, clock: Clock = time.time, history_days: int = 30
) -> Mapping[str, InMemory]:
    """Return the meters of a fleet by serial number."""
    history = History(int(clock()), 900, history_days * _DAY_S)
    district = District(plan(settings), history, Forgetful(), clock)
    return {
        serial: InMemory(MeterServer(district, meter)) for serial, meter in district.meters.items()
    }
