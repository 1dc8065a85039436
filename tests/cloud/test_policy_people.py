"""Who may do what alone: second factors, quarantine, the kill switch, break-glass, alarms."""

import json
from datetime import timedelta

import pyotp
import pytest
from hesper_cloud import provision
from hesper_cloud.accounts import factors
from hesper_cloud.accounts.factors import Proof
from hesper_cloud.authority.case import seal_context, sealed_subject
from hesper_cloud.authority.hours import Hours
from hesper_cloud.authority.policy import BreakGlassTerms, DisconnectBudget, Policy
from hesper_cloud.commissioning import MeterPaper, commission
from hesper_cloud.db.authority import AuditRow
from hesper_cloud.db.decisions import BreakGlass, SecondFactor
from hesper_cloud.db.engines import reading, writing
from hesper_cloud.db.registry import Alert, Request
from pydantic import ValidationError
from sqlalchemy import select

METER, PROTECTED, GATEWAY = "HES12642984", "HES12642985", "gw-1"
PASSWORDS = {
    "ann": "asking-politely-1",
    "ben": "second-pair-of-eyes",
    "cleo": "keeper-of-the-house",
    "dora": "third-pair-of-eyes",
}
SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"


def use(head_end, **changes) -> None:
    document = Policy(**changes).model_dump(mode="json")
    provision.activate_policy(head_end.databases.authority, "test", document)


def refusal(row) -> str:
    assert row.state == "refused", row.outcome
    return row.outcome["reason"]


def code_at(head_end, steps: int = 0) -> str:
    return pyotp.TOTP(SECRET).at(head_end.clock.now + timedelta(seconds=30 * steps))


def enrol(head_end, who: str, **changes):
    given = {
        "password": PASSWORDS[who],
        "code": "",
        "secret": SECRET,
        "first": code_at(head_end),
        "recovery": "aaaa-bbbb-cccc-dddd eeee-ffff-gggg-hhhh",
    } | changes
    return head_end.ask(who, "factor.enrol", account=who, password=json.dumps(given))


def approve(head_end, command: str, code: str, who: str = "ben"):
    proof = Proof(PASSWORDS[who], code).to_text()
    return head_end.approve(command, who=who, password=proof)


class TestSecondFactor:
    """TOTP (RFC 6238), checked by the authority itself."""

    def test_with_a_factor_the_password_alone_approves_nothing(self, head_end, clock):
        assert enrol(head_end, "ben").outcome == {"enrolled": True}
        command = head_end.ask_disconnect().outcome["command"]
        assert "does not fit" in refusal(approve(head_end, command, ""))
        clock.advance(30)
        assert "does not fit" in refusal(approve(head_end, command, "000000"))
        assert approve(head_end, command, code_at(head_end)).state == "done"

    def test_a_code_is_good_once(self, head_end, clock):
        enrol(head_end, "ben")
        command = head_end.ask_disconnect().outcome["command"]
        assert "used before" in refusal(approve(head_end, command, code_at(head_end)))
        clock.advance(30)
        used = code_at(head_end)
        assert head_end.ask(
            "ben", "account.check", account="ben", password=Proof(PASSWORDS["ben"], used).to_text()
        ).outcome == {"fits": True}
        assert "used before" in refusal(approve(head_end, command, used))

    @pytest.mark.parametrize(
        ("steps", "fits"), [(-2, False), (-1, True), (0, True), (1, True), (2, False)]
    )
    def test_a_clock_may_be_one_step_off(self, head_end, clock, steps, fits):
        enrol(head_end, "ben")
        clock.advance(300)
        command = head_end.ask_disconnect().outcome["command"]
        state = approve(head_end, command, code_at(head_end, steps)).state
        assert state == ("done" if fits else "refused")

    def test_an_older_step_than_the_last_is_not_taken(self):
        now = provision._now()
        later = pyotp.TOTP(SECRET).at(now + timedelta(seconds=30))
        step = factors.step_of(SECRET, later, now, 0)
        assert step is not None
        assert factors.step_of(SECRET, pyotp.TOTP(SECRET).at(now), now, step) is None

    def test_a_recovery_code_is_good_once_and_kept_as_a_digest(self, head_end):
        enrol(head_end, "ben")
        command = head_end.ask_disconnect().outcome["command"]
        assert approve(head_end, command, "AAAA bbbb cccc dddd").state == "done"
        other = head_end.ask_reconnect().outcome
        assert other["reason"]
        lift = {
            "account": "ben",
            "password": Proof(PASSWORDS["ben"], "aaaa-bbbb-cccc-dddd").to_text(),
        }
        assert "used before" in refusal(head_end.ask("ben", "account.check", **lift))
        with reading(head_end.databases.authority) as session:
            [factor] = session.scalars(select(SecondFactor))
            assert factor.recovery == [factors.recovery_digest("eeee-ffff-gggg-hhhh")]
            actions = set(session.scalars(select(AuditRow.action)))
        assert "factor.recovery" in actions

    def test_wrong_codes_lock_out_like_wrong_passwords(self, head_end, clock):
        enrol(head_end, "ben")
        command = head_end.ask_disconnect().outcome["command"]
        for _ in range(5):
            assert "does not fit" in refusal(approve(head_end, command, "123456"))
        clock.advance(30)
        assert "too many" in refusal(approve(head_end, command, code_at(head_end)))

    def test_enrolment_needs_password_and_a_code_that_fits(self, head_end):
        assert "does not fit" in refusal(enrol(head_end, "ben", password="wrong-password"))
        assert "first code" in refusal(enrol(head_end, "ben", first="000000"))
        assert "base32" in refusal(enrol(head_end, "ben", secret="short"))
        with reading(head_end.databases.authority) as session:
            assert session.scalars(select(SecondFactor)).all() == []

    def test_another_factor_needs_a_code_of_the_present_one(self, head_end, clock):
        enrol(head_end, "ben")
        clock.advance(30)
        assert "does not fit" in refusal(enrol(head_end, "ben"))
        assert enrol(head_end, "ben", code="eeee-ffff-gggg-hhhh").state == "done"

    def test_the_database_alone_gives_no_secret(self, head_end):
        enrol(head_end, "ben")
        with reading(head_end.databases.authority) as session:
            [factor] = session.scalars(select(SecondFactor))
            kept = factor.box + factor.wrapped_key
        assert SECRET.encode() not in kept
        with writing(head_end.databases.authority) as session:
            stolen = session.get_one(SecondFactor, "ben")
            session.add(
                SecondFactor(
                    username="cleo",
                    wrapped_key=stolen.wrapped_key,
                    box=stolen.box,
                    last_step=0,
                    recovery=[],
                    enrolled_at=head_end.clock.now,
                )
            )
        command = head_end.ask_disconnect().outcome["command"]
        assert "cannot be opened" in refusal(approve(head_end, command, "123456", "cleo"))

    def test_a_proof_tells_nobody_what_it_is(self):
        assert "secret" not in repr(Proof("secret-password", "secret-code"))


def more_meters(head_end, count: int, gateway: str = GATEWAY) -> list[str]:
    serials = [f"HES2000{number:04d}" for number in range(count)]
    names = {"gateway": gateway, "logical_device_name": "L" * 16}
    commission(head_end.databases, [MeterPaper(id=serial, **names) for serial in serials])
    for serial in serials:
        head_end.relay_read(output=True, meter=serial)
    return serials


def alerts(head_end) -> dict[str, str]:
    with reading(head_end.databases.registry) as session:
        rows = session.scalars(select(Alert).where(Alert.state != "cleared"))
        return {row.rule: row.severity for row in rows}


class TestQuarantine:
    """What is more than the policy lets go is held for two more people."""

    @pytest.fixture
    def held(self, head_end) -> str:
        use(head_end, disconnects=DisconnectBudget(quarantine_above=2, seconds_between=0))
        for meter in more_meters(head_end, 2):
            head_end.approve(head_end.ask_disconnect(meter=meter).outcome["command"])
        command = head_end.ask_disconnect().outcome["command"]
        assert head_end.approve(command).state == "done"
        return command

    def release(self, head_end, command: str, who: str):
        return head_end.ask(who, "command.release", command=command, password=PASSWORDS[who])

    def test_the_excess_is_not_sent(self, head_end, held):
        assert head_end.command(held).state == "quarantined"
        assert len({each.id for each in head_end.published()}) == 2

    def test_two_release_it(self, head_end, held):
        assert self.release(head_end, held, "ben").outcome["state"] == "quarantined"
        assert "another approver" in refusal(self.release(head_end, held, "ben"))
        assert "operator may not" in refusal(self.release(head_end, held, "ann"))
        assert head_end.command(held).state == "quarantined"
        assert self.release(head_end, held, "dora").outcome["state"] == "queued"
        assert head_end.command(held).state == "sent"

    def test_one_who_was_disabled_meanwhile_does_not_count(self, head_end, held):
        self.release(head_end, held, "ben")
        provision.disable_user(head_end.databases.authority, "ben")
        assert self.release(head_end, held, "dora").outcome["state"] == "quarantined"

    def test_it_expires_to_the_second(self, head_end, clock, held):
        clock.advance(4 * 3600 - 1)
        head_end.authority.turn()
        assert head_end.command(held).state == "quarantined"
        clock.advance(1)
        head_end.authority.turn()
        assert head_end.command(held).state == "expired"

    def test_the_kill_switch_ends_it(self, head_end, held):
        head_end.ask("ann", "kill_switch.engage", reason="too many")
        assert head_end.command(held).state == "cancelled"

    def test_an_hour_later_there_is_room_again(self, head_end, clock, held):
        head_end.ask("ann", "command.cancel", command=held)
        clock.advance(3599)
        other = head_end.ask_disconnect().outcome["command"]
        head_end.approve(other)
        assert head_end.command(other).state == "quarantined"
        head_end.ask("ann", "command.cancel", command=other)
        clock.advance(1)
        last = head_end.ask_disconnect().outcome["command"]
        head_end.approve(last)
        assert head_end.command(last).state == "sent"


class TestKillSwitch:
    """One sets it, two lift it."""

    def lift(self, head_end, who: str, **changes):
        payload = {"reason": "checked", "password": PASSWORDS[who]} | changes
        return head_end.ask(who, "kill_switch.lift", **payload)

    def test_the_first_word_holds_for_its_time_only(self, head_end, clock):
        head_end.ask("ann", "kill_switch.engage", reason="strange cuts")
        assert self.lift(head_end, "ben").outcome["engaged"]
        clock.advance(900)
        assert self.lift(head_end, "dora").outcome == {"engaged": True, "lift_asked_by": "dora"}
        clock.advance(899)
        assert self.lift(head_end, "ben").outcome == {"engaged": False}

    def test_the_first_word_of_a_clock_that_was_ahead_is_none(self, head_end, clock):
        head_end.ask("ann", "kill_switch.engage", reason="strange cuts")
        clock.advance(86_400)
        assert self.lift(head_end, "ben").outcome["engaged"]
        clock.advance(-80_000)
        assert self.lift(head_end, "dora").outcome == {"engaged": True, "lift_asked_by": "dora"}

    def test_the_second_gives_a_password_too(self, head_end):
        head_end.ask("ann", "kill_switch.engage", reason="strange cuts")
        self.lift(head_end, "ben")
        assert "does not fit" in refusal(self.lift(head_end, "dora", password="wrong-password"))
        assert "operator may not" in refusal(self.lift(head_end, "ann"))

    def test_the_one_who_set_it_is_neither(self, head_end):
        head_end.ask("ben", "kill_switch.engage", reason="strange cuts")
        assert "cannot lift it" in refusal(self.lift(head_end, "ben"))
        self.lift(head_end, "dora")
        assert "cannot lift it" in refusal(self.lift(head_end, "ben"))

    def test_the_first_must_still_be_an_approver(self, head_end):
        head_end.ask("ann", "kill_switch.engage", reason="strange cuts")
        self.lift(head_end, "ben")
        provision.disable_user(head_end.databases.authority, "ben")
        assert self.lift(head_end, "dora").outcome["engaged"]

    def test_a_switch_set_again_forgets_who_asked(self, head_end):
        for _ in range(2):
            head_end.ask("ann", "kill_switch.engage", reason="strange cuts")
            assert self.lift(head_end, "ben").outcome["engaged"]
            assert not self.lift(head_end, "dora").outcome["engaged"]


class TestBreakGlass:
    """One person alone, with notice and a review."""

    @pytest.fixture(autouse=True)
    def factor(self, head_end, clock):
        enrol(head_end, "ann")
        clock.advance(86_400)  # what was enrolled a moment ago breaks no glass

    def use_it(self, head_end, meter: str = METER, **changes):
        payload = {
            "kind": "relay.disconnect",
            "meter": meter,
            "reason": "house on fire",
            "serial_tail": meter[-4:],
            "password": Proof(PASSWORDS["ann"], code_at(head_end)).to_text(),
        } | changes
        row = head_end.ask("ann", "command.break_glass", **payload)
        head_end.clock.advance(30)
        return row

    def review(self, head_end, command: str, who: str = "ben", **changes):
        payload = {"verdict": "justified", "reason": "the fire brigade asked"} | changes
        return head_end.ask(
            who, "break_glass.review", command=command, password=PASSWORDS[who], **payload
        )

    def test_it_leaves_without_a_second_person_at_any_hour(self, head_end, clock):
        clock.now += timedelta(hours=10)
        command = self.use_it(head_end).outcome["command"]
        record = head_end.command(command)
        assert (record.state, record.approver) == ("sent", None)
        clock.advance(5)
        head_end.authority.turn()
        assert alerts(head_end)[f"break-glass/{command}"] == "critical"

    def test_a_review_by_another_ends_the_alert(self, head_end, clock):
        command = self.use_it(head_end).outcome["command"]
        assert "operator may not" in refusal(self.review(head_end, command, "ann"))
        assert "verdict" in refusal(self.review(head_end, command, verdict="fine"))
        assert self.review(head_end, command, "dora").state == "done"
        assert "dora has reviewed it" in refusal(self.review(head_end, command))
        clock.advance(5)
        head_end.authority.turn()
        assert alerts(head_end) == {}
        with reading(head_end.databases.authority) as session:
            use_ = session.get_one(BreakGlass, command)
        assert (use_.verdict, use_.reviewed_by) == ("justified", "dora")

    def test_past_its_deadline_it_alarms(self, head_end, clock):
        command = self.use_it(head_end).outcome["command"]
        clock.advance(86_400 - 30 - 1)
        head_end.authority.turn()
        assert f"break-glass-unreviewed/{command}" not in alerts(head_end)
        clock.advance(6)
        head_end.authority.turn()
        assert f"break-glass-unreviewed/{command}" in alerts(head_end)

    @pytest.mark.parametrize(
        ("changes", "words"),
        [
            ({"kind": "tunnel.open", "parameters": {"duration_s": 60}}, "lets nobody do"),
            ({"reason": " "}, "reason is required"),
            ({"serial_tail": "0000"}, "last 4"),
            ({"password": PASSWORDS["ann"]}, "does not fit"),
            ({"meter": PROTECTED, "serial_tail": PROTECTED[-4:]}, "life support"),
        ],
    )
    def test_what_it_does_not_open(self, head_end, changes, words):
        if changes.get("meter"):
            changes = changes | {"password": Proof(PASSWORDS["ann"], code_at(head_end)).to_text()}
        assert words in refusal(self.use_it(head_end, **changes))
        assert head_end.commands() == []

    def test_the_kill_switch_and_the_budget_hold(self, head_end):
        use(head_end, disconnects=DisconnectBudget(gateway_per_hour=1))
        [other] = more_meters(head_end, 1)
        assert self.use_it(head_end).state == "done"
        assert "budget" in refusal(self.use_it(head_end, other))
        head_end.ask("cleo", "kill_switch.engage", reason="stop")
        assert "kill switch" in refusal(self.use_it(head_end, other))

    def test_so_many_a_day(self, head_end, clock):
        use(head_end, break_glass=BreakGlassTerms(per_day=1))
        [other] = more_meters(head_end, 1)
        assert self.use_it(head_end).state == "done"
        clock.advance(86_400 - 31)
        head_end.relay_read(output=True, meter=other)
        assert "1 a day" in refusal(self.use_it(head_end, other))
        clock.advance(1)
        assert self.use_it(head_end, other).state == "done"

    def test_without_a_factor_nobody(self, head_end):
        payload = {"kind": "relay.disconnect", "meter": METER, "serial_tail": METER[-4:]}
        row = head_end.ask(
            "ben", "command.break_glass", reason="fire", password=PASSWORDS["ben"], **payload
        )
        assert "without a second factor" in refusal(row)

    def test_a_policy_cannot_open_what_two_must_do(self):
        with pytest.raises(ValidationError, match="never by one person"):
            BreakGlassTerms(kinds={"tunnel.open"})


class TestRate:
    """Who asks for too many disconnects is told of at once."""

    def test_the_alarm_counts_what_was_refused_too(self, head_end, clock):
        meters = more_meters(head_end, 10)
        for meter in meters[:4]:
            head_end.ask_disconnect(meter=meter)
        for _ in range(5):
            assert head_end.ask_disconnect(meter=PROTECTED).state == "refused"
        clock.advance(5)
        head_end.authority.turn()
        assert alerts(head_end) == {}
        head_end.ask_disconnect(meter=meters[4])
        clock.advance(5)
        head_end.authority.turn()
        assert alerts(head_end) == {"disconnect-rate/ann": "critical"}
        clock.advance(600)
        head_end.authority.turn()
        assert alerts(head_end) == {}

    def test_what_cuts_no_supply_does_not_count(self, head_end, clock):
        for _ in range(12):
            wish = {"kind": "ping", "meter": "HES99999999", "reason": "", "serial_tail": ""}
            assert head_end.ask("ann", "command.request", **wish).state == "refused"
            assert head_end.ask_reconnect(meter="HES99999999").state == "refused"
        clock.advance(5)
        head_end.authority.turn()
        assert alerts(head_end) == {}

    def test_a_batch_counts_by_its_rows(self, head_end, clock):
        meters = more_meters(head_end, 10)
        row = head_end.ask(
            "ann", "batch.propose", kind="relay.disconnect", meters=meters, reason="all of them"
        )
        assert row.state == "done", row.outcome
        clock.advance(5)
        head_end.authority.turn()
        assert alerts(head_end) == {"disconnect-rate/ann": "critical"}


class TestRefusalsLeaveNothing:
    """A refusal that comes late leaves neither half a command nor half a decision."""

    def test_no_draft_that_blocks_the_meter(self, head_end):
        use(head_end, hours=Hours(weekdays=frozenset()), four_eyes=frozenset())
        assert "no supply is cut" in refusal(head_end.ask_disconnect())
        assert head_end.commands() == []

    def test_no_approver_of_what_was_not_approved(self, head_end):
        command = head_end.ask_disconnect().outcome["command"]
        use(head_end, hours=Hours(weekdays=frozenset()))
        assert "no supply is cut" in refusal(head_end.approve(command))
        assert head_end.command(command).approver is None

    def test_no_word_for_a_release_that_was_refused(self, head_end):
        use(head_end, disconnects=DisconnectBudget(quarantine_above=0))
        command = head_end.ask_disconnect().outcome["command"]
        head_end.approve(command)
        word = {"command": command, "password": PASSWORDS["ben"]}
        use(head_end, hours=Hours(weekdays=frozenset()))
        assert "no supply is cut" in refusal(head_end.ask("ben", "command.release", **word))
        use(head_end)
        released = head_end.ask("ben", "command.release", **word).outcome
        assert released == {"command": command, "state": "quarantined"}


def test_a_password_to_reconnect_alone_disconnects_nothing(head_end):
    use(head_end, break_glass=BreakGlassTerms(needs_factor=False))
    words = {"meter": METER, "reason": "house on fire", "serial_tail": METER[-4:]}
    given_for = sealed_subject({"kind": "relay.reconnect", **words})
    context = seal_context("command.break_glass", "ann", "one-key", given_for)
    with writing(head_end.databases.registry) as session:
        row = Request(
            kind="command.break_glass",
            requested_by="ann",
            payload={"kind": "relay.disconnect", **words},
            sealed=head_end.sealer.seal(PASSWORDS["ann"], context),
            idempotency_key="one-key",
            created_at=head_end.clock.now,
        )
        session.add(row)
    head_end.authority.turn()
    assert head_end.commands() == []
