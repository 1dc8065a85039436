"""The checks that a command must pass, each one sentence when it does not.

They run when a command is requested, again when it is approved and again before it is signed: what
was true at the request may not be true an hour later.
"""

from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from hesper_cloud.accounts.roles import Permission, Role, grants
from hesper_cloud.authority import facts, life
from hesper_cloud.authority.facts import MeterFacts
from hesper_cloud.authority.policy import CUTTING, DISCONNECT, READ, Policy
from hesper_cloud.db.authority import CommandRecord, User

SERIAL_TAIL = 4


class Denied(Exception):
    """A rule says no; the text is what the person is shown."""


def require_user(session: Session, username: str, permission: Permission) -> User:
    """Returns an active account that holds ``permission``, by this database's word alone."""
    user = facts.active_user(session, username)
    if user is None:
        raise Denied(f"account {username!r} does not exist or is disabled")
    if not grants(Role(user.role), permission):
        raise Denied(f"the role {user.role} may not {permission.value}")
    return user


def require_meter(meter: MeterFacts | None, meter_id: str) -> MeterFacts:
    """Returns a meter that can be commanded at all."""
    if meter is None:
        raise Denied(f"there is no meter {meter_id!r}")
    if meter.gateway is None or meter.logical_device_name is None:
        raise Denied(
            f"meter {meter_id} is not commissioned: its gateway and logical device name are needed"
        )
    return meter


def check_sendable(
    session: Session, policy: Policy, kind: str, meter: MeterFacts, now: datetime
) -> None:
    """Checks what must still hold at the moment of signing.

    Raises:
        Denied: kill switch, protected supply, budget, or a gateway whose results nobody can check.
    """
    if meter.gateway is None or facts.gateway_key(session, meter.gateway) is None:
        raise Denied(f"gateway {meter.gateway} has no public key here: its results prove nothing")
    if kind in policy.stopped and facts.kill_switch_engaged(session):
        raise Denied("the kill switch is engaged")
    if kind not in CUTTING:
        return
    cause = facts.protection(session, meter)
    if cause:
        raise Denied(f"this supply is never cut: {cause}")
    exhausted = facts.budget_exhausted(session, policy, meter.gateway, now)
    if exhausted:
        raise Denied(exhausted)


def check_requestable(
    session: Session, policy: Policy, kind: str, meter: MeterFacts, now: datetime
) -> None:
    """Checks what must hold when a command is asked for, beside `check_sendable`.

    Raises:
        Denied: another command is open, or the relay's state is too old to cut on.
    """
    if kind == READ:
        return
    blocking = life.OPEN if kind in CUTTING else life.PENDING
    pending = facts.open_command(session, meter.id, blocking, life.PENDING)
    if pending is not None:
        raise Denied(f"another command for this meter is {pending.state.replace('_', ' ')}")
    if kind != DISCONNECT:
        return
    confirmed_at = meter.relay_confirmed_at
    limit = timedelta(seconds=policy.relay_state_max_age_s)
    if confirmed_at is None or now - confirmed_at > limit:
        hours = policy.relay_state_max_age_s // 3600
        raise Denied(f"the relay was not read in the last {hours} h; read it first")


def check_people(session: Session, policy: Policy, command: CommandRecord) -> None:
    """Checks at the moment of signing that those behind a command still may be.

    Raises:
        Denied: an account was disabled or changed meanwhile, or a second person is missing.
    """
    if facts.is_backfill(command):
        return
    require_user(session, command.requester, Permission.REQUEST_COMMAND)
    if command.kind not in policy.approved_by_two:
        return
    if command.approver is None or command.approver == command.requester:
        raise Denied("a second person must approve")
    require_user(session, command.approver, Permission.APPROVE_COMMAND)


def check_words(kind: str, meter: str, reason: str, serial_tail: str) -> None:
    """Checks what the requester typed.

    Raises:
        Denied: no reason, or the wrong last digits of the serial number.
    """
    if kind == READ:
        return
    if len(reason.strip()) < 3:
        raise Denied("a reason is required")
    if kind in CUTTING and serial_tail != meter[-SERIAL_TAIL:]:
        raise Denied(f"the last {SERIAL_TAIL} characters of the serial number do not match")
