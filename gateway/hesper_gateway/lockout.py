"""Keeps a meter from locking itself: credentials that it refused are shown to it seldom.

Theory of operation
-------------------
Many meters lock a client for hours, or until somebody comes, after a few wrong passwords, failed
authentications or counters. So at most `MOST_REFUSED` refusals of one client are risked within
`WITHIN_S`; then the credentials are held back from it until the oldest is that long ago. A success
forgets those of the same client, and of no other: that reading works says nothing of management.
The public client, which has nothing to be refused, may always be used.

Refusals are kept in the database, so that a restart does not begin a new count, under a name that
changes with the credentials, so that a corrected keys file is tried at once. While the gateway runs
they age by the clock that nobody sets; over a restart by the machine's clock, where a refusal from
the future counts as one of now.
"""

import asyncio
import hashlib
import logging
import sqlite3
import time
from collections.abc import Callable

from hesper_gateway.database import Database, StorageFull
from hesper_gateway.errors import CredentialsRefused
from hesper_gateway.meter_keys import MeterKeys
from hesper_gateway.timeproof import since_boot

log = logging.getLogger(__name__)

MOST_REFUSED = 3
WITHIN_S = 86400.0
_TABLE = (
    "CREATE TABLE IF NOT EXISTS refusals "
    "(meter TEXT NOT NULL, credentials TEXT NOT NULL, at REAL NOT NULL)"
)

Alarm = Callable[[str, str], None]
"""Takes a meter and a text when its credentials begin to be held back."""


class CredentialsHeld(CredentialsRefused):
    """The credentials were refused too often; nothing was sent."""


def credentials_name(keys: MeterKeys) -> str:
    """Returns a name that changes with the credentials and tells nothing of them."""
    parts = (
        keys.encryption_key,
        keys.authentication_key,
        keys.password,
        keys.signing_key,
        keys.meter_signing_key,
    )
    whole = b"".join(bytes([len(part or b"")]) + (part or b"") for part in parts)
    return hashlib.sha256(b"hesper credentials" + whole).hexdigest()[:4]


def _whose(meter: str, keys: MeterKeys, client: int) -> tuple[str, str]:
    return meter, f"{credentials_name(keys)}/{client}"


def _create(connection: sqlite3.Connection) -> None:
    connection.execute(_TABLE)


class Lockout:
    """Counts refusals by meter and credentials.

    Args:
        database: Where they are kept.
        alarm: Told once each time credentials begin to be held back.
        now: Epoch seconds, which anyone may set.
        steady: Seconds that nobody sets.
    """

    def __init__(
        self,
        database: Database,
        alarm: Alarm,
        now: Callable[[], float] = time.time,
        steady: Callable[[], float] = since_boot,
    ) -> None:
        self._database = database
        self._alarm = alarm
        self._now = now
        self._steady = steady
        database.submit(_create).result()
        self._refused: dict[tuple[str, str], list[float]] = {}
        rows = database.read(lambda c: c.execute("SELECT * FROM refusals ORDER BY at").fetchall())
        for meter, credentials, at in rows:
            age_s = max(0.0, now() - at)
            self._refused.setdefault((meter, credentials), []).append(steady() - age_s)

    def check(self, meter: str, keys: MeterKeys, client: int) -> None:
        """Passes while another refusal may be risked.

        Raises:
            CredentialsHeld: not now; the text says for how long.
        """
        recent = self._recent(_whose(meter, keys, client))
        if len(recent) >= MOST_REFUSED:
            wait_s = recent[-MOST_REFUSED] + WITHIN_S - self._steady()
            raise CredentialsHeld(
                f"its credentials were refused {len(recent)} times within a day, "
                f"they are held back for {wait_s / 3600:.1f} h"
            )

    async def refused(self, meter: str, keys: MeterKeys, client: int) -> None:
        """Notes a refusal; durable on return unless the disk is full."""
        whose, at = _whose(meter, keys, client), self._now()
        recent = [*self._recent(whose), self._steady()]
        self._refused[whose] = recent
        await self._write(
            lambda c: c.execute("INSERT INTO refusals VALUES (?, ?, ?)", (*whose, at))
        )
        if len(recent) == MOST_REFUSED:
            text = f"refused {len(recent)} times within a day; credentials are held back for a day"
            log.error("meter %s: %s", meter, text)
            self._alarm(meter, text)

    async def accepted(self, meter: str, keys: MeterKeys, client: int) -> None:
        """Forgets the client's refusals of these credentials, and of all that it had before."""
        if _whose(meter, keys, client) not in self._refused:
            return
        ending = f"/{client}"
        self._refused = {
            whose: at
            for whose, at in self._refused.items()
            if whose[0] != meter or not whose[1].endswith(ending)
        }
        forget = "DELETE FROM refusals WHERE meter = ? AND credentials LIKE ?"
        await self._write(lambda c: c.execute(forget, (meter, f"%{ending}")))

    def _recent(self, whose: tuple[str, str]) -> list[float]:
        since = self._steady() - WITHIN_S
        return [at for at in self._refused.get(whose, ()) if at > since]

    async def _write(self, job: Callable[[sqlite3.Connection], object]) -> None:
        try:
            await asyncio.shield(self._database.write(job))
        except StorageFull as full:
            log.warning("a refusal is only remembered until the next start: %s", full)
