"""Commands for a gateway itself: no meter, the same life, believed by what the result shows."""

import hashlib
from datetime import timedelta

import pytest
from hesper_cloud.db.authority import AuditRow
from hesper_cloud.db.engines import reading
from hesper_contracts.results import Findings, RelayReading
from sqlalchemy import select

GATEWAY = "gw-1"
TOML = 'gateway = "gw-1"\n' + "# many meters\n" * 300


def ask_restart(head_end, **changes):
    payload = {
        "kind": "gateway.restart",
        "gateway": GATEWAY,
        "reason": "stuck line",
        "serial_tail": "",
    } | changes
    return head_end.ask("ann", "command.request", **payload)


def configure(head_end):
    row = head_end.ask(
        "ann",
        "command.request",
        kind="gateway.configure",
        gateway=GATEWAY,
        reason="new meters",
        serial_tail="",
        parameters={"toml": TOML},
    )
    command = row.outcome["command"]
    assert head_end.command(command).state == "awaiting_approval"
    assert head_end.approve(command).state == "done"
    return head_end.published()[-1]


def test_a_restart_is_signed_for_the_gateway_and_names_no_meter(head_end, clock):
    command = ask_restart(head_end).outcome["command"]
    [sent] = head_end.published()
    assert (sent.kind, sent.gateway, sent.meter) == ("gateway.restart", GATEWAY, "")
    assert sent.logical_device_name is None
    found = Findings(started_at=clock.now + timedelta(seconds=3))
    head_end.answer(sent, "confirmed", findings=found)
    assert head_end.command(command).state == "confirmed"
    with reading(head_end.databases.authority) as session:
        subjects = set(session.scalars(select(AuditRow.subject)))
    assert f"gateway.restart {GATEWAY} {command}" in subjects


@pytest.mark.parametrize("shown", [None, Findings(), "old"])
def test_a_restart_that_shows_no_new_start_is_not_believed(head_end, clock, shown):
    command = ask_restart(head_end).outcome["command"]
    [sent] = head_end.published()
    if shown == "old":
        shown = Findings(started_at=clock.now - timedelta(seconds=6))
    head_end.answer(sent, "confirmed", **({"findings": shown} if shown else {}))
    assert head_end.command(command).state == "unknown"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"gateway": "gw-none"}, "there is no gateway"),
        ({"gateway": None}, "names no gateway"),
        ({"reason": ""}, "reason is required"),
        ({"kind": "gateway.dance"}, "there is no command"),
    ],
)
def test_what_does_not_add_up_is_refused(head_end, changes, words):
    row = ask_restart(head_end, **changes)
    assert (row.state, head_end.commands()) == ("refused", [])
    assert words in row.outcome["reason"]


def test_one_at_a_time_for_a_gateway(head_end):
    assert ask_restart(head_end).state == "done"
    assert "another command for gw-1 is sent" in ask_restart(head_end).outcome["reason"]
    assert head_end.ask_reconnect().state == "done"  # its meters are another matter


def test_a_configuration_takes_two_and_is_believed_by_its_hash(head_end):
    sent = configure(head_end)
    assert sent.parameters == {"toml": TOML}
    found = Findings(configuration=hashlib.sha256(TOML.encode()).hexdigest())
    head_end.answer(sent, "confirmed", findings=found)
    assert head_end.command(sent.id).state == "confirmed"


def test_another_configuration_in_force_is_not_believed(head_end):
    sent = configure(head_end)
    head_end.answer(sent, "confirmed", findings=Findings(configuration="ab" * 32))
    assert head_end.command(sent.id).state == "unknown"


def test_the_audit_log_has_the_hash_of_what_is_long(head_end):
    sent = configure(head_end)
    with reading(head_end.databases.authority) as session:
        query = select(AuditRow.after).where(AuditRow.action == "command.draft")
        told = session.scalars(query).one()
    assert hashlib.sha256(TOML.encode()).hexdigest() in told
    assert "many meters" not in told
    assert sent.approver == "ben"


def test_an_armed_relay_is_confirmed_by_its_state(head_end):
    head_end.ask(
        "ann",
        "command.request",
        action="arm",
        meter="HES12642984",
        reason="customer is told",
        serial_tail="",
    )
    [sent] = head_end.published()
    assert sent.kind == "relay.arm"
    waiting = RelayReading(output=False, control_state=2, read_at=head_end.clock.now)
    head_end.answer(sent, "confirmed", relay_after=waiting)
    command = head_end.command(sent.id)
    assert command.state == "confirmed"
    assert "press the meter's button" in command.detail
