"""Rows that no program of ours wrote: each is refused, and keeps nothing else waiting."""

import json
from datetime import timedelta

import pytest
from hesper_cloud import provision
from hesper_cloud.accounts import factors
from hesper_cloud.authority import results
from hesper_cloud.authority.policy import Policy
from hesper_cloud.db.authority import AuditRow, CommandRecord
from hesper_cloud.db.engines import reading, writing
from hesper_cloud.hsm import SigningUnavailable
from sqlalchemy import select

from_the_web = {
    "meters that no database takes": (
        "batch.propose",
        {"meters": ["\ud800"], "kind": "relay.read"},
    ),
    "parameters that no text holds": (
        "command.request",
        {"kind": "read.registers", "parameters": {"x": "\ud800"}},
    ),
    "lists for words": ("command.request", {"action": ["disconnect"], "meter": ["a"]}),
    "an object for a batch": ("batch.release", {"batch": {"id": 1}, "digest": [1]}),
    "no object at all": ("command.cancel", {"command": None}),
}


@pytest.mark.parametrize("what", from_the_web)
def test_a_malformed_request_is_refused_and_the_next_is_settled(head_end, what):
    kind, payload = from_the_web[what]
    common = {"reason": "a look", "serial_tail": ""}
    assert head_end.ask("ann", kind, **common | payload).state == "refused"
    assert head_end.ask("ann", "kill_switch.engage", reason="stop it").state == "done"


@pytest.mark.parametrize("password", ["[" * 100_000, '{"password": "\\ud800", "code": ""}'])
def test_a_password_that_no_parser_bears_is_a_wrong_one(head_end, password):
    asked = head_end.ask_disconnect().outcome["command"]
    assert head_end.approve(asked, password=password).state == "refused"
    assert head_end.command(asked).state == "awaiting_approval"
    assert head_end.approve(asked).state == "done"


def test_a_secret_that_is_no_base32_is_no_factor(head_end):
    given = {"password": "asking-politely-1", "code": "", "first": "1", "recovery": ""}
    sealed = json.dumps(given | {"secret": "A" * 33})
    assert not factors.is_secret("A" * 33)
    row = head_end.ask("ann", "factor.enrol", account="ann", password=sealed)
    assert "base32" in row.outcome["reason"]


class Broken:
    """Makes what reads of relays carry; one meter's cannot be made, or none can."""

    def __init__(self, fails) -> None:
        self.handlers: dict[str, object] = {}
        self.makings = {"relay.read": self._make}
        self._fails = fails

    def _make(self, _session, command, _now):
        self._fails(command)
        return command.parameters


def fails_at(meter: str, error: Exception):
    def fails(command):
        if command.meter == meter:
            raise error

    return fails


def queued(head_end, meters, **changes):
    """Puts reads into the queue, as approved batches do, many at once."""
    now = head_end.clock.now
    common = {"gateway": "gw-1", "parameters": {}, "state": "queued", "reason": "a look"}
    times = {"created_at": now, "updated_at": now, "queued_at": now}
    with writing(head_end.databases.authority) as session:
        for number, meter in enumerate(meters):
            row = {"kind": "relay.read", "requester": "ann", "approver": "ben"} | common | times
            row |= {"not_after": now + timedelta(seconds=60)} | changes
            session.add(CommandRecord(id=f"{row['kind']}-{number}", meter=meter, **row))


def test_one_command_that_cannot_be_signed_keeps_no_other_from_it(head_end):
    head_end.authority.release(Broken(fails_at("HES12642985", KeyError("version"))))
    queued(head_end, ["HES12642984", "HES12642985", "HES12642984"])
    head_end.authority.turn()
    states = [command.state for command in head_end.commands()]
    assert states == ["sent", "rejected", "sent"]
    assert len({each.command_id for each in head_end.outbox.sent}) == 2
    assert [each.counter for each in head_end.published()] == [1, 2]


def test_where_nothing_can_be_signed_results_are_taken_and_the_late_expire(head_end):
    asked = head_end.ask_disconnect().outcome["command"]
    head_end.approve(asked)
    head_end.answer(head_end.published()[0], "confirmed", output=False)
    away = SigningUnavailable("the token is away")
    head_end.authority.release(Broken(fails_at("HES12642984", away)))
    queued(head_end, ["HES12642984"])
    with pytest.raises(SigningUnavailable):
        head_end.authority.turn()
    assert head_end.command(asked).state == "confirmed"
    assert head_end.command("relay.read-0").state == "queued"


def test_two_hundred_that_wait_for_their_time_starve_nobody(head_end, clock):
    document = Policy(hours={"begin": "13:00", "end": "14:00", "wait_s": 14_400})
    provision.activate_policy(
        head_end.databases.authority, "afternoon", document.model_dump(mode="json")
    )
    until = clock.now + timedelta(hours=3)
    late = clock.now - timedelta(minutes=1)
    queued(
        head_end,
        ["HES12642984"] * 200,
        kind="relay.disconnect",
        not_after=until,
        queued_at=late,
    )
    queued(head_end, ["HES12642984"], requester="system:jobs", kind="read.profile", parameters={})
    for _ in range(2):
        head_end.authority.turn()
    assert head_end.command("read.profile-0").state == "sent"


def test_what_a_gateway_says_is_kept_without_control_characters(head_end):
    asked = head_end.ask_disconnect().outcome["command"]
    head_end.approve(asked)
    head_end.answer(head_end.published()[0], "failed", detail="no\0 \x1b[2Jline")
    head_end.authority.turn()
    assert head_end.command(asked).detail == "no [2Jline"


def test_one_result_that_nobody_foresaw_keeps_no_other_waiting(head_end, monkeypatch):
    first = head_end.ask_disconnect().outcome["command"]
    head_end.approve(first)
    queued(head_end, ["HES12642985"])
    head_end.authority.turn()
    sent = head_end.published()

    def judged(command, result):
        if result.detail == "strange":
            raise KeyError("what nobody foresaw")
        return meaning(command, result)

    meaning = results._meaning
    monkeypatch.setattr(results, "_meaning", judged)
    with monkeypatch.context() as meanwhile:  # so that both are taken together
        meanwhile.setattr(head_end.authority, "turn", lambda: None)
        head_end.answer(sent[1], "failed", detail="strange")
        head_end.answer(sent[0], "confirmed", output=False)
    head_end.authority.turn()
    assert head_end.command(first).state == "confirmed"
    assert head_end.command(sent[1].id).state == "sent"
    with reading(head_end.databases.authority) as session:
        (refused,) = session.scalars(select(AuditRow).where(AuditRow.action == "result.refused"))
        assert (refused.actor, refused.why) == ("gw-1", "it cannot be judged as it is")
