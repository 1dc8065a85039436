"""The gateway's durable parts around one folder, with a relay that only counts its movements."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import cast

from hesper_contracts import commands, requests
from hesper_contracts.commands import Command
from hesper_contracts.requests import TimeAnswer, TimeRequest
from hesper_contracts.signing import Keyring, Signer
from hesper_gateway import journal
from hesper_gateway.commands import Executor, Mandate, Records
from hesper_gateway.config import CeilingsConfig
from hesper_gateway.counters import Counters
from hesper_gateway.database import DATABASE_NAME
from hesper_gateway.errors import MeterFailed
from hesper_gateway.execution import Patience, Report
from hesper_gateway.outbox import Outbox
from hesper_gateway.replacement import open_database
from hesper_gateway.sessions.relay import Permit, RelayAction, RelayMove, RelayState
from hesper_gateway.timeproof import TimeProof

GATEWAY, METER, DEVICE_NAME, KEY_NAME = "gw-1", "M1", "HSP1", "global-unicast-1"
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
COMMAND_COUNT = 3
WITHIN_S = 30.0


def command(number: int) -> Command:
    """Returns the n-th command: disconnect and reconnect by turns."""
    return Command(
        id=f"c-{number}",
        kind="relay.disconnect" if number % 2 else "relay.reconnect",
        gateway=GATEWAY,
        meter=METER,
        logical_device_name=DEVICE_NAME,
        counter=number,
        issued_at=NOON,
        not_before=NOON,
        not_after=NOON + timedelta(minutes=5),
        requester="olga",
        approver="anna",
        reason="power cut",
    )


@dataclass(slots=True)
class Relay:
    """Implements `execution.Meters`; tells of each movement before anyone can know of it."""

    moved: Callable[[str], None]
    output: bool = True

    def objection(self, _: Command) -> str | None:
        """Returns nothing: there is a relay."""
        return None

    async def run(self, command: Command, _: Permit) -> Report:
        """Refuses: a relay is all there is."""
        return await self.check(command)

    async def check(self, command: Command) -> Report:
        """Refuses likewise."""
        raise MeterFailed(f"no {command.kind} here")

    async def read(self, _: str) -> RelayState:
        """Returns where it stands."""
        return RelayState(self.output, int(self.output), NOON)

    async def move(self, meter: str, action: RelayAction, _: str, permit: Permit) -> RelayMove:
        """Moves at once and confirms."""
        permit()
        before = await self.read(meter)
        self.moved(action)
        self.output = action is RelayAction.RECONNECT
        return RelayMove(action, before, await self.read(meter), {})


class Agent:
    """Database, outbox, counters and command executor, as the gateway itself builds them."""

    def __init__(self, folder: Path, keys: Path, moved: Callable[[str], None]) -> None:
        self._authority = Signer.load(keys / "authority.key")
        self.database = open_database(folder / DATABASE_NAME, ballast_octets=0).database
        self.outbox = Outbox(self.database, Signer.load(keys / "gateway.key"))
        self.counters = Counters(self.database)
        authority = Keyring.of(self._authority.public_key)
        proof = TimeProof(GATEWAY, authority, monotonic=lambda: 0.0, system=lambda: NOON)
        asked = cast("TimeRequest", requests.request_from_payload(proof.ask(), GATEWAY))
        answer = TimeAnswer(gateway=GATEWAY, nonce=asked.nonce, time=NOON)
        proof.accept(requests.answer_to_payload(answer, self._authority))
        ceilings = CeilingsConfig(seconds_between=0)
        patience = Patience(read_back_s=0, moves_within_s=0)
        self.executor = Executor(
            Mandate(GATEWAY, authority, ceilings, {METER: DEVICE_NAME}, patience=patience),
            Records(self.database, self.outbox),
            proof,
            Relay(moved),
            lambda *_: None,
        )

    def receive(self, number: int) -> None:
        """Delivers the n-th command."""
        self.executor.receive(commands.to_payload(command(number), self._authority))

    async def settled(self, numbers: range) -> None:
        """Runs the executor until these commands have ended."""
        changed = asyncio.Event()
        self.outbox.appended = changed.set
        running = asyncio.create_task(self.executor.run())
        try:
            async with asyncio.timeout(WITHIN_S):
                while not all(self._ended(number) for number in numbers):
                    changed.clear()
                    await changed.wait()
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)

    def _ended(self, number: int) -> bool:
        entry = journal.find(self.database, command(number).id)
        return entry is not None and entry.state != "executing"
