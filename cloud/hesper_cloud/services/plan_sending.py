"""Schedules on their way to gateways, as commands that a second person approves like any other."""

import asyncio
import hashlib
from dataclasses import dataclass
from itertools import islice

from sqlalchemy import select

from hesper_cloud.accounts.roles import Actor, Permission
from hesper_cloud.authority import life
from hesper_cloud.authority.kinds import AT_GATEWAY
from hesper_cloud.db.authority import CommandRecord
from hesper_cloud.db.engines import reading
from hesper_cloud.services.commands import Commands
from hesper_cloud.services.errors import Invalid, Refused
from hesper_cloud.services.known_files import known_files, with_table
from hesper_cloud.services.plan_states import PlanState
from hesper_cloud.services.plans import Plans
from hesper_cloud.services.records import CommandRow, CommandWish
from hesper_cloud.services.scope import require_everywhere
from hesper_cloud.services.sources import Sources, require
from hesper_cloud.worded import told_by

MOST_AT_ONCE = 50


@dataclass(frozen=True, slots=True)
class Sent:
    """What was asked for, and of which gateways nothing could be asked, with the reason.

    Each is no more than `MOST_AT_ONCE`; what was refused just now is named first.
    """

    commands: list[CommandRow]
    skipped: dict[str, str]


class PlanSending:
    """Asks for ``gateway.configure`` where a schedule is desired and not in force."""

    def __init__(self, sources: Sources, plans: Plans, commands: Commands) -> None:
        self._sources = sources
        self._plans = plans
        self._commands = commands

    async def send(self, actor: Actor, name: str, reason: str, key: str) -> Sent:
        """Asks at the first gateways that are due and can be; the same key asks each of them once.

        Raises:
            NotFound: there is no such schedule.
        """
        require(actor, Permission.REQUEST_COMMAND)
        require_everywhere(actor, "what gateways are told")
        versions = await self._plans.versions(actor, "schedule", name)
        documents = {row.version: row.document for row in versions}
        states = await self._plans.states(actor, "schedule")
        due = [each for each in states if each.desired_name == name and each.state != "as desired"]
        texts, unasked = await asyncio.to_thread(self._texts, due, documents)
        own = hashlib.sha256(key.encode()).hexdigest()  # as long as any key, with a gateway's name
        commands: list[CommandRow] = []
        refused: dict[str, str] = {}
        for gateway, text in texts.items():
            if MOST_AT_ONCE in (len(commands), len(refused)):
                break
            wish = CommandWish("gateway.configure", "", {"toml": text}, reason, gateway=gateway)
            try:
                command = await self._commands.request(actor, wish, f"{own}-{gateway}")
            except (Refused, Invalid) as refusal:
                refused[gateway] = told_by(refusal)
                continue
            commands.append(command)
        skipped = islice((refused | unasked).items(), MOST_AT_ONCE)
        return Sent(commands, dict(skipped))

    def _texts(
        self, due: list[PlanState], documents: dict[int, dict[str, int]]
    ) -> tuple[dict[str, str], dict[str, str]]:
        """Returns new files where the present one is known, and why there is none elsewhere.

        Gateways for which a command is open come last: they are refused, or asked already.
        """
        files = known_files(self._sources.authority, [each.gateway for each in due])
        texts: dict[str, str] = {}
        skipped: dict[str, str] = {}
        busy = self._busy()
        for each in sorted(due, key=lambda each: each.gateway in busy):
            file = files.get(each.gateway)
            if file is None or each.desired_version is None:
                skipped[each.gateway] = "its present file is not known here; send one as a whole"
                continue
            try:
                texts[each.gateway] = with_table(
                    file.text, "schedule", dict(documents[each.desired_version])
                )
            except ValueError as reason:
                skipped[each.gateway] = str(reason)
        return texts, skipped

    def _busy(self) -> set[str]:
        """Returns the gateways for which a command is open that excludes another file."""
        query = select(CommandRecord.gateway).where(
            CommandRecord.state.in_(life.PENDING), CommandRecord.kind.in_(AT_GATEWAY)
        )
        with reading(self._sources.authority) as session:
            return set(session.scalars(query))
