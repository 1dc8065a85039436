"""Requests that wait behind one that takes long: what is told of them is what happens."""

import asyncio
import threading
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from hesper_cloud import keys
from hesper_cloud.accounts.roles import Actor, Role
from hesper_cloud.authority.case import Case, Outcome
from hesper_cloud.db.authority import KillSwitch
from hesper_cloud.db.engines import reading, writing
from hesper_cloud.db.registry import Request
from hesper_cloud.latest import LatestValues
from hesper_cloud.services import authority_link
from hesper_cloud.services.authority_link import AuthorityLink
from hesper_cloud.services.errors import Unavailable
from hesper_cloud.services.sources import Sources
from sqlalchemy import select

LONG_S = 30.0


class Long:
    """A kind of request that is decided for as long as a test says."""

    def __init__(self, work: Callable[[], Any]) -> None:
        self.handlers = {"long": self._decide}
        self.makings: dict[str, Any] = {}
        self._work = work

    def _decide(self, _case: Case) -> Outcome:
        self._work()
        return {}


def put(head_end, kind: str, key: str, **payload: Any) -> None:
    now = head_end.clock.now
    row = Request(
        kind=kind, requested_by="ann", payload=payload, idempotency_key=key, created_at=now
    )
    with writing(head_end.databases.registry) as session:
        session.add(row)


def states(head_end) -> list[str]:
    with reading(head_end.databases.registry) as session:
        return list(session.scalars(select(Request.state).order_by(Request.id)))


def link_of(head_end) -> AuthorityLink:
    registry, authority = head_end.databases.registry, head_end.databases.authority
    sources = Sources(head_end.settings, registry, authority, None, LatestValues(), head_end.clock)
    return AuthorityLink(sources, keys.request_sealer(head_end.settings.keys))


def test_nothing_is_signed_while_the_kill_switch_waits(head_end, monkeypatch):
    def engaged_meanwhile(_: object) -> None:
        put(head_end, "kill_switch.engage", "key-2", reason="a storm")

    monkeypatch.setattr(head_end.authority._batches, "turn", engaged_meanwhile)
    assert head_end.ask_reconnect().state == "done"
    assert head_end.published() == []
    monkeypatch.undo()
    head_end.authority.turn()
    assert states(head_end) == ["done", "done"]
    assert [each.state for each in head_end.commands()] == ["cancelled"]


@pytest.mark.parametrize("ahead_s", [-3600, 3600])
def test_the_kill_switch_is_heeded_whatever_the_clocks_say(head_end, ahead_s):
    put(head_end, "kill_switch.engage", "key-1", reason="clocks gone mad")
    put(head_end, "kill_switch.lift", "key-2", reason="over")
    head_end.clock.advance(ahead_s)
    head_end.authority.turn()
    assert states(head_end) == ["done", "refused"]
    with reading(head_end.databases.authority) as session:
        assert session.scalars(select(KillSwitch)).one().engaged


async def test_what_was_taken_back_behind_a_long_request_does_not_happen(head_end, monkeypatch):
    monkeypatch.setattr(authority_link, "WAIT", timedelta(seconds=0.05))
    begun, over = threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        assert over.wait(LONG_S)

    link = link_of(head_end)
    head_end.authority.release(Long(work))
    put(head_end, "long", "key-1")
    reconnect = {"action": "reconnect", "meter": "HES12642984", "reason": "paid", "serial_tail": ""}
    put(head_end, "command.request", "key-2", **reconnect)
    turn = asyncio.create_task(asyncio.to_thread(head_end.authority.turn))
    try:
        assert await asyncio.to_thread(begun.wait, LONG_S)
        with pytest.raises(Unavailable, match="taken back"):
            await link.ask(Actor("ann", Role.OPERATOR), "command.request", reconnect, "key-2")
    finally:
        over.set()
        await turn
    assert states(head_end) == ["done", "withdrawn"]
    assert head_end.commands() == head_end.outbox.sent == []


def test_what_was_settled_is_told_before_a_long_request_is_decided(head_end):
    told: list[list[str]] = []
    head_end.authority.release(Long(lambda: told.append(states(head_end))))
    put(head_end, "kill_switch.engage", "key-1", reason="a storm")
    put(head_end, "long", "key-2")
    head_end.authority.turn()
    assert told == [["done", "in_hand"]]


async def test_what_the_authority_has_begun_is_not_called_taken_back(head_end, monkeypatch):
    monkeypatch.setattr(authority_link, "_IN_HAND_S", 0.0)
    begun, over = threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        assert over.wait(LONG_S)

    link, ann = link_of(head_end), Actor("ann", Role.OPERATOR)
    head_end.authority.release(Long(work))
    put(head_end, "long", "key-1")
    turn = asyncio.create_task(asyncio.to_thread(head_end.authority.turn))
    try:
        assert await asyncio.to_thread(begun.wait, LONG_S)
        with monkeypatch.context() as impatient:
            impatient.setattr(authority_link, "WAIT", timedelta(0))
            with pytest.raises(Unavailable, match="still at work"):
                await link.ask(ann, "long", {}, "key-1")
    finally:
        over.set()
        await turn
    assert states(head_end) == ["done"]
    assert await link.ask(ann, "long", {}, "key-1") == {}


def test_what_the_authority_had_in_hand_when_it_died_is_settled(head_end):
    deaths = iter([True])

    def work() -> None:
        if next(deaths, False):
            raise MemoryError

    head_end.authority.release(Long(work))
    put(head_end, "long", "key-1")
    with pytest.raises(MemoryError):
        head_end.authority.turn()
    assert states(head_end) == ["in_hand"]
    head_end.authority.turn()
    assert states(head_end) == ["done"]


def test_after_a_long_request_commands_and_results_have_their_turn(head_end):
    head_end.authority.release(Long(lambda: head_end.clock.advance(4)))
    put(head_end, "long", "key-1")
    put(head_end, "long", "key-2")
    head_end.authority.turn()
    assert states(head_end) == ["done", "new"]
    head_end.authority.turn()
    assert states(head_end) == ["done", "done"]


def test_what_was_asked_while_a_long_request_was_decided_is_of_no_time_to_come(head_end):
    def work() -> None:
        head_end.clock.advance(6)
        put(head_end, "kill_switch.engage", "key-2", reason="a storm")

    head_end.authority.release(Long(work))
    put(head_end, "long", "key-1")
    for _ in range(2):
        head_end.authority.turn()
    assert states(head_end) == ["done", "done"]


def test_the_kill_switch_is_heeded_before_what_was_asked_first(head_end):
    told: list[list[str]] = []
    head_end.authority.release(Long(lambda: told.append(states(head_end))))
    put(head_end, "long", "key-1")
    put(head_end, "kill_switch.engage", "key-2", reason="a storm")
    head_end.authority.turn()
    assert told == [["in_hand", "done"]]
