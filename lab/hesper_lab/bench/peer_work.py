"""What every peer's process does: read its task, measure it, print what it measured."""

from __future__ import annotations

import contextlib
import json
import sys
import time
from collections.abc import Callable
from typing import Any, Final, Protocol

from hesper_lab.bench.rows import per_second

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
    spent_s, count = 0.0, 0
    while spent_s < task["seconds"]:
        client = connect()
        begun = time.process_time()
        client.associate()
        spent_s += time.process_time() - begun
        count += 1
        client.close()
    return {"value": spent_s * _MICROSECONDS / count, "done": count}


def reading(task: Task, client: Connected) -> dict[str, float]:
    """Return microseconds of CPU time for each GET; ValueError when a value is wrong."""
    client.associate()
    spent_s, count = 0.0, 0
    while spent_s < task["seconds"]:
        begun = time.process_time()
        value = client.read()
        spent_s += time.process_time() - begun
        count += 1
        if value != task["value"]:
            raise ValueError(f"the peer reads {value}")
    client.close()
    return {"value": spent_s * _MICROSECONDS / count, "done": count}


def report(measure: Callable[[Task], dict[str, float]]) -> None:
    """Carry out the task on stdin; peers that print do so on stderr."""
    task = json.load(sys.stdin)
    with contextlib.redirect_stdout(sys.stderr):
        measured = measure(task)
    sys.stdout.write(json.dumps(measured))
