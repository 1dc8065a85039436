"""How far apart commands that can cut a supply leave: a distance, and a random delay on top.

Many supplies that are cut at a steady beat are a load that falls by a steady beat, and whoever
knows the beat knows when the next is due. The delay is drawn once for each that has left, so that
asking more often makes it no shorter; after a restart it is drawn anew, the distance stays.
"""

import random
from collections.abc import Callable
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from hesper_cloud.authority.policy import Policy
from hesper_cloud.db.authority import BudgetUse

_RANDOM = random.SystemRandom()


class Spacing:
    """Knows what was drawn for the one that left last; single commands and batches ask the same.

    Args:
        chance: Returns a number from 0 up to 1, anew at each call.
    """

    def __init__(self, chance: Callable[[], float] = _RANDOM.random) -> None:
        self.chance = chance
        self._last: datetime | None = None
        self._share = 0.0

    def is_over(self, session: Session, policy: Policy, now: datetime) -> bool:
        """Says whether enough time has passed since the last of them was signed.

        One that lies further ahead than any distance is of before the clock was set back.
        """
        limits = policy.disconnects
        longest = timedelta(seconds=limits.seconds_between * (1 + limits.random_delay))
        newest = select(func.max(BudgetUse.at)).where(BudgetUse.at <= now + longest)
        last: datetime | None = session.scalar(newest)
        if last is None:
            return True
        if last != self._last:
            self._last, self._share = last, self.chance()
        distance_s = limits.seconds_between * (1 + limits.random_delay * self._share)
        return now - last >= timedelta(seconds=distance_s)
