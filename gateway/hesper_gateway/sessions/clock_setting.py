"""Setting a meter's clock (IEC 62056-6-2, class 8, attribute 2), within what harms no reading.

A clock that jumps over a capture boundary loses a capture or makes one twice, so it is set only
while old and new time lie in the same capture period, with a moment to spare on both sides. A
difference as long as the period can never be mended that way: that is for a person to decide.
"""

from dataclasses import dataclass

from hesper_dlms import axdr
from hesper_dlms.apdu import CosemAttribute
from hesper_dlms.cosem_time import DAYLIGHT_SAVING, STATUS_NOT_SPECIFIED, CosemDateTime
from hesper_dlms.errors import ServiceError

from hesper_gateway.errors import MeterFailed, WriteUncertain
from hesper_gateway.sessions.clock import CLOCK_CLASS, ClockPolicy, MeterTime, as_utc, time_told
from hesper_gateway.sessions.reading import Reading

SPARE_S = 5
TOLERANCE_S = 2.0
"""Clocks show whole seconds, and the way to the meter takes time."""


@dataclass(frozen=True, slots=True)
class ClockSet:
    """One attempt to set a clock; ``refusal`` says why it was not set, empty when it was."""

    before: MeterTime
    after: MeterTime
    refusal: str = ""

    @property
    def is_right(self) -> bool:
        """Whether the clock, as it was read last, agrees with the gateway's."""
        return agrees(self.after)


def agrees(clock: MeterTime) -> bool:
    """Return whether a clock is as right as it can be seen to be."""
    return not clock.quality and abs(clock.drift_s) <= TOLERANCE_S


def ahead_of_utc_s(clock: MeterTime, policy: ClockPolicy) -> int:
    """Return how far the meter's local time is ahead of UTC, by itself or else by its zone.

    Captures fall on whole periods of local time, which in half-hour zones are not those of UTC.
    """
    if clock.deviation_minutes is not None and not policy.wrong_sign:
        return -60 * clock.deviation_minutes
    ahead = as_utc(clock.captured_at).astimezone(policy.zone).utcoffset()
    return 0 if ahead is None else int(ahead.total_seconds())


def obstacle(
    clock: MeterTime, now_s: float, max_step_s: float, period_s: int, ahead_s: int = 0
) -> str:
    """Return why a clock may not be set now; empty when it may.

    Args:
        clock: As it was read a moment ago.
        now_s: The gateway's time, epoch s.
        max_step_s: The largest step allowed.
        period_s: Capture period of the load profile; 0 for none.
        ahead_s: How far the meter's local time, by which it captures, is ahead of UTC.
    """
    if clock.quality:
        return "the clock does not tell a time that can be compared"
    if abs(clock.drift_s) > max_step_s:
        return f"a step of {abs(clock.drift_s):.0f} s, at most {max_step_s:g} s are allowed"
    if not period_s:
        return ""
    first, last = sorted((now_s + ahead_s, now_s + ahead_s + clock.drift_s))
    if last - first + 2 * SPARE_S >= period_s:
        return f"a step of {abs(clock.drift_s):.0f} s over captures {period_s} s apart"
    if (first - SPARE_S) // period_s != (last + SPARE_S) // period_s:
        return "a capture is too near, the clock would jump over it"
    return ""


async def set_clock(reading: Reading) -> ClockSet:
    """Write the gateway's time and read the clock back; the name must have been compared.

    Raises:
        WriteUncertain: the meter fell silent; nobody knows what its clock shows.
    """
    where = CosemAttribute(CLOCK_CLASS, reading.template.objects.clock, 2)
    association = reading.association
    try:
        written = axdr.octet_string(_as_meter_writes(reading).to_octets())
        try:
            await association.set(where, written)
        except ServiceError as error:
            return ClockSet(reading.clock, reading.clock, str(error))
        asked_at = reading.now()
        (told,) = await association.get_each([where])
        after = time_told(told, reading.policy, asked_at, reading.now())
    except (MeterFailed, ServiceError) as error:
        raise WriteUncertain(f"the clock was written, then: {error}") from error
    return ClockSet(reading.clock, after)


def _as_meter_writes(reading: Reading) -> CosemDateTime:
    """Return now with the deviation and the daylight saving that the meter's own clock shows."""
    clock, policy, moment = reading.clock, reading.policy, as_utc(round(reading.now()))
    if clock.deviation_minutes is None or policy.wrong_sign:
        return CosemDateTime.from_datetime(moment.astimezone(policy.zone)).without_deviation()
    known = clock.clock_status != STATUS_NOT_SPECIFIED
    status = clock.clock_status & DAYLIGHT_SAVING if known else 0
    return CosemDateTime.from_datetime(moment, status, clock.deviation_minutes)
