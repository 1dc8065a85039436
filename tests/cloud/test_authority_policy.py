"""What the authority refuses: people, passwords, budgets, protections and the kill switch."""

from datetime import timedelta

import pytest
from hesper_cloud import provision
from hesper_cloud.authority import facts
from hesper_cloud.authority.policy import POLICIES, Policy
from hesper_cloud.commissioning import MeterPaper, commission
from hesper_cloud.db.assets import Area
from hesper_cloud.db.authority import AuditRow, BudgetUse, CommandRecord, User
from hesper_cloud.db.engines import reading, writing
from hesper_cloud.db.registry import Meter, Request
from sqlalchemy import select

METER, PROTECTED, GATEWAY = "HES12642984", "HES12642985", "gw-1"


def use_policy(head_end, **budget) -> None:
    document = Policy().model_dump(mode="json")
    document["disconnects"].update(budget)
    provision.activate_policy(head_end.databases.authority, "test", document)


def more_meters(head_end, count: int, gateway: str = GATEWAY) -> list[str]:
    serials = [f"HES2000{n:04d}" for n in range(count)]
    papers = [
        MeterPaper(id=serial, gateway=gateway, logical_device_name="L" * 16) for serial in serials
    ]
    commission(head_end.databases, papers)
    with writing(head_end.databases.registry) as session:
        for serial in serials:
            meter = session.get_one(Meter, serial)
            meter.relay_output, meter.relay_confirmed_at = True, head_end.clock.now
    return serials


def reason(row) -> str:
    assert row.state == "refused"
    return row.outcome["reason"]


def test_a_viewer_may_not_ask_and_an_operator_may_not_approve(head_end):
    assert "viewer may not" in reason(head_end.ask_disconnect(who="vic"))
    assert "does not exist" in reason(head_end.ask_disconnect(who="nobody"))
    command = head_end.ask_disconnect().outcome["command"]
    assert "operator may not" in reason(head_end.approve(command, who="ann"))
    assert head_end.command(command).state == "awaiting_approval"


def test_the_requester_cannot_approve_whatever_the_role(head_end):
    command = head_end.ask_disconnect(who="cleo").outcome["command"]
    assert "one who asked" in reason(head_end.approve(command, who="cleo"))
    assert head_end.approve(command, who="ben").state == "done"


def test_a_wrong_password_approves_nothing_and_is_counted(head_end, clock):
    command = head_end.ask_disconnect().outcome["command"]
    for _ in range(5):
        assert "does not fit" in reason(head_end.approve(command, password="wrong-password"))
    assert "too many" in reason(head_end.approve(command))
    with reading(head_end.databases.authority) as session:
        refused = select(AuditRow).where(AuditRow.action == "password.refused")
        assert len(session.scalars(refused).all()) == 5


def test_a_sealed_password_is_good_for_its_own_request_only(head_end):
    first = head_end.ask_disconnect().outcome["command"]
    stolen = head_end.sealer.seal("second-pair-of-eyes", "for something else")
    row = head_end.ask("ben", "command.approve", command=first)
    assert "does not belong" in reason(row)
    with writing(head_end.databases.registry) as session:
        session.add(
            type(row)(
                kind="command.approve",
                requested_by="ben",
                payload={"command": first},
                sealed=stolen,
                idempotency_key="copied",
                created_at=head_end.clock.now,
            )
        )
    head_end.authority.turn()
    assert head_end.command(first).state == "awaiting_approval"


def test_the_sealed_password_does_not_stay(head_end):
    command = head_end.ask_disconnect().outcome["command"]
    assert head_end.approve(command).sealed is None


def test_a_protected_supply_is_never_cut(head_end):
    assert "life support" in reason(head_end.ask_disconnect(meter=PROTECTED))
    with writing(head_end.databases.registry) as session:
        session.get_one(Meter, PROTECTED).life_support = False
    assert "life support" in reason(head_end.ask_disconnect(meter=PROTECTED))


def test_a_protection_set_after_approval_still_holds(head_end):
    use_policy(head_end, seconds_between=10)
    other = more_meters(head_end, 1)[0]
    first = head_end.ask_disconnect().outcome["command"]
    second = head_end.ask_disconnect(meter=other).outcome["command"]
    head_end.approve(first)
    head_end.approve(second)
    assert head_end.command(second).state == "queued"
    provision.protect_meters(head_end.databases.authority, {other: "hospital"})
    head_end.clock.advance(11)
    head_end.authority.turn()
    assert head_end.command(second).state == "rejected"
    assert {each.command_id for each in head_end.outbox.sent} == {first}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"serial_tail": "0000"}, "last 4"),
        ({"reason": "  "}, "reason"),
        ({"meter": "HES99999999"}, "last 4"),
        ({"action": "explode"}, "no command"),
        ({"meter": None}, "names no meter"),
    ],
)
def test_requests_that_do_not_add_up(head_end, changes, words):
    payload = {
        "action": "disconnect",
        "meter": METER,
        "reason": "unpaid",
        "serial_tail": METER[-4:],
    }
    assert words in reason(head_end.ask("ann", "command.request", **payload | changes))
    assert words in reason(head_end.ask("ann", "command.request", **payload | changes))
    assert head_end.commands() == []


def test_an_old_relay_state_blocks_the_cut(head_end, clock):
    clock.advance(25 * 3600)
    assert "read it first" in reason(head_end.ask_disconnect())
    assert head_end.ask_reconnect().state == "done"


def test_an_old_click_does_nothing(head_end, clock):
    row = head_end.ask_disconnect()
    with writing(head_end.databases.registry) as session:
        late = type(row)(
            kind="command.request",
            requested_by="ann",
            payload=row.payload,
            idempotency_key="late",
            created_at=clock.now,
        )
        session.add(late)
    clock.advance(31)
    head_end.authority.turn()
    with reading(head_end.databases.registry) as session:
        assert "too old" in reason(session.get_one(type(row), late.id))


def test_the_gateway_budget_stops_the_sixth_cut(head_end, clock):
    meters = more_meters(head_end, 7)
    sent = 0
    for meter in meters[:5]:
        command = head_end.ask_disconnect(meter=meter).outcome["command"]
        head_end.approve(command)
        sent += head_end.command(command).state == "sent"
        clock.advance(10)
    assert sent == 5
    assert "5 disconnects an hour behind gw-1" in reason(head_end.ask_disconnect(meter=meters[5]))
    clock.advance(3600)
    assert head_end.ask_disconnect(meter=meters[5]).state == "done"


@pytest.mark.parametrize("who", ["ann", "ben"])
def test_who_lost_the_right_while_a_command_waited_its_turn_is_not_behind_it(head_end, clock, who):
    first, second = more_meters(head_end, 2)
    for meter in (first, second):
        head_end.approve(head_end.ask_disconnect(meter=meter).outcome["command"])
    provision.disable_user(head_end.databases.authority, who)
    clock.advance(11)
    head_end.authority.turn()
    assert sorted(command.state for command in head_end.commands()) == ["rejected", "sent"]
    assert len({each.command_id for each in head_end.outbox.sent}) == 1


def test_making_ready_again_does_not_loosen_the_policy(head_end):
    settings, authority = head_end.settings, head_end.databases.authority
    provision.initialise(settings, "strict")
    provision.initialise(settings)
    with reading(authority) as session:
        assert facts.active_policy(session) == POLICIES["strict"]


def test_a_policy_may_ask_for_a_second_person_to_reconnect(head_end):
    document = POLICIES["strict"].model_dump(mode="json")
    provision.activate_policy(head_end.databases.authority, "strict", document)
    command = head_end.ask_reconnect().outcome["command"]
    assert head_end.command(command).state == "awaiting_approval"
    assert head_end.approve(command).state == "done"
    assert head_end.command(command).state == "sent"


def test_a_reconnect_does_not_wait_behind_a_crowd_of_disconnects(head_end):
    more_meters(head_end, 1)
    with writing(head_end.databases.authority) as session:
        session.add(BudgetUse(command_id="before", at=head_end.clock.now, gateway=GATEWAY))
        for number in range(250):
            command = CommandRecord(
                id=f"{number}",
                kind="relay.disconnect",
                meter="HES20000000",
                gateway=GATEWAY,
                state="queued",
                requester="ann",
                approver="ben",
                reason="unpaid",
                created_at=head_end.clock.now,
                queued_at=head_end.clock.now,
                not_after=head_end.clock.now + timedelta(seconds=60),
                updated_at=head_end.clock.now,
            )
            session.add(command)
    head_end.ask_reconnect()
    assert [each.kind for each in head_end.published()] == ["relay.reconnect"]


@pytest.mark.parametrize("step_s", [-7200, -60, 60])
def test_neither_a_restart_nor_a_clock_set_back_frees_a_budget(head_end, clock, step_s):
    use_policy(head_end, per_hour=1, seconds_between=0)
    first, second = more_meters(head_end, 2)
    head_end.approve(head_end.ask_disconnect(meter=first).outcome["command"])
    clock.advance(step_s)
    head_end.start_authority()
    assert "budget of 1" in reason(head_end.ask_disconnect(meter=second))


def test_approved_in_bulk_still_leaves_one_by_one_within_the_budget(head_end, clock):
    use_policy(head_end, per_hour=3, seconds_between=10)
    commands = [
        head_end.ask_disconnect(meter=meter).outcome["command"]
        for meter in more_meters(head_end, 5)
    ]
    for command in commands:
        head_end.approve(command)
    assert len(head_end.outbox.sent) == 1
    for _ in range(6):
        clock.advance(10)
        head_end.authority.turn()
    states = [head_end.command(command).state for command in commands]
    assert states == ["sent", "sent", "sent", "rejected", "rejected"]


def left(head_end) -> int:
    return len({each.command_id for each in head_end.outbox.sent})


@pytest.mark.parametrize(
    ("chances", "waits"),
    [((0.0,), (10, 10)), ((0.5, 0.2), (12.5, 11)), ((0.999, 0.999), (15, 15))],
)
def test_single_disconnects_leave_a_drawn_delay_later_than_their_distance(
    head_end, clock, chances, waits
):
    use_policy(head_end, gateway_per_hour=9)
    drawn = [*chances, 0.0, 0.0]
    head_end.authority.spacing.chance = lambda: drawn.pop(0)
    for meter in more_meters(head_end, 3):
        head_end.approve(head_end.ask_disconnect(meter=meter).outcome["command"])
    for count, wait_s in enumerate(waits, start=1):
        clock.advance(wait_s - 0.1)
        for _ in range(3):  # asking again draws no other delay
            head_end.authority.turn()
            assert left(head_end) == count
        clock.advance(0.1)
        head_end.authority.turn()
        assert left(head_end) == count + 1


def test_a_clock_set_back_keeps_the_distance_and_stops_no_disconnect(head_end, clock):
    use_policy(head_end, gateway_per_hour=9)
    meters = more_meters(head_end, 4)
    head_end.approve(head_end.ask_disconnect(meter=meters[0]).outcome["command"])
    clock.advance(-1)
    head_end.approve(head_end.ask_disconnect(meter=meters[1]).outcome["command"])
    assert left(head_end) == 1  # a clock that is slewed a little frees nothing
    clock.advance(-3600)
    assert "was not read" in reason(head_end.ask_disconnect(meter=meters[2]))  # who knows when
    for meter in meters[2:]:
        head_end.relay_read(output=True, meter=meter)
        head_end.approve(head_end.ask_disconnect(meter=meter).outcome["command"])
    assert left(head_end) == 2
    for count in (3, 4):
        clock.advance(10)
        head_end.authority.turn()
        assert left(head_end) == count


def test_a_policy_may_want_no_random_delay_or_a_long_one(head_end, clock):
    use_policy(head_end, gateway_per_hour=9, random_delay=0)
    head_end.authority.spacing.chance = lambda: 0.9
    for meter in more_meters(head_end, 3):
        head_end.approve(head_end.ask_disconnect(meter=meter).outcome["command"])
    clock.advance(10)
    head_end.authority.turn()
    assert left(head_end) == 2
    use_policy(head_end, gateway_per_hour=9, random_delay=3)
    clock.advance(36)
    head_end.authority.turn()
    assert left(head_end) == 2
    clock.advance(1.5)
    head_end.authority.turn()
    assert left(head_end) == 3


def test_one_engages_the_kill_switch_and_two_others_lift_it(head_end):
    waiting = head_end.ask_disconnect().outcome["command"]
    assert head_end.ask("ben", "kill_switch.engage", reason="strange cuts").state == "done"
    assert head_end.command(waiting).state == "cancelled"
    assert "kill switch" in reason(head_end.ask_disconnect())
    assert "kill switch" in reason(head_end.ask_reconnect())
    lift = {"reason": "checked", "password": "second-pair-of-eyes"}
    assert "cannot lift" in reason(head_end.ask("ben", "kill_switch.lift", **lift))
    wrong = {"reason": "checked", "password": "wrong-password"}
    assert "does not fit" in reason(head_end.ask("cleo", "kill_switch.lift", **wrong))
    right = {"reason": "checked", "password": "keeper-of-the-house"}
    first = head_end.ask("cleo", "kill_switch.lift", **right)
    assert first.outcome == {"engaged": True, "lift_asked_by": "cleo"}
    assert "another approver must confirm" in reason(
        head_end.ask("cleo", "kill_switch.lift", **right)
    )
    assert "kill switch" in reason(head_end.ask_reconnect())
    second = right | {"password": "third-pair-of-eyes"}
    assert head_end.ask("dora", "kill_switch.lift", **second).outcome == {"engaged": False}
    assert head_end.ask_reconnect().state == "done"


def test_the_kill_switch_stops_what_no_gateway_has_answered(head_end, clock):
    head_end.ask_reconnect()
    assert len(head_end.outbox.sent) == 1
    head_end.ask("ann", "kill_switch.engage", reason="strange")
    clock.advance(30)
    head_end.authority.turn()
    assert len(head_end.outbox.sent) == 1


def test_the_web_process_cannot_write_of_commands(head_end):
    note = {"action": "command.confirmed", "subject": METER}
    assert "does not note" in reason(head_end.ask("authority", "audit.note", **note))
    assert head_end.ask("ann", "audit.note", action="login", subject="x").state == "done"


@pytest.mark.parametrize("name", ["command", "meter"])
def test_what_cannot_be_written_down_does_not_stop_the_desk(head_end, name):
    assert reason(head_end.ask("ann", "command.cancel", **{name: "\ud800"}))


@pytest.mark.parametrize("bad", ["x" * 501, "a\nb", "\ud800", 5, None, ["x"]])
def test_a_row_that_nobody_would_write_is_refused(head_end, bad):
    payload = {"action": "reconnect", "meter": METER, "reason": bad, "serial_tail": ""}
    assert reason(head_end.ask("ann", "command.request", **payload))
    with writing(head_end.databases.registry) as session:
        row = Request(
            kind="command.request",
            requested_by="ann",
            payload=[bad],
            idempotency_key="list",
            created_at=head_end.clock.now,
        )
        session.add(row)
    head_end.authority.turn()
    assert head_end.commands() == []


def test_cancel_and_reject(head_end):
    command = head_end.ask_disconnect().outcome["command"]
    assert head_end.ask("ann", "command.cancel", command=command).state == "done"
    assert head_end.command(command).state == "cancelled"
    command = head_end.ask_disconnect().outcome["command"]
    row = head_end.ask("ben", "command.reject", command=command, reason="wrong house")
    assert (row.state, head_end.command(command).detail) == ("done", "wrong house")
    sent = head_end.ask_reconnect().outcome["command"]
    assert "cannot be taken back" in reason(head_end.ask("ann", "command.cancel", command=sent))


def test_a_disabled_account_has_no_say(head_end):
    command = head_end.ask_disconnect().outcome["command"]
    provision.disable_user(head_end.databases.authority, "ben")
    assert "disabled" in reason(head_end.approve(command))


@pytest.mark.parametrize("who", ["ann", "ben"])
@pytest.mark.parametrize("moved", [False, True])
def test_nothing_is_signed_beyond_the_areas_that_somebody_has_by_then(head_end, who, moved):
    def puts(areas: list[str], meter_in: str) -> None:
        with writing(head_end.databases.authority) as session:
            session.get_one(User, who).areas = areas
        with writing(head_end.databases.registry) as session:
            session.merge(Area(name="north"))
            session.merge(Area(name="south"))
            session.get_one(Meter, METER).area = meter_in

    puts(["north"], "north")
    command = head_end.ask_disconnect().outcome["command"]
    head_end.authority.spacing.is_over = lambda *_: False
    assert head_end.approve(command).state == "done"
    assert head_end.command(command).state == "queued"
    puts(*((["north"], "south") if moved else (["south"], "north")))
    head_end.authority.spacing.is_over = lambda *_: True
    head_end.authority.turn()
    assert head_end.command(command).state == "rejected"
    assert "there is no meter" in head_end.command(command).detail
    assert head_end.outbox.sent == []


def test_a_gateway_without_a_key_gets_no_commands(head_end):
    (meter,) = more_meters(head_end, 1, gateway="gw-new")
    assert "no public key" in reason(head_end.ask_reconnect(meter=meter))
