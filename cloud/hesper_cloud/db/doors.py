"""Tables of who came in: browser sessions, tokens as they are used, logins that failed."""

from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, String
from sqlalchemy.orm import Mapped, mapped_column

from hesper_cloud.db.base import RegistryBase

MOST_AHEAD = timedelta(minutes=5)
"""How far the beginning of a session may lie ahead; beyond it a clock has been set back since."""


class WebSession(RegistryBase):
    """One browser session; the token itself is never stored."""

    __tablename__ = "sessions"

    token_digest: Mapped[str] = mapped_column(String(64), primary_key=True)
    username: Mapped[str] = mapped_column(index=True)
    token_version: Mapped[int]
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime] = mapped_column(index=True)
    source: Mapped[str]
    agent: Mapped[str | None] = mapped_column(String(200))  # as the browser called itself
    method: Mapped[str] = mapped_column(  # password | oidc
        String(16), default="password", server_default="password"
    )

    @classmethod
    def lasts(cls, at: datetime) -> ColumnElement[bool]:
        """Returns the condition that a session has begun by a moment, and has not ended.

        One that was opened while the clock was ahead would last until the clock is as late again,
        and as long as it lasts then.
        """
        return (cls.expires_at > at) & (cls.created_at <= at + MOST_AHEAD)


class TokenUse(RegistryBase):
    """When an API token was used last, and from where; written at most once a minute."""

    __tablename__ = "token_uses"

    token: Mapped[str] = mapped_column(String(16), primary_key=True)  # its id
    last_used_at: Mapped[datetime]
    source: Mapped[str]


class LoginFailure(RegistryBase):
    """Failed logins of one account or one address, for the growing back-off."""

    __tablename__ = "login_failures"

    subject: Mapped[str] = mapped_column(String(200), primary_key=True)
    failures: Mapped[int]
    last_at: Mapped[datetime]
