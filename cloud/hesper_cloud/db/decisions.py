"""Tables of what persons decide beside commands: second factors, releases, break-glass."""

from datetime import datetime

from sqlalchemy import JSON, BigInteger, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from hesper_cloud.db.authority_base import AuthorityBase


class SecondFactor(AuthorityBase):
    """The second factor of one account: its secret locked, of recovery codes only the digests."""

    __tablename__ = "second_factors"

    username: Mapped[str] = mapped_column(String(64), primary_key=True)
    wrapped_key: Mapped[bytes]
    box: Mapped[bytes]
    last_step: Mapped[int] = mapped_column(BigInteger)  # of the newest code that was taken
    recovery: Mapped[list[str]] = mapped_column(JSON)  # SHA-256, hex
    enrolled_at: Mapped[datetime]


class Release(AuthorityBase):
    """One approver's word for one quarantined command."""

    __tablename__ = "releases"

    command: Mapped[str] = mapped_column(String(36), primary_key=True)
    username: Mapped[str] = mapped_column(String(64), primary_key=True)
    at: Mapped[datetime]


class BreakGlass(AuthorityBase):
    """One command that a person alone let go, and what another said of it afterwards."""

    __tablename__ = "break_glass"
    __table_args__ = (Index(None, "reviewed_at"),)

    command: Mapped[str] = mapped_column(String(36), primary_key=True)
    username: Mapped[str] = mapped_column(String(64))
    reason: Mapped[str] = mapped_column(Text)
    at: Mapped[datetime] = mapped_column(index=True)
    review_until: Mapped[datetime]
    reviewed_by: Mapped[str | None]
    reviewed_at: Mapped[datetime | None]
    verdict: Mapped[str | None]  # justified | misused
    review: Mapped[str | None] = mapped_column(Text)
