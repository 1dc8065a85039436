"""The checks that a command must pass, each one sentence when it does not.

They run when a command is requested, again when it is approved and again before it is signed: what
was true at the request may not be true an hour later.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from hesper_contracts.frame import Refused
from hesper_contracts.parameters import ReadEventLog, ReadProfile
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from hesper_cloud.accounts import areas
from hesper_cloud.accounts.roles import Permission, Role, grants
from hesper_cloud.authority import facts, kinds, life
from hesper_cloud.authority.facts import MeterFacts
from hesper_cloud.authority.kinds import AT_GATEWAY, CUTTING, KINDS, MOVING, READ, READING, Wanted
from hesper_cloud.authority.policy import BackfillLimits, Policy
from hesper_cloud.db.authority import CommandRecord, User
from hesper_cloud.db.engines import reading
from hesper_cloud.db.registry import CLOCK_TOLERANCE
from hesper_cloud.worded import told_by, worded

SERIAL_TAIL = 4


class Denied(Exception):
    """A rule says no; the text is what the person is shown."""


def require_user(session: Session, username: str, permission: Permission) -> User:
    """Returns an active account that holds ``permission``, by this database's word alone."""
    user = require_account(session, username)
    if not holds(user, permission):
        raise Denied(
            worded(
                "the role {role} may not {permission}", role=user.role, permission=permission.value
            )
        )
    return user


def require_account(session: Session, username: str) -> User:
    """Returns an account that exists and is not disabled."""
    user = facts.active_user(session, username)
    if user is None:
        raise Denied(
            worded("account {username!r} does not exist or is disabled", username=username)
        )
    return user


def holds(user: User, permission: Permission) -> bool:
    """Says whether an account may: by its role, and a service by its scopes as well."""
    in_scope = user.scopes is None or permission in user.scopes
    return in_scope and grants(Role(user.role), permission)


def check_area(registry: Engine, user: User, meter: MeterFacts) -> None:
    """Checks that a meter lies where an account of some areas sees.

    Raises:
        Denied: it lies elsewhere, or this is a gateway, which serves many areas.
    """
    if user.areas is None:
        return
    if not meter.id:
        raise Denied("an account of some areas tells gateways nothing")
    with reading(registry) as session:
        if meter.area not in areas.within(session, user.areas):
            raise Denied(worded("there is no meter {meter!r}", meter=meter.id))


def check_reach(
    registry: Engine, session: Session, command: CommandRecord, meter: MeterFacts
) -> None:
    """Checks at the moment of signing that a meter still lies where those behind a command see.

    Raises:
        Denied: it was moved, or the areas of one of them were changed meanwhile.
    """
    for username in (command.requester, command.approver):
        user = session.get(User, username) if username else None
        if user is not None:
            check_area(registry, user, meter)


def require_meter(meter: MeterFacts | None, meter_id: str) -> MeterFacts:
    """Returns a meter that can be commanded at all."""
    if meter is None:
        raise Denied(worded("there is no meter {meter!r}", meter=meter_id))
    if meter.gateway is None or meter.logical_device_name is None:
        raise Denied(
            worded(
                "meter {meter} is not commissioned: its gateway and logical device name are needed",
                meter=meter_id,
            )
        )
    return meter


def require_addressee(registry: Engine, kind: str, meter: str, gateway: str) -> MeterFacts:
    """Returns the meter that a command of this kind is for, or the gateway itself.

    Raises:
        Denied: it is not there, or cannot be commanded.
    """
    if not KINDS[kind].at_gateway:
        return require_meter(facts.meter_facts(registry, meter), meter)
    found = facts.gateway_facts(registry, gateway)
    if found is None:
        raise Denied(worded("there is no gateway {gateway!r}", gateway=gateway))
    return found


def check_sendable(
    session: Session, policy: Policy, kind: str, meter: MeterFacts, now: datetime
) -> None:
    """Checks what must still hold at the moment of signing.

    Raises:
        Denied: kill switch, protected supply, budget, or a gateway whose results nobody can check.
    """
    if meter.gateway is None or facts.gateway_key(session, meter.gateway) is None:
        raise Denied(
            worded(
                "gateway {gateway} has no public key here: its results prove nothing",
                gateway=meter.gateway,
            )
        )
    if kind in policy.stopped and facts.kill_switch_engaged(session):
        raise Denied("the kill switch is engaged")
    if kind not in CUTTING:
        return
    cause = facts.protection(session, meter)
    if cause:
        raise Denied(worded("this supply is never cut: {cause}", cause=cause))
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
    pending = facts.open_command(session, meter.id, excluding(kind), meter.gateway)
    if pending is not None:
        raise in_the_way(pending)
    check_relay_known(policy, kind, meter, now)


def in_the_way(pending: CommandRecord) -> Denied:
    """Returns the refusal of a command because of another that is open."""
    state = pending.state.replace("_", " ")
    whom = "this meter" if pending.meter else pending.gateway
    return Denied(worded("another command for {whom} is {state}", whom=whom, state=state))


def check_relay_known(policy: Policy, kind: str, meter: MeterFacts, now: datetime) -> None:
    """Checks that a relay was read lately, where a command relies on its state.

    Raises:
        Denied: it was not.
    """
    if not KINDS[kind].on_known_relay:
        return
    confirmed_at = meter.relay_read_at(now)
    limit = timedelta(seconds=policy.relay_state_max_age_s)
    if confirmed_at is None or now - confirmed_at > limit:
        hours = policy.relay_state_max_age_s // 3600
        raise Denied(
            worded("the relay was not read in the last {hours} h; read it first", hours=hours)
        )


def check_people(session: Session, policy: Policy, command: CommandRecord) -> None:
    """Checks at the moment of signing that those behind a command still may be.

    Raises:
        Denied: an account was disabled or changed meanwhile, or a second person is missing.
    """
    if facts.is_backfill(command):
        return
    require_user(session, command.requester, Permission.REQUEST_COMMAND)
    if command.batch is None and command.kind not in policy.approved_by_two:
        return
    if command.approver is None or command.approver == command.requester:
        if facts.broke_glass(session, command.id):
            return
        raise Denied("a second person must approve")
    require_user(session, command.approver, Permission.APPROVE_COMMAND)


def check_parameters(kind: str, given: Mapping[str, Any]) -> tuple[Wanted, dict[str, Any]]:
    """Returns what a command is told, typed and as it is kept.

    Raises:
        Denied: the kind is not issued, or does not take these.
    """
    try:
        return kinds.checked(kind, given)
    except Refused as refusal:
        raise Denied(told_by(refusal)) from None


def check_range(wanted: Wanted, limits: BackfillLimits, now: datetime) -> None:
    """Checks that what is read again has happened, and is not more than a meter should bear.

    Raises:
        Denied: the range is too long or lies in the future.
    """
    if not isinstance(wanted, ReadProfile | ReadEventLog):
        return
    if wanted.until > now + CLOCK_TOLERANCE:
        raise Denied("the range ends in the future")
    if wanted.until - wanted.since > timedelta(days=limits.range_days):
        raise Denied(worded("a range of more than {range_days} days", range_days=limits.range_days))


def check_words(kind: str, meter: str, reason: str, serial_tail: str) -> None:
    """Checks what the requester typed.

    Raises:
        Denied: no reason, or the wrong last digits of the serial number.
    """
    if kind in READING:
        return
    if len(reason.strip()) < 3:
        raise Denied("a reason is required")
    if kind in CUTTING and serial_tail != meter[-SERIAL_TAIL:]:
        raise Denied(
            worded(
                "the last {serial_tail} characters of the serial number do not match",
                serial_tail=SERIAL_TAIL,
            )
        )


def near_supply(relay_states: frozenset[str]) -> dict[str, frozenset[str]]:
    """Returns the kinds that may move a supply with the states in which one counts.

    What is unknown of a relay is settled by reading it; of the others nothing is waited for.
    """
    return {kind: relay_states if kind.startswith("relay.") else life.PENDING for kind in MOVING}


def excluding(kind: str) -> dict[str, frozenset[str]]:
    """Returns which commands for a meter, or a gateway, stand in the way of one of this kind."""
    if kind in AT_GATEWAY:
        return dict.fromkeys(AT_GATEWAY, life.PENDING)
    if kind not in MOVING:
        return {kind: life.PENDING}
    return near_supply(life.OPEN if kind in CUTTING else life.PENDING)
