"""Setting a meter's clock, by command or by policy: never by a gateway that is wrong itself."""

import logging
from collections.abc import Callable
from dataclasses import dataclass

from hesper_contracts.events import Event
from hesper_contracts.results import Findings

from hesper_gateway.database import StorageFull
from hesper_gateway.errands.findings import clock_reading
from hesper_gateway.errors import MeterFailed, WriteUncertain
from hesper_gateway.execution import Report
from hesper_gateway.lines.line import Priority
from hesper_gateway.outbox import Outbox
from hesper_gateway.sessions import MeterSession, Permit
from hesper_gateway.sessions.clock import as_utc
from hesper_gateway.sessions.clock_setting import (
    ClockSet,
    agrees,
    ahead_of_utc_s,
    obstacle,
    set_clock,
)
from hesper_gateway.sessions.reading import Reading

log = logging.getLogger(__name__)

OWN_LIMIT_MS = 1000
OWN_WRONG = "the gateway's own clock is not right"


@dataclass(frozen=True, slots=True)
class ClockSetter:
    """Sets clocks and tells of it.

    Attributes:
        outbox: Takes the events.
        offset_ms: How far the gateway's clock is ahead of the proven time; None before a proof.
    """

    outbox: Outbox
    offset_ms: Callable[[], int | None]

    async def set(
        self, session: MeterSession, expected_ldn: str | None, max_step_s: float, permit: Permit
    ) -> Report:
        """Set one clock, if nothing speaks against it, and read it back.

        Raises:
            CommandExpired: by ``permit``; nothing was written.
            WrongMeter: another meter answers, or no name is known; nothing was written.
            MeterFailed: nothing was written.
        """
        if not self._is_right_itself():
            return Report(done=False, detail=OWN_WRONG)

        async def turn() -> ClockSet:
            permit()
            async with session.writing(expected_ldn) as reading:
                refusal = await _refusal(session, reading, max_step_s)
                if not self._is_right_itself():  # it may have been set while the line was busy
                    refusal = OWN_WRONG
                if refusal or agrees(reading.clock):
                    return ClockSet(reading.clock, reading.clock, refusal)
                permit()
                return await set_clock(reading)

        try:
            found = await session.line.submit(turn, Priority.COMMAND)
        except WriteUncertain as uncertain:
            return await self.look(session, str(uncertain))
        if found.after is not found.before:
            await self._tell(session.meter.id, found)
        findings = Findings(
            clock=clock_reading(found.before), clock_after=clock_reading(found.after)
        )
        return Report(found.is_right, found.refusal, findings=findings)

    async def look(self, session: MeterSession, why: str) -> Report:
        """Read the clock, and nothing else, to learn how an earlier setting ended."""

        async def turn() -> Report:
            async with session.reading() as reading:
                findings = Findings(clock_after=clock_reading(reading.clock))
                if not self._is_right_itself():
                    return Report(None, f"{why}; {OWN_WRONG}", findings=findings)
                return Report(agrees(reading.clock), f"read back: {why}", findings=findings)

        try:
            return await session.line.submit(turn, Priority.COMMAND)
        except MeterFailed as error:
            return Report(None, f"{why}; the clock cannot be read back: {error}")

    def _is_right_itself(self) -> bool:
        offset_ms = self.offset_ms()
        return offset_ms is not None and abs(offset_ms) <= OWN_LIMIT_MS

    async def _tell(self, meter: str, found: ClockSet) -> None:
        before_s, after_s = found.before.drift_s, found.after.drift_s
        event = Event(
            id=f"{meter}/{found.after.captured_at}/clock.set",
            code="clock.set",
            occurred_at=as_utc(found.after.captured_at - after_s),
            meter=meter,
            text=f"the meter's clock was {before_s:+.0f} s off and was set; now {after_s:+.0f} s",
            attributes={"drift_before_s": round(before_s), "drift_after_s": round(after_s)},
        )
        try:
            await self.outbox.append_events([event])
        except StorageFull as full:  # what was done to the meter is told by the result, too
            log.warning("meter %s: %s; not told: %s", meter, event.text, full)


async def _refusal(session: MeterSession, reading: Reading, max_step_s: float) -> str:
    profile = session.template.objects.load_profile
    period_s = 0 if profile is None else (await reading.shape(profile)).capture_period_s
    ahead_s = ahead_of_utc_s(reading.clock, reading.policy)
    return obstacle(reading.clock, reading.now(), max_step_s, period_s, ahead_s)
