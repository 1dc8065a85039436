"""Which keys a meter has after a change that ended without anybody knowing.

The command's own result said *unknown* then, or the gateway that got it is another one, dead by
now. So what an association proves later goes up as an event for people, and as a result of that
command, signed, for the authority: it keeps both sets until one comes. A command that is still
executing reports by itself. A result that a power cut took is made up for by the next change, which
carries the same keys.
"""

import asyncio
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import NamedTuple

from hesper_contracts.results import CommandResult, Findings

from hesper_gateway import journal
from hesper_gateway.alarms import Alarms
from hesper_gateway.database import Database, StorageFull
from hesper_gateway.outbox import Outbox

log = logging.getLogger(__name__)


class Settled(NamedTuple):
    """A change of keys that an association has settled."""

    meter: str
    command_id: str
    is_new: bool

    @property
    def text(self) -> str:
        """The words for it."""
        which = "new" if self.is_new else "old"
        return f"the meter opens with its {which} keys (command {self.command_id})"


class KeyNews:
    """Takes what was settled and tells it; `run` it as a task."""

    def __init__(
        self,
        gateway: str,
        database: Database,
        outbox: Outbox,
        alarms: Alarms,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._gateway = gateway
        self._database = database
        self._outbox = outbox
        self._alarms = alarms
        self._clock = clock
        self._waiting: asyncio.Queue[Settled] = asyncio.Queue()

    def settled(self, meter: str, command_id: str, is_new: bool) -> None:
        """Notes which keys a meter has; returns at once."""
        news = Settled(meter, command_id, is_new)
        code = "meter.keys_changed" if is_new else "meter.keys_kept"
        self._alarms.tell(code, news.text, "info", meter)
        self._waiting.put_nowait(news)

    async def run(self) -> None:
        """Sends results as they come; runs for ever."""
        while True:
            await self._send(await self._waiting.get())

    async def finish(self) -> None:
        """Sends what waits, for a program that ends by itself."""
        while not self._waiting.empty():
            await self._send(self._waiting.get_nowait())

    async def _send(self, news: Settled) -> None:
        known = journal.find(self._database, news.command_id)
        if known is not None and known.state == "executing":
            return
        try:
            await self._outbox.append_result(self._result(news))
        except StorageFull:
            log.exception("command %s: its result could not be stored", news.command_id)

    def _result(self, news: Settled) -> CommandResult:
        return CommandResult(
            command_id=news.command_id,
            gateway=self._gateway,
            meter=news.meter,
            state="confirmed" if news.is_new else "failed",
            at=self._clock(),
            detail=news.text,
            findings=Findings(keys="new" if news.is_new else "old"),
        )
