"""Tables of what gateways and meters should be configured with: reading schedules and templates."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from hesper_cloud.db.base import RegistryBase


class PlanVersion(RegistryBase):
    """One version of a schedule or template; versions are never changed, only followed."""

    __tablename__ = "plan_versions"

    kind: Mapped[str] = mapped_column(String(16), primary_key=True)  # schedule | template
    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    version: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    document: Mapped[dict[str, Any]] = mapped_column(JSON)
    note: Mapped[str] = mapped_column(Text)
    made_at: Mapped[datetime]
    made_by: Mapped[str] = mapped_column(String(128))


class PlanAssignment(RegistryBase):
    """One version that those whom a query finds should have, until a newer one finds them."""

    __tablename__ = "plan_assignments"
    __table_args__ = (Index(None, "kind", "ended_at"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(16))
    name: Mapped[str] = mapped_column(String(64))
    version: Mapped[int]
    query: Mapped[dict[str, Any]] = mapped_column(JSON)
    made_at: Mapped[datetime]
    made_by: Mapped[str] = mapped_column(String(128))
    ended_at: Mapped[datetime | None]
    ended_by: Mapped[str | None] = mapped_column(String(128))
