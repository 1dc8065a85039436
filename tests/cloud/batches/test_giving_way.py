"""However long a batch's turn takes, the kill switch comes in between, and nothing leaves after."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from hesper_cloud.authority import (
    closing,
    dispatch,
    giving_way,
    outgoing,
    reconciling,
    sending,
)
from hesper_cloud.authority.batches import frozen, recalling, releasing, tally
from hesper_cloud.db.authority import CommandRecord
from hesper_cloud.db.engines import writing
from hesper_cloud.db.registry import Meter, Request
from sqlalchemy import update


def asks_for_it(town) -> None:
    """Asks for the kill switch as the web process does, while the authority is at work."""
    with writing(town.head_end.databases.registry) as session:
        asked = {"requested_by": "ann", "payload": {"reason": "it is the wrong list"}}
        request = Request(kind="kill_switch.engage", idempotency_key="stop", **asked)
        request.created_at = town.clock.now
        session.add(request)


def at_the_third(town, works: Callable[..., Any]) -> Callable[..., Any]:
    """Returns what works as before; at its third time the kill switch is asked for."""
    calls = 0

    def counting(*args: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 3:
            asks_for_it(town)
        return works(*args, **named)

    return counting


@pytest.fixture
def approved(town, monkeypatch) -> str:
    """Returns a batch that was approved and of which nothing has left."""
    monkeypatch.setattr(giving_way, "_EVERY", 1)
    monkeypatch.setattr(frozen, "_PORTION", 4)
    town.policy(gateway_reconnects_per_minute=100)
    with writing(town.head_end.databases.registry) as session:
        session.execute(update(Meter).values(relay_output=False))
    with monkeypatch.context() as still:
        still.setattr(releasing.BatchDesk, "turn", lambda *_: None)
        return str(town.approved(kind="relay.reconnect", canary=0))


@pytest.mark.parametrize(
    ("where", "name"),
    [(frozen, "_line"), (releasing, "_let_go"), (dispatch.Dispatcher, "_send")],
    ids=["while the list is hashed", "while rows are queued", "while commands are signed"],
)
def test_nothing_leaves_once_the_kill_switch_is_asked_for(town, approved, monkeypatch, where, name):
    monkeypatch.setattr(where, name, at_the_third(town, getattr(where, name)))
    town.turn()
    assert all(command.envelope is None for command in town.head_end.commands())
    if name != "_send":
        assert town.states(approved) == {"waiting": 12}
    town.turn()
    assert len(town.audited("kill_switch.engage")) == 1
    assert town.batch(approved).state == "paused"
    assert town.states(approved) == {"waiting": 12}
    assert not town.head_end.published()


def test_no_more_of_a_batch_is_queued_than_is_signed_meanwhile(town, approved, monkeypatch):
    monkeypatch.setattr(releasing, "_MOST_QUEUED", 5)
    monkeypatch.setattr(dispatch.Dispatcher, "sign_queued", lambda *_: [])
    town.turn(times=5)
    assert town.states(approved) == {"released": 5, "waiting": 7}


def test_what_ran_out_of_time_is_closed_in_portions(town, approved, monkeypatch):
    monkeypatch.setattr(closing, "_AT_ONCE", 2)
    town.turn()
    monkeypatch.setattr(closing, "closing_step", at_the_third(town, closing.closing_step))
    town.turn(timedelta(days=1).total_seconds())
    assert len(town.audited("command.unknown")) == 4
    town.turn()
    (stopped,) = town.audited("kill_switch.engage")
    unknown = [row.sequence for row in town.audited("command.unknown")]
    assert len(unknown) == 12
    assert sum(each < stopped.sequence for each in unknown) == 4


def test_what_is_settled_by_readings_is_in_portions(town, approved, monkeypatch):
    monkeypatch.setattr(reconciling, "_AT_ONCE", 2)
    town.turn()
    town.turn(timedelta(days=1).total_seconds())
    town.change(update(CommandRecord).values(not_after=town.clock.now - timedelta(days=9)))
    monkeypatch.setattr(reconciling, "_judge", at_the_third(town, reconciling._judge))
    town.turn()
    assert len(town.audited("command.failed")) == 4
    town.turn()
    assert len(town.audited("command.failed")) == 12


def test_an_abort_goes_in_portions_and_the_kill_switch_comes_between(town, approved, monkeypatch):
    monkeypatch.setattr(recalling, "_PORTION", 4)
    with monkeypatch.context() as still:
        still.setattr(releasing.BatchDesk, "turn", lambda *_: None)
        assert town.decide(approved, "abort", "ann").outcome["state"] == "aborted"
    assert town.states(approved) == {"withdrawn": 4, "waiting": 8}
    assert town.head_end.authority.is_waiting()
    asks_for_it(town)
    town.turn()
    assert len(town.audited("kill_switch.engage")) == 1
    assert town.states(approved) == {"withdrawn": 8, "waiting": 4}
    town.turn()
    assert town.states(approved) == {"withdrawn": 12}
    assert not town.head_end.authority.is_waiting()
    assert not town.head_end.published()


def test_what_nobody_has_answered_is_looked_up_in_portions(town, approved, monkeypatch):
    monkeypatch.setattr(outgoing, "_PORTION", 4)
    town.turn()
    assert len(town.head_end.published()) == 12
    looked_up = []
    is_due = at_the_third(town, sending.Sending._is_due)

    def noted(*args):
        looked_up.append(args)
        return is_due(*args)

    monkeypatch.setattr(sending.Sending, "_is_due", noted)
    town.turn(6)
    assert len(looked_up) == 4
    town.turn()
    assert len(town.audited("kill_switch.engage")) == 1
    assert len(town.head_end.published()) == 12


def numbers(town) -> list[int]:
    return [one.counter for one in town.head_end.published()]


def test_what_nobody_has_answered_goes_again_in_portions_as_it_was_signed(
    town, approved, monkeypatch
):
    town.head_end.outbox.connected = False
    town.turn()
    with monkeypatch.context() as without:
        without.setattr(sending, "unanswered", None)
        town.turn(times=3)  # there is nothing to look up while nothing can leave
    town.head_end.start_authority()
    town.head_end.outbox.connected = True
    monkeypatch.setattr(sending, "_AT_ONCE", 5)
    town.turn()
    assert numbers(town) == [*range(1, 6)]
    assert town.head_end.authority.is_waiting()
    town.turn(0.1)
    assert numbers(town) == [*range(1, 11)]
    town.turn(0.1, times=5)
    assert numbers(town) == [*range(1, 13)]


def test_no_portion_leaves_once_the_kill_switch_is_set(town, approved, monkeypatch):
    monkeypatch.setattr(sending, "_AT_ONCE", 5)
    town.turn()
    assert numbers(town) == [*range(1, 11)]  # just signed, and the next portion of it
    publish = at_the_third(town, town.head_end.outbox.publish)
    monkeypatch.setattr(town.head_end.outbox, "publish", publish)
    town.turn(6, times=5)
    assert len(town.audited("kill_switch.engage")) == 1
    assert numbers(town) == [*range(1, 13), 1]  # it was asked for while this left


def test_rows_follow_their_commands_in_portions(town, approved, monkeypatch):
    monkeypatch.setattr(tally, "_PORTION", 2)
    town.turn()
    with monkeypatch.context() as still:
        still.setattr(releasing.BatchDesk, "turn", lambda *_: None)
        town.answer_all()
    assert town.states(approved) == {"released": 12}
    with monkeypatch.context() as meanwhile:
        meanwhile.setattr(tally, "_follow", at_the_third(town, tally._follow))
        town.turn()
    assert town.states(approved) == {"released": 12}
    town.turn()
    assert len(town.audited("kill_switch.engage")) == 1
    assert town.states(approved) == {"confirmed": 12}
