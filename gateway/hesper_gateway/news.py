"""What a meter's identity and clock give rise to: events, each told when it becomes true."""

import copy
from collections.abc import Callable

from hesper_contracts.events import Event
from hesper_dlms import obis

from hesper_gateway.errors import MeterRefused
from hesper_gateway.sessions import left_out
from hesper_gateway.sessions.clock import as_utc
from hesper_gateway.sessions.identity import Identity
from hesper_gateway.sessions.reading import Reading

STEADY_S = 5.0
"""A clock counts as right again when it is this much inside the limit."""
FIRST_POSSIBLE_S = 1_735_689_600
"""2025 began. A gateway without a battery clock starts long before and cannot judge a meter's."""
_USUAL = ("meter.identified", "clock.drift_normal", "meter.profile_given")


class News:
    """Remembers what was told of one meter.

    Args:
        meter: Its id.
        line: The name of its line.
        now: Epoch seconds, UTC.
    """

    def __init__(self, meter: str, line: str, now: Callable[[], float]) -> None:
        self._meter = meter
        self._line = line
        self._now = now
        self._told: tuple[Identity, int | None] | None = None
        self._drift_told = False
        self._left_out_told: set[bytes] = set()
        self._unasked_told = False
        self._refusing_told = ""

    @property
    def never_told(self) -> bool:
        """Whether nothing was told of this meter yet."""
        return self._told is None

    def copy(self) -> "News":
        """Return it as it is now, to go back to when what is told next cannot be stored."""
        return copy.copy(self)

    def of(
        self, reading: Reading, capture_period_s: int | None, refusal: MeterRefused | None = None
    ) -> list[Event]:
        """Return what is new; a capture period of None was not read this time.

        Args:
            reading: The visit's.
            capture_period_s: Of the load profile.
            refusal: With what the meter last refused its load profile, if it does.
        """
        return [
            *self._identified(reading, capture_period_s),
            *self._profile(reading, refusal),
            *self._clock(reading),
            *self._left_out(reading),
            *self._unasked(reading),
        ]

    def _identified(self, reading: Reading, period_s: int | None) -> list[Event]:
        identity = reading.identity
        if self._told is not None:
            known, known_period_s = self._told
            if known == identity and period_s in (None, known_period_s):
                return []
        self._told = (identity, period_s)
        profile = reading.template.objects.load_profile
        return [
            self._event(
                "meter.identified",
                f"{identity.logical_device_name} on line {self._line}",
                {
                    "logical_device_name": identity.logical_device_name,
                    "serial": identity.serial_number,
                    "firmware": identity.firmware,
                    "model": identity.model,
                    "template": reading.template.name,
                    "load_profile": None if profile is None else obis.text(profile),
                    "capture_period_s": period_s,
                    "line": self._line,
                },
            )
        ]

    def _profile(self, reading: Reading, refusal: MeterRefused | None) -> list[Event]:
        hop = "" if refusal is None else str(refusal.hop)
        where = reading.template.objects.load_profile
        if hop == self._refusing_told or where is None:
            return []
        self._refusing_told = hop
        if refusal is None:
            text = "the load profile can be read again"
            return [self._event("meter.profile_given", text, {"profile": obis.text(where)})]
        attributes: dict[str, str | int | None] = {"profile": obis.text(where), "hop": hop}
        return [self._event("meter.profile_refused", str(refusal), attributes)]

    def _clock(self, reading: Reading) -> list[Event]:
        if self._now() < FIRST_POSSIBLE_S or reading.clock.names_no_time:
            return []
        limit_s, drift_s = reading.policy.limit_s, reading.clock.drift_s
        allowed_s = limit_s - min(STEADY_S, limit_s / 2) if self._drift_told else limit_s
        too_far = abs(drift_s) > allowed_s
        if too_far == self._drift_told:
            return []
        self._drift_told = too_far
        code = "clock.drift_exceeded" if too_far else "clock.drift_normal"
        text = f"the meter's clock is {drift_s:+.0f} s off, {limit_s:g} s are allowed"
        numbers: dict[str, str | int | None] = {
            "drift_s": round(drift_s),
            "limit_s": round(limit_s),
        }
        return [self._event(code, text, numbers)]

    def _left_out(self, reading: Reading) -> list[Event]:
        fresh = reading.left_out.keys() - self._left_out_told
        self._left_out_told = self._left_out_told | fresh
        return [left_out.event(self._meter, fresh, self._now())] if fresh else []

    def _unasked(self, reading: Reading) -> list[Event]:
        count = reading.association.unasked_count()
        if not count or self._unasked_told:
            return []
        self._unasked_told = True
        text = f"{count} notifications came on a line that asks, and are not stored"
        return [self._event("meter.notifications_ignored", text, {"ignored_count": count})]

    def _event(self, code: str, text: str, attributes: dict[str, str | int | None]) -> Event:
        now = self._now()
        return Event(
            id=f"{self._meter}/{int(now * 1000)}/{code}",
            code=code,
            severity="info" if code in _USUAL else "warning",
            occurred_at=as_utc(now),
            meter=self._meter,
            text=text,
            attributes=dict(attributes),
        )
