"""What is tried with batches, and what stops it."""

import pytest
from head_end import PASSWORDS
from hesper_cloud import audit
from hesper_cloud.authority.batches import frozen, roll
from hesper_cloud.authority.batches.releasing import BatchDesk
from hesper_cloud.authority.spacing import Spacing
from hesper_cloud.db.authority import Batch, BatchRow, CommandRecord, User
from hesper_cloud.db.engines import reading, writing
from hesper_cloud.db.registry import Alert, Request, Result
from sqlalchemy import delete, insert, select, update

PROTECTED, ELSEWHERE = "HES12642985", "HES12642984"


def row(position: int):
    return update(BatchRow).where(BatchRow.position == position)


EDITS = {
    "another meter": row(4).values(meter=ELSEWHERE),
    "another gateway": row(4).values(gateway="gw-2"),
    "an exclusion taken away": row(12).values(excluded=None, state="waiting"),
    "a row less": delete(BatchRow).where(BatchRow.position == 3),
    "rows changed about": [row(2).values(position=99), row(3).values(position=2)],
    "another kind": update(Batch).values(kind="relay.reconnect"),
    "other parameters": update(Batch).values(parameters={"duration_s": 1}),
    "a higher rate": update(Batch).values(per_hour=7_000_000),
    "no canary": update(Batch).values(canary=0),
    "another requester": update(Batch).values(requester="cleo"),
    "another approver": update(Batch).values(approver="cleo"),
}


def unasked() -> None:
    """Says that nobody asks anything of the kill switch."""


def alerts(town) -> list[str]:
    with reading(town.head_end.databases.registry) as session:
        return list(session.scalars(select(Alert.text).where(Alert.state == "new")))


def test_every_edit_is_seen(town):
    batch = town.approved(meters=[*town.meters, "HES99999999"])
    with writing(town.head_end.databases.authority) as session:
        assert frozen.edited(session, session.get_one(Batch, batch), unasked) is None
        for what, edits in EDITS.items():
            before = session.begin_nested()
            for edit in edits if isinstance(edits, list) else [edits]:
                session.execute(edit)
            session.expire_all()
            assert frozen.edited(session, session.get_one(Batch, batch), unasked) is not None, what
            before.rollback()


def test_a_batch_edited_after_approval_ends(town):
    batch = town.approved(meters=[*town.meters, "HES99999999"])
    town.change(EDITS["an exclusion taken away"])
    town.answer_all()
    town.turn(10, times=3)
    assert town.batch(batch).state == "tampered"
    assert len({one.id for one in town.head_end.published()}) == 2
    assert town.states(batch) == {"confirmed": 2, "withdrawn": 11}
    (told,) = town.audited("batch.tampered")
    assert (told.actor, told.subject) == ("authority", f"batch {batch}")
    assert any("tampered" in text for text in alerts(town))


def test_a_hash_that_was_made_to_fit_the_edit_is_not_the_one_that_was_approved(town):
    batch = town.approved()
    with writing(town.head_end.databases.authority) as session:
        session.execute(row(5).values(meter=ELSEWHERE))
        stored = session.get_one(Batch, batch)
        stored.digest = frozen.rows_digest(session, stored, unasked)
    town.answer_all()
    town.turn()
    assert town.batch(batch).detail == "the audit log knows no approval of its hash"
    assert town.batch(batch).state == "tampered"


def test_rows_edited_before_approval_are_not_approved(town):
    batch = town.propose()
    town.change(row(0).values(meter=ELSEWHERE))
    assert town.decide(batch).outcome["state"] == "tampered"
    town.turn(10)
    assert town.head_end.outbox.sent == []


@pytest.mark.parametrize(
    "edit",
    [
        {"parameters": {"duration_s": 1}},
        {"meter": ELSEWHERE},
        {"kind": "relay.disconnect"},
        {"approver": "cleo"},
        {"batch": None, "approver": "ann", "kind": "relay.disconnect"},
    ],
)
def test_a_command_edited_between_release_and_signing_does_not_leave(town, edit):
    batch = town.propose(canary=1)
    town.head_end.outbox.connected = False
    databases = town.head_end.databases
    with writing(databases.authority) as session:
        stored = session.get_one(Batch, batch)
        stored.approver, stored.state = "ben", "running"
        entry = audit.Entry("ben", "batch.running", f"batch {batch}", "awaiting_approval")
        audit.append(session, town.clock.now, audit.Entry(**_approval(entry, stored.digest)))
    BatchDesk(
        databases.registry, databases.authority, frozen.Approvals(unasked), Spacing(), unasked
    ).turn(town.clock.now)
    (first, *_) = town.head_end.commands()
    assert first.state == "queued"
    town.change(update(CommandRecord).where(CommandRecord.id == first.id).values(**edit))
    town.turn(0)
    assert town.head_end.command(first.id).state in ("cancelled", "rejected")
    assert town.head_end.command(first.id).envelope is None


def _approval(entry: audit.Entry, digest: str) -> dict[str, str | None]:
    names = ("actor", "action", "subject", "before")
    return {name: getattr(entry, name) for name in names} | {"after": f"running {digest}"}


def test_only_a_second_person_with_the_password_and_the_hash_approves(town, refused):
    batch = town.propose(who="ben")
    other = town.batch(town.propose()).digest
    assert "the one who asked cannot approve" in refused(town.decide(batch))
    assert "may not approve" in refused(town.decide(batch, who="ann"))
    assert "password" in refused(town.decide(batch, who="cleo", password="a-guess-of-it"))
    assert "not the hash" in refused(town.decide(batch, who="cleo", digest=other))
    assert refused(town.decide(batch, who="cleo", password=None))
    town.turn(10)
    assert (town.batch(batch).state, town.head_end.outbox.sent) == ("awaiting_approval", [])
    assert town.decide(batch, who="cleo").state == "done"


def test_what_the_web_process_can_write_settles_no_row(town):
    batch = town.approved()
    rows = town.rows(batch)
    forged = [
        {
            "command_id": each.command or each.meter,
            "gateway": "gw-1",
            "payload": b'{"state":"confirmed"}',
            "verified": True,
            "received_at": town.clock.now,
        }
        for each in rows
    ]
    with writing(town.head_end.databases.registry) as session:
        session.execute(insert(Result), forged)
    town.turn()
    assert town.states(batch) == {"released": 2, "waiting": 10}
    assert len(town.audited("result.refused")) == len(rows)


def test_whoever_loses_the_right_meanwhile_stops_what_has_not_left(town):
    batch = town.approved()
    town.change(update(User).where(User.username == "ben").values(disabled=True))
    town.answer_all()
    town.turn(10, times=2)
    assert town.states(batch) == {"confirmed": 2, "rejected": 10}
    assert town.batch(batch).state == "stopped"


CUTS = {"kind": "relay.disconnect", "canary": 0}


def gone(town) -> int:
    """Returns to how many meters a command has been published."""
    return len({one.meter for one in town.head_end.published()})


def test_no_signed_disconnect_leaves_once_the_kill_switch_is_lifted(town):
    town.policy(expiry_s=600, approver_age_s=0)
    head_end = town.head_end
    head_end.outbox.connected = False
    for meter in town.meters[:2]:
        asked = head_end.ask_disconnect(meter=meter)
        head_end.approve(asked.outcome["command"])
        town.turn(60)
        if meter == town.meters[0]:
            head_end.ask("ann", "kill_switch.engage", reason="the wrong list")
            for who in ("ben", "dora"):
                proof = {"reason": "it is mended", "password": PASSWORDS[who]}
                head_end.ask(who, "kill_switch.lift", **proof)
            town.turn()
    assert [one.state for one in head_end.commands()] == ["sent", "sent"]
    head_end.outbox.connected = True
    town.turn(times=3)
    assert {one.meter for one in head_end.published()} == {town.meters[1]}
    town.turn(700)
    assert {one.state for one in head_end.commands()} == {"unknown"}


def test_no_batch_goes_on_cutting_by_itself_when_the_kill_switch_is_lifted(town, refused):
    batch = town.approved(**CUTS)
    waiting = town.propose(**CUTS, meters=[ELSEWHERE])
    town.turn()
    left = gone(town)
    town.head_end.ask("ann", "kill_switch.engage", reason="it is the wrong list")
    assert town.batch(batch).state == "paused"
    assert "kill switch" in refused(town.decide(batch, "resume"))
    assert "kill switch" in refused(town.decide(waiting))
    for who, password in (("ben", "second-pair-of-eyes"), ("dora", "third-pair-of-eyes")):
        town.head_end.ask(who, "kill_switch.lift", reason="reconnect them", password=password)
    town.turn(11, times=5)
    assert gone(town) == left
    assert town.decide(batch, "resume").state == "done"
    assert gone(town) == left + 1


def test_an_approval_to_cut_does_not_hold_for_ever(town, refused):
    town.policy(relay_state_max_age_s=10**6, batches={"cuts_for_s": 3_600})
    running, held = town.approved(**CUTS), town.approved(**CUTS, meters=[ELSEWHERE])
    town.decide(held, "pause", "ann")
    town.turn(3_601)
    assert (town.batch(running).state, town.states(running)["withdrawn"]) == ("aborted", 11)
    assert "too old" in refused(town.decide(held, "resume"))
    left = gone(town)
    town.turn(11, times=3)
    assert gone(town) == left


def test_many_small_batches_cut_no_more_than_one_large_may(town):
    limits = {"per_hour": 50, "gateway_per_hour": 50, "seconds_between": 0, "quarantine_above": 4}
    town.policy(disconnects=limits)
    for start in range(0, 12, 2):
        town.approved(**CUTS, meters=town.meters[start : start + 2])
    for _ in range(10):
        town.turn(5)
        town.answer_all(output=False)
    assert gone(town) == 4


@pytest.mark.parametrize("kind", ["relay.read", "relay.reconnect"])
def test_a_long_list_that_is_being_frozen_keeps_nobody_from_the_kill_switch(
    town, monkeypatch, kind
):
    looked_up = roll.many_meters
    now = town.clock.now

    def engaged_meanwhile(registry, names):
        monkeypatch.setattr(roll, "many_meters", looked_up)
        with writing(registry) as session:
            session.add(
                Request(
                    kind="kill_switch.engage",
                    requested_by="ann",
                    payload={"reason": "a storm"},
                    idempotency_key="stop",
                    created_at=now,
                )
            )
        return looked_up(registry, names)

    monkeypatch.setattr(roll, "many_meters", engaged_meanwhile)
    asked = town.ask(kind=kind)
    assert asked.state == "done"
    (stopped,), (proposed,) = town.audited("kill_switch.engage"), town.audited("batch.propose")
    assert stopped.sequence < proposed.sequence
    assert len(town.rows(asked.outcome["batch"])) == len(town.meters)
