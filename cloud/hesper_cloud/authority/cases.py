"""How each kind of request is decided; every handler checks first and writes last."""

from collections.abc import Callable

from sqlalchemy import ColumnElement, select

from hesper_cloud import audit
from hesper_cloud.accounts.roles import Permission, Role, grants
from hesper_cloud.authority import (
    api_tokens,
    emergency,
    life,
    members,
    people,
    protecting,
    rules,
    standing,
    switch,
)
from hesper_cloud.authority.backfill import request_backfill
from hesper_cloud.authority.batches import cases as batch_cases
from hesper_cloud.authority.case import Asked, Case, Outcome, check_password
from hesper_cloud.authority.drafting import (
    await_second,
    draft,
    last_moment,
    queue,
    send_to_queue,
)
from hesper_cloud.authority.kinds import KINDS
from hesper_cloud.authority.rules import Denied
from hesper_cloud.db.authority import CommandRecord
from hesper_cloud.db.decisions import Release
from hesper_cloud.worded import worded

NOTED = frozenset(
    {
        "import.apply",
        "job.cancel",
        "job.resume",
        "report-schedule.add",
        "report-schedule.change",
        "report-schedule.remove",
        *("login", "login.refused", "session.end"),
        *("alert.acknowledge", "image.announce", "image.add", "image.changelog"),
        *("alert.shelve", "alert.unshelve", "alert.assign", "alert.note"),
        *("delivery.target_make", "delivery.target_change", "delivery.target_remove"),
        *("delivery.route_make", "delivery.route_change", "delivery.route_remove"),
        "delivery.test",
        "disconnect.refused",
        *("reading.edit", "reading.edit.withdraw", "topology.set", "series.bring"),
        *("asset.create", "asset.update", "asset.delete", "asset.restore"),
        *("schedule.version", "schedule.assign", "schedule.take_back"),
        *("template.version", "template.assign", "template.take_back"),
        *("meter.install", "meter.commission", "meter.exchange", "meter.remove"),
        *("rule.edit", "rule.state", "rule.delete"),
    }
)
"""What the web process may note; it cannot write of commands."""


def request_command(case: Case) -> Outcome:
    """Turns a wish into a command that waits for approval or goes to the queue."""
    asked = case.asked
    kind = _kind_asked(asked)
    wanted, parameters = rules.check_parameters(kind, asked.mapping("parameters"))
    rules.check_range(wanted, case.policy.backfills, case.now)
    user = rules.require_user(case.session, asked.requested_by, Permission.REQUEST_COMMAND)
    named = asked.text("meter") if not KINDS[kind].at_gateway else ""
    rules.check_words(kind, named, asked.text("reason"), asked.text("serial_tail"))
    meter = case.addressee(kind)
    rules.check_area(case.registry, user, meter)
    rules.check_sendable(case.session, case.policy, kind, meter, case.now)
    rules.check_requestable(case.session, case.policy, kind, meter, case.now)
    by_two = kind in case.policy.approved_by_two
    if by_two:
        standing.check_counts(case, user)
    else:
        last_moment(case, kind, meter.gateway or "", _begin_s(case, kind))
    command = draft(case, kind, meter, asked.text("reason").strip(), parameters)
    if by_two:
        await_second(case, command)
    else:
        queue(case, command, "", _begin_s(case, kind))
    return {"command": command.id}


def approve_command(case: Case) -> Outcome:
    """Lets a second person, by password, send a waiting command to the queue."""
    command = _waiting(case)
    user = standing.require_approver(case)
    if user.username == command.requester:
        raise Denied("the one who asked cannot approve")
    meter = rules.require_addressee(case.registry, command.kind, command.meter, command.gateway)
    rules.check_area(case.registry, user, meter)
    check_password(case, user, command.id)
    rules.check_sendable(case.session, case.policy, command.kind, meter, case.now)
    queue(case, command, "approved", _begin_s(case, command.kind))
    command.approver = user.username
    return {"command": command.id}


def reject_command(case: Case) -> Outcome:
    """Lets an approver turn a waiting command down."""
    command = _waiting(case)
    rules.require_user(case.session, case.asked.requested_by, Permission.APPROVE_COMMAND)
    why = case.asked.text("reason").strip() or "rejected"
    life.move(case.session, command, case.step("rejected", why), case.now)
    return {"command": command.id}


def cancel_command(case: Case) -> Outcome:
    """Takes back a command that has not been signed yet."""
    command = _named(case)
    user = rules.require_user(case.session, case.asked.requested_by, Permission.REQUEST_COMMAND)
    if user.username != command.requester and not grants(
        Role(user.role), Permission.APPROVE_COMMAND
    ):
        raise Denied("only the one who asked, or an approver, may cancel")
    if not life.may_move(command, "cancelled"):
        raise Denied(
            worded(
                "the command is {state} and cannot be taken back",
                state=command.state.replace("_", " "),
            )
        )
    life.move(case.session, command, case.step("cancelled", "taken back"), case.now)
    return {"command": command.id}


def release_command(case: Case) -> Outcome:
    """Lets a quarantined command go once two approvers, each by password, have said so."""
    command = _named(case)
    if command.state != "quarantined":
        raise Denied(worded("the command is {state}", state=command.state.replace("_", " ")))
    user = standing.require_approver(case)
    if user.username == command.requester:
        raise Denied("the one who asked cannot release it")
    released = set(case.session.scalars(select(Release.username).where(_of(command))))
    if user.username in released:
        raise Denied("another approver must release it, too")
    check_password(case, user, command.id)
    meter = rules.require_addressee(case.registry, command.kind, command.meter, command.gateway)
    rules.check_area(case.registry, user, meter)
    rules.check_sendable(case.session, case.policy, command.kind, meter, case.now)
    until = last_moment(case, command.kind, command.gateway, _begin_s(case, command.kind))
    case.note("command.release", life.subject(command), "quarantined", "", "")
    case.session.add(Release(command=command.id, username=user.username, at=case.now))
    if not _second_of(case, released):
        return {"command": command.id, "state": "quarantined"}
    send_to_queue(case, command, worded("released by {who} and another", who=user.username), until)
    return {"command": command.id, "state": "queued"}


def note(case: Case) -> Outcome:
    """Audits something that the web process is about to do, in the words that it claims."""
    asked = case.asked
    if asked.text("action") not in NOTED:
        raise Denied(
            worded("the web process does not note {action!r}", action=asked.text("action"))
        )
    given = {name for name in ("before", "after", "why") if asked.payload.get(name) is not None}
    entry = audit.Entry(
        actor=asked.requested_by,
        action=asked.text("action"),
        subject=asked.text("subject"),
        **{name: asked.text(name) for name in given},
    )
    return {"sequence": audit.append(case.session, case.now, entry).sequence}


HANDLERS: dict[str, Callable[[Case], Outcome]] = {
    "backfill.request": request_backfill,
    "command.request": request_command,
    "command.approve": approve_command,
    "command.reject": reject_command,
    "command.cancel": cancel_command,
    "command.release": release_command,
    "command.break_glass": emergency.break_glass,
    "break_glass.review": emergency.review,
    "kill_switch.engage": switch.engage,
    "kill_switch.lift": switch.lift,
    people.CHECK_LOGIN: people.check_login,
    people.ENROL: people.enrol,
    "audit.note": note,
    protecting.PROTECT: protecting.protect,
    **members.HANDLERS,
    **api_tokens.HANDLERS,
    **batch_cases.HANDLERS,
}


def _kind_asked(asked: Asked) -> str:
    """Returns the kind by its name, or by the short word for a relay's."""
    return f"relay.{asked.text('action')}" if "action" in asked.payload else asked.text("kind")


def _begin_s(case: Case, kind: str) -> int:
    """Returns for how long a gateway may begin a command of this kind once it is queued."""
    return max(case.policy.expiry_s, KINDS[kind].begin_s)


def _of(command: CommandRecord) -> ColumnElement[bool]:
    return Release.command == command.id


def _second_of(case: Case, released: set[str]) -> bool:
    """Says whether one of those who have said yes before still may."""
    for username in released:
        try:
            rules.require_user(case.session, username, Permission.APPROVE_COMMAND)
        except Denied:
            continue
        return True
    return False


def _named(case: Case) -> CommandRecord:
    command = case.session.get(CommandRecord, case.asked.text("command"))
    if command is None:
        raise Denied("there is no such command")
    return command


def _waiting(case: Case) -> CommandRecord:
    command = _named(case)
    if command.state != "awaiting_approval":
        raise Denied(worded("the command is {state}", state=command.state.replace("_", " ")))
    if command.not_after is not None and case.now >= command.not_after:
        raise Denied("the time for approval is over")
    return command
