"""What the authority reads before it decides: accounts, switch, policy, budgets, one meter."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Engine, func, or_, select
from sqlalchemy.orm import Session

from hesper_cloud.authority.kinds import CUTTING, READ_PROFILE
from hesper_cloud.authority.policy import JOBS, Policy
from hesper_cloud.db.authority import (
    BudgetUse,
    CommandRecord,
    GatewayKey,
    KillSwitch,
    PolicyRow,
    Protection,
    User,
)
from hesper_cloud.db.decisions import BreakGlass
from hesper_cloud.db.engines import reading
from hesper_cloud.db.registry import CLOCK_TOLERANCE, Gateway, Meter

_HOUR = timedelta(hours=1)
_DAY = timedelta(days=1)


class NoPolicy(Exception):
    """No policy is active: run ``hesper-cloud init``."""


@dataclass(frozen=True, slots=True)
class MeterFacts:
    """One meter as the registry knows it; a gateway itself has no ``id`` here."""

    id: str
    gateway: str | None
    logical_device_name: str | None
    life_support: bool
    relay_output: bool | None
    relay_control: int | None
    relay_confirmed_at: datetime | None
    reported_counter: int  # highest command counter its gateway says it accepted
    area: str | None = None

    def relay_read_at(self, now: datetime) -> datetime | None:
        """Returns when its relay was read, as far as that is known.

        A time that has not come is none: clocks were ahead, and it was read who knows when.
        """
        at = self.relay_confirmed_at
        return None if at is None or at > now + CLOCK_TOLERANCE else at


def meter_facts(registry: Engine, meter_id: str) -> MeterFacts | None:
    """Reads one meter; None when the registry has no such meter."""
    with reading(registry) as session:
        meter = session.get(Meter, meter_id)
        if meter is None:
            return None
        gateway = session.get(Gateway, meter.gateway_id) if meter.gateway_id else None
        return MeterFacts(
            id=meter.id,
            gateway=meter.gateway_id,
            logical_device_name=meter.logical_device_name,
            life_support=meter.life_support,
            relay_output=meter.relay_output,
            relay_control=meter.relay_control,
            relay_confirmed_at=meter.relay_confirmed_at,
            reported_counter=(gateway.command_counter or 0) if gateway else 0,
            area=meter.area,
        )


def gateway_facts(registry: Engine, gateway: str) -> MeterFacts | None:
    """Reads what a command for a gateway itself needs; None when the registry has no such one."""
    with reading(registry) as session:
        row = session.get(Gateway, gateway)
        if row is None:
            return None
        return MeterFacts(
            id="",
            gateway=row.id,
            logical_device_name=None,
            life_support=False,
            relay_output=None,
            relay_control=None,
            relay_confirmed_at=None,
            reported_counter=row.command_counter or 0,
        )


def active_policy(session: Session) -> Policy:
    """Returns the active policy.

    Raises:
        NoPolicy: none is active.
    """
    row = session.scalars(select(PolicyRow).where(PolicyRow.active)).first()
    if row is None:
        raise NoPolicy("no policy is active; run: hesper-cloud init --policy default")
    return Policy.model_validate(row.document)


def active_user(session: Session, username: str) -> User | None:
    """Returns an account that exists and is not disabled."""
    user = session.get(User, username)
    return user if user and not user.disabled else None


def kill_switch_engaged(session: Session) -> bool:
    """Says whether the kill switch is engaged."""
    row = session.get(KillSwitch, 1)
    return row is not None and row.engaged


def kill_switch(session: Session) -> KillSwitch:
    """Returns the kill switch's row for writing, made on first use."""
    row = session.get(KillSwitch, 1)
    if row is None:
        row = KillSwitch(id=1, engaged=False)
        session.add(row)
    return row


def protection(session: Session, meter: MeterFacts) -> str | None:
    """Says why this supply is never cut, or None.

    The authority's own list counts as much as the registry's flag: whoever can write the registry
    can add a protection, but cannot take one away that the operator of this machine has set.
    """
    own = session.get(Protection, meter.id)
    if own is not None:
        return own.cause
    return "life support" if meter.life_support else None


def gateway_key(session: Session, gateway: str) -> bytes | None:
    """Returns the public key of a gateway."""
    row = session.get(GatewayKey, gateway)
    return bytes.fromhex(row.public_key) if row else None


def budget_exhausted(session: Session, policy: Policy, gateway: str, now: datetime) -> str | None:
    """Says which disconnect budget has nothing left, or None."""
    limits = policy.disconnects
    checks = (
        (limits.per_hour, _HOUR, None, "an hour"),
        (limits.per_day, _DAY, None, "a day"),
        (limits.gateway_per_hour, _HOUR, gateway, f"an hour behind {gateway}"),
        (limits.gateway_per_day, _DAY, gateway, f"a day behind {gateway}"),
    )
    for limit, span, behind, text in checks:
        used = select(func.count()).select_from(BudgetUse).where(BudgetUse.at > now - span)
        if behind is not None:
            used = used.where(BudgetUse.gateway == behind)
        if (session.scalar(used) or 0) >= limit:
            return f"the budget of {limit} disconnects {text} is used up"
    return None


def queued_lately(session: Session, now: datetime) -> int:
    """Returns how many commands that can cut a supply were queued within the hour."""
    query = select(func.count()).where(
        CommandRecord.kind.in_(CUTTING),
        CommandRecord.queued_at > now - _HOUR,
        CommandRecord.state.not_in(("cancelled", "rejected", "expired")),
    )
    return session.scalar(query) or 0


def broke_glass(session: Session, command: str) -> bool:
    """Says whether one person alone let a command go, in an emergency."""
    return session.get(BreakGlass, command) is not None


def open_command(
    session: Session,
    meter: str,
    states: Mapping[str, frozenset[str]],
    gateway: str | None = None,
) -> CommandRecord | None:
    """Returns a person's command of one of these kinds, in one of its states.

    Where ``meter`` is empty, those for ``gateway`` itself are meant.
    """
    query = select(CommandRecord).where(
        CommandRecord.meter == meter if meter else CommandRecord.gateway == gateway,
        CommandRecord.requester != JOBS,
        or_(
            *(
                (CommandRecord.kind == kind) & CommandRecord.state.in_(those)
                for kind, those in states.items()
            )
        ),
    )
    return session.scalars(query.limit(1)).first()


def is_backfill(command: CommandRecord) -> bool:
    """Says whether the gap ledger asked for a command, which stands behind no person's account."""
    return (command.kind, command.requester) == (READ_PROFILE, JOBS)
