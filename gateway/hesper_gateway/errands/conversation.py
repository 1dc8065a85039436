"""A conversation that is recorded: what a visit says first, and the registers that are asked for.

It is the meter's answer to "what happens on this line?", so it is told whether it succeeds or not.
Reading association, credentials, counters and their lockout are those of every reading.
"""

import asyncio
from dataclasses import replace

from hesper_contracts.conversation import OCTETS_MAX, UTTERANCES_MAX, Conversation
from hesper_contracts.parameters import ReadConversation
from hesper_contracts.results import Findings
from msgspec import structs

from hesper_gateway.errands import reading
from hesper_gateway.errors import MeterFailed
from hesper_gateway.execution import Report
from hesper_gateway.lines.line import Priority
from hesper_gateway.lines.recording import Recorder
from hesper_gateway.sessions import MeterSession, Permit


async def conversation(session: MeterSession, wanted: ReadConversation, permit: Permit) -> Report:
    """Open the reading association, ask for clock, name and registers, and tell what was said.

    Raises:
        CommandExpired: by ``permit``; nothing was done.
    """
    recorder = Recorder(session.now, UTTERANCES_MAX, OCTETS_MAX)

    async def turn() -> Report:
        permit()
        async with session.line.recorded(recorder.before), session.reading() as opened:
            return await reading.numbers(opened, wanted.logical_names)

    try:
        report = await session.line.submit(turn, Priority.COMMAND)
        report = replace(report, done=True)
    except MeterFailed as error:
        recorder.note(f"stopped, {error.hop}: {error}")
        report = Report(done=False, detail=str(error))
    told = await asyncio.to_thread(_tell, recorder, session)
    found = structs.replace(report.findings or Findings(), conversation=told)
    return replace(report, findings=found)


def _tell(recorder: Recorder, session: MeterSession) -> Conversation:
    from hesper_gateway.errands.telling import tell  # rich is not loaded before it is needed

    return tell(recorder, session.insight())
