"""What the first page shows is kept for a while: the longer, the longer it took."""

import asyncio

from hand_clock import HandClock
from hesper_cloud.services.kept import Kept


def asked(kept: Kept[float], clock: HandClock, *after_s: float) -> list[float]:
    """Returns what it answers, asked again after some seconds each."""
    found = []
    for seconds in after_s:
        clock.pass_by(seconds)
        found.append(asyncio.run(kept.get()))
    return found


def test_a_scan_of_the_store_takes_a_twentieth_of_the_time() -> None:
    clock = HandClock()

    def computed(took_s: float) -> float:
        clock.pass_by(took_s)
        return clock()

    quick = Kept(lambda: computed(1.0), 30.0, 20, clock)
    assert asked(quick, clock, 0, 29, 2) == [101.0, 101.0, 133.0]
    begun = clock()
    slow = Kept(lambda: computed(4.0), 30.0, 20, clock)
    assert asked(slow, clock, 0, 79, 2) == [begun + 4, begun + 4, begun + 89]
