"""What a benchmark reports, and how long it measures."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Literal, TypedDict

STRETCHES = 5
Clock = Callable[[], float]


class Row(TypedDict):
    """One measured figure beside its target and, where there is one, its peer.

    `ratio` says how many times better ours is than the peer's, measured in the same run: more of
    what counts per second, less of what is spent. None without a peer.
    """

    name: str
    value: float
    unit: str
    target: float | None
    better: Literal["higher", "lower"]
    peer: str | None
    peer_value: float | None
    ratio: float | None


def row(
    name: str,
    value: float,
    unit: str,
    target: float | None = None,
    peer: tuple[str, float] | None = None,
) -> Row:
    """Return one figure; `peer` is its name and what was measured of it."""
    higher = unit.endswith("/s") or unit == "sessions"
    ratio = None
    if peer and peer[1] and value:
        ratio = round(value / peer[1] if higher else peer[1] / value, 1)
    return Row(
        name=name,
        value=round(value, 1),
        unit=unit,
        target=target,
        better="higher" if higher else "lower",
        peer=peer[0] if peer else None,
        peer_value=round(peer[1], 1) if peer else None,
        ratio=ratio,
    )


def per_second(
    once: Callable[[], object], units: int, seconds: float = 2.0, clock: Clock = time.process_time
) -> float:
    """Return how many `units` a second are done when `once` does that many, after one warm-up.

    Seconds of this process's own CPU time, and the best of five stretches of it: others who use the
    machine make each second do less, so the best is the nearest to the truth.
    """
    once()
    return max(_rate(once, seconds / STRETCHES, clock) for _ in range(STRETCHES)) * units


def _rate(once: Callable[[], object], seconds: float, clock: Clock) -> float:
    rounds, begun = 0, clock()
    while (spent := clock() - begun) < seconds:
        once()
        rounds += 1
    return rounds / spent


def microseconds(once: Callable[[], object], seconds: float = 1.0) -> float:
    """Return how long `once` takes, in microseconds of CPU time, both sides of it together."""
    return 1e6 / per_second(once, 1, seconds)
