"""Errands that write what a meter bills or limits by; read back before it counts as done."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from hesper_contracts.calendars import WriteCalendar
from hesper_contracts.limits import WriteLimiter
from hesper_contracts.parameters import WriteSpecialDays

from hesper_gateway.errors import MeterFailed, WriteUncertain
from hesper_gateway.execution import Report
from hesper_gateway.lines.line import Priority
from hesper_gateway.sessions import MeterSession, Permit, limiter, settings_written, special_days
from hesper_gateway.sessions.activity_calendar import Calendar
from hesper_gateway.sessions.reading import Reading

Step = Callable[[Reading], Awaitable[str]]
"""Works in an association and returns what is wrong, or nothing."""


@dataclass(frozen=True, slots=True)
class Writing:
    """One thing to write to one meter.

    Attributes:
        what: What it is called in a text.
        write: Writes it and reads it back.
        look: Only reads it, and compares.
    """

    what: str
    write: Step
    look: Step

    async def run(self, session: MeterSession, expected_ldn: str | None, permit: Permit) -> Report:
        """Write it to the meter of that name and no other.

        Raises:
            CommandExpired: by ``permit``; nothing was written.
            WrongMeter: another meter answers, or no name is known; nothing was written.
            MeterFailed: nothing was written.
        """

        async def turn() -> Report:
            permit()
            async with session.writing(expected_ldn) as reading:
                permit()
                wrong = await self.write(reading)
                return Report(not wrong, wrong)

        try:
            return await session.line.submit(turn, Priority.COMMAND)
        except WriteUncertain as uncertain:
            return await self.check(session, str(uncertain))

    async def check(self, session: MeterSession, why: str) -> Report:
        """Read it, and write nothing, to learn how an earlier writing ended."""

        async def turn() -> Report:
            async with session.reading("management") as reading:
                names = await self.look(reading)
                other = f"; the meter holds other {names}" if names else ""
                return Report(not names, f"read back: {why}{other}")

        try:
            return await session.line.submit(turn, Priority.COMMAND)
        except MeterFailed as error:
            return Report(None, f"{why}; {self.what} cannot be read back: {error}")


def writing(session: MeterSession, wanted: object) -> Writing | None:
    """Return how parameters are written to a meter; None for those of other kinds."""
    match wanted:
        case WriteSpecialDays():
            return _special_days(session, wanted)
        case WriteCalendar():
            calendar = Calendar(wanted, session.template)
            return Writing("the calendar", calendar.write, calendar.is_there)
        case WriteLimiter():
            return _limiter(session, wanted)
    return None


def _special_days(session: MeterSession, wanted: WriteSpecialDays) -> Writing:
    table = special_days.table(session.template.objects.special_days, wanted.days)
    return Writing(
        "the table",
        lambda reading: settings_written.write(reading.association, [table]),
        lambda reading: settings_written.differing(reading.association, [table]),
    )


def _limiter(session: MeterSession, wanted: WriteLimiter) -> Writing:
    objects = session.template.objects

    async def write(reading: Reading) -> str:
        settings = await limiter.settings(reading.association, objects, wanted)
        return await settings_written.write(reading.association, settings)

    async def look(reading: Reading) -> str:
        settings = await limiter.settings(reading.association, objects, wanted)
        return await settings_written.differing(reading.association, settings)

    return Writing("the limiter", write, look)
