"""Selections of meters: a list, or "all that match", held on the server and named by a short id.

A page hands over an id instead of a hundred thousand serials. What a filter finds is looked up when
it is used: the authority then freezes the list under its hash. Selections are kept in memory for
some hours and for their owner alone; a server that was started anew has forgotten them.
"""

import secrets
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from hesper_ui.services import MeterQuery, NotFound
from hesper_ui.words import say

KEPT_FOR = timedelta(hours=8)
MOST_KEPT = 500
MOST_OF_ONE = 20
"""Of one owner, whose next one takes the place of their oldest, and of nobody else's."""
MOST_NAMED = 20_000


@dataclass(frozen=True, slots=True)
class Selection:
    """Some meters: ``ids``, or whatever ``query`` finds."""

    id: str
    owner: str
    total: int
    made_at: datetime
    ids: tuple[str, ...] = ()
    query: MeterQuery | None = None


class Selections:
    """What is held, oldest first."""

    def __init__(self, clock: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._clock = clock
        self._kept: OrderedDict[str, Selection] = OrderedDict()

    def keep(
        self, owner: str, total: int, ids: tuple[str, ...] = (), query: MeterQuery | None = None
    ) -> Selection:
        """Keeps a selection and returns it with its id."""
        made = Selection(secrets.token_urlsafe(9), owner, total, self._clock(), ids, query)
        own = [each.id for each in self._kept.values() if each.owner == owner]
        for oldest in own[: max(0, len(own) + 1 - MOST_OF_ONE)]:
            del self._kept[oldest]
        self._kept[made.id] = made
        while len(self._kept) > MOST_KEPT:
            self._kept.popitem(last=False)
        return made

    def get(self, owner: str, selection: str) -> Selection:
        """Returns a selection of this owner.

        Raises:
            NotFound: there is none, it is another person's, or it is too old.
        """
        found = self._kept.get(selection)
        if found is None or found.owner != owner or self._clock() - found.made_at > KEPT_FOR:
            raise NotFound(say("This selection is no longer held; please select again."))
        return found
