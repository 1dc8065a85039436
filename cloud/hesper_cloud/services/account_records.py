"""Records of accounts, sessions and tokens as services give them out."""

from dataclasses import dataclass, field
from datetime import datetime


@dataclass(frozen=True, slots=True)
class UserRow:
    """One account; ``areas`` null: everywhere, ``scopes`` of a service alone."""

    username: str
    role: str
    areas: tuple[str, ...] | None
    scopes: tuple[str, ...] | None
    email: str | None
    disabled: bool
    origin: str  # local | login
    has_password: bool
    factor_since: datetime | None
    created_at: datetime
    open_sessions: int
    last_login_at: datetime | None  # of the sessions that are open
    locked: bool


@dataclass(frozen=True, slots=True)
class NewPassword:
    """A first password, shown this one time."""

    username: str
    password: str | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class SessionRow:
    """One browser session that is open; ``id`` is the beginning of its token's digest."""

    id: str
    username: str
    created_at: datetime
    expires_at: datetime
    source: str
    agent: str | None
    method: str
    is_this: bool


@dataclass(frozen=True, slots=True)
class TokenRow:
    """One API token, without its secret."""

    id: str
    username: str
    name: str
    scopes: tuple[str, ...]
    created_at: datetime
    created_by: str
    expires_at: datetime
    revoked_at: datetime | None
    last_used_at: datetime | None
    last_used_from: str | None


@dataclass(frozen=True, slots=True)
class TokenOrder:
    """A token that somebody wants."""

    username: str
    name: str
    scopes: tuple[str, ...]
    days: int


@dataclass(frozen=True, slots=True)
class NewToken:
    """A token that was made; the secret is shown this one time."""

    id: str
    secret: str = field(repr=False)
