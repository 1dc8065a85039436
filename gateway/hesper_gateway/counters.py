"""Invocation counters: one per meter and key, reserved ahead, never used twice.

With AES-GCM a repeated counter under one key gives the key's secrets away (Green Book 9.2.3.3.7.3),
so a counter is used only after a number above it is on disk. Reserving a thousand at a time costs
one durable write per thousand requests; a power cut skips what was left, which meters allow.
Meters that share a key draw from one reserve, and so does one whose id was changed: the gateway
shows all of them the same system title, so that nothing but the counter tells their messages apart.

After a lost database nobody knows how far a key was used: the meter's own counter tells only what
reached it. Then nothing is handed out until the meter has told its counter, and a million more are
skipped for what was sent and lost on the way. The same is skipped by a new gateway that takes the
place of another, which shows when a meter has seen more than the new database ever gave out, and
under every key when the database turns out to be an older copy (`skip_used`).
"""

import logging
import sqlite3
from collections.abc import Callable
from concurrent.futures import Future

from hesper_gateway.database import Database
from hesper_gateway.errors import NoCounter

log = logging.getLogger(__name__)

RESERVED_AHEAD = 1000
REFILL_BELOW = 200
FIRST = 1
ALARM_FROM = 2**31
MOST_SKIPPED = 2**24
SKIPPED_AFTER_LOSS = 2**20
LAST = 2**32 - 1
"""Never used: the counter is 32 bits and must not wrap; the key must be changed before."""


class CounterExhausted(NoCounter):
    """No invocation counter is left under this key; the meter needs a new key."""


class CounterUnknown(NoCounter):
    """The database was lost and the meter does not tell its counter; it needs a new key."""


Alarm = Callable[[str, str, int], None]
"""Called once per run with meter, key name and counter when `ALARM_FROM` is reached."""


class Counter:
    """The next invocation counter of one meter and key; call it for each protected APDU."""

    def __init__(self, database: Database, meter: str, key_name: str, alarm: Alarm) -> None:
        self._database = database
        self._meter = meter
        self._key_name = key_name
        self._alarm = alarm
        self._alarmed = False
        self._refill: Future[int] | None = None
        self._next = self._limit = 0
        self._unknown = database.lost is not None and not self._is_reserved()
        if not self._unknown:
            self._begin(self._reserve())

    def __call__(self) -> int:
        """Returns a counter that was never returned before and is already covered on disk.

        Raises:
            CounterExhausted: at 2**32 - 1; nothing may be sent under this key any more.
            CounterUnknown: after a lost database, before the meter has told its counter.
        """
        if self._unknown:
            raise CounterUnknown(f"{self._meter}: how far {self._key_name} was used is not known")
        if self._limit - self._next < REFILL_BELOW and self._refill is None:
            self._refill = self._reserve()
        if self._next >= self._limit:
            self._take_refill()
        if self._next >= LAST:
            raise CounterExhausted(f"{self._meter}: no counter left under {self._key_name}")
        counter = self._next
        self._next += 1
        if counter >= ALARM_FROM and not self._alarmed:
            self._alarmed = True
            log.error("%s: %s has used half of its counters", self._meter, self._key_name)
            self._alarm(self._meter, self._key_name, counter)
        return counter

    def advance(self, at_least: int) -> None:
        """Skips ahead so that the next counter is at least this; never goes back.

        For a meter that reports a higher counter than ours (an exception-response with
        invocation-counter-error, or its own counter object), as after a lost database. Neither is
        authenticated, so beyond half of the key's counters one word may skip only a small part.

        Raises:
            CounterExhausted: the jump is too large; nothing was skipped.
        """
        if self._unknown:
            if at_least > 0:
                self._start_after_loss(at_least + SKIPPED_AFTER_LOSS)
            return
        if self._limit < min(at_least, SKIPPED_AFTER_LOSS):
            # This database never gave out so high a counter: a predecessor has used the key, and
            # not all that it sent has reached the meter. Once only, the limit is far above then.
            at_least += SKIPPED_AFTER_LOSS
        if at_least > ALARM_FROM and at_least - self._next > MOST_SKIPPED:
            raise CounterExhausted(
                f"{self._meter} asks to skip {at_least - self._next} counters of {self._key_name}"
            )
        if self._next < at_least:
            self._take_refill()
            self._next = max(self._next, at_least)
            if self._next >= self._limit:
                self._begin(self._reserve(self._next))

    def draw_anew(self) -> None:
        """Gives up what was drawn ahead; the next counter is one that is reserved then."""
        self._limit, self._refill = self._next, None

    def _start_after_loss(self, start: int) -> None:
        if start >= LAST:
            raise CounterExhausted(f"{self._meter}: no counter left under {self._key_name}")
        log.warning("%s: %s goes on at %d after a loss", self._meter, self._key_name, start)
        self._begin(self._reserve(start))
        self._unknown = False

    def _is_reserved(self) -> bool:
        return self._database.read(
            lambda c: (
                c.execute(
                    "SELECT 1 FROM counters WHERE meter = ? AND key_name = ?",
                    (self._meter, self._key_name),
                ).fetchone()
                is not None
            )
        )

    def _take_refill(self) -> None:
        refill, self._refill = self._refill, None
        if refill is not None:
            self._begin(refill)

    def _begin(self, reserved: Future[int]) -> None:
        """Goes on with what was reserved, and with nothing between that and what was before."""
        self._limit = reserved.result()
        self._next = self._limit - RESERVED_AHEAD

    def _reserve(self, start: int = FIRST) -> Future[int]:
        """Moves the key's limit on disk up, from ``start`` at least; gives the new limit."""
        meter, key_name = self._meter, self._key_name

        def job(connection: sqlite3.Connection) -> int:
            (highest,) = connection.execute(
                "SELECT max(reserved) FROM counters WHERE key_name = ?", (key_name,)
            ).fetchone()
            limit = max(highest or FIRST, start) + RESERVED_AHEAD
            connection.execute(
                "INSERT INTO counters VALUES (?, ?, ?) "
                "ON CONFLICT DO UPDATE SET reserved = excluded.reserved",
                (meter, key_name, limit),
            )
            return limit

        return self._database.submit(job)


def skip_used(connection: sqlite3.Connection) -> None:
    """Skips what may have been used since the copy was made that this database is.

    Whoever holds counters draws them anew after the transaction.
    """
    connection.execute("UPDATE counters SET reserved = reserved + ?", (SKIPPED_AFTER_LOSS,))


def _no_alarm(meter: str, key_name: str, counter: int) -> None:
    """The log line is the alarm."""


class Counters:
    """All invocation counters of a gateway.

    Args:
        database: Where the reservations are kept.
        alarm: Told once when a counter passes `ALARM_FROM`.
    """

    def __init__(self, database: Database, alarm: Alarm = _no_alarm) -> None:
        self._database = database
        self._alarm = alarm
        self._counters: dict[tuple[str, str], Counter] = {}

    def reserve(self, meter: str, key_name: str) -> Counter:
        """Returns the one counter of this meter and key, shared by all who ask for it.

        The name must change when the key does: each key starts a counter of its own.
        """
        counter = self._counters.get((meter, key_name))
        if counter is None:
            counter = Counter(self._database, meter, key_name, self._alarm)
            self._counters[meter, key_name] = counter
        return counter

    def draw_anew(self) -> None:
        """Gives up what is held in memory, after what is reserved on disk was raised."""
        for counter in self._counters.values():
            counter.draw_anew()
