"""What takes long looks up now and then, and gives way to the kill switch.

The authority decides on one thread. So whoever goes through a long list asks every few of it
whether the kill switch waits; if so the transaction at hand is rolled back, and the same work is
found again once the switch is set or lifted.
"""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

_EVERY = 20  # commands that are queued or signed: hundredths of a second

T = TypeVar("T")

GiveWay = Callable[[], None]
"""Who works for long calls this every fraction of a second, and lets pass what it raises."""


class GivesWay(Exception):
    """Something may not wait for long work: nothing of that is kept, and it is begun anew."""


def looking_up(of: Iterable[T], give_way: GiveWay) -> Iterator[T]:
    """Yields what it is given, and lets the kill switch in before every few."""
    for count, each in enumerate(of):
        if count % _EVERY == 0:
            give_way()
        yield each
