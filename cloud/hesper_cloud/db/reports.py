"""Tables of reports: those that were made, and those that are made by themselves."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, Boolean, ForeignKey, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from hesper_cloud.db.base import RegistryBase


class ReportSchedule(RegistryBase):
    """One report that is made again and again, of the day, week or month before."""

    __tablename__ = "report_schedules"

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(64), unique=True)
    kind: Mapped[str] = mapped_column(String(40))
    every: Mapped[str] = mapped_column(String(8))  # day | week | month
    at_minute: Mapped[int]  # of the day, by the clock of its zone
    zone: Mapped[str] = mapped_column(String(64))
    area: Mapped[str | None]
    enabled: Mapped[bool] = mapped_column(Boolean)
    next_at: Mapped[datetime] = mapped_column(index=True)
    made_by: Mapped[str]
    made_at: Mapped[datetime]
    last_job_id: Mapped[int | None] = mapped_column(ForeignKey("long_jobs.id"))
    version: Mapped[int] = mapped_column(default=1, server_default="1")
    target_id: Mapped[int | None] = mapped_column(  # that is sent each report
        ForeignKey("delivery_targets.id", ondelete="SET NULL")
    )


class Report(RegistryBase):
    """One report; its files lie in the state folder."""

    __tablename__ = "reports"
    __table_args__ = (Index(None, "made_at"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(40))
    title: Mapped[str]
    from_at: Mapped[datetime]  # from_at <= at < to_at
    to_at: Mapped[datetime]
    zone: Mapped[str] = mapped_column(String(64))
    area: Mapped[str | None]
    row_count: Mapped[int] = mapped_column(BigInteger)
    files: Mapped[dict[str, Any]] = mapped_column(JSON)  # by format: octets and SHA-256
    made_by: Mapped[str]
    made_at: Mapped[datetime]
    job_id: Mapped[int] = mapped_column(ForeignKey("long_jobs.id"), unique=True)
    removed_at: Mapped[datetime | None]  # its files, by the clean-up
