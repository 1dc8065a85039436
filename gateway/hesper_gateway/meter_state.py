"""Which meters answer, and when one that does not is tried again.

Theory of operation
-------------------
::

    REACHABLE --failure--> WAITING --time is over--> tried once --success--> REACHABLE
                              ▲                          │
                              └── pause doubled ─failure─┘

A failure opens the circuit: the meter is left alone for a pause that doubles with every further
failure up to a limit, with some randomness so that meters behind one dead router are not tried all
together. One visit is tried then; until it has ended there is no other. A meter that refuses us
(credentials, counters) starts at a longer pause, because some lock themselves after a few wrong
attempts (see `lockout`). Where a limit on calls or messages forbids to try at all, the meter has
not failed: it waits until there is room again. Commands may try at any time.

Pauses go by a clock that nobody sets, so that a wrong clock neither ends nor prolongs them.

One log line when a meter goes and one when it is back; what happens in between is counted.
"""

import logging
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from hesper_contracts.events import Event

from hesper_gateway.config import ScheduleConfig
from hesper_gateway.errors import CredentialsRefused, DialLimit, Hop, MeterFailed
from hesper_gateway.sessions.clock import as_utc

log = logging.getLogger(__name__)

REFUSED_FACTOR = 6
JITTER = 0.25


@dataclass(slots=True)
class MeterState:
    """What is known of one meter's reachability.

    ``now`` gives epoch seconds and may jump, ``steady`` seconds that nobody sets (without one,
    ``now`` is taken). ``reachable`` is None before the first attempt; ``failures`` counts by hop.
    """

    meter: str
    schedule: ScheduleConfig
    now: Callable[[], float]
    steady: Callable[[], float] | None = None
    failures: Counter[Hop] = field(default_factory=Counter)
    reachable: bool | None = None
    failure_count: int = 0
    last_contact_at: float | None = None
    """Epoch seconds."""
    hop: str = ""
    why: str = ""
    _failing_since: float | None = None
    _paused_until: float | None = None
    """By the steady clock, like the one above."""

    def ready_at(self) -> float:
        """Return when the pause will be over: epoch seconds by the present clock, else 0."""
        rest_s = 0.0 if self._paused_until is None else self._paused_until - self._steadily()
        return self.now() + rest_s if rest_s > 0 else 0.0

    def succeeded(self) -> Event | None:
        """Count a success; return the event to tell when the meter was gone before."""
        now = self.now()
        was_gone = self.reachable is False
        since, count = self._failing_since, self.failure_count
        self.reachable, self.last_contact_at, self._failing_since = True, now, None
        self.failure_count, self._paused_until, self.hop, self.why = 0, None, "", ""
        if not was_gone:
            return None
        log.info("meter %s: back after %d failed attempts", self.meter, count)
        gone_s = int(self._steadily() - since) if since is not None else 0
        return self._event("meter.reachable", now, f"answers again after {gone_s} s", {})

    def failed(self, error: MeterFailed) -> Event | None:
        """Count a failure; return the event to tell when the meter answered before."""
        steady = self._steadily()
        was_gone = self.reachable is False
        self.reachable, self.hop, self.why = False, str(error.hop), str(error)
        self.failures[error.hop] += 1
        if self._failing_since is None:
            self._failing_since = steady
        self.failure_count += 1
        self._paused_until = steady + self._pause_s(isinstance(error, CredentialsRefused))
        if was_gone:
            log.debug("meter %s: %s: %s", self.meter, self.hop, error)
            return None
        log.warning("meter %s: gone at %s: %s", self.meter, self.hop, error)
        return self._event("meter.unreachable", self.now(), self.why, {"hop": self.hop})

    def held_back(self, limit: DialLimit) -> None:
        """Wait until calls or messages are allowed again: the meter was not tried."""
        self.failures[limit.hop] += 1
        self._paused_until = self._steadily() + limit.wait_s
        log.info("meter %s: waits %.0f s: %s", self.meter, limit.wait_s, limit)

    def answered_call(self) -> None:
        """Forget the pause: the meter itself has just called."""
        self._paused_until = None

    @property
    def last_contact(self) -> datetime | None:
        """The last success as an aware UTC time."""
        return None if self.last_contact_at is None else as_utc(self.last_contact_at)

    def _steadily(self) -> float:
        return self.now() if self.steady is None else self.steady()

    def _pause_s(self, refused: bool) -> float:
        first_s = self.schedule.back_off_s * (REFUSED_FACTOR if refused else 1)
        doubled_s = first_s * float(2 ** min(self.failure_count - 1, 20))
        longest_s = max(self.schedule.back_off_max_s, first_s)
        return min(doubled_s, longest_s) * random.uniform(1, 1 + JITTER)  # noqa: S311 - spreads load

    def _event(self, code: str, now: float, text: str, attributes: dict[str, str]) -> Event:
        return Event(
            id=f"{self.meter}/{int(now * 1000)}/{code}",
            code=code,
            severity="warning" if code == "meter.unreachable" else "info",
            occurred_at=as_utc(now),
            meter=self.meter,
            text=text,
            attributes=dict(attributes),
        )
