"""Tables of ``hesper.db``: the registry and what is stored beside the readings.

Written by the main process (ingest, jobs, web). The authority reads it, settles rows of
`Request` and marks rows of `Result`; it trusts nothing here without a signature or a password.
"""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Double,
    ForeignKey,
    Index,
    String,
    Text,
    UniqueConstraint,
)
from sqlalchemy.orm import Mapped, mapped_column

from hesper_cloud.db.alerting import Alert, AlertChange, AlertNote, AlertSelection
from hesper_cloud.db.archive import ArchivedPart
from hesper_cloud.db.assets import (
    Area,
    AssetChange,
    Customer,
    MeterExchange,
    MeterModel,
    RegisterRead,
    Sim,
    Tariff,
)
from hesper_cloud.db.base import NAMING, RegistryBase
from hesper_cloud.db.consumers import ConsumerTold
from hesper_cloud.db.delivery import (
    Delivery,
    DeliveryAttempt,
    DeliveryCursor,
    DeliveryRoute,
    DeliveryTarget,
)
from hesper_cloud.db.doors import LoginFailure, TokenUse, WebSession
from hesper_cloud.db.energy import (
    DirtyDay,
    Element,
    ElementMeter,
    OutsidePoint,
    OutsideSeries,
    Substitute,
)
from hesper_cloud.db.idempotency import IdempotentAnswer
from hesper_cloud.db.imports import ImportFile, ImportReject
from hesper_cloud.db.kept_apart import KeptApart
from hesper_cloud.db.long_jobs import LongJob, ScheduledRun
from hesper_cloud.db.plans import PlanAssignment, PlanVersion
from hesper_cloud.db.privacy import DataAccess
from hesper_cloud.db.reports import Report, ReportSchedule
from hesper_cloud.db.rules import (
    Outage,
    PowerLoss,
    Rule,
    RuleMemory,
    RuleTrial,
    RuleVersion,
)
from hesper_cloud.db.upkeep import (
    Backfill,
    Backup,
    Erasure,
    ExportRun,
    MeterProfile,
    ServiceLevelDay,
)

__all__ = [
    "LIVE_GAPS",
    "NAMING",
    "AgainAsk",
    "Alert",
    "AlertChange",
    "AlertNote",
    "AlertSelection",
    "ArchivedPart",
    "Area",
    "AssetChange",
    "Backfill",
    "Backup",
    "BatchSeen",
    "ConsumerTold",
    "Customer",
    "DataAccess",
    "DeadLetter",
    "Delivery",
    "DeliveryAttempt",
    "DeliveryCursor",
    "DeliveryRoute",
    "DeliveryTarget",
    "DirtyDay",
    "Element",
    "ElementMeter",
    "Erasure",
    "Event",
    "ExportRun",
    "Gap",
    "Gateway",
    "IdempotentAnswer",
    "ImportFile",
    "ImportReject",
    "KeptApart",
    "LoginFailure",
    "LongJob",
    "Meter",
    "MeterExchange",
    "MeterModel",
    "MeterProfile",
    "Outage",
    "OutsidePoint",
    "OutsideSeries",
    "PlanAssignment",
    "PlanVersion",
    "PowerLoss",
    "RegisterRead",
    "RegistryBase",
    "Report",
    "ReportSchedule",
    "Request",
    "Result",
    "Rule",
    "RuleMemory",
    "RuleTrial",
    "RuleVersion",
    "ScheduledRun",
    "ServiceLevelDay",
    "Sim",
    "Substitute",
    "Tariff",
    "TokenUse",
    "WebSession",
]


class Gateway(RegistryBase):
    """One gateway, as provisioned and as it last reported itself."""

    __tablename__ = "gateways"

    id: Mapped[str] = mapped_column(String(63), primary_key=True)
    public_key: Mapped[str | None]  # Ed25519, hex; the authority keeps its own copy
    state: Mapped[str] = mapped_column(default="unknown")  # unknown | online | offline
    boot_id: Mapped[str | None]
    version: Mapped[str | None]
    first_seen_at: Mapped[datetime | None]
    last_seen_at: Mapped[datetime | None]
    started_at: Mapped[datetime | None]
    backlog: Mapped[int | None]  # batches waiting for a receipt
    oldest_unreceipted_at: Mapped[datetime | None]
    meters_total: Mapped[int | None]
    meters_reachable: Mapped[int | None]
    outbox_percent: Mapped[int | None]
    clock_offset_ms: Mapped[int | None]
    command_counter: Mapped[int | None] = mapped_column(BigInteger)  # highest it accepted
    attributes: Mapped[dict[str, Any]] = mapped_column(default=dict)
    life: Mapped[str] = mapped_column(String(16), default="installed", server_default="installed")
    address: Mapped[str | None] = mapped_column(Text)
    area: Mapped[str | None] = mapped_column(String(64))
    latitude: Mapped[float | None] = mapped_column(Double)  # degrees north, WGS 84
    longitude: Mapped[float | None] = mapped_column(Double)  # degrees east
    revision: Mapped[int] = mapped_column(default=1, server_default="1")  # of what people keep
    deleted_at: Mapped[datetime | None]


_LISTED_BY = ("customer", "address", "area", "gateway_id", "relay_output", "last_contact_at")


class Meter(RegistryBase):
    """One meter, planned by a person or discovered by its readings.

    Its indexes hold all that a page of the list needs: what it is in order of, what breaks ties,
    and whether a meter is listed. So a jump into a hundred thousand reads no row on its way. One
    more holds what tells who is silent: each capture period grants a meter its own time.
    """

    __tablename__ = "meters"
    __table_args__ = (
        *(Index(None, each, "id", "life", "deleted_at") for each in _LISTED_BY),
        Index(None, "capture_period_s", "last_contact_at", "life", "deleted_at"),
    )

    id: Mapped[str] = mapped_column(String(32), primary_key=True)  # serial number
    gateway_id: Mapped[str | None] = mapped_column(ForeignKey("gateways.id"))
    state: Mapped[str] = mapped_column(default="discovered")  # discovered | commissioned
    logical_device_name: Mapped[str | None]
    model: Mapped[str | None]
    firmware: Mapped[str | None]
    template: Mapped[str | None]
    customer: Mapped[str | None]
    address: Mapped[str | None]
    area: Mapped[str | None]
    life_support: Mapped[bool] = mapped_column(default=False)
    first_seen_at: Mapped[datetime]
    last_contact_at: Mapped[datetime | None]
    relay_output: Mapped[bool | None]  # True: supply connected (class 70, attribute 2)
    relay_control: Mapped[int | None]  # class 70, attribute 3
    relay_confirmed_at: Mapped[datetime | None]
    capture_period_s: Mapped[int | None]
    life: Mapped[str] = mapped_column(  # planned | stock | installed | commissioned | removed
        String(16), default="installed", server_default="installed"
    )
    brand: Mapped[str | None] = mapped_column(String(64))
    meter_type: Mapped[str | None] = mapped_column(String(64))
    ip_address: Mapped[str | None] = mapped_column(String(45))
    port: Mapped[int | None]
    customer_id: Mapped[int | None] = mapped_column(ForeignKey("customers.id"), index=True)
    sim_id: Mapped[int | None] = mapped_column(ForeignKey("sims.id"), index=True)
    latitude: Mapped[float | None] = mapped_column(Double)  # degrees north, WGS 84
    longitude: Mapped[float | None] = mapped_column(Double)  # degrees east
    version: Mapped[int] = mapped_column(default=1, server_default="1")  # of what people keep
    deleted_at: Mapped[datetime | None]


CLOCK_TOLERANCE = timedelta(seconds=5)
"""The clocks of two machines may differ by so much."""
FOREIGN, YES = "foreign_gateway", "yes"
"""The attribute of an event that a gateway tells of a meter which is behind another one."""


class Event(RegistryBase):
    """One event of a meter or a gateway; its id comes from the gateway."""

    __tablename__ = "events"
    __table_args__ = (Index(None, "meter", "occurred_at"), Index(None, "code", "occurred_at"))

    id: Mapped[str] = mapped_column(String(128), primary_key=True)
    meter: Mapped[str | None]
    gateway: Mapped[str]
    code: Mapped[str]
    severity: Mapped[str]  # info | warning | critical
    occurred_at: Mapped[datetime] = mapped_column(index=True)
    stored_at: Mapped[datetime] = mapped_column(index=True)
    text: Mapped[str] = mapped_column(Text)
    attributes: Mapped[dict[str, Any]] = mapped_column(default=dict)

    @classmethod
    def is_own(cls) -> ColumnElement[bool]:
        """Returns the condition that no other gateway told it than the one that has the meter."""
        own: ColumnElement[bool] = cls.attributes[FOREIGN].as_string().is_distinct_from(YES)
        return own


class Gap(RegistryBase):
    """One run of missing captures of one profile of one meter, with its cause."""

    __tablename__ = "gaps"
    __table_args__ = (Index(None, "meter", "profile", "from_at"), Index(None, "state", "to_at"))

    id: Mapped[int] = mapped_column(primary_key=True)
    meter: Mapped[str]
    profile: Mapped[str]  # logical name as text
    from_at: Mapped[datetime]  # first missing capture
    to_at: Mapped[datetime]  # last missing capture
    expected_count: Mapped[int]
    cause: Mapped[str]
    state: Mapped[str] = mapped_column(default="open")  # open | requested | closed | given_up
    noticed_at: Mapped[datetime]
    closed_at: Mapped[datetime | None]  # closed or given up
    backfill_id: Mapped[int | None] = mapped_column(index=True)  # the last that was asked for
    tries: Mapped[int] = mapped_column(default=0, server_default="0")
    next_try_at: Mapped[datetime | None]
    reason: Mapped[str | None] = mapped_column(Text)  # why it was given up, or the last try failed
    proof: Mapped[dict[str, Any] | None]  # what shows that it is closed or will stay open


LIVE_GAPS = ("open", "requested")
"""States of gaps whose captures may still come."""


class DeadLetter(RegistryBase):
    """One message that could not be decoded, kept with the reason."""

    __tablename__ = "dead_letters"

    id: Mapped[int] = mapped_column(primary_key=True)
    topic: Mapped[str] = mapped_column(Text)
    reason: Mapped[str] = mapped_column(Text)
    payload: Mapped[bytes]
    received_at: Mapped[datetime] = mapped_column(index=True)
    digest: Mapped[str]  # SHA-256 of the payload, hex
    replay_asked_at: Mapped[datetime | None]
    replayed_at: Mapped[datetime | None]


class AgainAsk(RegistryBase):
    """Receipted batches that a gateway is asked for again; an empty epoch is its present one."""

    __tablename__ = "again_asks"

    gateway: Mapped[str] = mapped_column(String(63), primary_key=True)
    epoch: Mapped[str] = mapped_column(String(16), primary_key=True)
    from_sequence: Mapped[int] = mapped_column(BigInteger)
    asked_at: Mapped[datetime]
    sent_at: Mapped[datetime | None]


class BatchSeen(RegistryBase):
    """One stored batch of a kind that lives in this database (events, results)."""

    __tablename__ = "batches_seen"

    gateway: Mapped[str] = mapped_column(String(63), primary_key=True)
    epoch: Mapped[str] = mapped_column(String(16), primary_key=True)
    sequence: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    digest: Mapped[str]
    stored_at: Mapped[datetime]


class Result(RegistryBase):
    """One command result as it arrived; the authority verifies it before it means anything."""

    __tablename__ = "results"

    id: Mapped[int] = mapped_column(primary_key=True)  # the authority's cursor follows it
    command_id: Mapped[str] = mapped_column(index=True)
    gateway: Mapped[str]  # from the topic
    payload: Mapped[bytes]  # the signed result, byte for byte
    verified: Mapped[bool | None]  # set by the authority; None: not looked at yet
    received_at: Mapped[datetime]


UNSETTLED = ("new", "in_hand")
"""The states of a request that the authority has not settled, be it that it has begun."""


class Request(RegistryBase):
    """One request to the authority, settled by it alone."""

    __tablename__ = "requests"
    __table_args__ = (
        UniqueConstraint("requested_by", "idempotency_key"),
        Index(None, "state", "id"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str]
    requested_by: Mapped[str]
    payload: Mapped[dict[str, Any]]
    sealed: Mapped[bytes | None]  # a password, sealed to the authority; cleared after use
    idempotency_key: Mapped[str]
    created_at: Mapped[datetime]
    state: Mapped[str] = mapped_column(default="new")  # or in_hand, done, refused, withdrawn
    outcome: Mapped[dict[str, Any] | None]
    settled_at: Mapped[datetime | None]
