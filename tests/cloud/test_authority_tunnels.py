"""Tunnels: two people, the disconnect budget, the kill switch, protected supplies."""

import pytest
from hesper_cloud import provision
from hesper_cloud.authority.policy import Policy
from hesper_cloud.db.authority import BudgetUse
from hesper_cloud.db.engines import reading
from hesper_contracts import parameters
from hesper_contracts.tunnel import OpenTunnel
from sqlalchemy import select

METER, PROTECTED = "HES12642984", "HES12642985"


def ask_tunnel(head_end, who="ann", **changes):
    meter = changes.get("meter", METER)
    limits = {"duration_s": 600}
    limits |= {name: changes.pop(name) for name in ("duration_s", "octets_max") if name in changes}
    named = {
        "kind": "tunnel.open",
        "meter": meter,
        "reason": "the vendor looks at the clock",
        "serial_tail": meter[-4:],
        "parameters": limits,
    }
    return head_end.ask(who, "command.request", **(named | changes))


def refused(row) -> str:
    assert row.state == "refused"
    return row.outcome["reason"]


def use_policy(head_end, **changes) -> None:
    document = Policy().model_dump(mode="json")
    for part, values in changes.items():
        document[part] = document[part] | values if isinstance(values, dict) else values
    provision.activate_policy(head_end.databases.authority, "test", document)


def sent_tunnel(head_end):
    command = ask_tunnel(head_end).outcome["command"]
    head_end.approve(command)
    (order,) = head_end.published()
    return command, order


def test_a_tunnel_is_signed_once_a_second_person_approved_it_and_is_charged(head_end):
    command = ask_tunnel(head_end).outcome["command"]
    assert head_end.command(command).state == "awaiting_approval"
    assert not head_end.outbox.sent
    head_end.approve(command)
    (order,) = head_end.published()
    assert (order.kind, order.meter, order.requester, order.approver) == (
        "tunnel.open",
        METER,
        "ann",
        "ben",
    )
    assert parameters.of(order) == OpenTunnel(duration_s=600)
    with reading(head_end.databases.authority) as session:
        assert [use.command_id for use in session.scalars(select(BudgetUse))] == [command]


def test_no_policy_lets_one_person_open_a_tunnel_or_the_kill_switch_pass_it(head_end):
    use_policy(head_end, four_eyes=[], kill_switch_stops=[])
    command = ask_tunnel(head_end, who="cleo").outcome["command"]
    assert head_end.command(command).state == "awaiting_approval"
    assert "one who asked" in refused(head_end.approve(command, who="cleo"))
    head_end.ask("ben", "kill_switch.engage", reason="strange")
    assert head_end.command(command).state == "cancelled"
    assert "kill switch" in refused(ask_tunnel(head_end))


def test_tunnels_and_disconnects_share_one_budget(head_end):
    use_policy(head_end, disconnects={"gateway_per_hour": 1, "seconds_between": 0})
    command, order = sent_tunnel(head_end)
    head_end.answer(order, "confirmed", True)
    assert head_end.command(command).state == "confirmed"
    assert "budget of 1 disconnects" in refused(head_end.ask_disconnect())
    assert "budget of 1 disconnects" in refused(ask_tunnel(head_end))


def test_no_tunnel_leads_to_a_protected_supply(head_end):
    assert "life support" in refused(ask_tunnel(head_end, meter=PROTECTED))


def test_a_relay_is_not_moved_while_a_tunnel_is_open_to_its_meter(head_end):
    command, order = sent_tunnel(head_end)
    assert "another command for this meter" in refused(head_end.ask_disconnect())
    assert "another command for this meter" in refused(head_end.ask_reconnect())
    head_end.answer(order, "confirmed", True)
    head_end.authority.turn()
    assert head_end.command(command).relay_after is True
    assert head_end.ask_disconnect().state == "done"


def test_a_tunnel_has_its_time_before_it_is_called_unknown(head_end, clock):
    command, order = sent_tunnel(head_end)
    head_end.answer(order, "executing")
    head_end.authority.turn()
    clock.advance(300 + 600 + 100)
    head_end.authority.turn()
    assert head_end.command(command).state == "executing"
    clock.advance(60)
    head_end.authority.turn()
    assert head_end.command(command).state == "unknown"
    assert head_end.ask_reconnect().state == "done"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"duration_s": 901}, "tunnel.open does not take"),
        ({"duration_s": "600"}, "tunnel.open does not take"),
        ({"duration_s": None}, "tunnel.open does not take"),
        ({"octets_max": 0}, "tunnel.open does not take"),
        ({"serial_tail": "0000"}, "last 4"),
        ({"reason": ""}, "a reason is required"),
        ({"who": "vic"}, "viewer may not"),
    ],
)
def test_tunnels_that_nobody_may_have(head_end, changes, words):
    assert words in refused(ask_tunnel(head_end, **changes))
