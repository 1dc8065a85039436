"""A meter behind an optical head: a pseudo-terminal on which both sides must agree on the speed."""

from __future__ import annotations

import os
import pty
import select
import termios
import threading
import tty
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hesper_dlms.mode_e import MeterSignOn
from hesper_dlms.server import HdlcServerLink, LogicalServer, ServerConnection

SPEEDS = {termios.B300: 300, termios.B2400: 2400, termios.B9600: 9600, termios.B19200: 19200}
IDENTIFICATION = r"/HXE5\2HXE12"


class OpticalMeter:
    """Signs on and then speaks HDLC, each time at the speed that the client must have set.

    `echo` repeats what it hears, as some probes do; `before` is said before its first word.
    """

    def __init__(self, server: LogicalServer, echo: bool = False, before: bytes = b"") -> None:
        self._far, self._near = pty.openpty()
        tty.setraw(self._near)
        self.path = Path(os.ttyname(self._near))
        self.speeds: list[int] = []
        self._echo, self._before = echo, before
        self._sign_on = MeterSignOn(IDENTIFICATION)
        self._connection = ServerConnection(server, HdlcServerLink(1))
        self._ended, self._end = os.pipe()
        self._thread = threading.Thread(target=self._live)
        self._thread.start()

    @property
    def speed(self) -> int:
        """What the client has set its port to."""
        return SPEEDS[termios.tcgetattr(self._near)[4]]

    def close(self) -> None:
        os.close(self._end)
        self._thread.join()
        for descriptor in (self._far, self._near, self._ended):
            os.close(descriptor)

    def _live(self) -> None:
        while True:
            readable, _, _ = select.select([self._far, self._ended], [], [])
            if self._ended in readable:
                return
            octets = os.read(self._far, 4096)
            if self._echo:
                os.write(self._far, octets)
            self._hear(octets)

    def _hear(self, octets: bytes) -> None:
        if self._sign_on.signed_on:
            if self.speed == self._sign_on.line.baudrate:
                os.write(self._far, self._connection.receive(octets))
            return
        for step in self._sign_on.receive(octets):
            if step.octets and self._until(step.line.baudrate):
                self.speeds.append(step.line.baudrate)
                os.write(self._far, self._before + step.octets)
                self._before = b""

    def _until(self, baudrate: int) -> bool:
        """Wait for the client's change of speed and the 20 ms that every meter leaves it."""
        for _ in range(200):
            agreed = self.speed == baudrate
            select.select([self._ended], [], [], 0.02)
            if agreed:
                return True
        return False


@pytest.fixture
def optical_meter(bench: Any) -> Iterator[Any]:
    """Puts meters behind optical heads: `optical_meter(echo=True).path`."""
    started: list[OpticalMeter] = []

    def start(**how: Any) -> OpticalMeter:
        started.append(OpticalMeter(LogicalServer(bench.Meter()), **how))
        return started[-1]

    yield start
    for meter in started:
        meter.close()
