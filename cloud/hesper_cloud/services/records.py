"""What services return: frozen records, times aware UTC, values integers with their scaler.

Series carry epoch seconds instead of datetimes, because charts draw thousands of them.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic, Literal, TypeVar

from hesper_cloud.accounts.roles import Actor
from hesper_cloud.services.asset_records import MeterCard

T = TypeVar("T")

RelayAction = Literal["disconnect", "reconnect", "arm", "read"]
MeterSort = Literal["id", "customer", "address", "area", "gateway", "last_contact_at", "relay"]
MeterState = Literal["online", "silent", "discovered", "commissioned"]
LifeFilter = Literal["planned", "stock", "installed", "commissioned", "removed", "any"]
RelayFilter = Literal["connected", "disconnected", "unknown"]
OPEN_COMMAND_STATES = (
    "draft",
    "awaiting_approval",
    "quarantined",
    "queued",
    "sent",
    "acknowledged",
    "executing",
    "unknown",
)
FOR_PEOPLE = frozenset({"awaiting_approval", "quarantined"})
"""States in which a command waits for people."""


@dataclass(frozen=True, slots=True)
class Session:
    """A login that succeeded: an opaque token for a cookie, a signed one (JWT) for programs."""

    token: str = field(repr=False)
    actor: Actor
    expires_at: datetime
    signed: str = field(repr=False)
    signed_expires_at: datetime


@dataclass(frozen=True, slots=True)
class Visit:
    """Where a login comes from, and by what: ``password`` or ``oidc``."""

    source: str
    agent: str = ""
    method: str = "password"


@dataclass(frozen=True, slots=True)
class SignedToken:
    """A signed token (JWT) and whom it speaks for."""

    actor: Actor
    token: str = field(repr=False)
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page of a list; ``total`` counts all rows that match, ``next`` is the next cursor."""

    rows: tuple[T, ...]
    total: int
    offset: int
    next: str | None = None


@dataclass(frozen=True, slots=True)
class MeterQuery:
    """Which meters, in which order, which part of the list."""

    search: str = ""  # in serial, customer, address, area
    state: MeterState | None = None
    life: LifeFilter | None = None  # None: installed or commissioned
    relay: RelayFilter | None = None
    gateway: str | None = None
    model: str | None = None
    area: str | None = None
    firmware: str | None = None
    silent_for_h: int | None = None
    feeder: str | None = None  # or another element of the grid, and all below it
    box: tuple[float, float, float, float] | None = None  # south, west, north, east; degrees
    old_firmware: bool = False  # of which the fleet has a later one for the same model
    sort: MeterSort = "id"
    descending: bool = False
    offset: int = 0
    limit: int = 100
    cursor: str = ""  # in the place of an offset


@dataclass(frozen=True, slots=True)
class MeterRow:
    """One meter in a list. ``relay_output`` is true when the supply is connected."""

    id: str
    state: str  # discovered | commissioned
    online: bool
    gateway: str | None
    customer: str | None
    address: str | None
    area: str | None
    model: str | None
    firmware: str | None
    life_support: bool
    last_contact_at: datetime | None
    relay_output: bool | None
    relay_confirmed_at: datetime | None
    severity: str | None  # worst open alert: info | warning | critical
    life: str = "installed"  # planned | stock | installed | commissioned | removed


@dataclass(frozen=True, slots=True)
class CommandWish:
    """What somebody asks of a meter, or of a gateway itself, which then is named in its place.

    ``parameters`` are as the MQTT contract has them for the kind. ``serial_tail``, the last four
    characters of the serial number, is asked of kinds that can cut a supply.
    """

    kind: str
    meter: str
    parameters: dict[str, Any]
    reason: str
    serial_tail: str = ""
    gateway: str = ""


@dataclass(frozen=True, slots=True)
class CommandRow:
    """One command as it stands.

    ``findings`` are the signed result's, with ``registers`` by logical name: value, scaler, unit.
    """

    id: str
    kind: str  # as in the MQTT contract
    meter: str
    gateway: str
    state: str
    requester: str
    approver: str | None
    reason: str
    created_at: datetime
    queued_at: datetime | None
    sent_at: datetime | None
    not_after: datetime | None
    updated_at: datetime
    detail: str | None
    relay_before: bool | None
    relay_after: bool | None
    parameters: dict[str, Any] = field(default_factory=dict)
    findings: dict[str, Any] | None = None

    @property
    def is_open(self) -> bool:
        """Says whether this command may still change."""
        return self.state in OPEN_COMMAND_STATES


@dataclass(frozen=True, slots=True)
class MeterDetail:
    """One meter with all that its page shows above the charts."""

    row: MeterRow
    logical_device_name: str | None
    template: str | None
    capture_period_s: int | None
    first_seen_at: datetime
    gateway_state: str | None  # unknown | online | offline
    relay_control: int | None  # class 70, attribute 3
    load_w: int | None  # active power now, watts
    load_at: datetime | None
    pending_command: CommandRow | None
    disconnect_blocked: str | None  # why the button is disabled, or None
    reconnect_blocked: str | None
    second_person: tuple[str, ...]  # the kinds of command that another person must approve
    card: MeterCard | None = None  # what people keep of it


@dataclass(frozen=True, slots=True)
class LatestValue:
    """The newest value of one quantity: ``value * 10**scaler`` in ``symbol``."""

    profile: str
    logical_name: str
    name: str
    value: int | None
    scaler: int
    unit: int
    symbol: str
    captured_at: datetime
    stored_at: datetime
    quality: int


@dataclass(frozen=True, slots=True)
class Series:
    """One curve; lists of equal length, times in epoch seconds, None where there is no value."""

    logical_name: str
    times: list[int]
    values: list[int | None]
    quality: list[int]
    scaler: int
    unit: int
    symbol: str
    archived_before: datetime | None = None  # set where the range begins before it


@dataclass(frozen=True, slots=True)
class GapRow:
    """One run of missing captures, both ends included."""

    id: int
    meter: str
    profile: str
    from_at: datetime
    to_at: datetime
    expected_count: int
    cause: str
    state: str  # open | requested | closed | given_up
    noticed_at: datetime
    closed_at: datetime | None  # closed or given up
    tries: int = 0  # that failed
    next_try_at: datetime | None = None
    reason: str | None = None
    proof: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class GapFilter:
    """Which gaps."""

    state: str | None = None  # None: open and requested
    meter: str | None = None
    profile: str | None = None
    cause: str | None = None


@dataclass(frozen=True, slots=True)
class BackfillRow:
    """One range that a gateway was asked to read again, both ends included."""

    id: int
    gateway: str
    meter: str
    profile: str
    from_at: datetime
    to_at: datetime
    missing_count: int
    state: str  # asked | sent | read | done | failed
    command_id: str | None
    row_count: int | None  # that the gateway read
    reason: str | None
    asked_at: datetime
    settled_at: datetime | None


@dataclass(frozen=True, slots=True)
class ProfileRow:
    """One profile that a meter is expected to capture."""

    profile: str
    capture_period_s: int | None
    expected_from: datetime
    source: str  # announced | learned


@dataclass(frozen=True, slots=True)
class EventRow:
    """One event of a meter or gateway."""

    id: str
    meter: str | None
    gateway: str
    code: str
    severity: str
    occurred_at: datetime
    stored_at: datetime
    text: str
    attributes: dict[str, Any]
    group: str = "unknown"  # of the catalogue


@dataclass(frozen=True, slots=True)
class GatewayRow:
    """One gateway as it last reported itself."""

    id: str
    state: str  # unknown | online | offline
    version: str | None
    last_seen_at: datetime | None
    started_at: datetime | None
    backlog: int | None
    oldest_unreceipted_at: datetime | None
    meters_total: int | None
    meters_reachable: int | None
    meters_registered: int
    outbox_percent: int | None
    clock_offset_ms: int | None
    has_key: bool  # without its public key no result of it is believed
    signal_dbm: int | None = None  # the best of its modems; None without one
    certificate_expires_at: datetime | None = None  # of what it shows the broker


@dataclass(frozen=True, slots=True)
class AlertRow:
    """One alert. ``suppressed`` ones gave way to their parent; ``extent`` tells what a storm is."""

    id: int
    rule: str
    meter: str | None
    gateway: str | None
    severity: str
    state: str  # new | acknowledged | shelved | cleared
    raised_at: datetime
    cleared_at: datetime | None
    acknowledged_by: str | None
    acknowledged_at: datetime | None
    note: str | None  # of the acknowledgement
    text: str
    element: str | None = None
    area: str | None = None
    group: str | None = None  # the root cause; what shares it hangs together
    parent: int | None = None
    suppressed: bool = False
    priority: int = 0
    affected_count: int = 1  # customers
    count: int = 1  # how often it was told
    last_seen_at: datetime | None = None
    shelved_until: datetime | None = None
    shelved_by: str | None = None
    shelved_reason: str | None = None
    assigned_to: str | None = None
    extent: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class DeadLetterRow:
    """One message that could not be decoded."""

    id: int
    topic: str
    reason: str
    received_at: datetime
    digest: str
    size: int


@dataclass(frozen=True, slots=True)
class KillSwitchState:
    """Whether commands may leave at all."""

    engaged: bool
    set_by: str | None
    set_at: datetime | None
    reason: str | None
    lift_asked_by: str | None = None  # the first of two who lift it, while that holds


@dataclass(frozen=True, slots=True)
class BreakGlassRow:
    """One command that a person alone let go, and what another said of it afterwards."""

    command: str
    username: str
    reason: str
    at: datetime
    review_until: datetime
    reviewed_by: str | None
    reviewed_at: datetime | None
    verdict: str | None
    review: str | None
    meter: str = ""


@dataclass(frozen=True, slots=True)
class NewFactor:
    """A second factor to be shown once: its secret, the text for a QR code, recovery codes."""

    secret: str = field(repr=False)
    uri: str = field(repr=False)
    recovery_codes: list[str] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Overview:
    """The figures of the first page."""

    at: datetime
    meters_total: int
    meters_online: int
    reads_complete_pct: float | None  # of the captures due in the last 24 h
    reads_target_pct: float
    gaps_open: int
    alerts_open: int
    critical_alerts: int
    oldest_critical_at: datetime | None
    readings_per_s: float
    fleet_load_w: int | None
    fleet_load_yesterday_w: int | None
    commands_in_flight: int  # open, and not before a person
    commands_awaiting_approval: int
    gateways_total: int
    gateways_online: int
    dead_letters: int
    kill_switch: bool
    commands_in_batches: int = 0  # of those in flight
    fleet_load_at: datetime | None = None  # when the newest value in the load was captured
    broker_lost_since: datetime | None = None  # who is online is not known since then


@dataclass(frozen=True, slots=True)
class FleetLoad:
    """Mean power of the fleet per step, watts; ``yesterday`` is the same hours a day before."""

    times: list[int]
    today: list[int | None]
    yesterday: list[int | None]


@dataclass(frozen=True, slots=True)
class CompletenessHour:
    """How many of an hour's due captures are stored."""

    hour: datetime
    due: int
    stored: int


@dataclass(frozen=True, slots=True)
class AttentionRow:
    """One cause that wants a person, with how many meters or gateways it concerns."""

    cause: str  # the rule, or "gap", "approval", "gateway offline"
    severity: str
    count: int
    oldest_at: datetime
    text: str
    subjects: tuple[str, ...]  # the first few meter or gateway ids


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One link of the audit chain."""

    sequence: int
    at: datetime
    actor: str
    action: str
    subject: str
    before: str | None
    after: str | None
    why: str | None
    hash: str


@dataclass(frozen=True, slots=True)
class AuditVerdict:
    """What the check of the whole chain found."""

    intact: bool
    rows: int
    broken_at: int | None  # the first sequence that does not fit
    text: str
