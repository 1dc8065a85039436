"""Tables of batches: one command for many meters, frozen when it is proposed."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from hesper_cloud.db.authority_base import AuthorityBase


class Batch(AuthorityBase):
    """One batch and where it stands; `hesper_cloud.authority.batches` says how it moves."""

    __tablename__ = "batches"
    __table_args__ = (Index(None, "state"), Index(None, "proposed_at"))

    id: Mapped[str] = mapped_column(String(36), primary_key=True)
    kind: Mapped[str]
    parameters: Mapped[dict[str, Any]] = mapped_column(default=dict)
    reason: Mapped[str] = mapped_column(Text)
    requester: Mapped[str]
    approver: Mapped[str | None]
    canary: Mapped[int]  # rows that must have succeeded before the others leave
    wave_size: Mapped[int]  # rows under way at once
    per_hour: Mapped[int]
    stop_percent: Mapped[int]  # a greater share of failed rows stops it
    digest: Mapped[str] = mapped_column(String(64))  # SHA-256, hex, of all above and the rows
    state: Mapped[str]
    detail: Mapped[str | None] = mapped_column(Text)  # why it is in this state
    said: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))  # its wording
    proposed_at: Mapped[datetime]
    approve_until: Mapped[datetime]
    approved_at: Mapped[datetime | None]
    updated_at: Mapped[datetime]
    allowance: Mapped[int]  # rows that may leave under the decisions so far
    next_release_at: Mapped[datetime | None]  # when the rate lets the next row go
    forgiven_finished: Mapped[int] = mapped_column(default=0)  # before the last resume or retry
    forgiven_failed: Mapped[int] = mapped_column(default=0)
    waves: Mapped[list[int] | None] = mapped_column(JSON(none_as_null=True))  # rows to each end
    wave: Mapped[int] = mapped_column(default=0, server_default="0")  # the open one, from 0
    soak_s: Mapped[int | None]  # None: a person lets the next wave begin
    soaks_until: Mapped[datetime | None]


class BatchRow(AuthorityBase):
    """One meter of a batch: position, meter, gateway, area and exclusion are frozen."""

    __tablename__ = "batch_rows"
    __table_args__ = (Index(None, "state", "batch", "position"), UniqueConstraint("command"))

    batch: Mapped[str] = mapped_column(ForeignKey("batches.id"), primary_key=True)
    position: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    meter: Mapped[str] = mapped_column(String(32))
    gateway: Mapped[str | None] = mapped_column(String(63))
    area: Mapped[str | None] = mapped_column(String(64))  # reconnects are staggered within it
    excluded: Mapped[str | None] = mapped_column(Text)  # the cause, when it takes no part
    state: Mapped[str]
    detail: Mapped[str | None] = mapped_column(Text)
    said: Mapped[dict[str, Any] | None] = mapped_column(  # wording of the cause or the detail
        JSON(none_as_null=True)
    )
    command: Mapped[str | None] = mapped_column(String(36))  # the last that it became
    released_at: Mapped[datetime | None]
    tries: Mapped[int] = mapped_column(default=0)
    updated_at: Mapped[datetime]
