"""What a benchmark reports, and how long it measures."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypedDict


class Row(TypedDict):
    """One measured figure beside its target and, where there is one, its peer.

    `ratio` is ours divided by the peer's, measured in the same run; None without a peer.
    """

    name: str
    value: float
    unit: str
    target: float | None
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
    return Row(
        name=name,
        value=round(value, 1),
        unit=unit,
        target=target,
        peer=peer[0] if peer else None,
        peer_value=round(peer[1], 1) if peer else None,
        ratio=round(value / peer[1], 1) if peer and peer[1] else None,
    )


def per_second(once: Callable[[], object], units: int, seconds: float = 2.0) -> float:
    """Return how many `units` a second are done when `once` does that many, after one warm-up."""
    once()
    rounds, begun = 0, time.perf_counter()
    while (spent := time.perf_counter() - begun) < seconds:
        once()
        rounds += 1
    return rounds * units / spent
