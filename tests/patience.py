"""How tests wait for what other processes bring about: for long, but without keeping them busy."""

import time
from collections.abc import Callable
from typing import Any

PATIENCE_S = 240.0
_SHORTEST_PAUSE_S = 0.05
_PAUSES_PER_LOOK = 3  # a look that takes long takes time from those who are waited for


def eventually(condition: Callable[[], Any], what: str, seconds: float = PATIENCE_S) -> Any:
    """Returns what the condition gives once that is true; fails when the time is over."""
    began = time.monotonic()
    deadline = began + seconds
    while not (found := condition()):
        now = time.monotonic()
        assert now < deadline, f"{what}: not within {seconds:.0f} s"
        time.sleep(max(_SHORTEST_PAUSE_S, _PAUSES_PER_LOOK * (now - began)))
        began = time.monotonic()
    return found
