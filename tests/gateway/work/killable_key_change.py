"""A gateway that changes a meter's keys, in a process of its own; tests kill it at a step.

Usage: killable_key_change.py FOLDER STEP, where STEP is where it says its name and waits for its
end, or `none`. FOLDER holds `order.json`, see `Order`, and the gateway's state. Every invocation
counter that it uses is a line of `counters`.
"""

import asyncio
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hesper_contracts import commands, requests
from hesper_contracts.commands import Command
from hesper_contracts.requests import TimeAnswer
from hesper_contracts.signing import Keyring, Signer
from hesper_gateway import journal, meter_keys, templates
from hesper_gateway.commands import Executor, Mandate, Records
from hesper_gateway.config import CeilingsConfig, MeterConfig, TcpLine
from hesper_gateway.counters import Counter, Counters
from hesper_gateway.database import Database
from hesper_gateway.errands import ClockSetter, KeyChanger, MeterErrands, Stores
from hesper_gateway.gathering import Gathering
from hesper_gateway.key_store import HeldKeys, KeyStore
from hesper_gateway.lines.line import Line
from hesper_gateway.lines.tcp import TcpCarrier
from hesper_gateway.outbox import Outbox
from hesper_gateway.sessions import Common, MeterSession, client_system_title, key_change
from hesper_gateway.timeproof import TimeProof


@dataclass(frozen=True)
class Order:
    """What is to be done."""

    port: int
    meter: dict[str, Any]


def wait_for_the_end(step: str) -> None:
    print(step, flush=True)
    time.sleep(60)


def stopping_at(stop: str) -> None:
    """Let the steps of a change wait where they are told to."""

    def around(name: str, done: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        async def step(*given: Any) -> Any:
            current[0] = name
            if stop == f"before-{name}":
                wait_for_the_end(stop)
            outcome = await done(*given)
            if stop == f"after-{name}":
                wait_for_the_end(stop)
            return outcome

        return step

    current = [""]
    sync = os.fsync

    def torn(descriptor: int) -> None:
        """Written and not yet in the other's place."""
        sync(descriptor)
        if stop == f"torn-{current[0]}":
            wait_for_the_end(stop)

    for name in ("begin", "take", "drop"):
        setattr(HeldKeys, name, around(name, getattr(HeldKeys, name)))
    key_change.transfer = around("transfer", key_change.transfer)  # type: ignore[assignment]
    os.fsync = torn  # type: ignore[assignment]


class Witnessed(Counters):
    """Writes every counter down before it is used."""

    def __init__(self, database: Database, path: Path) -> None:
        super().__init__(database)
        self._path = path

    def reserve(self, meter: str, key_name: str) -> Counter:
        counter = super().reserve(meter, key_name)

        class Each:
            advance = staticmethod(counter.advance)

            def __call__(_) -> int:  # noqa: N805 - the counters are ours
                number = counter()
                with self._path.open("a") as file:
                    file.write(f"{key_name} {number}\n")
                return number

        return Each()  # type: ignore[return-value]


def build(folder: Path, order: Order, database: Database) -> tuple[Executor, Outbox, Command]:
    authority = Signer.load(folder / "authority.key")
    signer = Signer.load(folder / "gateway.key")
    command = commands.from_payload(
        (folder / "command").read_bytes(), Keyring.of(authority.public_key), "gw-1"
    )
    keys, outbox = Keyring.of(authority.public_key), Outbox(database, signer)
    proof = TimeProof("gw-1", keys)
    nonce = requests.request_from_payload(proof.ask(), "gw-1").nonce
    answer = TimeAnswer(gateway="gw-1", nonce=nonce, time=command.issued_at)
    proof.accept(requests.answer_to_payload(answer, authority))
    line = Line("l", TcpCarrier(TcpLine(name="l", kind="tcp", host="127.0.0.1", port=order.port)))
    common = Common(
        Witnessed(database, folder / "counters"),
        client_system_title("gw-1"),
        time.time,
        key_store=KeyStore(folder / "keys"),
    )
    meter = MeterConfig(**order.meter)
    given = meter_keys.load(folder / "meter.json")
    session = MeterSession(meter, templates.load(meter.template), given, line, common)
    errands = MeterErrands(
        {meter.id: session},
        Stores(Gathering(outbox), outbox),
        ClockSetter(outbox, proof.offset_ms),
        None,  # type: ignore[arg-type] # no firmware comes here
        None,  # type: ignore[arg-type] # nor a tunnel
        KeyChanger(signer.opener(), (0.0, 0.0)),
    )
    names = {meter.id: command.logical_device_name or ""}
    mandate = Mandate("gw-1", keys, CeilingsConfig(), names)
    executor = Executor(mandate, Records(database, outbox), proof, errands, lambda *_: None)
    return executor, outbox, command


async def main(folder: Path, stop: str) -> None:
    stopping_at(stop)
    database = Database(folder / "gateway.db")
    order = Order(**json.loads((folder / "order.json").read_text()))
    executor, outbox, command = build(folder, order, database)
    executor.receive((folder / "command").read_bytes())
    running = asyncio.create_task(executor.run())
    while True:
        changed = asyncio.Event()
        outbox.appended = changed.set
        entry = journal.find(database, command.id)
        if entry is not None and entry.state != "executing":
            break
        await changed.wait()
    print(entry.state, flush=True)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    database.close()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2]))
