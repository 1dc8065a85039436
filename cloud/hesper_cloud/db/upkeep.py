"""Tables of the jobs: what is expected of meters, backfills, exports, erasures, backups."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from hesper_cloud.db.base import RegistryBase


class MeterProfile(RegistryBase):
    """One profile that a meter captures, and how often, so that what is missing can be known."""

    __tablename__ = "meter_profiles"

    meter: Mapped[str] = mapped_column(String(32), primary_key=True)
    profile: Mapped[str] = mapped_column(String(24), primary_key=True)  # logical name as text
    capture_period_s: Mapped[int | None]  # None: not known yet
    expected_from: Mapped[datetime]  # first capture stored, or when the profile was announced
    period_since: Mapped[datetime | None]  # the period was another before; no gaps there
    former_period_s: Mapped[int | None]  # which one held before period_since; None: not known
    source: Mapped[str]  # announced (by the gateway) | learned (from what is stored)


class Backfill(RegistryBase):
    """One range of a profile that a gateway was asked to read again."""

    __tablename__ = "backfills"
    __table_args__ = (
        Index(None, "state"),
        Index(None, "gateway", "asked_at"),
        Index(None, "meter", "profile", "asked_at"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    gateway: Mapped[str] = mapped_column(String(63))
    meter: Mapped[str] = mapped_column(String(32))
    profile: Mapped[str] = mapped_column(String(24))
    from_at: Mapped[datetime]  # both ends belong to the range
    to_at: Mapped[datetime]
    missing_count: Mapped[int]  # captures that were missing when it was asked for
    state: Mapped[str]  # asked | sent | read | done | failed
    request_id: Mapped[int | None]  # row of `requests`
    command_id: Mapped[str | None] = mapped_column(String(36))
    row_count: Mapped[int | None]  # rows that the gateway read, by its signed result
    reason: Mapped[str | None] = mapped_column(Text)
    asked_at: Mapped[datetime]
    settled_at: Mapped[datetime | None]


class ServiceLevelDay(RegistryBase):
    """What one service level reached on one day of captures, in the configured zone."""

    __tablename__ = "service_level_days"

    level: Mapped[str] = mapped_column(String(64), primary_key=True)
    day: Mapped[datetime] = mapped_column(primary_key=True)  # when it begins
    due_count: Mapped[int] = mapped_column(BigInteger)
    met_count: Mapped[int] = mapped_column(BigInteger)
    computed_at: Mapped[datetime]


class ExportRun(RegistryBase):
    """One run of a scheduled export; a failed one is tried again."""

    __tablename__ = "export_runs"
    __table_args__ = (Index(None, "name", "started_at"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(64))
    from_at: Mapped[datetime]  # of the readings: from_at <= captured < to_at
    to_at: Mapped[datetime]
    state: Mapped[str]  # running | done | failed
    tries: Mapped[int]
    started_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]
    next_try_at: Mapped[datetime | None]
    row_count: Mapped[int] = mapped_column(BigInteger, default=0)
    target: Mapped[str] = mapped_column(Text)
    reason: Mapped[str | None] = mapped_column(Text)


class Backup(RegistryBase):
    """One backup that is asked for or made, and whether it could be restored."""

    __tablename__ = "backups"
    __table_args__ = (Index(None, "made_at"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    state: Mapped[str]  # asked | made | failed
    folder: Mapped[str] = mapped_column(Text)
    made_at: Mapped[datetime]
    octets: Mapped[int] = mapped_column(BigInteger)
    contents: Mapped[dict[str, Any]] = mapped_column(JSON)  # counts and digests by part
    rehearsed_at: Mapped[datetime | None]
    rehearsal: Mapped[str | None] = mapped_column(Text)  # "restored", or what went wrong
    reason: Mapped[str | None] = mapped_column(Text)  # why it failed


class Erasure(RegistryBase):
    """One order to erase what is stored of a meter; it stands until it is carried out in full.

    With a time it is of that time alone, when the meter was one person's.
    """

    __tablename__ = "erasures"

    id: Mapped[int] = mapped_column(primary_key=True)
    meter: Mapped[str] = mapped_column(String(32))
    reason: Mapped[str] = mapped_column(Text)
    from_at: Mapped[datetime | None]  # from_at <= at < to_at; None: from the beginning, to the end
    to_at: Mapped[datetime | None]
    forget_customer: Mapped[bool]  # of the meter's own row: name and address too
    audit_row: Mapped[int]  # of the newest order; written before this row
    ordered_at: Mapped[datetime]
    passes: Mapped[int] = mapped_column(default=0)  # complete ones
    removed: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)  # count by kind
    finished_at: Mapped[datetime | None] = mapped_column(index=True)
