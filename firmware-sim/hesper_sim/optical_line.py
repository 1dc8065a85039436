"""An optical head on a meter, as a pseudo-terminal: sign-on by mode E first, then HDLC.

A pseudo-terminal has no speed, so the change of speed is spoken but not felt. HDLC lasts until the
client disconnects and signs on anew: a request in clear between frames is taken for that. Answers
of the sign-on wait for the reaction time (IEC 62056-21, 6.3.13), by which a client tells them from
the echo of its own octets.
"""

from __future__ import annotations

import asyncio
from typing import Final

from hesper_dlms.errors import LinkError
from hesper_dlms.mode_e import MeterSignOn
from hesper_dlms.server import HdlcServerLink, ServerConnection

from hesper_sim.pty_port import PtyPort
from hesper_sim.served import MeterEnd, MeterServer

IDENTIFICATION: Final = "/HSP5\\2HSP-3"
_REQUEST: Final = b"/?"
_FLAG: Final = 0x7E
_REACTION_S: Final = 0.25
"""At least 200 ms, at most 1500."""


class OpticalLine:
    """One meter behind its head.

    Args:
        port: The pseudo-terminal.
        server: The meter; a request for its serial number's digits is answered too.
    """

    def __init__(self, port: PtyPort, server: MeterServer) -> None:
        self._port = port
        self._server = server
        self._sign_on = MeterSignOn(IDENTIFICATION, server.meter.serial.removeprefix("HES"))
        self._end: MeterEnd | None = None

    def start(self) -> None:
        """Begin to listen."""
        self._port.listen(self._receive)

    def _receive(self, octets: bytes) -> None:
        clear = bytes(octet & 0x7F for octet in octets)  # a client may send parity as an eighth bit
        if self._sign_on.signed_on and octets[0] != _FLAG and _REQUEST in clear:
            self._sign_on.reset()
            self._end = None
        if not self._sign_on.signed_on:
            loop = asyncio.get_running_loop()
            for step in self._sign_on.receive(octets):
                loop.call_later(_REACTION_S, self._port.write, step.octets)
            return
        if self._end is None:
            plan = self._server.meter.plan
            link = HdlcServerLink(plan.server_address, plan.physical_address)
            connection = ServerConnection(self._server, link)
            self._end = MeterEnd(self._server.meter, connection, self._port.write)
        try:
            self._end.receive(octets)
        except LinkError:
            self._sign_on.reset()
            self._end = None
