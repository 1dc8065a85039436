"""How each kind of request is decided; every handler checks first and writes last."""

from collections.abc import Callable

from sqlalchemy import select

from hesper_cloud import audit
from hesper_cloud.accounts.roles import Permission, Role, grants
from hesper_cloud.authority import facts, life, rules
from hesper_cloud.authority.backfill import request_backfill
from hesper_cloud.authority.batches import cases as batch_cases
from hesper_cloud.authority.case import Asked, Case, Outcome, check_password
from hesper_cloud.authority.drafting import await_second, draft, queue
from hesper_cloud.authority.kinds import KINDS
from hesper_cloud.authority.rules import Denied
from hesper_cloud.db.authority import CommandRecord

NOTED = frozenset(
    {
        *("login", "login.refused", "alert.acknowledge", "image.announce", "image.add"),
        *("reading.edit", "reading.edit.withdraw", "topology.set", "series.bring"),
    }
)
"""What the web process may note; it cannot write of commands."""


def request_command(case: Case) -> Outcome:
    """Turns a wish into a command that waits for approval or goes to the queue."""
    asked = case.asked
    kind = _kind_asked(asked)
    wanted, parameters = rules.check_parameters(kind, asked.mapping("parameters"))
    rules.check_range(wanted, case.policy.backfills, case.now)
    rules.require_user(case.session, asked.requested_by, Permission.REQUEST_COMMAND)
    named = asked.text("meter") if not KINDS[kind].at_gateway else ""
    rules.check_words(kind, named, asked.text("reason"), asked.text("serial_tail"))
    meter = case.addressee(kind)
    rules.check_sendable(case.session, case.policy, kind, meter, case.now)
    rules.check_requestable(case.session, case.policy, kind, meter, case.now)
    command = draft(case, kind, meter, asked.text("reason").strip(), parameters)
    if kind in case.policy.approved_by_two:
        await_second(case, command)
    else:
        queue(case, command, "", _begin_s(case, kind))
    return {"command": command.id}


def approve_command(case: Case) -> Outcome:
    """Lets a second person, by password, send a waiting command to the queue."""
    command = _waiting(case)
    user = rules.require_user(case.session, case.asked.requested_by, Permission.APPROVE_COMMAND)
    if user.username == command.requester:
        raise Denied("the one who asked cannot approve")
    check_password(case, user, command.id)
    meter = rules.require_addressee(case.registry, command.kind, command.meter, command.gateway)
    rules.check_sendable(case.session, case.policy, command.kind, meter, case.now)
    command.approver = user.username
    queue(case, command, "approved", _begin_s(case, command.kind))
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
        raise Denied(f"the command is {command.state.replace('_', ' ')} and cannot be taken back")
    life.move(case.session, command, case.step("cancelled", "taken back"), case.now)
    return {"command": command.id}


def engage_kill_switch(case: Case) -> Outcome:
    """Stops every relay command; what has not left is cancelled. One person suffices."""
    rules.require_user(case.session, case.asked.requested_by, Permission.ENGAGE_KILL_SWITCH)
    reason = case.asked.text("reason").strip()
    if not reason:
        raise Denied("a reason is required")
    switch = facts.kill_switch(case.session)
    if switch.engaged:
        return {"engaged": True}
    case.note("kill_switch.engage", "kill switch", "off", "engaged", reason)
    switch.engaged, switch.reason = True, reason
    switch.set_by, switch.set_at = case.asked.requested_by, case.now
    waiting = select(CommandRecord).where(
        CommandRecord.state.in_(("awaiting_approval", "queued")),
        CommandRecord.kind.in_(case.policy.stopped),
    )
    for command in case.session.scalars(waiting).all():
        step = case.step("cancelled", "the kill switch was engaged")
        life.move(case.session, command, step, case.now)
    return {"engaged": True}


def lift_kill_switch(case: Case) -> Outcome:
    """Lifts the kill switch: another approver than the one who set it, by password."""
    switch = facts.kill_switch(case.session)
    if not switch.engaged:
        return {"engaged": False}
    user = rules.require_user(case.session, case.asked.requested_by, Permission.APPROVE_COMMAND)
    if user.username == switch.set_by:
        raise Denied("the one who engaged the kill switch cannot lift it")
    check_password(case, user, "kill switch")
    why = f"{case.asked.text('reason').strip()} (set by {switch.set_by})"
    case.note("kill_switch.lift", "kill switch", "engaged", "off", why)
    switch.engaged = False
    return {"engaged": False}


def note(case: Case) -> Outcome:
    """Audits something that the web process is about to do, in the words that it claims."""
    asked = case.asked
    if asked.text("action") not in NOTED:
        raise Denied(f"the web process does not note {asked.text('action')!r}")
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
    "kill_switch.engage": engage_kill_switch,
    "kill_switch.lift": lift_kill_switch,
    "audit.note": note,
    **batch_cases.HANDLERS,
}


def _kind_asked(asked: Asked) -> str:
    """Returns the kind by its name, or by the short word for a relay's."""
    return f"relay.{asked.text('action')}" if "action" in asked.payload else asked.text("kind")


def _begin_s(case: Case, kind: str) -> int:
    """Returns for how long a gateway may begin a command of this kind once it is queued."""
    return max(case.policy.expiry_s, KINDS[kind].begin_s)


def _named(case: Case) -> CommandRecord:
    command = case.session.get(CommandRecord, case.asked.text("command"))
    if command is None:
        raise Denied("there is no such command")
    return command


def _waiting(case: Case) -> CommandRecord:
    command = _named(case)
    if command.state != "awaiting_approval":
        raise Denied(f"the command is {command.state.replace('_', ' ')}")
    if command.not_after is not None and case.now >= command.not_after:
        raise Denied("the time for approval is over")
    return command
