"""Which meters answer, and when one that does not is tried again.

Theory of operation
-------------------
::

    REACHABLE --failure--> WAITING --time is over--> tried once --success--> REACHABLE
                              ▲                          │
                              └── pause doubled ─failure─┘

A failure opens the circuit: the meter is left alone for a pause that doubles with every further
failure up to a limit, with some randomness so that meters behind one dead router are not tried all
together. A meter that refuses us (credentials, counters) starts at a longer pause, because some
lock themselves after a few wrong attempts. Commands may try at any time; whatever they find counts.

One log line when a meter goes and one when it is back; what happens in between is counted.
"""

import logging
import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from hesper_contracts.events import Event

from hesper_gateway.config import ScheduleConfig
from hesper_gateway.errors import CredentialsRefused, MeterFailed
from hesper_gateway.sessions.clock import as_utc

log = logging.getLogger(__name__)

REFUSED_FACTOR = 6
JITTER = 0.25


@dataclass(slots=True)
class MeterState:
    """What is known of one meter's reachability; times are epoch seconds.

    ``reachable`` is None before the first attempt.
    """

    meter: str
    schedule: ScheduleConfig
    now: Callable[[], float]
    reachable: bool | None = None
    failure_count: int = 0
    last_contact_at: float | None = None
    failing_since: float | None = None
    hop: str = ""
    why: str = ""
    not_before: float = 0.0

    def ready_at(self) -> float:
        """Return when the pause is over; at once where a clock that was set back prolonged it."""
        schedule = self.schedule
        longest_s = max(schedule.back_off_max_s, schedule.back_off_s * REFUSED_FACTOR)
        if self.not_before > self.now() + longest_s * (1 + JITTER):
            self.not_before = 0.0
        return self.not_before

    def succeeded(self) -> Event | None:
        """Count a success; return the event to tell when the meter was gone before."""
        now = self.now()
        was_gone = self.reachable is False
        since, count = self.failing_since, self.failure_count
        self.reachable, self.last_contact_at, self.failing_since = True, now, None
        self.failure_count, self.not_before, self.hop, self.why = 0, 0.0, "", ""
        if not was_gone:
            return None
        log.info("meter %s: back after %d failed attempts", self.meter, count)
        gone_s = int(now - since) if since else 0
        return self._event("meter.reachable", now, f"answers again after {gone_s} s", {})

    def failed(self, error: MeterFailed) -> Event | None:
        """Count a failure; return the event to tell when the meter answered before."""
        now = self.now()
        was_gone = self.reachable is False
        self.reachable, self.hop, self.why = False, str(error.hop), str(error)
        self.failing_since = self.failing_since or now
        self.failure_count += 1
        self.not_before = now + self._pause_s(isinstance(error, CredentialsRefused))
        if was_gone:
            log.debug("meter %s: %s: %s", self.meter, self.hop, error)
            return None
        log.warning("meter %s: gone at %s: %s", self.meter, self.hop, error)
        return self._event("meter.unreachable", now, self.why, {"hop": self.hop})

    def answered_call(self) -> None:
        """Forget the pause: the meter itself has just called."""
        self.not_before = 0.0

    @property
    def last_contact(self) -> datetime | None:
        """The last success as an aware UTC time."""
        return None if self.last_contact_at is None else as_utc(self.last_contact_at)

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
