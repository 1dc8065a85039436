"""What every peer's process does: read its task, measure it, print what it measured."""

from __future__ import annotations

import contextlib
import json
import math
import sys
import time
from collections.abc import Callable
from typing import Any, Final, Protocol

from hesper_lab.bench.rows import STRETCHES, per_second

_MICROSECONDS: Final = 1e6

Task = dict[str, Any]


class Connected(Protocol):
    """A peer's client whose socket is open."""

    def associate(self) -> None:
        """Open the association with HLS."""
        ...

    def read(self) -> int:
        """Read the register once."""
        ...

    def close(self) -> None:
        """Close the socket."""
        ...


def decoding(task: Task, decode: Callable[[], list[Any]], last_row: list[int]) -> dict[str, float]:
    """Return rows per second; ValueError when the last row is not what it should be."""
    if last_row != task["last_row"]:
        raise ValueError(f"the peer decodes another profile: {last_row}")
    rows = len(decode())
    return {"value": per_second(decode, rows, task["seconds"]), "done": rows}


def associating(task: Task, connect: Callable[[], Connected]) -> dict[str, float]:
    """Return microseconds of CPU time for each association, sockets opened outside of them."""

    def once() -> float:
        client = connect()
        begun = time.process_time()
        client.associate()
        spent_s = time.process_time() - begun
        client.close()
        return spent_s

    return _best(once, task["seconds"])


def reading(task: Task, client: Connected) -> dict[str, float]:
    """Return microseconds of CPU time for each GET; ValueError when a value is wrong."""
    client.associate()

    def once() -> float:
        begun = time.process_time()
        value = client.read()
        spent_s = time.process_time() - begun
        if value != task["value"]:
            raise ValueError(f"the peer reads {value}")
        return spent_s

    measured = _best(once, task["seconds"])
    client.close()
    return measured


def _best(once: Callable[[], float], seconds: float) -> dict[str, float]:
    """Return the best of as many stretches as our own figures are the best of."""
    done, best_s = 0, math.inf
    for _ in range(STRETCHES):
        spent_s, count = 0.0, 0
        while spent_s < seconds / STRETCHES:
            spent_s += once()
            count += 1
        done, best_s = done + count, min(best_s, spent_s / count)
    return {"value": best_s * _MICROSECONDS, "done": done}


def report(measure: Callable[[Task], dict[str, float]]) -> None:
    """Carry out the task on stdin; peers that print do so on stderr."""
    task = json.load(sys.stdin)
    with contextlib.redirect_stdout(sys.stderr):
        measured = measure(task)
    sys.stdout.write(json.dumps(measured))
