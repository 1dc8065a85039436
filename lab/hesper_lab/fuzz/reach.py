"""Which code an input reaches, in steps from one line to the next: counted, never timed."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from types import CodeType, FrameType
from typing import Any, Final

import hesper_contracts
import hesper_dlms
from hesper_gateway import explain

Step = tuple[CodeType, int, int]
"""A function of the parsers, the line before and the line reached."""

_PARSERS: Final = tuple(
    str(Path(str(package.__file__)).parent) for package in (hesper_dlms, explain, hesper_contracts)
)


class _Steps:
    """Collects steps within the parsers."""

    def __init__(self) -> None:
        self.reached: set[Step] = set()
        self.count = 0

    def enter(self, frame: FrameType, *_: object) -> Callable[..., Any] | None:
        if not frame.f_code.co_filename.startswith(_PARSERS):
            return None
        line = 0

        def follow(frame: FrameType, event: str, _: object) -> Callable[..., Any]:
            nonlocal line
            if event == "line":
                self.reached.add((frame.f_code, line, frame.f_lineno))
                line = frame.f_lineno
                self.count += 1
            return follow

        return follow


def traced(target: Callable[[bytes], None], octets: bytes) -> tuple[set[Step], int]:
    """Run a target; return the steps that it reached, and how many it took."""
    steps = _Steps()
    before = sys.gettrace()
    sys.settrace(steps.enter)
    try:
        target(octets)
    finally:
        sys.settrace(before)
    return steps.reached, steps.count


def fewest(target: Callable[[bytes], None], inputs: Iterable[bytes]) -> list[bytes]:
    """Return inputs, in their order, without those that reach nothing new behind the others."""
    reached: set[Step] = set()
    kept = []
    for octets in inputs:
        found, _ = traced(target, octets)
        if not found <= reached:
            reached |= found
            kept.append(octets)
    return kept
