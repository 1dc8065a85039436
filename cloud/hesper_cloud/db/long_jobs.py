"""Tables of long work: jobs that go on where they stopped, and when each scheduled job ran last."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, Float, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from hesper_cloud.db.base import RegistryBase

WAITING, RUNNING, DONE, FAILED, CANCELLED = "waiting", "running", "done", "failed", "cancelled"
UNENDED = (WAITING, RUNNING)


class LongJob(RegistryBase):
    """One piece of long work, and how far it has come."""

    __tablename__ = "long_jobs"
    __table_args__ = (Index(None, "state", "id"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(40))
    title: Mapped[str] = mapped_column(Text)
    said: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))  # its wording
    asked_by: Mapped[str]
    asked_at: Mapped[datetime]
    parameters: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    state: Mapped[str] = mapped_column(String(16), default=WAITING)
    done: Mapped[int] = mapped_column(BigInteger, default=0)
    total: Mapped[int | None] = mapped_column(BigInteger)  # None: not known yet
    cursor: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)  # where to go on
    portions: Mapped[int] = mapped_column(default=0)  # that had their effect
    result: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    problem: Mapped[str | None] = mapped_column(Text)  # why it failed, or why it waits
    begun_at: Mapped[datetime | None]
    moved_at: Mapped[datetime | None]  # its last portion
    ended_at: Mapped[datetime | None]
    ended_by: Mapped[str | None]  # who cancelled it


class ScheduledRun(RegistryBase):
    """How one job on a schedule fared last."""

    __tablename__ = "scheduled_runs"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    every_s: Mapped[float] = mapped_column(Float)
    begun_at: Mapped[datetime]  # of the newest run
    ended_at: Mapped[datetime | None]  # of the newest that ended
    seconds: Mapped[float | None] = mapped_column(Float)  # how long that one was
    next_at: Mapped[datetime | None]
    problem: Mapped[str | None] = mapped_column(Text)  # of the newest that failed
    problem_at: Mapped[datetime | None]
    run_count: Mapped[int] = mapped_column(BigInteger)
    failure_count: Mapped[int] = mapped_column(BigInteger)
