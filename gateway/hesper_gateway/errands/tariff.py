"""Errands that write what a meter bills by; each is read back before it counts as done."""

from hesper_contracts.parameters import WriteSpecialDays

from hesper_gateway.errors import MeterFailed, WriteUncertain
from hesper_gateway.execution import Report
from hesper_gateway.lines.line import Priority
from hesper_gateway.sessions import MeterSession, Permit, special_days


async def write_special_days(
    session: MeterSession, expected_ldn: str | None, wanted: WriteSpecialDays, permit: Permit
) -> Report:
    """Replace the table of special days.

    Raises:
        CommandExpired: by ``permit``; nothing was written.
        WrongMeter: another meter answers, or no name is known; nothing was written.
        MeterFailed: nothing was written.
    """
    where = session.template.objects.special_days

    async def turn() -> Report:
        permit()
        async with session.writing(expected_ldn) as reading:
            permit()
            wrong = await special_days.write(reading.association, where, wanted.days)
            return Report(not wrong, wrong)

    try:
        return await session.line.submit(turn, Priority.COMMAND)
    except WriteUncertain as uncertain:
        return await look_at_special_days(session, wanted, str(uncertain))


async def look_at_special_days(session: MeterSession, wanted: WriteSpecialDays, why: str) -> Report:
    """Read the table, and nothing else, to learn how an earlier writing ended."""
    where = session.template.objects.special_days

    async def turn() -> Report:
        async with session.reading("management") as reading:
            is_written = await special_days.holds(reading.association, where, wanted.days)
            return Report(is_written, f"read back: {why}")

    try:
        return await session.line.submit(turn, Priority.COMMAND)
    except MeterFailed as error:
        return Report(None, f"{why}; the table cannot be read back: {error}")
