"""What the gateway itself has to tell a person, as events through the outbox.

The same code is told at most every ten minutes, however often it happens, so that a flood of forged
messages neither fills the outbox nor wears out the card; the text counts what was held back.
"""

import asyncio
import logging
import secrets
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime

from hesper_contracts.events import Event, Severity

from hesper_gateway.database import StorageFull
from hesper_gateway.outbox import Outbox

log = logging.getLogger(__name__)

QUIET_S = 600.0
MOST_WAITING = 100


class Alarms:
    """Collects alarms from anywhere in the event loop and stores them as events."""

    def __init__(
        self,
        outbox: Outbox,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        quiet_s: float = QUIET_S,
    ) -> None:
        self._outbox = outbox
        self._clock = clock
        self._quiet_s = quiet_s
        self._told_at: dict[str, float] = {}
        self._held_back: Counter[str] = Counter()
        self._waiting: asyncio.Queue[Event] = asyncio.Queue(MOST_WAITING)

    def tell(
        self, code: str, text: str, severity: Severity = "warning", meter: str | None = None
    ) -> None:
        """Notes an alarm; returns at once and never fails."""
        now = asyncio.get_running_loop().time()
        subject = f"{code}/{meter or ''}"
        last = self._told_at.get(subject)
        if (last is not None and now - last < self._quiet_s) or self._waiting.full():
            self._held_back[subject] += 1
            return
        self._told_at[subject] = now
        if held_back := self._held_back.pop(subject, 0):
            text = f"{text} (and {held_back} times since the last alarm)"
        log.log(logging.INFO if severity == "info" else logging.WARNING, "%s: %s", code, text)
        self._waiting.put_nowait(
            Event(
                id=f"{code}/{secrets.token_hex(8)}",
                code=code,
                occurred_at=self._clock(),
                severity=severity,
                meter=meter,
                text=text,
            )
        )

    def critical(self, code: str, text: str) -> None:
        """Notes what a person must look at soon."""
        self.tell(code, text, "critical")

    async def run(self) -> None:
        """Stores alarms as they come; runs for ever."""
        while True:
            await self._store(await self._waiting.get())

    async def finish(self) -> None:
        """Stores what waits, for a program that ends by itself."""
        while not self._waiting.empty():
            await self._store(self._waiting.get_nowait())

    async def _store(self, event: Event) -> None:
        try:
            await self._outbox.append_events([event])
        except StorageFull as full:
            log.error("alarm %s could not be stored: %s", event.code, full)  # noqa: TRY400 - a full disk is no bug
