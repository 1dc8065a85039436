"""Errands that only read: ping, registers as they stand, a range of a profile or of an event log.

A range says nothing of what lies before or behind it, so it never moves the mark of the scheduled
reading; rows that are stored already are told apart by the store.
"""

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass

from hesper_contracts.parameters import ReadEventLog, ReadProfile, ReadRegisters
from hesper_contracts.results import Findings
from hesper_dlms import obis

from hesper_gateway.errands.findings import Tally, clock_reading
from hesper_gateway.errands.gleaning import Gleaning
from hesper_gateway.errors import Hop, MeterFailed
from hesper_gateway.execution import Report
from hesper_gateway.gathering import Find, Gathering
from hesper_gateway.lines.line import Priority
from hesper_gateway.outbox import Outbox
from hesper_gateway.sessions import MeterSession, Permit
from hesper_gateway.sessions.quantities import DATA, DEMAND_REGISTER, EXTENDED_REGISTER, REGISTER
from hesper_gateway.sessions.reading import Chunk, EventChunk, Range, Reading

_NUMBERED = (REGISTER, EXTENDED_REGISTER, DEMAND_REGISTER, DATA)


@dataclass(frozen=True, slots=True)
class Stores:
    """Where what was read goes."""

    gathering: Gathering
    outbox: Outbox


async def ping(session: MeterSession, permit: Permit) -> Report:
    """Open the public association; ask for name and clock, which a meter may keep to itself."""

    async def turn() -> Report:
        permit()
        name, clock = await session.greet_publicly()
        return Report(
            done=True,
            detail="" if name else "reachable; it does not tell the public client its name",
            findings=Findings(
                logical_device_name=name, clock=None if clock is None else clock_reading(clock)
            ),
        )

    return await session.line.submit(turn, Priority.COMMAND)


async def registers(session: MeterSession, wanted: ReadRegisters, permit: Permit) -> Report:
    """Read registers of any class that holds a number, as they stand."""

    async def turn() -> Report:
        permit()
        async with session.reading() as reading:
            return await numbers(reading, wanted.logical_names)

    return await session.line.submit(turn, Priority.COMMAND)


async def numbers(reading: Reading, logical_names: Sequence[str]) -> Report:
    """Read what holds a number, whatever its class; done if anything does."""
    found: dict[str, tuple[int, int, int]] = {}
    for class_id in _NUMBERED:
        left = [name for name in logical_names if name not in found]
        if left:
            found |= (await reading.registers(list(map(obis.parse, left)), class_id)).by_name()
    missing = tuple(name for name in logical_names if name not in found)
    return Report(
        done=bool(found),
        detail=f"no number behind {', '.join(missing)}" if missing else "",
        registers=found,
        findings=Findings(clock=clock_reading(reading.clock), missing=missing),
    )


async def profile(
    session: MeterSession, wanted: ReadProfile, permit: Permit, stores: Stores
) -> Report:
    """Read a range of a profile again and store its rows as readings."""
    where, tally = obis.parse(wanted.profile), Tally()

    async def chunks(left: Range) -> AsyncGenerator[Chunk, None]:
        async with session.reading() as reading:
            shape = await reading.shape(where)
            async for chunk in reading.backfill(shape, left):
                yield chunk

    async def store(haul: list[Chunk]) -> None:
        await stores.gathering.append([Find.packed(chunk.section) for chunk in haul])

    gleaning = Gleaning(session, chunks, store, tally)
    stopped = await gleaning.run(Range.between(wanted.since, wanted.until), permit)
    return Report(not stopped, stopped, findings=tally.rows())


async def event_log(
    session: MeterSession, wanted: ReadEventLog, permit: Permit, stores: Stores
) -> Report:
    """Read a range of an event log again and tell its events, which keep their ids.

    Raises:
        MeterFailed: the template has no such log, or no longer since the command was accepted.
    """
    where, tally = session.template.objects.logs().get(wanted.log), Tally()
    if where is None:
        raise MeterFailed(f"{session.meter.id} has no {wanted.log} log", Hop.GATEWAY)

    async def chunks(left: Range) -> AsyncGenerator[EventChunk, None]:
        async with session.reading() as reading:
            shape = await reading.shape(where)
            async for chunk in reading.past_events(wanted.log, shape, left):
                yield chunk

    async def store(haul: list[EventChunk]) -> None:
        events = [event for chunk in haul for event in chunk.events]
        if events:
            await stores.outbox.append_events(events)

    gleaning = Gleaning(session, chunks, store, tally)
    stopped = await gleaning.run(Range.between(wanted.since, wanted.until), permit)
    return Report(not stopped, stopped, findings=tally.events())
