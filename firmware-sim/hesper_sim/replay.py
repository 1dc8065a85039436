"""Replaying captured pushes on one pseudo-terminal, again and again, while somebody listens.

A push with a time of its own is one reading however often it is sent, so it is journalled once; one
without is a new reading each time. Damaged captures are sent too and journalled never: the receiver
must drop and count them.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence
from typing import Final

from hesper_sim.capture import Capture
from hesper_sim.district import District
from hesper_sim.pty_port import PtyPort

log = logging.getLogger(__name__)

BETWEEN_S: Final = 0.3
"""Silence between two pushes on one line."""


class Replay:
    """The captures of one line.

    Args:
        district: Keeps the journal and the time.
        port: Where to send.
        captures: What to send, in order.
        already: Names of meters whose dated push is in the journal.
    """

    def __init__(
        self,
        district: District,
        port: PtyPort,
        captures: Sequence[Capture],
        already: Iterable[str] = (),
    ) -> None:
        self.sent_count = 0
        self._district = district
        self._port = port
        self._captures = captures
        self._journalled = set(already)
        self._last_at = 0

    async def run(self, period_s: float) -> None:
        """Send all captures every `period_s` seconds, for ever."""
        while True:
            for capture in self._captures:
                if self._port.somebody_listens:
                    self.send(capture)
                await asyncio.sleep(BETWEEN_S)
            await asyncio.sleep(max(period_s - BETWEEN_S * len(self._captures), BETWEEN_S))

    def send(self, capture: Capture) -> None:
        """Journal and send one capture."""
        self._last_at = max(self._last_at + 1, self._district.now())
        octets = capture.octets(self._last_at)
        dated = all(expected.captured_at is not None for expected in capture.expected)
        if not dated or capture.meter not in self._journalled:
            for record in capture.records(self._district.now()):
                self._district.record_push(record)
            self._journalled.add(capture.meter)
        self._port.write(octets)
        self.sent_count += 1
        log.debug("replayed %s", capture.name)
