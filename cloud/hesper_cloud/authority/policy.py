"""Policy documents: the rules under which commands may leave, as data.

A document is JSON in the authority's database. It says which kinds need a second person, how many
disconnects may leave and how long things stay valid. Nothing in it switches off the list of
protected supplies, the budgets or the audit.
"""

from pydantic import BaseModel, ConfigDict, Field

from hesper_cloud.authority.kinds import (
    ALWAYS_TWO,
    CALENDAR,
    DISCONNECT,
    RECONNECT,
    WRITING,
    Kind,
)

JOBS = "system:jobs"
"""In whose name the gap ledger asks; no account can be called so."""


class _Document(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class DisconnectBudget(_Document):
    """How many supplies may be cut, counted from the moment a command is signed."""

    per_hour: int = Field(default=50, ge=0)
    per_day: int = Field(default=200, ge=0)
    gateway_per_hour: int = Field(default=5, ge=0)
    gateway_per_day: int = Field(default=20, ge=0)
    seconds_between: float = Field(default=10.0, ge=0)


class BackfillLimits(_Document):
    """How much may be read again without a person, whatever the rows that ask for it say."""

    gateway_in_flight: int = Field(default=8, ge=0)
    gateway_per_hour: int = Field(default=240, ge=0)
    meter_per_hour: int = Field(default=12, ge=0)
    range_days: int = Field(default=40, ge=1, le=366)
    expiry_s: int = Field(default=900, ge=60, le=3_600)


class BatchLimits(_Document):
    """How large a batch may be, and how one leaves."""

    rows: int = Field(default=100_000, ge=1, le=1_000_000)
    disconnects: int = Field(default=50, ge=1)  # leave under one decision; the rest is quarantined
    approval_window_s: int = Field(default=86_400, ge=10, le=604_800)
    least_finished: int = Field(default=10, ge=1)  # before a share of failures means anything
    area_reconnects_per_minute: int = Field(default=10, ge=1)  # against cold-load pick-up


class Policy(_Document):
    """One policy document; the defaults are the policy named ``default``."""

    four_eyes: frozenset[Kind] = frozenset({DISCONNECT, CALENDAR})
    approval_window_s: int = Field(default=900, ge=10, le=86_400)
    expiry_s: int = Field(default=60, ge=5, le=3_600)  # from queueing to the gateway's last moment
    settle_grace_s: int = Field(default=30, ge=0, le=600)  # for a result that is on its way
    relay_state_max_age_s: int = Field(default=86_400, ge=60)
    request_max_age_s: int = Field(default=30, ge=1, le=300)
    kill_switch_stops: frozenset[Kind] = frozenset({DISCONNECT, RECONNECT})
    disconnects: DisconnectBudget = DisconnectBudget()
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
        )
    ),
}
