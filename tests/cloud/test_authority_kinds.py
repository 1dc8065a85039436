"""Commands other than a relay's: who must want them, what they cost, what proves them done."""

from datetime import timedelta

import pytest
from hesper_cloud import provision
from hesper_cloud.authority.kinds import READING
from hesper_cloud.authority.policy import POLICIES, Policy
from hesper_cloud.db.authority import AuditRow, BudgetUse
from hesper_cloud.db.engines import reading, writing
from hesper_cloud.db.registry import Meter
from hesper_contracts import parameters
from hesper_contracts.conversation import Conversation, Utterance
from hesper_contracts.results import ClockReading, Findings
from sqlalchemy import select

METER, PROTECTED = "HES12642984", "HES12642985"
ENERGY, VOLTAGE = "1.0.1.8.0.255", "1.0.32.7.0.255"
WEEK = {"name": "W", "day_ids": [1] * 7}
CALENDAR = {
    "name": "2027",
    "seasons": [{"name": "S", "month": 1, "day": 1, "week": "W"}],
    "weeks": [WEEK],
    "days": [{"day_id": 1, "switches": [{"at": "06:00:00", "script": 1}]}],
    "activate_at": None,
}
RANGE = {"since": "2026-05-31T00:00:00Z", "until": "2026-06-01T00:00:00Z"}
TAKES = {
    "ping": {},
    "read.registers": {"logical_names": [ENERGY, VOLTAGE]},
    "read.profile": {"profile": "1.0.99.1.0.255", **RANGE},
    "read.event_log": {"log": "fraud", **RANGE},
    "read.conversation": {"logical_names": [ENERGY]},
    "clock.sync": {"max_step_s": 30},
    "tariff.special_days": {"days": [{"month": 12, "day": 25, "day_id": 1}]},
    "tariff.calendar": CALENDAR,
    "limiter.write": {"threshold_normal": 5_000},
}
ALONE = [kind for kind in TAKES if kind not in ("tariff.calendar", "limiter.write")]


def wish(head_end, kind, given=None, who="ann", **changes):
    meter = changes.get("meter", METER)
    asked = {"meter": meter, "reason": "as agreed", "serial_tail": meter[-4:], "kind": kind}
    given = TAKES[kind] if given is None else given
    return head_end.ask(who, "command.request", **(asked | {"parameters": given} | changes))


def refused(row) -> str:
    assert row.state == "refused"
    return row.outcome["reason"]


def sent(head_end, kind, given=None):
    """A command of this kind that has left, approved where it must be."""
    command = wish(head_end, kind, given).outcome["command"]
    if head_end.command(command).state == "awaiting_approval":
        head_end.approve(command)
    (order,) = head_end.published()
    return command, order


def settle(head_end, command, order, **found):
    head_end.answer(order, "confirmed", **found)
    return head_end.command(command)


def charged(head_end) -> list[str]:
    with reading(head_end.databases.authority) as session:
        return [use.command_id for use in session.scalars(select(BudgetUse))]


@pytest.mark.parametrize("kind", TAKES)
def test_every_kind_leaves_signed_with_its_parameters(head_end, kind):
    command, order = sent(head_end, kind)
    assert (order.id, order.kind, order.meter, order.requester) == (command, kind, METER, "ann")
    assert parameters.of(order) == parameters.for_kind(kind, TAKES[kind])
    assert order.approver == (None if kind in ALONE else "ben")
    assert charged(head_end) == ([command] if kind == "limiter.write" else [])


@pytest.mark.parametrize("kind", TAKES)
def test_no_kind_for_who_only_looks(head_end, kind):
    assert "viewer may not" in refused(wish(head_end, kind, who="vic"))


def test_what_is_asked_is_in_the_audit_log_before_it_leaves(head_end):
    command = wish(head_end, "tariff.calendar").outcome["command"]
    with reading(head_end.databases.authority) as session:
        rows = session.scalars(select(AuditRow).where(AuditRow.subject.contains(command))).all()
    assert [row.action for row in rows] == ["command.draft", "command.awaiting_approval"]
    assert '"name": "2027"' in rows[0].after
    assert head_end.outbox.sent == []


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        ("ping", {"twice": True}),
        ("read.registers", {"logical_names": []}),
        ("read.registers", {"logical_names": ["1.0.999.8.0.255"]}),
        ("read.profile", {"profile": ENERGY, "since": RANGE["until"], "until": RANGE["since"]}),
        ("read.event_log", {"log": "secret", **RANGE}),
        ("read.conversation", {"logical_names": [ENERGY] * 17}),
        ("clock.sync", {"max_step_s": 0}),
        ("tariff.special_days", {"days": [{"month": 2, "day": 30, "day_id": 1}]}),
        ("tariff.calendar", CALENDAR | {"weeks": [WEEK | {"name": "X"}]}),
        ("limiter.write", {}),
        ("relay.disconnect", {"at_once": True}),
    ],
)
def test_parameters_of_the_contract_and_no_others(head_end, kind, given):
    assert f"{kind} does not take these parameters" in refused(wish(head_end, kind, given))


@pytest.mark.parametrize(
    ("kind", "given", "words"),
    [
        ("keys.change", {"sealed": "AAAA"}, "keys.change does not take these parameters"),
        ("firmware.transfer", {}, "firmware.transfer does not take these parameters"),
        ("firmware.activate", {"image": "x"}, "does not take these parameters"),
        ("relay.explode", {}, "there is no command 'relay.explode'"),
        ("ping", ["a list"], "no JSON object"),
        ("read.profile", TAKES["read.profile"] | {"until": "2026-06-02T00:00:00Z"}, "the future"),
        ("read.profile", TAKES["read.profile"] | {"since": "2026-01-01T00:00:00Z"}, "40 days"),
        ("read.event_log", TAKES["read.event_log"] | {"since": "2025-01-01T00:00:00Z"}, "40 days"),
    ],
)
def test_what_is_not_issued(head_end, kind, given, words):
    assert words in refused(wish(head_end, kind, given))
    assert head_end.commands() == []


def test_a_reason_is_needed_for_what_writes_and_for_nothing_else(head_end):
    assert wish(head_end, "ping", reason="").state == "done"
    assert "a reason is required" in refused(wish(head_end, "clock.sync", reason=" "))


def test_a_limiter_passes_every_rule_of_a_disconnect(head_end, clock):
    document = Policy(four_eyes=frozenset(), kill_switch_stops=frozenset()).model_dump(mode="json")
    document["disconnects"] |= {"gateway_per_hour": 1, "seconds_between": 0}
    provision.activate_policy(head_end.databases.authority, "loose", document)
    assert "life support" in refused(wish(head_end, "limiter.write", meter=PROTECTED))
    assert "last 4" in refused(wish(head_end, "limiter.write", serial_tail="0000"))
    command, order = sent(head_end, "limiter.write")
    assert settle(head_end, command, order).state == "confirmed"
    assert "budget of 1 disconnects" in refused(wish(head_end, "limiter.write"))
    assert "budget of 1 disconnects" in refused(head_end.ask_disconnect())
    clock.advance(3_601)
    waiting = wish(head_end, "limiter.write").outcome["command"]
    head_end.ask("ben", "kill_switch.engage", reason="strange")
    assert head_end.command(waiting).state == "cancelled"
    assert "kill switch" in refused(wish(head_end, "limiter.write"))


@pytest.mark.parametrize("kind", TAKES)
def test_the_kill_switch_stops_all_that_writes_and_lets_people_look(head_end, kind):
    head_end.ask("ben", "kill_switch.engage", reason="strange")
    row = wish(head_end, kind)
    if kind == "ping" or kind.startswith("read."):
        assert head_end.command(row.outcome["command"]).state == "sent"
    else:
        assert "kill switch" in refused(row)


def test_a_limiter_and_a_disconnect_exclude_each_other(head_end):
    command = wish(head_end, "limiter.write").outcome["command"]
    assert "another command for this meter" in refused(head_end.ask_disconnect())
    head_end.ask("ben", "command.reject", command=command, reason="no")
    assert head_end.ask_disconnect().state == "done"
    assert "another command for this meter" in refused(wish(head_end, "limiter.write"))
    assert wish(head_end, "clock.sync").state == "done"


def test_no_limiter_where_nobody_knows_how_the_relay_stands(head_end, clock):
    with writing(head_end.databases.registry) as session:
        session.get_one(Meter, METER).relay_confirmed_at = clock.now - timedelta(days=2)
    assert "was not read" in refused(wish(head_end, "limiter.write"))
    assert wish(head_end, "clock.sync").state == "done"


def test_a_policy_says_who_must_approve_a_calendar(head_end):
    command = wish(head_end, "tariff.calendar").outcome["command"]
    assert head_end.command(command).state == "awaiting_approval"
    assert "operator may not" in refused(head_end.approve(command, who="ann"))
    head_end.ask("ben", "command.reject", command=command, reason="not this year")
    document = Policy(four_eyes=frozenset()).model_dump(mode="json")
    provision.activate_policy(head_end.databases.authority, "alone", document)
    alone = wish(head_end, "tariff.calendar").outcome["command"]
    assert head_end.command(alone).state == "sent"


def test_the_strict_policy_lets_nobody_write_alone(head_end):
    document = POLICIES["strict"].model_dump(mode="json")
    provision.activate_policy(head_end.databases.authority, "strict", document)
    for kind in ("clock.sync", "tariff.special_days", "tariff.calendar"):
        command = wish(head_end, kind).outcome["command"]
        assert head_end.command(command).state == "awaiting_approval"
    assert head_end.command(wish(head_end, "ping").outcome["command"]).state == "sent"


def test_one_command_of_a_kind_at_a_time_for_a_meter(head_end):
    first, order = sent(head_end, "read.registers")
    assert "another command for this meter" in refused(wish(head_end, "read.registers"))
    assert wish(head_end, "ping").state == "done"
    head_end.answer(order, "rejected", detail="time not proven since boot")
    assert head_end.command(first).state == "rejected"
    assert wish(head_end, "read.registers").state == "done"


def test_what_was_found_is_kept_with_the_command(head_end, clock):
    command, order = sent(head_end, "read.registers")
    found = Findings(clock=ClockReading(clock.now, 1_500), missing=(VOLTAGE,))
    settled = settle(head_end, command, order, registers={ENERGY: (5_000, 0, 30)}, findings=found)
    assert (settled.state, settled.detail) == ("confirmed", "read")
    assert settled.findings == {
        "registers": {ENERGY: {"value": 5_000, "scaler": 0, "unit": 30}},
        "clock": {"meter_time": "2026-06-01T12:00:00Z", "drift_ms": 1_500},
        "missing": [VOLTAGE],
    }


def right(now):
    return Findings(clock_after=ClockReading(now, -1_900))


def wrong(now):
    return Findings(clock_after=ClockReading(now, 2_100))


def said(now):
    utterance = Utterance(at=now, what="note", says=("the line is open",))
    return Findings(
        clock=ClockReading(now, 0),
        conversation=Conversation(
            utterances=(utterance,), utterance_count=1, octets_sent=0, octets_received=0
        ),
    )


@pytest.mark.parametrize(
    ("kind", "found", "state"),
    [
        ("clock.sync", right, "confirmed"),
        ("clock.sync", wrong, "unknown"),
        ("clock.sync", None, "unknown"),
        ("ping", lambda _: Findings(logical_device_name="HSP01"), "confirmed"),
        ("ping", None, "failed"),
        ("read.profile", lambda _: Findings(row_count=96), "confirmed"),
        ("read.profile", None, "failed"),
        ("read.registers", lambda _: Findings(missing=(ENERGY,)), "failed"),
        ("read.conversation", said, "confirmed"),
        ("read.conversation", lambda _: Findings(missing=(ENERGY,)), "failed"),
        ("tariff.calendar", None, "confirmed"),
        ("tariff.special_days", None, "confirmed"),
    ],
)
def test_confirmed_needs_what_the_kind_can_show(head_end, clock, kind, found, state):
    command, order = sent(head_end, kind)
    told = {"findings": found(clock.now)} if found else {}
    assert settle(head_end, command, order, **told).state == state


def test_a_write_that_nobody_answers_is_unknown_until_the_gateway_tells(head_end, clock):
    command, order = sent(head_end, "clock.sync")
    clock.advance(120 + 60 + 29)
    head_end.authority.turn()
    assert head_end.command(command).state == "sent"
    clock.advance(2)
    head_end.authority.turn()
    assert head_end.command(command).state == "unknown"
    assert wish(head_end, "clock.sync").state == "done"
    assert settle(head_end, command, order, findings=right(clock.now)).state == "confirmed"


@pytest.mark.parametrize("kind", [kind for kind in TAKES if kind in READING])
def test_a_read_that_nobody_answers_is_over(head_end, clock, kind):
    command, _ = sent(head_end, kind)
    clock.advance(3_600)
    head_end.authority.turn()
    assert head_end.command(command).state == "expired"
