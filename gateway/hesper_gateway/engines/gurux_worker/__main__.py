"""Answers questions until its standard input ends."""

import os
import traceback
from collections.abc import Callable
from pathlib import Path

from hesper_gateway.engines import pipe
from hesper_gateway.engines.gurux_worker import aes, confinement
from hesper_gateway.engines.gurux_worker.session import Session
from hesper_gateway.engines.pipe import Message

LONGEST_CALL_S = 30.0
"""Our process ends a call much sooner; this one counts when our process is gone."""
_STEPS: dict[str, Callable[[Session, Message], Message]] = {
    "aarq": Session.aarq,
    "aare": Session.aare,
    "prove": Session.prove,
    "proven": Session.proven,
    "get": Session.get,
    "answer": Session.answer,
    "next": Session.next,
}


def main() -> None:
    """Serve the two pipes."""
    aes.replace()
    ask, answer = confinement.own_streams()
    confinement.give_up(max(ask, answer))
    sessions: dict[str, Session] = {}
    while (asked := _next(ask)) is not None:
        confinement.alarm(LONGEST_CALL_S)
        octets = pipe.encode(_answered(sessions, asked))
        while octets:
            octets = octets[os.write(answer, octets) :]
        confinement.alarm(0)


def _answered(sessions: dict[str, Session], asked: Message) -> Message:
    try:
        return _answer(sessions, asked)
    except Exception as error:  # noqa: BLE001 - gurux raises whatever Python has
        return {"failed": _where(error)}


def _where(error: BaseException) -> str:
    """Return what stopped gurux and where; its own words may hold what it was told in secret."""
    trace = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} in {Path(trace.filename).stem}, line {trace.lineno}"


def _answer(sessions: dict[str, Session], asked: Message) -> Message:
    name = asked["session"]
    if asked["do"] == "open":
        sessions[name] = Session(asked)
        return {"done": True}
    if name not in sessions:
        return {"failed": "this association was opened by a process that has ended"}
    return _STEPS[asked["do"]](sessions[name], asked)


def _next(ask: int) -> Message | None:
    head = _read(ask, pipe.LENGTH_OCTETS)
    return None if head is None else pipe.decode(_read(ask, pipe.length_of(head)) or b"")


def _read(ask: int, count: int) -> bytes | None:
    """Return so many octets; None at the end of the stream."""
    parts = b""
    while len(parts) < count:
        part = os.read(ask, count - len(parts))
        if not part:
            return None
        parts += part
    return parts


main()
