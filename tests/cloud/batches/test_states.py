"""Batches from proposal to end: frozen lists, canary, stop by itself, decisions of people."""

from datetime import timedelta

import pytest
from hesper_cloud.db.engines import writing
from hesper_cloud.db.registry import Gateway, Meter
from sqlalchemy import update

PROTECTED = "HES12642985"


def test_a_batch_goes_from_proposal_over_canary_to_done(town):
    batch = town.propose()
    town.turn()
    assert town.head_end.outbox.sent == []
    assert town.decide(batch).outcome["state"] == "canary"
    town.turn()
    town.turn(5)
    assert town.states(batch) == {"released": 2, "waiting": 10}

    assert town.answer_all() == town.meters[:2]
    assert town.batch(batch).state == "running"
    town.turn()
    assert town.states(batch) == {"confirmed": 2, "released": 10}
    town.answer_all()
    assert (town.batch(batch).state, town.batch(batch).detail) == ("done", "12 confirmed")
    assert [row.meter for row in town.rows(batch)] == town.meters
    first = town.head_end.commands()[0]
    assert (first.requester, first.approver, first.batch) == ("ann", "ben", batch)
    assert len({row.command for row in town.rows(batch)}) == 12


def test_the_frozen_list_says_who_takes_no_part_and_why(town):
    stale, apart, alone, dark, busy, waiting = town.meters[:6]
    with writing(town.head_end.databases.registry) as session:
        session.add(Gateway(id="gw-9"))
        session.flush()
        for name, change in (
            (stale, {"relay_confirmed_at": town.clock.now - timedelta(days=2)}),
            (apart, {"gateway_id": "gw-9"}),
            (alone, {"gateway_id": None}),
            (dark, {"relay_output": False, "relay_control": 0}),
            (waiting, {"relay_output": False, "relay_control": 2}),
        ):
            session.execute(update(Meter).where(Meter.id == name).values(**change))
    town.head_end.ask_disconnect(meter=busy)
    meters = [stale, apart, alone, dark, busy, PROTECTED, "HES99999999", waiting]
    batch = town.propose(kind="relay.disconnect", meters=meters)
    assert [row.excluded for row in town.rows(batch)] == [
        "relay state too old",
        "gateway not enrolled",
        "not commissioned",
        "relay already as wished",
        "another command is awaiting approval",
        "protected: life support",
        "unknown meter",
        None,
    ]
    assert town.states(batch) == {"excluded": 7, "waiting": 1}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"meters": []}, "a batch has 1 to"),
        ({"meters": ["HES20000001"] * 2}, "named twice"),
        ({"reason": " "}, "a reason is required"),
        ({"kind": "relay.explode"}, "there is no command"),
        ({"stop_percent": 101}, "in percent"),
        ({"wave_size": 0}, "wave size"),
        ({"per_hour": True}, "whole number"),
        ({"meters": "HES20000001"}, "no list of meters"),
        ({"who": "vic"}, "may not request commands"),
    ],
)
def test_what_cannot_be_a_batch_is_refused(town, refused, changes, words):
    assert words in refused(town.ask(**changes))


def test_a_canary_that_fails_stops_the_batch_until_somebody_decides(town, refused):
    batch = town.approved()
    town.turn()
    town.answer_all("failed", None)
    town.turn(5)
    assert town.batch(batch).state == "stopped"
    assert "2 of 2 rows failed, more than 20 %" in town.batch(batch).detail
    assert town.states(batch) == {"failed": 2, "waiting": 10}
    assert "batch is stopped" in refused(town.decide(batch))
    assert "may not approve" in refused(town.decide(batch, "resume", "ann"))
    assert town.decide(batch, "resume").state == "done"
    town.turn(2)
    town.turn(2)
    town.answer_all()
    assert town.batch(batch).state == "done"
    assert town.states(batch) == {"failed": 2, "confirmed": 10}

    first = [row.command for row in town.rows(batch)]
    assert town.decide(batch, "retry").state == "done"
    town.turn()
    assert town.answer_all() == town.meters[:2]
    assert town.states(batch) == {"confirmed": 12}
    assert [row.tries for row in town.rows(batch)] == [2] * 2 + [1] * 10
    assert [row.command for row in town.rows(batch)][2:] == first[2:]
    assert "no row of this batch failed" in refused(town.decide(batch, "retry"))


def test_a_canary_of_which_nothing_was_confirmed_lets_no_other_row_go_by_itself(town):
    town.policy(gateway_reconnects_per_minute=1)
    town.head_end.ask_reconnect(meter=PROTECTED)
    lately = {"relay_output": False, "relay_control": 0, "relay_confirmed_at": town.clock.now}
    with writing(town.head_end.databases.registry) as session:
        session.execute(update(Meter).where(Meter.id.in_(town.meters)).values(**lately))
    batch = town.approved(kind="relay.reconnect", canary=1)
    town.turn()
    (first,) = [row for row in town.rows(batch) if row.command]
    assert town.head_end.command(first.command).state == "queued"
    assert town.head_end.ask("ann", "command.cancel", command=first.command).state == "done"
    town.turn(61, times=3)
    assert town.states(batch) == {"cancelled": 1, "waiting": 11}
    assert town.batch(batch).state == "paused"
    assert "none of 1 rows that went first was confirmed" in town.batch(batch).detail
    assert town.decide(batch, "resume").outcome["state"] == "running"
    assert town.states(batch) == {"cancelled": 1, "released": 1, "waiting": 10}


def test_a_canary_that_fails_while_it_is_paused_stops_the_batch_when_it_is_resumed(town):
    batch = town.approved()
    town.turn()
    town.decide(batch, "pause", "ann", reason="storm")
    town.turn()
    town.answer_all("failed", None)
    assert town.decide(batch, "resume").outcome["state"] == "canary"
    town.turn(5)
    assert town.states(batch) == {"failed": 2, "waiting": 10}
    assert town.batch(batch).state == "stopped"


def test_a_share_of_failures_in_the_waves_stops_it_only_when_enough_have_finished(town):
    town.policy(batches={"least_finished": 4})
    batch = town.approved(canary=0, wave_size=3)
    town.turn()
    town.answer_all("failed", None)
    assert (town.batch(batch).state, town.states(batch)["failed"]) == ("running", 3)
    town.turn()
    town.answer_all("failed", None)
    assert town.batch(batch).state == "stopped"
    left = len(town.head_end.outbox.sent)
    town.turn(3600)
    assert len(town.head_end.outbox.sent) == left == 6


def test_pause_holds_and_resume_goes_on(town, refused):
    batch = town.approved(canary=0, wave_size=4)
    assert town.decide(batch, "pause", "ann", reason="storm").state == "done"
    town.answer_all()
    town.turn(60, times=3)
    assert town.states(batch) == {"confirmed": 4, "waiting": 8}
    assert (town.batch(batch).state, town.batch(batch).detail) == ("paused", "storm")
    assert "may not approve" in refused(town.decide(batch, "resume", "ann"))
    town.decide(batch, "resume")
    town.turn()
    assert town.states(batch) == {"confirmed": 4, "released": 4, "waiting": 4}


def test_an_abort_is_for_good(town, refused):
    batch = town.approved(canary=0, wave_size=4)
    assert town.decide(batch, "abort", "ann").state == "done"
    assert town.states(batch) == {"released": 4, "withdrawn": 8}
    town.answer_all()
    assert town.states(batch) == {"confirmed": 4, "withdrawn": 8}
    for verb in ("resume", "retry", "release", "pause", "approve"):
        assert "aborted" in refused(town.decide(batch, verb))


def test_nobody_approved_it_in_time(town, refused):
    batch = town.propose()
    town.turn(86_401)
    assert town.batch(batch).state == "expired"
    assert "expired" in refused(town.decide(batch))


def test_a_rejected_batch_never_leaves(town):
    batch = town.propose()
    assert town.decide(batch, "reject", reason="the wrong street").state == "done"
    town.turn(10)
    assert (town.batch(batch).state, town.head_end.outbox.sent) == ("rejected", [])
