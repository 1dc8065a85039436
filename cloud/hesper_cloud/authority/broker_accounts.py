"""Gateways' accounts on the broker: a new password is what shuts a replaced gateway out.

Theory of operation. An enrolment commits the hash of the new password together with its audit row
and the gateway's key; only then is the hash written into Mosquitto's password file and the broker
told to read it. A row says whether that is done, so that a crash in between, a full disk or a
broker that is away only put it off to a later turn. The hash is one-way and may be shown.
"""

import base64
import hashlib
import logging
import secrets
import subprocess
import time
from pathlib import Path

from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from hesper_cloud.authority import broker_files
from hesper_cloud.db.authority import BrokerAccount
from hesper_cloud.db.engines import reading, writing
from hesper_cloud.settings import EnrolmentSettings
from hesper_cloud.worded import worded

_log = logging.getLogger(__name__)
RULE = "broker-passwords"
"""Of the alert while the broker does not know of a changed password."""
_ITERATIONS = 101  # mosquitto_passwd's own; our passwords have 256 random bits
_SALT_OCTETS = 12
_RELOAD_AGAIN_S = 60


class BrokerAccounts:
    """Writes what enrolments decided into the broker's password file."""

    def __init__(self, settings: EnrolmentSettings) -> None:
        self._settings = settings
        self._reload = broker_files.Reload(settings.reload)
        self._telling: dict[str, str] = {}
        self._not_before = 0.0
        self.problem: str | None = None
        """What is amiss while the broker was not told of what was decided."""

    @property
    def is_automatic(self) -> bool:
        """Whether the head end tells the broker by itself."""
        return self._settings.password_file is not None

    def settle(self, authority: Engine) -> int:
        """Writes the accounts that the broker does not know yet; returns how many it knows now."""
        file = self._settings.password_file
        if file is None or time.monotonic() < self._not_before:
            return 0
        with reading(authority) as session:
            waiting = _waiting(session)
        if not waiting:
            self.problem = None
            return 0
        if not self._tell(file, waiting):
            return 0
        told = self._telling
        with writing(authority) as session:
            for account in session.scalars(select(BrokerAccount)):
                if told.get(account.gateway) == account.password_hash:
                    account.is_written = True
        _log.info("the broker knows what became of the passwords of %s", ", ".join(sorted(told)))
        return len(told)

    def _tell(self, file: Path, waiting: dict[str, str]) -> bool:
        """Says whether the broker knows what it is being told; what came since waits."""
        try:
            if not self._reload.is_under_way:
                write_accounts(file, waiting)
                self._telling = waiting
                self._reload.begin()
            if not self._reload.is_over():
                return False
        except (OSError, subprocess.SubprocessError) as error:
            if isinstance(error, subprocess.SubprocessError):
                self._not_before = time.monotonic() + _RELOAD_AGAIN_S
            if self.problem is None:
                _log.error("the broker was not told of a new password: %s; trying again", error)
            self.problem = worded(
                "The broker was not told of a changed password: a gateway that was replaced or "
                "revoked may come in with the old one. The last try: {error}.",
                error=error,
            )
            return False
        self.problem = None
        return True


def password_hash(password: str) -> str:
    """Returns what mosquitto_passwd would: salted PBKDF2 with SHA-512 (RFC 8018)."""
    salt = secrets.token_bytes(_SALT_OCTETS)
    key = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, _ITERATIONS)
    return f"$7${_ITERATIONS}${base64.b64encode(salt).decode()}${base64.b64encode(key).decode()}"


def write_accounts(file: Path, accounts: dict[str, str]) -> None:
    """Puts accounts (name → hash) into a password file, in the place of those of their names.

    An account without a hash goes. The file is replaced durably, as one step, and keeps owner and
    mode; it must exist.
    """
    lines = file.read_text(encoding="utf-8").splitlines()
    kept = [line for line in lines if line.partition(":")[0] not in accounts]
    new = [f"{name}:{hashed}" for name, hashed in sorted(accounts.items()) if hashed]
    broker_files.replace(file, "".join(f"{line}\n" for line in (*kept, *new)).encode())


def _waiting(session: Session) -> dict[str, str]:
    query = select(BrokerAccount).where(BrokerAccount.is_written.is_(False))
    return {row.gateway: row.password_hash for row in session.scalars(query)}
