"""Policy documents: the rules under which commands may leave, as data.

A document is JSON in the authority's database. It says which kinds need a second person, how many
disconnects may leave and how long things stay valid. Nothing in it switches off the list of
protected supplies, the budgets or the audit.
"""

from datetime import datetime
from typing import Self

from pydantic import Field, model_validator

from hesper_cloud.authority.hours import EVER, Document, Hours, Maintenance, Weather
from hesper_cloud.authority.kinds import (
    ALWAYS_TWO,
    AT_GATEWAY,
    CALENDAR,
    DISCONNECT,
    RECONNECT,
    WRITING,
    Kind,
)

JOBS = "system:jobs"
"""In whose name the gap ledger asks; no account can be called so."""


class DisconnectBudget(Document):
    """How many supplies may be cut, counted from the moment a command is signed."""

    per_hour: int = Field(default=50, ge=0)
    per_day: int = Field(default=200, ge=0)
    gateway_per_hour: int = Field(default=5, ge=0)
    gateway_per_day: int = Field(default=20, ge=0)
    seconds_between: float = Field(default=10.0, ge=0)
    random_delay: float = Field(default=0.5, ge=0, le=10)
    """Of ``seconds_between``: at most so much longer, drawn anew for each."""
    quarantine_above: int = Field(default=25, ge=0)
    """Of those queued within an hour, more than so many are held for a decision of two."""
    quarantine_s: int = Field(default=14_400, ge=60, le=86_400)
    """For how long they are held before they expire."""
    alarm_requests: int = Field(default=10, ge=1)
    """So many requests of one account within ``alarm_within_s`` are a critical alert."""
    alarm_within_s: int = Field(default=600, ge=10, le=86_400)


class BreakGlassTerms(Document):
    """What one person alone may do in an emergency, and who looks at it afterwards."""

    kinds: frozenset[Kind] = frozenset({DISCONNECT, RECONNECT})
    per_day: int = Field(default=3, ge=0)
    """Of one account, within 24 hours; 0 switches it off."""
    needs_factor: bool = True
    factor_age_s: int = Field(default=86_400, ge=0, le=30 * 86_400)
    """How long a factor has been enrolled before it counts: none is made for the purpose."""
    review_s: int = Field(default=86_400, ge=60, le=14 * 86_400)

    @model_validator(mode="after")
    def _only_what_one_may(self) -> Self:
        never = self.kinds & (ALWAYS_TWO | AT_GATEWAY)
        if never:
            raise ValueError(f"never by one person: {', '.join(sorted(never))}")
        return self


class BackfillLimits(Document):
    """How much may be read again without a person, whatever the rows that ask for it say."""

    gateway_in_flight: int = Field(default=8, ge=0)
    gateway_per_hour: int = Field(default=240, ge=0)
    meter_per_hour: int = Field(default=12, ge=0)
    range_days: int = Field(default=40, ge=1, le=366)
    expiry_s: int = Field(default=900, ge=60, le=3_600)


class BatchLimits(Document):
    """How large a batch may be, and how one leaves."""

    rows: int = Field(default=100_000, ge=1, le=1_000_000)
    disconnects: int = Field(default=50, ge=1)  # leave under one decision; the rest is quarantined
    approval_window_s: int = Field(default=86_400, ge=10, le=604_800)
    cuts_for_s: int = Field(default=259_200, ge=60, le=1_209_600)  # after its approval
    least_finished: int = Field(default=10, ge=1)  # before a share of failures means anything
    area_reconnects_per_minute: int = Field(default=10, ge=1)  # against cold-load pick-up


class Policy(Document):
    """One policy document; the defaults are the policy named ``default``."""

    four_eyes: frozenset[Kind] = frozenset({DISCONNECT, CALENDAR})
    approval_window_s: int = Field(default=900, ge=10, le=86_400)
    expiry_s: int = Field(default=60, ge=5, le=3_600)  # from queueing to the gateway's last moment
    settle_grace_s: int = Field(default=30, ge=0, le=600)  # for a result that is on its way
    relay_state_max_age_s: int = Field(default=86_400, ge=60)
    request_max_age_s: int = Field(default=30, ge=1, le=300)
    kill_switch_stops: frozenset[Kind] = frozenset({DISCONNECT, RECONNECT})
    kill_switch_lift_s: int = Field(default=900, ge=10, le=86_400)  # for the second to confirm
    approver_age_s: int = Field(default=86_400, ge=0, le=30 * 86_400)
    """How long an account is what an admin made of it before it counts as one of two people."""
    disconnects: DisconnectBudget = DisconnectBudget()
    gateway_reconnects_per_minute: int = Field(default=30, ge=1)  # against cold-load pick-up
    hours: Hours = Hours()
    weather: Weather | None = None
    maintenance: tuple[Maintenance, ...] = ()
    break_glass: BreakGlassTerms = BreakGlassTerms()
    backfills: BackfillLimits = BackfillLimits()
    batches: BatchLimits = BatchLimits()

    @property
    def approved_by_two(self) -> frozenset[Kind]:
        """The kinds that a second person approves; of some no document says otherwise."""
        return self.four_eyes | ALWAYS_TWO

    @property
    def stopped(self) -> frozenset[Kind]:
        """The kinds that the kill switch stops: all that writes, relays as the document says."""
        return self.kill_switch_stops | (WRITING - {DISCONNECT, RECONNECT})

    def maintained(self, gateway: str | None, now: datetime) -> str | None:
        """Returns the name of the work that is going on at a gateway, or None."""
        names = (each.name for each in self.maintenance if each.holds(gateway, now))
        return next(names, None)

    def gateways_held(self, now: datetime) -> frozenset[str] | None:
        """Returns the gateways at which work is going on; None for all of them."""
        works = [each.gateways for each in self.maintenance if each.begin <= now < each.end]
        return None if frozenset() in works else frozenset().union(*works)


POLICIES: dict[str, Policy] = {
    "default": Policy(),
    # Nobody switches a supply on or writes to a meter alone either: whoever takes over the web
    # process can ask in the name of an operator, and a supply switched on can hurt who works on it.
    "strict": Policy(four_eyes=WRITING),
    # The same rules as the default with room for an afternoon of trying things on simulated meters.
    "demo": Policy(
        disconnects=DisconnectBudget(
            per_hour=500,
            per_day=5_000,
            gateway_per_hour=200,
            gateway_per_day=2_000,
            seconds_between=0.2,
            quarantine_above=500,
            alarm_requests=50,
        ),
        hours=EVER,
        approver_age_s=0,
    ),
}
