"""What a version on trial must prove before it stays.

That it reaches the broker, reads a meter, and sends what it read or has to tell so that the cloud
gives a receipt for it: all since it was started, and before the launcher's patience ends. A version
that cannot is ended from outside, so nothing here has to work for the old one to come back.
"""

import asyncio
import logging
from collections.abc import Callable
from dataclasses import dataclass

from hesper_gateway.update.slots import Slots

log = logging.getLogger(__name__)

LOOK_EVERY_S = 0.5


@dataclass(frozen=True, slots=True)
class Proofs:
    """How each is asked for; all are about this run of the program.

    Attributes:
        connected: Set while the broker has us.
        has_read: Says whether a meter was read.
        has_receipt: Says whether a batch was receipted.
    """

    connected: asyncio.Event
    has_read: Callable[[], bool]
    has_receipt: Callable[[], bool]


class UpdateTrial:
    """Commits a version that has proven itself; `run` it as a task.

    Args:
        slots: Where the versions are; None where no launcher has started this program.
        slot: The one that this program runs from.

    Attributes:
        settled: Set as soon as the version that runs is the one that stays.
    """

    def __init__(self, slots: Slots | None, slot: str) -> None:
        self.slots = slots
        self.settled = asyncio.Event()
        self._slot = slot

    @property
    def is_on_trial(self) -> bool:
        """Whether what runs still has to prove itself."""
        trial = self.slots.state().trial if self.slots else None
        return trial is not None and trial.slot == self._slot

    async def run(self, proofs: Proofs) -> None:
        """Wait for the proofs, where they are asked for, and commit."""
        if self.slots is not None and self.is_on_trial:
            await proofs.connected.wait()
            while not (proofs.has_read() and proofs.has_receipt()):  # noqa: ASYNC110 - no events
                await asyncio.sleep(LOOK_EVERY_S)
            await asyncio.to_thread(self.slots.commit)
            log.warning("this version has proven itself and stays")
        self.settled.set()
