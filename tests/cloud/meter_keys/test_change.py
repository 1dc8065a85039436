"""keys.change from the wish to the settled set: who may, what is kept when, and what proves it."""

from typing import Any

import pytest
from hesper_cloud import keys
from hesper_cloud.db.authority import AuditRow, MeterKeyRow
from hesper_cloud.db.engines import reading, writing
from hesper_cloud.meter_keys.custody import Custody, Origin
from hesper_cloud.meter_keys.key_set import KeySet
from hesper_contracts.commands import Command
from hesper_contracts.frame import Refused
from hesper_contracts.new_keys import NewKeys, Recipient
from hesper_contracts.parameters import ChangeKeys, of
from hesper_contracts.results import Findings, KeysAtMeter
from hesper_contracts.signing import Signer
from sqlalchemy import select

METER, GATEWAY = "HES12642984", "gw-1"
OLD = KeySet(encryption_key=b"e" * 16, authentication_key=b"a" * 16, master_key=b"m" * 16)


@pytest.fixture
def custody(head_end: Any) -> Custody:
    """The keys that are kept, with those of one meter."""
    custody = Custody(keys.vault(head_end.settings.keys))
    with writing(head_end.databases.authority) as session:
        custody.put(session, METER, OLD, Origin("operator:test", "a test", head_end.clock.now))
    return custody


def ask(head_end: Any, meter: str = METER, **parameters: Any) -> Any:
    wish = {"kind": "keys.change", "parameters": parameters, "reason": "once a year"}
    return head_end.ask("ann", "command.request", meter=meter, serial_tail="", **wish)


def change(head_end: Any, **parameters: Any) -> tuple[Command, NewKeys]:
    """Lets a change be asked for, approved and signed; returns it as the gateway sees it."""
    asked = ask(head_end, **parameters)
    assert asked.state == "done", asked.outcome
    command_id = asked.outcome["command"]
    assert head_end.command(command_id).state == "awaiting_approval"
    assert head_end.approve(command_id).state == "done"
    command = next(each for each in head_end.published() if each.id == command_id)
    return command, opened(head_end, command)


def opened(head_end: Any, command: Command) -> NewKeys:
    wanted = of(command)
    assert isinstance(wanted, ChangeKeys)
    recipient = Recipient(command.gateway, command.meter, command.id)
    return head_end.gateway.opener().open(wanted.sealed, recipient)


def states(head_end: Any) -> dict[int, str]:
    with reading(head_end.databases.authority) as session:
        return {row.version: row.state for row in session.scalars(select(MeterKeyRow))}


def kept(head_end: Any, custody: Custody) -> KeySet:
    with reading(head_end.databases.authority) as session:
        return custody.current(session, METER)


def answer(head_end: Any, command: Command, state: str, has: KeysAtMeter | None = None) -> None:
    findings = {} if has is None else {"findings": Findings(keys=has)}
    head_end.answer(command, state, **findings)


def test_new_keys_are_made_here_kept_before_they_are_sent_and_current_when_proven(
    head_end, custody
):
    command, new = change(head_end)
    assert states(head_end) == {1: "current", 2: "pending"}
    assert kept(head_end, custody) == OLD
    assert None not in (new.encryption_key, new.authentication_key)
    assert new.master_key is None
    answer(head_end, command, "confirmed", "new")
    assert head_end.command(command.id).state == "confirmed"
    assert states(head_end) == {1: "past", 2: "current"}
    now = kept(head_end, custody)
    assert (now.encryption_key, now.master_key) == (new.encryption_key, OLD.master_key)


def test_a_past_set_stays_until_the_next_change_is_settled(head_end, custody):
    for _ in range(2):
        command, _new = change(head_end)
        answer(head_end, command, "confirmed", "new")
    assert states(head_end) == {2: "past", 3: "current"}


@pytest.mark.parametrize("state", ["failed", "rejected", "expired"])
@pytest.mark.parametrize("has", ["old", None])
def test_what_the_meter_has_not_taken_is_never_current(head_end, custody, state, has):
    command, _ = change(head_end)
    answer(head_end, command, state, has)
    assert states(head_end) == {1: "current", 2: "past"}
    assert kept(head_end, custody) == OLD


def test_while_nobody_knows_both_are_kept_until_a_late_result_tells(head_end, custody):
    command, new = change(head_end)
    answer(head_end, command, "unknown", "either")
    assert head_end.command(command.id).state == "unknown"
    assert states(head_end) == {1: "current", 2: "pending"}
    answer(head_end, command, "confirmed", "new")
    assert head_end.command(command.id).state == "confirmed"
    assert kept(head_end, custody).encryption_key == new.encryption_key


def test_a_result_that_says_done_without_proof_settles_nothing(head_end, custody):
    command, _ = change(head_end)
    answer(head_end, command, "confirmed")
    assert head_end.command(command.id).state == "unknown"
    assert states(head_end) == {1: "current", 2: "pending"}


def test_the_next_command_after_unknown_carries_the_same_keys(head_end, custody):
    first, new = change(head_end)
    answer(head_end, first, "unknown", "either")
    second, again = change(head_end)
    assert again == new
    answer(head_end, second, "rejected")  # says nothing of what the first one did
    assert states(head_end) == {1: "current", 2: "pending"}
    answer(head_end, first, "confirmed", "new")
    assert states(head_end) == {1: "past", 2: "current"}


def test_a_late_no_retires_nothing_that_another_command_still_carries(head_end, custody):
    renew = ["encryption_key", "authentication_key", "master_key"]
    first, new = change(head_end, renew=renew)
    answer(head_end, first, "unknown", "either")
    second, again = change(head_end)
    assert again == new
    answer(head_end, first, "failed", "old")
    assert states(head_end) == {1: "current", 2: "pending"}
    answer(head_end, second, "unknown", "either")
    third, same = change(head_end, renew=["encryption_key"])
    assert same == new
    answer(head_end, second, "confirmed", "new")
    answer(head_end, third, "confirmed", "new")
    assert kept(head_end, custody).master_key == new.master_key


def test_the_last_of_several_that_says_no_retires_what_all_carried(head_end, custody):
    first, _ = change(head_end)
    answer(head_end, first, "unknown", "either")
    second, _ = change(head_end)
    answer(head_end, first, "failed", "old")
    answer(head_end, second, "failed", "old")
    assert states(head_end) == {1: "current", 2: "past"}


def test_a_gateway_that_never_answers_leaves_both(head_end, custody):
    change(head_end)
    head_end.clock.advance(3_600)
    head_end.authority.turn()
    assert [each.state for each in head_end.commands()] == ["unknown"]
    assert states(head_end) == {1: "current", 2: "pending"}


def test_a_forged_result_settles_nothing(head_end, custody):
    command, _ = change(head_end)
    findings = Findings(keys="new")
    head_end.answer(command, "confirmed", findings=findings, signer=Signer.generate())
    assert states(head_end) == {1: "current", 2: "pending"}


def test_the_box_opens_for_its_gateway_and_command_alone(head_end, custody):
    command, _ = change(head_end)
    wanted = of(command)
    for other in (
        Recipient("gw-2", command.meter, command.id),
        Recipient(command.gateway, "HES1", command.id),
        Recipient(command.gateway, command.meter, "another"),
    ):
        with pytest.raises(Refused):
            head_end.gateway.opener().open(wanted.sealed, other)


@pytest.mark.parametrize(
    ("parameters", "told"),
    [
        ({"sealed": "AAAA"}, "does not take these parameters"),
        ({"encryption_key": "00" * 16}, "does not take these parameters"),
        ({"renew": []}, "at least one key"),
        ({"renew": ["encryption_key", "encryption_key"]}, "each once"),
        ({"renew": ["master_key"]}, "only with a new encryption_key"),
        ({"renew": ["password"]}, "does not take these parameters"),
    ],
)
def test_nobody_can_say_what_the_keys_will_be(head_end, custody, parameters, told):
    assert told in ask(head_end, **parameters).outcome["reason"]


def test_a_master_key_is_renewed_with_the_encryption_key(head_end, custody):
    command, new = change(head_end, renew=["encryption_key", "master_key"])
    assert new.authentication_key is None
    answer(head_end, command, "confirmed", "new")
    assert kept(head_end, custody).master_key == new.master_key


@pytest.mark.parametrize(
    ("held", "told"),
    [
        (None, "no keys of"),
        (KeySet(password="12345678"), "a change needs both"),
        (KeySet(encryption_key=b"e" * 16), "a change needs both"),
        (KeySet(encryption_key=b"e" * 16, master_key=b"m" * 16), "no authentication_key"),
    ],
)
def test_without_the_keys_that_a_change_needs_nothing_is_signed(head_end, held, told):
    if held is not None:
        custody = Custody(keys.vault(head_end.settings.keys))
        with writing(head_end.databases.authority) as session:
            custody.put(session, METER, held, Origin("operator:test", "a test", head_end.clock.now))
    asked = ask(head_end)
    head_end.approve(asked.outcome["command"])
    command = head_end.command(asked.outcome["command"])
    assert (command.state, told in command.detail) == ("rejected", True)
    assert head_end.published() == []


def test_a_second_person_approves_whatever_the_policy_says(head_end, custody):
    asked = ask(head_end)
    assert head_end.approve(asked.outcome["command"], who="ann").state == "refused"
    assert head_end.published() == []


def test_no_key_is_ever_in_the_log_the_command_or_the_outcome(head_end, custody, caplog):
    command, new = change(head_end)
    answer(head_end, command, "confirmed", "new")
    shown = [caplog.text, repr(new), repr(OLD), str(command)]
    with reading(head_end.databases.authority) as session:
        for row in session.scalars(select(AuditRow)):
            shown += [row.subject, str(row.before), str(row.after), str(row.why)]
        for row in session.scalars(select(MeterKeyRow)):
            shown += [row.origin, row.holds, row.box.hex(), row.wrapped_key.hex()]
    secrets_held = (OLD.encryption_key, OLD.master_key, new.encryption_key, new.authentication_key)
    assert not [key for key in secrets_held if key.hex() in "".join(shown)]


def test_audit_says_which_version_became_what(head_end, custody):
    command, _ = change(head_end)
    answer(head_end, command, "confirmed", "new")
    with reading(head_end.databases.authority) as session:
        rows = session.scalars(select(AuditRow).where(AuditRow.subject == METER)).all()
    told = [(row.action, row.before, row.after) for row in rows]
    assert told == [
        ("keys.put", None, "version 1"),
        ("keys.pending", None, "version 2"),
        ("keys.current", "version 1", "version 2"),
    ]
