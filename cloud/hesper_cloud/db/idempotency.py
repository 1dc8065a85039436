"""The table of what was answered under an idempotency key, so that a repeat gets the same."""

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, LargeBinary, String
from sqlalchemy.orm import Mapped, mapped_column

from hesper_cloud.db.base import RegistryBase


class IdempotentAnswer(RegistryBase):
    """One request under a key, and its answer once there is one."""

    __tablename__ = "idempotent_answers"

    owner: Mapped[str] = mapped_column(String(128), primary_key=True)  # of the key, by account
    key: Mapped[str] = mapped_column(String(128), primary_key=True)
    request: Mapped[str] = mapped_column(String(64))  # SHA-256 of method, address and body
    created_at: Mapped[datetime] = mapped_column(index=True)
    status: Mapped[int | None]  # None: it is being worked on
    headers: Mapped[dict[str, Any]] = mapped_column(JSON, default=dict)
    body: Mapped[bytes | None] = mapped_column(LargeBinary)  # None: it was for one pair of eyes
