"""How many meters one sender may name that are not commissioned behind it.

A name stays: stores, latest values and the registry keep each for good. A concentrator has some
thousand meters at most, and before they are commissioned nobody can say which of them are there. So
a sender that names ever others is broken or hostile, and nobody beside it shall pay: its meters
that are commissioned, and what it named before, are heard; what it says of one too many is a dead
letter. Counted are meters that nobody commissioned, and those of other gateways. Who commissions
them makes room at once. The registry knows the names, so a restart forgets none of them.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping

from hesper_contracts.frame import Refused

_ASK_EVERY_S = 5.0


class TooManyNames(Refused):
    """Meters that senders may not name; `of` says which, by sender. The others are taken."""

    def __init__(self, of: Mapping[str, frozenset[str]], most: int) -> None:
        self.of = of
        count = sum(map(len, of.values()))
        super().__init__(
            f"names {count} meters beyond {most} of one sender that are not commissioned behind "
            "it: commission its meters or raise [ingest] most_uncommissioned_meters, then try again"
        )


class Names:
    """The meters of each sender that are not commissioned behind it.

    `beyond` belongs to one thread; `known` and `commissioned` may be told on another.

    Args:
        most: How many a sender may have.
        ask: Returns which meters need not be counted against a sender any more.
        monotonic: Seconds.
    """

    def __init__(
        self, most: int, ask: Callable[[str], Iterable[str]], monotonic: Callable[[], float]
    ) -> None:
        self.most = most
        self._ask = ask
        self._monotonic = monotonic
        self._of: defaultdict[str, set[str]] = defaultdict(set)
        self._asked_at: dict[str, float] = {}

    def known(self, sender: str, meters: Iterable[str]) -> None:
        """Counts names that are on record, however many they are."""
        self._of[sender].update(meters)

    def commissioned(self, sender: str, meter: str) -> None:
        """Counts a meter no more."""
        if sender in self._of:
            self._of[sender].discard(meter)

    def beyond(self, sender: str, meters: Iterable[str]) -> frozenset[str]:
        """Counts names that are not commissioned; returns those for which there is no room."""
        known = self._of[sender]
        fresh = [meter for meter in dict.fromkeys(meters) if meter not in known]
        if len(known) + len(fresh) > self.most:
            self._make_room(sender)
        room = max(self.most - len(known), 0)
        known.update(fresh[:room])
        return frozenset(fresh[room:])

    def _make_room(self, sender: str) -> None:
        """Asks what was commissioned since, now and then."""
        now = self._monotonic()
        if now - self._asked_at.get(sender, -_ASK_EVERY_S) >= _ASK_EVERY_S:
            self._asked_at[sender] = now
            self._of[sender].difference_update(self._ask(sender))
