"""Who takes the machine's time while events are told: the head end is one of several."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from hesper_lab.bench.sim import cpu_s

_BENCH: Final = "bench"
_BROWSER: Final = "browser"


@contextmanager
def shares(known: Mapping[str, int], found: dict[str, float]) -> Iterator[None]:
    """Fill ``found``, at the end, with each one's share of a core, in percent.

    ``known`` are children of this process by name; it is ``bench`` itself, and all other processes
    below it are ``browser``.
    """
    before, begun = _spent(known), time.monotonic()
    yield
    after, seconds = _spent(known), time.monotonic() - begun
    found |= {name: 100 * (after[name] - before[name]) / seconds for name in after}


def _spent(known: Mapping[str, int]) -> dict[str, float]:
    seconds = {name: cpu_s(pid) for name, pid in known.items()}
    seconds[_BENCH] = cpu_s(os.getpid())
    others = _below(os.getpid()) - set(known.values())
    return seconds | {_BROWSER: sum(map(_spent_by, others))}


def _spent_by(pid: int) -> float:
    try:
        return cpu_s(pid)
    except OSError:  # it ended meanwhile
        return 0.0


def _below(pid: int) -> set[int]:
    """Return the processes that a process started, and those that they did."""
    children: dict[int, set[int]] = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            parent = stat.read_text(encoding="ascii").rpartition(")")[2].split()[1]
            children.setdefault(int(parent), set()).add(int(stat.parent.name))
    found, last = set[int](), {pid}
    while last := set().union(*(children.get(each, ()) for each in last)):
        found |= last
    return found
