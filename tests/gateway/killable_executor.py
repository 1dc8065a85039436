"""A command executor in a process of its own, with a relay that is a file; tests kill it.

Usage: killable_executor.py FOLDER before-move|after-move|resume|redeliver
"""

import asyncio
import os
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

from hesper_contracts import commands, requests
from hesper_contracts.commands import Command
from hesper_contracts.requests import TimeAnswer
from hesper_contracts.signing import Keyring, Signer
from hesper_gateway.commands import Executor, Mandate, Records
from hesper_gateway.config import CeilingsConfig
from hesper_gateway.database import Database
from hesper_gateway.execution import Patience
from hesper_gateway.outbox import Outbox
from hesper_gateway.sessions.relay import Permit, RelayAction, RelayMove, RelayState
from hesper_gateway.timeproof import TimeProof

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
COMMAND = Command(
    id="c-1",
    kind="relay.disconnect",
    gateway="gw-1",
    meter="M1",
    logical_device_name="HSP1",
    counter=1,
    issued_at=NOON,
    not_before=NOON,
    not_after=NOON + timedelta(minutes=5),
    requester="olga",
    approver="anna",
    reason="test",
)


class RelayFile:
    """One line per movement; no line means connected."""

    def __init__(self, path: Path, stop_at: str) -> None:
        self.path = path
        self.stop_at = stop_at

    def objection(self, command: Command) -> str | None:
        return None

    async def read(self, meter: str) -> RelayState:
        connected = not self.path.exists()
        return RelayState(connected, int(connected), NOON)

    async def move(
        self, meter: str, action: RelayAction, expected_ldn: str, permit: Permit
    ) -> RelayMove:
        permit()
        await self._stop("before-move")
        with self.path.open("a") as file:
            file.write(f"{meter} {action}\n")
            file.flush()
            os.fsync(file.fileno())
        await self._stop("after-move")
        raise AssertionError("the test stops it before")

    async def _stop(self, here: str) -> None:
        if self.stop_at == here:
            print(here, flush=True)
            await asyncio.Event().wait()


async def main(folder: Path, how: str) -> None:
    authority = Signer.load(folder / "authority.key")
    keys = Keyring.of(authority.public_key)
    database = Database(folder / "gateway.db")
    outbox = Outbox(database, Signer.load(folder / "gateway.key"))
    proof = TimeProof("gw-1", keys)
    nonce = requests.request_from_payload(proof.ask(), "gw-1").nonce
    answer = TimeAnswer(gateway="gw-1", nonce=nonce, time=NOON)
    proof.accept(requests.answer_to_payload(answer, authority))
    executor = Executor(
        Mandate(
            "gw-1", keys, CeilingsConfig(), {"M1": "HSP1"}, patience=Patience(moves_within_s=0)
        ),
        Records(database, outbox),
        proof,
        RelayFile(folder / "relay", how),
        lambda code, text: print(code, text, flush=True),
    )
    settled = asyncio.Event()
    if how in {"resume", "redeliver"}:
        outbox.appended = settled.set
    if how != "resume":
        executor.receive(commands.to_payload(COMMAND, authority))
    running = asyncio.create_task(executor.run())
    await asyncio.wait(
        [running, asyncio.create_task(settled.wait())], return_when="FIRST_COMPLETED"
    )
    print("settled", flush=True)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    database.close()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
