"""Tables of ``authority.db``: what only the authority (and the operator of its machine) writes.

Every other process opens this database read-only.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from hesper_cloud.db.api_tokens import NOTHING_AS_NULL, ApiToken
from hesper_cloud.db.authority_base import AuthorityBase
from hesper_cloud.db.batches import Batch, BatchRow
from hesper_cloud.db.decisions import BreakGlass, Release, SecondFactor
from hesper_cloud.db.meter_keys import KeyChange, MeterKeyRow

__all__ = [
    "ApiToken",
    "AuditCheckpoint",
    "AuditRow",
    "AuthorityBase",
    "Batch",
    "BatchRow",
    "BreakGlass",
    "BrokerAccount",
    "BudgetUse",
    "CommandRecord",
    "Cursor",
    "EnrolmentToken",
    "GatewayCounter",
    "GatewayKey",
    "KeptConfiguration",
    "KeyChange",
    "KillSwitch",
    "MeterKeyRow",
    "PolicyRow",
    "Protection",
    "Release",
    "SecondFactor",
    "SettledRequest",
    "User",
]


class User(AuthorityBase):
    """One account; raising ``token_version`` ends its sessions and tokens."""

    __tablename__ = "users"

    username: Mapped[str] = mapped_column(String(64), primary_key=True)
    role: Mapped[str]  # viewer | operator | approver | admin | auditor | service
    password_hash: Mapped[str]  # argon2id; empty: no password opens it
    disabled: Mapped[bool] = mapped_column(default=False)
    token_version: Mapped[int] = mapped_column(default=1)
    created_at: Mapped[datetime]
    email: Mapped[str | None] = mapped_column(String(254))
    areas: Mapped[list[str] | None] = mapped_column(NOTHING_AS_NULL)  # null: everywhere
    scopes: Mapped[list[str] | None] = mapped_column(NOTHING_AS_NULL)  # of a service alone
    external_id: Mapped[str | None] = mapped_column(String(512), unique=True)  # issuer and subject
    origin: Mapped[str] = mapped_column(  # local: an admin made it | login: its first log-in did
        String(16), default="local", server_default="local"
    )
    given_at: Mapped[datetime | None]  # when somebody last gave it what it may, over the network


class PolicyRow(AuthorityBase):
    """One named policy document; exactly one is active."""

    __tablename__ = "policies"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    document: Mapped[dict[str, Any]]
    active: Mapped[bool] = mapped_column(default=False)


class KillSwitch(AuthorityBase):
    """The one row that says whether commands may leave at all."""

    __tablename__ = "kill_switch"

    id: Mapped[int] = mapped_column(primary_key=True)
    engaged: Mapped[bool] = mapped_column(default=False)
    set_by: Mapped[str | None]
    set_at: Mapped[datetime | None]
    reason: Mapped[str | None] = mapped_column(Text)
    lift_asked_by: Mapped[str | None]  # the first of the two who lift it
    lift_asked_at: Mapped[datetime | None]


class CommandRecord(AuthorityBase):
    """One command and where it stands."""

    __tablename__ = "commands"
    __table_args__ = (
        *(Index(None, each, "created_at") for each in ("state", "meter", "kind")),
        Index(None, "gateway", "state", "created_at"),
        Index(None, "updated_at", "state"),
        UniqueConstraint("gateway", "counter"),
    )

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    kind: Mapped[str]
    meter: Mapped[str]
    gateway: Mapped[str]
    parameters: Mapped[dict[str, Any]] = mapped_column(default=dict)
    state: Mapped[str]
    requester: Mapped[str]
    approver: Mapped[str | None]
    reason: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime]
    queued_at: Mapped[datetime | None]
    sent_at: Mapped[datetime | None]
    not_before: Mapped[datetime | None]
    not_after: Mapped[datetime | None]  # awaiting approval: end of the approval window
    counter: Mapped[int | None] = mapped_column(BigInteger)
    envelope: Mapped[bytes | None]  # signed once, published byte for byte
    updated_at: Mapped[datetime]
    detail: Mapped[str | None] = mapped_column(Text)
    said: Mapped[dict[str, Any] | None] = mapped_column(NOTHING_AS_NULL)  # the detail's wording
    relay_before: Mapped[bool | None]
    relay_after: Mapped[bool | None]
    findings: Mapped[dict[str, Any] | None]  # of the last result that had any
    batch: Mapped[str | None] = mapped_column(String(36))  # whose row it carries out


class AuditRow(AuthorityBase):
    """One link of the audit chain; `hesper_cloud.audit` says what the hash covers."""

    __tablename__ = "audit"

    sequence: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    at: Mapped[datetime] = mapped_column(index=True)
    actor: Mapped[str]
    action: Mapped[str]
    subject: Mapped[str] = mapped_column(index=True)
    before: Mapped[str | None] = mapped_column(Text)
    after: Mapped[str | None] = mapped_column(Text)
    why: Mapped[str | None] = mapped_column(Text)
    previous_hash: Mapped[str] = mapped_column(String(64))
    hash: Mapped[str] = mapped_column(String(64))


class AuditCheckpoint(AuthorityBase):
    """One signed word on the chain's head, as gateways keep it; see `hesper_cloud.audit`."""

    __tablename__ = "audit_checkpoints"

    sequence: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    head: Mapped[str] = mapped_column(String(64))
    at: Mapped[datetime]
    payload: Mapped[bytes]


class BudgetUse(AuthorityBase):
    """One disconnect that counts against the budgets, from the moment it is signed."""

    __tablename__ = "budget_uses"
    __table_args__ = (Index(None, "at"), Index(None, "gateway", "at"))

    command_id: Mapped[str] = mapped_column(String(36), primary_key=True)
    at: Mapped[datetime]
    gateway: Mapped[str]


class GatewayCounter(AuthorityBase):
    """The next command counter of one gateway; it only grows."""

    __tablename__ = "gateway_counters"

    gateway: Mapped[str] = mapped_column(String(63), primary_key=True)
    next: Mapped[int] = mapped_column(BigInteger)


class GatewayKey(AuthorityBase):
    """The Ed25519 public key with which one gateway signs its results."""

    __tablename__ = "gateway_keys"

    gateway: Mapped[str] = mapped_column(String(63), primary_key=True)
    public_key: Mapped[str]
    added_at: Mapped[datetime]


class KeptConfiguration(AuthorityBase):
    """One version of a gateway's configuration, locked; `hesper_cloud.vault` says how."""

    __tablename__ = "kept_configurations"

    gateway: Mapped[str] = mapped_column(String(63), primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    kept_at: Mapped[datetime]
    wrapped_key: Mapped[bytes]
    box: Mapped[bytes]


class EnrolmentToken(AuthorityBase):
    """A right to bear a gateway's name, once; of the secret only its SHA-256, hex."""

    __tablename__ = "enrolment_tokens"

    digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    gateway: Mapped[str] = mapped_column(String(63), index=True)
    made_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    serial: Mapped[str | None] = mapped_column(String(64))  # of the one device that may use it
    used_by: Mapped[str | None]  # SHA-256 of the ask that used it, hex
    answer: Mapped[bytes | None]  # signed; its secrets are sealed to the device


class BrokerAccount(AuthorityBase):
    """A gateway's account on the broker, as the broker's password file has it or will have it."""

    __tablename__ = "broker_accounts"

    gateway: Mapped[str] = mapped_column(String(63), primary_key=True)
    password_hash: Mapped[str]  # as Mosquitto writes it; empty: there is to be none
    is_written: Mapped[bool]


class Certificate(AuthorityBase):
    """One certificate that the authority issued, or an external one that it was given."""

    __tablename__ = "certificates"

    serial: Mapped[str] = mapped_column(String(40), primary_key=True)  # hex
    name: Mapped[str] = mapped_column(String(64), index=True)  # its common name
    kind: Mapped[str] = mapped_column(String(16))  # gateway | server
    public_key: Mapped[str] = mapped_column(String(64), index=True)  # SHA-256 of it, hex
    issued_at: Mapped[datetime]
    not_after: Mapped[datetime]
    octets: Mapped[bytes]  # DER
    revoked_at: Mapped[datetime | None] = mapped_column(index=True)
    revoked_why: Mapped[str | None] = mapped_column(Text)


class CertificateRequest(AuthorityBase):
    """What a gateway asked to have signed by an external authority, until it is."""

    __tablename__ = "certificate_requests"

    gateway: Mapped[str] = mapped_column(String(63), primary_key=True)
    octets: Mapped[bytes]  # PKCS#10, DER
    asked_at: Mapped[datetime]


class RevocationList(AuthorityBase):
    """The one list of certificates that do not count, as the broker has it or will have it."""

    __tablename__ = "revocation_lists"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    number: Mapped[int]
    made_at: Mapped[datetime]
    is_stale: Mapped[bool]
    is_written: Mapped[bool]
    octets: Mapped[bytes]  # PEM


class ShutOut(AuthorityBase):
    """A gateway that may not come to the broker any more, until it enrols anew."""

    __tablename__ = "shut_out"

    gateway: Mapped[str] = mapped_column(String(63), primary_key=True)
    at: Mapped[datetime]
    by: Mapped[str]
    why: Mapped[str] = mapped_column(Text)


class Protection(AuthorityBase):
    """One meter whose supply is never cut, with the cause."""

    __tablename__ = "protections"

    meter: Mapped[str] = mapped_column(String(32), primary_key=True)
    cause: Mapped[str]
    added_at: Mapped[datetime]


class SettledRequest(AuthorityBase):
    """The outcome of one request, so that neither a crash nor a copy settles it twice."""

    __tablename__ = "settled_requests"

    requested_by: Mapped[str] = mapped_column(String(64), primary_key=True)
    idempotency_key: Mapped[str] = mapped_column(String(128), primary_key=True)
    state: Mapped[str]
    outcome: Mapped[dict[str, Any]]
    at: Mapped[datetime]


class Cursor(AuthorityBase):
    """How far the authority has read a table of the registry."""

    __tablename__ = "cursors"

    name: Mapped[str] = mapped_column(String(32), primary_key=True)
    position: Mapped[int] = mapped_column(BigInteger)
