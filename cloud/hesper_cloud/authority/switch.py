"""The kill switch: one person sets it, two others lift it.

The first lift only asks; it holds for as long as the policy says. The second, by another account,
confirms it. Neither may be the one who set it, and each gives the password again. Batches that move
supplies are paused, or they would go on by themselves when it is lifted to make good what they did.
"""

from datetime import timedelta

from sqlalchemy import select

from hesper_cloud.accounts.roles import Permission
from hesper_cloud.authority import facts, life, rules, standing
from hesper_cloud.authority.batches import states
from hesper_cloud.authority.batches.recalling import recall
from hesper_cloud.authority.case import Case, Outcome, check_password
from hesper_cloud.authority.kinds import MOVING
from hesper_cloud.authority.rules import Denied
from hesper_cloud.db.authority import Batch, CommandRecord, KillSwitch

_SUBJECT = "kill switch"
_NOT_SIGNED = ("awaiting_approval", "quarantined", "queued")


def engage(case: Case) -> Outcome:
    """Stops every relay command; what has not left is cancelled. One person suffices."""
    rules.require_user(case.session, case.asked.requested_by, Permission.ENGAGE_KILL_SWITCH)
    reason = case.asked.text("reason").strip()
    if not reason:
        raise Denied("a reason is required")
    switch = facts.kill_switch(case.session)
    if switch.engaged:
        return {"engaged": True}
    case.note("kill_switch.engage", _SUBJECT, "off", "engaged", reason)
    switch.engaged, switch.reason = True, reason
    switch.set_by, switch.set_at = case.asked.requested_by, case.now
    switch.lift_asked_by = switch.lift_asked_at = None
    _pause_batches(case)
    waiting = select(CommandRecord).where(
        CommandRecord.state.in_(_NOT_SIGNED), CommandRecord.kind.in_(case.policy.stopped)
    )
    for command in case.session.scalars(waiting).all():
        step = case.step("cancelled", "the kill switch was engaged")
        life.move(case.session, command, step, case.now)
    return {"engaged": True}


def _pause_batches(case: Case) -> None:
    moving = select(Batch).where(
        Batch.state.in_(states.MOVING), Batch.kind.in_(case.policy.stopped & MOVING)
    )
    for batch in case.session.scalars(moving).all():
        states.move(
            case.session, batch, case.step("paused", "the kill switch was engaged"), case.now
        )
        recall(case.session, batch, "waiting", case.now)


def lift(case: Case) -> Outcome:
    """Asks for the switch to be lifted, or confirms what another approver has asked for."""
    switch = facts.kill_switch(case.session)
    if not switch.engaged:
        return {"engaged": False}
    user = standing.require_approver(case)
    if user.username == switch.set_by:
        raise Denied("the one who engaged the kill switch cannot lift it")
    check_password(case, user, _SUBJECT)
    why = f"{case.asked.text('reason').strip()} (set by {switch.set_by})"
    first = _asked_by(case, switch)
    if first == user.username:
        raise Denied("another approver must confirm the lift")
    if first is None:
        case.note("kill_switch.lift_asked", _SUBJECT, "engaged", "engaged", why)
        switch.lift_asked_by, switch.lift_asked_at = user.username, case.now
        return {"engaged": True, "lift_asked_by": user.username}
    case.note("kill_switch.lift", _SUBJECT, "engaged", "off", f"{why}, asked for by {first}")
    switch.engaged = False
    switch.lift_asked_by = switch.lift_asked_at = None
    return {"engaged": False}


def _asked_by(case: Case, switch: KillSwitch) -> str | None:
    """Returns who has asked for the lift, as long as that holds and they still may.

    What lies further ahead was asked for by a clock that has been set back since.
    """
    limit = timedelta(seconds=case.policy.kill_switch_lift_s)
    if switch.lift_asked_by is None or switch.lift_asked_at is None:
        return None
    if abs(case.now - switch.lift_asked_at) >= limit:
        return None
    try:
        rules.require_user(case.session, switch.lift_asked_by, Permission.APPROVE_COMMAND)
    except Denied:
        return None
    return switch.lift_asked_by
