"""One RS-485 line with several meters: HDLC multi-drop on a pseudo-terminal, noise on request.

As on a real bus every meter hears everything and answers to its own physical address.
"""

from __future__ import annotations

import random
from collections.abc import Iterable

from hesper_dlms.errors import LinkError
from hesper_dlms.server import HdlcServerLink, ServerConnection

from hesper_sim.faults import Fault
from hesper_sim.pty_port import PtyPort
from hesper_sim.served import MeterEnd, MeterServer


class SerialLine:
    """The meters of one line.

    Args:
        port: The pseudo-terminal.
        servers: The meters on it; each has a physical address.
    """

    def __init__(self, port: PtyPort, servers: Iterable[MeterServer]) -> None:
        self.faults: set[Fault] = set()
        self._port = port
        self._chance = random.Random(str(port.link))  # noqa: S311 - noise, no secret
        self._servers = list(servers)
        self._ends = [self._end_of(server) for server in self._servers]

    def _end_of(self, server: MeterServer) -> MeterEnd:
        return MeterEnd(server.meter, ServerConnection(server, _link(server)), self._answer)

    def start(self) -> None:
        """Begin to listen."""
        self._port.listen(self._receive)

    def _receive(self, octets: bytes) -> None:
        if Fault.LINE_ECHO in self.faults:
            self._port.write(octets)
        for place, end in enumerate(self._ends):
            try:
                end.receive(octets)
            except LinkError:
                self._ends[place] = self._end_of(self._servers[place])

    def _answer(self, octets: bytes) -> None:
        if Fault.LINE_NOISE in self.faults:
            self._port.write(self._noise() + octets + self._noise())
        else:
            self._port.write(octets)

    def _noise(self) -> bytes:
        return self._chance.randbytes(self._chance.randint(0, 6))


def _link(server: MeterServer) -> HdlcServerLink:
    plan = server.meter.plan
    return HdlcServerLink(plan.server_address, plan.physical_address)
