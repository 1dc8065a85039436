"""Ends in time what turns have left open on their lines: one task for all lines.

Two things may come first: the next reading of the same meter takes it up, or whoever else wants the
line ends it. What is left is ended here, before the meter's own inactivity time-out, so that its
next client finds it free.
"""

import asyncio
from collections.abc import Collection

from hesper_gateway.lines.line import Line


class StayingOpen:
    """Watches over the lines of a gateway.

    Args:
        lines: All of them, each once.
    """

    def __init__(self, lines: Collection[Line]) -> None:
        self._lines = lines
        self._changed = asyncio.Event()
        for line in lines:
            line.on_left_open = self._changed.set

    async def run(self) -> None:
        """End what nobody took up in time, until cancelled."""
        while True:
            self._changed.clear()
            now = asyncio.get_running_loop().time()
            async with asyncio.TaskGroup() as tasks:
                for line in self._lines:
                    if line.open_until is not None and line.open_until <= now:
                        tasks.create_task(line.vacate_in_time(), name=f"{line.name}-vacate")
            await self._wait()

    async def _wait(self) -> None:
        """Wait until the first of them is due, or another has been left open."""
        open_until = (line.open_until for line in self._lines)
        due = min((until for until in open_until if until is not None), default=None)
        try:
            async with asyncio.timeout_at(due):
                await self._changed.wait()
        except TimeoutError:
            return
