"""What meters and their gateways said on the line, where somebody asked for it.

A conversation stays where it came: in the signed result that the authority has verified. Whoever
reads it sees a household's registers, so it is noted like every look at readings.
"""

import asyncio
from dataclasses import dataclass
from datetime import datetime

import msgspec
from hesper_contracts import results
from hesper_contracts.conversation import Conversation, Utterance
from sqlalchemy import select

from hesper_cloud.accounts.roles import Actor, Permission
from hesper_cloud.authority.kinds import READ_CONVERSATION
from hesper_cloud.db.authority import CommandRecord
from hesper_cloud.db.engines import reading
from hesper_cloud.db.registry import Result
from hesper_cloud.services import command_lists
from hesper_cloud.services.commands import Commands, command_row
from hesper_cloud.services.errors import NotFound
from hesper_cloud.services.looking import looked_at
from hesper_cloud.services.records import CommandRow
from hesper_cloud.services.scope import check_meter
from hesper_cloud.services.sources import Sources, require
from hesper_cloud.worded import worded

_MAX_ROWS = 100


@dataclass(frozen=True, slots=True)
class UtteranceRow:
    """What one side said, or a note about the line.

    ``what`` is ``sent``, ``received`` or ``note``. ``octets`` is hex with ``**`` for each octet
    that the gateway has left out; ``says`` is what they mean, two spaces deeper at each fork.
    """

    at: datetime
    what: str
    octets: str
    octet_count: int
    says: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ConversationRow:
    """A conversation as far as the gateway kept it; ``truncated`` where that is not all of it."""

    command: str
    meter: str
    gateway: str
    utterances: tuple[UtteranceRow, ...]
    utterance_count: int
    octets_sent: int
    octets_received: int
    truncated: bool


class Conversations:
    """Reads results; asking for one is a command like others (``read.conversation``)."""

    def __init__(self, sources: Sources, commands: Commands) -> None:
        self._sources = sources
        self._commands = commands

    async def asked_for(self, actor: Actor, meter: str, limit: int = 20) -> list[CommandRow]:
        """Returns the commands that asked for one at a meter, newest first.

        Raises:
            NotFound: the meter is not there, or not the actor's to see.
        """
        require(actor, Permission.READ)
        await check_meter(self._sources.registry, actor, meter)
        return await asyncio.to_thread(self._asked_for, meter, min(limit, _MAX_ROWS))

    async def get(self, actor: Actor, command_id: str) -> ConversationRow:
        """Returns what was said.

        Raises:
            NotFound: there is no such command, or no conversation has come of it.
        """
        command = await self._commands.get(actor, command_id)
        found = await asyncio.to_thread(self._found, command_id)
        if found is None:
            raise NotFound(
                worded("command {command} has brought no conversation", command=command_id)
            )
        looked_at(self._sources, actor, "conversation", command.meter)
        return _row(command, found)

    def _asked_for(self, meter: str, limit: int) -> list[CommandRow]:
        query = command_lists.matching(None, meter).where(CommandRecord.kind == READ_CONVERSATION)
        newest = query.order_by(CommandRecord.created_at.desc()).limit(limit)
        with reading(self._sources.authority) as session:
            return [command_row(record) for record in session.scalars(newest)]

    def _found(self, command_id: str) -> Conversation | None:
        query = select(Result.payload).where(
            Result.command_id == command_id, Result.verified.is_(True)
        )
        with reading(self._sources.registry) as session:
            payloads = session.scalars(query.order_by(Result.id.desc())).all()
        for payload in payloads:
            findings = results.opened(payload).findings
            if not isinstance(findings, msgspec.UnsetType) and findings.conversation is not None:
                return findings.conversation
        return None


def _row(command: CommandRow, found: Conversation) -> ConversationRow:
    return ConversationRow(
        command=command.id,
        meter=command.meter,
        gateway=command.gateway,
        utterances=tuple(map(_utterance, found.utterances)),
        utterance_count=found.utterance_count,
        octets_sent=found.octets_sent,
        octets_received=found.octets_received,
        truncated=found.truncated,
    )


def _utterance(said: Utterance) -> UtteranceRow:
    return UtteranceRow(said.at, said.what, said.octets, said.octet_count, said.says)
