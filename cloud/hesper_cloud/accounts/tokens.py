"""Tokens: an opaque one for browsers, a signed one (JWT, RFC 7519) for machines, and API tokens.

The opaque token is 32 random octets; the database keeps its SHA-256. The signed one carries name
and token version and is good for minutes; both end when the account is disabled or its version
grows, because the account is looked up again at every use (at most a second late). An API token is
32 random octets behind a word that tells it apart, also to those who look for leaked secrets; its
id is the beginning of its digest.
"""

import hashlib
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

import jwt

from hesper_cloud.db.doors import MOST_AHEAD

_ALGORITHM = "HS256"
_ISSUER = "hesper"
API_PREFIX = "hesper_"
TOKEN_ID_LENGTH = 16


class TokenRefused(Exception):
    """Not one of ours, changed, or out of date."""


@dataclass(frozen=True, slots=True)
class Claim:
    """Whom a token speaks for; good while the account's version is this one.

    One that was made of an API token names it, and is good while that one is.
    """

    username: str
    version: int
    token_id: str | None = None


def new_token() -> str:
    """Returns a fresh opaque token."""
    return secrets.token_urlsafe(32)


def new_api_token() -> str:
    """Returns a fresh API token."""
    return API_PREFIX + secrets.token_urlsafe(32)


def is_api_token(token: str) -> bool:
    """Says whether a token has the form of an API token."""
    return token.startswith(API_PREFIX)


def digest(token: str) -> str:
    """Returns what the database keeps of an opaque token."""
    return hashlib.sha256(token.encode("utf-8")).hexdigest()


def is_signed(token: str) -> bool:
    """Says whether a token has the form of a JWT."""
    return token.count(".") == 2


class MachineTokens:
    """Issues and checks signed tokens."""

    def __init__(self, secret: bytes, lifetime: timedelta) -> None:
        self._secret = secret
        self.lifetime = lifetime

    def issue(self, claim: Claim, now: datetime) -> str:
        """Returns a token for the account, good for the lifetime."""
        body: dict[str, object] = {
            "iss": _ISSUER,
            "sub": claim.username,
            "ver": claim.version,
            "iat": int(now.timestamp()),
            "exp": int((now + self.lifetime).timestamp()),
        }
        if claim.token_id is not None:
            body["jti"] = claim.token_id
        return jwt.encode(body, self._secret, algorithm=_ALGORITHM)

    def check(self, token: str, now: datetime) -> Claim:
        """Returns whom the token speaks for.

        Raises:
            TokenRefused: wrong signature or issuer, a field missing, expired, or signed by a clock
                that was ahead.
        """
        try:
            body = jwt.decode(
                token,
                self._secret,
                algorithms=[_ALGORITHM],
                issuer=_ISSUER,
                options={
                    "require": ["exp", "iat", "sub"],
                    "verify_exp": False,
                    "verify_iat": False,
                },
            )
            expired = now.timestamp() >= float(body["exp"])
            is_ahead = float(body["iat"]) > (now + MOST_AHEAD).timestamp()
            claim = Claim(str(body["sub"]), int(body["ver"]), body.get("jti"))
        except (jwt.InvalidTokenError, KeyError, ValueError, TypeError) as error:
            raise TokenRefused("the token is not one of ours") from error
        if expired or is_ahead:
            raise TokenRefused("the token has expired")
        return claim
