"""Second factors: one-time passwords by time (TOTP, RFC 6238), and recovery codes for a lost phone.

A code is six digits by SHA-1 over a step of 30 s, as every authenticator has it. One step before
and one after the present are taken, for clocks that are a little off; a step is taken once and
none before it any more, so a code that was seen is of no use (RFC 6238, 5.2). Recovery codes hold
80 bits each, are kept as digests and are good once.
"""

import hashlib
import hmac
import json
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime

import pyotp

STEP_S = 30
RECOVERY_CODES = 10
SECRET_LENGTH = 32
"""Base32 digits of a secret: 160 bits (RFC 4226, 4)."""
_BASE32_BLOCK = 8
_WHOLE_OCTETS = (0, 2, 4, 5, 7)
"""Base32 digits in the last block (RFC 4648, 6)."""
_ISSUER = "Hesper"
_DRIFT_STEPS = 1
_GROUP = 4
_GROUPS = 4
_ALPHABET = "abcdefghijkmnpqrstuvwxyz23456789"  # no l, o, 0, 1
_DOMAIN = b"hesper recovery code\x00"


@dataclass(frozen=True, slots=True)
class Proof:
    """What a person gives to prove who they are: the password, and a code if there is a factor."""

    password: str = field(repr=False)
    code: str = field(default="", repr=False)

    def to_text(self) -> str:
        """Returns it as it is sealed: the password alone, or JSON with both."""
        if not self.code:
            return self.password
        return json.dumps({"password": self.password, "code": self.code})

    @classmethod
    def from_text(cls, text: str) -> "Proof":
        """Returns what was sealed."""
        try:
            both = json.loads(text)
        except (ValueError, RecursionError):
            return cls(text)
        if isinstance(both, dict) and both.keys() == {"password", "code"}:
            return cls(str(both["password"]), str(both["code"]))
        return cls(text)


@dataclass(frozen=True, slots=True)
class Enrolled:
    """A new factor of an account; ``step`` is that of the code that confirmed it."""

    username: str
    secret: str = field(repr=False)
    recovery: Sequence[str] = field(repr=False)
    step: int


def new_secret() -> str:
    """Returns a fresh secret in base32."""
    return pyotp.random_base32(SECRET_LENGTH)


def is_secret(text: str) -> bool:
    """Says whether a text is a secret in base32 of 160 bits or more, in whole octets."""
    return (
        len(text) >= SECRET_LENGTH
        and len(text) % _BASE32_BLOCK in _WHOLE_OCTETS
        and re.fullmatch("[A-Z2-7]+", text) is not None
    )


def uri(secret: str, username: str) -> str:
    """Returns the text that an authenticator reads from a QR code (otpauth)."""
    return pyotp.TOTP(secret).provisioning_uri(name=username, issuer_name=_ISSUER)


def step_of(secret: str, code: str, now: datetime, last_step: int) -> int | None:
    """Returns the step that a code is of; None if it fits none that may still be used.

    Args:
        secret: In base32.
        code: As it was typed; spaces do not count.
        now: The moment that counts (aware).
        last_step: The newest step that was taken before.
    """
    typed = "".join(code.split())
    present = int(now.timestamp()) // STEP_S
    made = pyotp.TOTP(secret)
    fitting = None
    for step in range(present - _DRIFT_STEPS, present + _DRIFT_STEPS + 1):
        expected = made.at(step * STEP_S)
        if hmac.compare_digest(typed.encode(), expected.encode()) and step > last_step:
            fitting = step
    return fitting


def new_recovery_codes() -> list[str]:
    """Returns fresh recovery codes, to be shown once."""
    return [
        "-".join("".join(secrets.choice(_ALPHABET) for _ in range(_GROUP)) for _ in range(_GROUPS))
        for _ in range(RECOVERY_CODES)
    ]


def recovery_digest(code: str) -> str:
    """Returns what is kept of a recovery code."""
    bare = "".join(filter(str.isalnum, code.lower()))
    return hashlib.sha256(_DOMAIN + bare.encode()).hexdigest()
