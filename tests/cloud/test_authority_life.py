"""The life of relay commands, turn by turn, on real databases with a clock that is told."""

from datetime import timedelta

import pytest
from hesper_cloud import audit
from hesper_cloud.authority import life
from hesper_cloud.authority.results import ResultDesk
from hesper_cloud.db.authority import AuditRow, CommandRecord, GatewayCounter
from hesper_cloud.db.engines import reading, writing
from hesper_cloud.db.registry import Gateway, Meter, Request, Result
from hesper_contracts.commands import Command
from hesper_contracts.results import RelayReading
from hesper_contracts.signing import Signer
from sqlalchemy import select

METER, PROTECTED, GATEWAY = "HES12642984", "HES12642985", "gw-1"


def approved(head_end) -> str:
    command = head_end.ask_disconnect().outcome["command"]
    assert head_end.approve(command).state == "done"
    return command


def test_a_disconnect_runs_from_request_to_confirmed(head_end, clock):
    asked = head_end.ask_disconnect()
    command = asked.outcome["command"]
    assert (asked.state, head_end.command(command).state) == ("done", "awaiting_approval")
    assert head_end.outbox.sent == []

    assert head_end.approve(command).state == "done"
    (envelope,) = head_end.published()
    assert (envelope.id, envelope.kind, envelope.meter) == (command, "relay.disconnect", METER)
    assert (envelope.requester, envelope.approver, envelope.counter) == ("ann", "ben", 1)
    assert envelope.logical_device_name == "HSP0012642984000"
    assert (envelope.not_after - clock.now).total_seconds() == 60

    for state in ("acknowledged", "executing"):
        clock.advance(0.1)
        head_end.answer(envelope, state)
        assert head_end.command(command).state == state
    clock.advance(0.1)
    head_end.answer(envelope, "confirmed", output=False)
    settled = head_end.command(command)
    assert (settled.state, settled.relay_before, settled.relay_after) == ("confirmed", True, False)
    with reading(head_end.databases.registry) as session:
        meter = session.get_one(Meter, METER)
        assert (meter.relay_output, meter.relay_confirmed_at) == (False, clock.now)


def test_every_transition_has_its_audit_row(head_end):
    command = approved(head_end)
    head_end.answer(head_end.published()[0], "confirmed", output=False)
    with reading(head_end.databases.authority) as session:
        rows = session.scalars(
            select(AuditRow).where(AuditRow.subject.contains(command)).order_by(AuditRow.sequence)
        ).all()
        assert [(row.actor, row.before, row.after) for row in rows] == [
            ("ann", "", "draft"),
            ("ann", "draft", "awaiting_approval"),
            ("ben", "awaiting_approval", "queued"),
            ("authority", "queued", "sent"),
            ("gateway gw-1", "sent", "confirmed"),
        ]
        assert audit.verify(session).intact


def test_a_reconnect_needs_no_second_person(head_end):
    asked = head_end.ask_reconnect()
    assert head_end.command(asked.outcome["command"]).state == "sent"
    assert head_end.published()[0].kind == "relay.reconnect"


def test_one_command_per_meter_at_a_time(head_end):
    assert head_end.ask_disconnect().state == "done"
    again = [head_end.ask_disconnect() for _ in range(9)]
    assert {row.state for row in again} == {"refused"}
    assert "another command" in again[0].outcome["reason"]
    assert len(head_end.commands()) == 1


def test_a_copied_request_is_settled_once(head_end):
    first = head_end.ask_disconnect()
    with writing(head_end.databases.registry) as session:
        row = session.get_one(type(first), first.id)
        row.state, row.outcome = "new", None
    head_end.start_authority().turn()
    with reading(head_end.databases.registry) as session:
        assert session.get_one(type(first), first.id).outcome == first.outcome
    assert len(head_end.commands()) == 1


def test_nobody_approves_in_time(head_end, clock):
    command = head_end.ask_disconnect().outcome["command"]
    clock.advance(901)
    head_end.authority.turn()
    assert head_end.command(command).state == "expired"
    assert head_end.approve(command).state == "refused"


def test_no_answer_becomes_unknown_and_a_relay_reading_settles_it(head_end, clock):
    command = approved(head_end)
    clock.advance(61)
    head_end.authority.turn()
    assert head_end.command(command).state == "sent"
    clock.advance(30)
    head_end.authority.turn()
    assert head_end.command(command).state == "unknown"
    assert head_end.ask_disconnect().state == "refused"
    clock.advance(1)
    head_end.relay_read(output=True)
    head_end.authority.turn()
    settled = head_end.command(command)
    assert (settled.state, settled.relay_after) == ("failed", True)
    assert "reconciled" in settled.detail


def test_a_command_that_expired_on_the_gateways_line_is_expired(head_end):
    command = approved(head_end)
    envelope = head_end.published()[0]
    head_end.answer(envelope, "executing")
    head_end.answer(envelope, "expired")
    assert head_end.command(command).state == "expired"


@pytest.mark.parametrize(
    ("action", "control", "state"),
    [("read", 0, "confirmed"), ("reconnect", 2, "confirmed"), ("reconnect", 0, "failed")],
)
def test_an_unknown_is_settled_by_what_the_command_wanted(head_end, clock, action, control, state):
    asked = head_end.ask(
        "ann", "command.request", action=action, meter=METER, reason="why", serial_tail=""
    )
    command = asked.outcome["command"]
    head_end.answer(head_end.published()[0], "unknown")
    clock.advance(100)
    head_end.relay_read(output=False, control=control)
    head_end.authority.turn()
    assert head_end.command(command).state == state


def unknown_and_then_reconnected(head_end, clock) -> tuple[str, Command]:
    """A disconnect that nobody answered, and the reconnect that was sent after it."""
    command = approved(head_end)
    clock.advance(100)
    head_end.authority.turn()
    assert head_end.command(command).state == "unknown"
    assert head_end.ask_reconnect().state == "done"
    clock.advance(1)
    return command, head_end.published()[-1]


@pytest.mark.parametrize(("stood", "state"), [(False, "confirmed"), (True, "failed")])
def test_an_unknown_is_settled_by_what_a_later_command_found(head_end, clock, stood, state):
    command, reconnect = unknown_and_then_reconnected(head_end, clock)
    found = RelayReading(output=stood, control_state=int(stood), read_at=clock.now)
    head_end.answer(reconnect, "confirmed", output=True, relay_before=found)
    settled = head_end.command(command)
    assert (settled.state, settled.relay_after) == (state, stood)
    assert "reconciled" in settled.detail


def test_what_a_later_command_found_says_nothing_of_one_before_another(head_end, clock):
    command, between = unknown_and_then_reconnected(head_end, clock)
    clock.advance(100)
    head_end.authority.turn()
    assert head_end.command(between.id).state == "unknown"
    assert head_end.ask_reconnect().state == "done"
    found = RelayReading(output=True, control_state=1, read_at=clock.now)
    head_end.answer(head_end.published()[-1], "confirmed", output=True, relay_before=found)
    assert head_end.command(between.id).state == "confirmed"
    assert "whether it was carried out is not known" in head_end.command(command).detail


def test_no_reading_after_a_later_command_says_that_an_earlier_one_failed(head_end, clock):
    command, reconnect = unknown_and_then_reconnected(head_end, clock)
    head_end.relay_read(output=True)
    head_end.authority.turn()
    assert head_end.command(command).state == "unknown"  # the reconnect may tell more
    head_end.answer(reconnect, "confirmed", output=True)
    settled = head_end.command(command)
    assert settled.state == "failed"
    assert "whether it was carried out is not known" in settled.detail
    assert head_end.ask_disconnect().state == "done"


def test_a_gateway_whose_clock_runs_ahead_does_not_freeze_the_relays_state(head_end, clock):
    approved(head_end)
    ahead = RelayReading(output=False, control_state=0, read_at=clock.now.replace(year=2037))
    head_end.answer(head_end.published()[0], "confirmed", relay_after=ahead)
    with reading(head_end.databases.registry) as session:
        assert session.get_one(Meter, METER).relay_confirmed_at == clock.now


def test_a_result_that_comes_again_from_a_clock_that_is_ahead_is_no_newer_reading(head_end, clock):
    approved(head_end)
    ahead = RelayReading(output=False, control_state=0, read_at=clock.now.replace(year=2037))
    told = {"relay_after": ahead, "at": clock.now}
    head_end.answer(head_end.published()[0], "confirmed", **told)
    clock.advance(60)
    head_end.relay_read(output=True)
    clock.advance(60)
    head_end.answer(head_end.published()[0], "confirmed", **told)
    with reading(head_end.databases.registry) as session:
        meter = session.get_one(Meter, METER)
    assert (meter.relay_output, meter.relay_confirmed_at) == (
        True,
        clock.now - timedelta(minutes=1),
    )


def test_a_relay_that_was_read_while_clocks_were_ahead_was_read_who_knows_when(head_end, clock):
    clock.advance(7200)
    head_end.relay_read(output=True)
    clock.advance(-7200)
    assert "was not read" in head_end.ask_disconnect().outcome["reason"]
    asked = head_end.ask(
        "ann", "command.request", action="reconnect", meter=METER, reason="why", serial_tail=""
    )
    head_end.authority.turn()
    clock.advance(91)
    head_end.authority.turn()
    assert head_end.command(asked.outcome["command"]).state == "unknown"
    read = RelayReading(output=False, control_state=0, read_at=clock.now)
    head_end.answer(head_end.published()[0], "unknown", relay_after=read, at=clock.now)
    with reading(head_end.databases.registry) as session:
        meter = session.get_one(Meter, METER)
    assert (meter.relay_output, meter.relay_confirmed_at) == (False, clock.now)


def test_a_late_result_settles_the_unknown(head_end, clock):
    command = approved(head_end)
    clock.advance(3600)
    head_end.authority.turn()
    assert head_end.command(command).state == "unknown"
    head_end.answer(head_end.published()[0], "confirmed", output=False)
    assert head_end.command(command).state == "confirmed"


def test_the_same_octets_are_sent_again_until_answered(head_end, clock):
    head_end.outbox.connected = False
    approved(head_end)
    assert head_end.outbox.sent == []
    head_end.outbox.connected = True
    head_end.authority.turn()
    head_end.authority.turn()
    assert len(head_end.outbox.sent) == 1
    clock.advance(5)
    head_end.authority.turn()
    head_end.start_authority().turn()
    assert len(head_end.outbox.sent) == 3
    assert len({each.payload for each in head_end.outbox.sent}) == 1
    head_end.answer(head_end.published()[0], "acknowledged")
    clock.advance(6)
    head_end.authority.turn()
    assert len(head_end.outbox.sent) == 3


def test_a_clock_that_was_set_back_does_not_put_off_that_a_command_is_sent_again(head_end, clock):
    earlier = head_end.ask_reconnect(meter=PROTECTED).outcome["command"]
    clock.advance(-3600)
    command = head_end.ask_reconnect().outcome["command"]
    for _ in range(5):
        clock.advance(1)
        head_end.authority.turn()
    sent = [each.command_id for each in head_end.outbox.sent]
    assert (sent.count(earlier), sent.count(command)) == (2, 2)


def test_a_request_from_a_clock_that_is_ahead_says_so(head_end, clock):
    clock.advance(-6)
    with writing(head_end.databases.registry) as session:
        row = Request(
            kind="command.request",
            requested_by="ann",
            payload={"action": "reconnect", "meter": METER, "reason": "paid", "serial_tail": ""},
            idempotency_key="of a machine that is ahead",
            created_at=clock.now + timedelta(seconds=6),
        )
        session.add(row)
    head_end.authority.turn()
    with reading(head_end.databases.registry) as session:
        outcome = session.get_one(Request, row.id).outcome
    assert "set the clocks of both machines right" in outcome["reason"]


def test_the_counter_skips_past_what_the_gateway_has_seen(head_end):
    with writing(head_end.databases.registry) as session:
        session.get_one(Gateway, GATEWAY).command_counter = 700
    head_end.ask_reconnect()
    assert head_end.published()[0].counter == 701
    with reading(head_end.databases.authority) as session:
        assert session.get_one(GatewayCounter, GATEWAY).next == 702


@pytest.mark.parametrize("reported", [2**40, 2**63 - 1])
def test_a_counter_that_no_gateway_reaches_ends_nothing_but_its_own_command(head_end, reported):
    with writing(head_end.databases.registry) as session:
        session.get_one(Gateway, GATEWAY).command_counter = reported
    command = head_end.ask_reconnect().outcome["command"]
    assert head_end.command(command).state == "rejected"
    with writing(head_end.databases.registry) as session:
        session.get_one(Gateway, GATEWAY).command_counter = 7
    head_end.ask_reconnect()
    assert head_end.published()[0].counter == 8


FORGERIES = {
    "another key": {"signer": Signer.generate()},
    "another meter": {"meter": PROTECTED},
    "an unknown command": {"command_id": "00000000-0000-4000-8000-000000000000"},
    "another gateway's name": {"gateway": "gw-2"},
}


@pytest.mark.parametrize("changes", FORGERIES.values(), ids=FORGERIES)
def test_forged_results_change_nothing(head_end, changes):
    command = approved(head_end)
    head_end.answer(head_end.published()[0], "confirmed", output=False, **changes)
    assert head_end.command(command).state == "sent"
    with reading(head_end.databases.registry) as session:
        assert session.scalars(select(Result.verified)).one() is False
        assert session.get_one(Meter, METER).relay_output is True


@pytest.mark.parametrize("payload", [b"", b"{}", b"HX1s", b"HX1s" + bytes(200), b"\xff" * 50])
def test_garbage_in_place_of_a_result_changes_nothing(head_end, payload):
    command = approved(head_end)
    head_end.store_result(command, payload)
    assert head_end.command(command).state == "sent"
    head_end.answer(head_end.published()[0], "confirmed", output=False)
    assert head_end.command(command).state == "confirmed"


def test_confirmed_without_evidence_is_unknown(head_end):
    command = approved(head_end)
    head_end.answer(head_end.published()[0], "confirmed", output=True)
    assert head_end.command(command).state == "unknown"


@pytest.mark.parametrize(("control", "state"), [(0, "confirmed"), (2, "unknown")])
def test_a_meter_that_waits_for_its_button_is_not_disconnected(head_end, clock, control, state):
    command = approved(head_end)
    seen = RelayReading(output=False, control_state=control, read_at=clock.now)
    head_end.answer(head_end.published()[0], "confirmed", relay_after=seen)
    assert head_end.command(command).state == state


def test_a_meter_that_waits_for_its_button_is_reconnected(head_end, clock):
    command = head_end.ask_reconnect().outcome["command"]
    waiting = RelayReading(output=False, control_state=2, read_at=clock.now)
    head_end.answer(head_end.published()[0], "confirmed", relay_after=waiting)
    settled = head_end.command(command)
    assert (settled.state, settled.relay_after) == ("confirmed", False)
    assert "button" in settled.detail


def test_steps_that_come_out_of_order_do_not_go_back(head_end):
    command = approved(head_end)
    envelope = head_end.published()[0]
    head_end.answer(envelope, "confirmed", output=False)
    head_end.answer(envelope, "acknowledged")
    head_end.answer(envelope, "failed")
    assert head_end.command(command).state == "confirmed"


def test_a_command_that_was_not_sent_takes_no_result(head_end):
    command = head_end.ask_disconnect().outcome["command"]
    record = head_end.command(command)
    head_end.answer(record, "confirmed", output=False)
    assert head_end.command(command).state == "awaiting_approval"


def test_a_gateway_that_refuses_is_believed(head_end):
    command = approved(head_end)
    head_end.answer(head_end.published()[0], "rejected", detail="time not proven since boot")
    settled = head_end.command(command)
    assert (settled.state, settled.detail) == ("rejected", "time not proven since boot")


def test_the_table_ends_where_it_says():
    assert {"confirmed", "failed", "rejected", "expired", "cancelled"} == life.TERMINAL
    assert all(following <= set(life.NEXT) for following in life.NEXT.values())
    record = CommandRecord(id="1", kind="relay.read", meter="M", state="confirmed")
    with pytest.raises(life.ImpossibleMove):
        life.move(None, record, life.Move("sent", "x", ""), None)


@pytest.mark.parametrize("restarts", [True, False])
def test_marks_that_were_lost_between_the_databases_are_made_later(head_end, monkeypatch, restarts):
    approved(head_end)
    (command,) = head_end.published()
    head_end.clock.advance(1)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(ResultDesk, "_mark", killed)
        with pytest.raises(KeyboardInterrupt):
            head_end.answer(command, "confirmed", output=False)
    assert head_end.command(command.id).state == "confirmed"
    if restarts:
        head_end.start_authority()
    head_end.authority.turn()
    with reading(head_end.databases.registry) as session:
        assert session.scalars(select(Result.verified)).all() == [True]
        assert session.get_one(Meter, command.meter).relay_output is False
    assert head_end.command(command.id).state == "confirmed"
