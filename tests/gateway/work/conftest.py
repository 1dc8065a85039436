"""A simulated meter on a real socket, the gateway's session with it, and an executor."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import pytest
from hesper_contracts import blocks, columns, commands, events, requests, results
from hesper_contracts.batch import open_ as open_batch
from hesper_contracts.commands import Command
from hesper_contracts.events import Event
from hesper_contracts.frame import Kind
from hesper_contracts.requests import BlocksRequest, TimeAnswer
from hesper_contracts.results import CommandResult
from hesper_contracts.signing import Keyring, Signer
from hesper_dlms.errors import LinkError
from hesper_dlms.server import ServerConnection, WrapperServerLink
from hesper_gateway import templates
from hesper_gateway.commands import Executor, Mandate, Records
from hesper_gateway.config import CeilingsConfig, GatewayConfig, MeterConfig, TcpLine
from hesper_gateway.counters import Counters
from hesper_gateway.database import Database
from hesper_gateway.errands import ClockSetter, KeyChanger, MeterErrands, Stores
from hesper_gateway.firmware import (
    Downloads,
    Firmware,
    ImageStore,
    Limits,
    Means,
    TransferRecords,
)
from hesper_gateway.gathering import Gathering
from hesper_gateway.key_store import KeyStore
from hesper_gateway.lines.line import Line, Priority
from hesper_gateway.lines.tcp import TcpCarrier
from hesper_gateway.meter_keys import MeterKeys
from hesper_gateway.outbox import Outbox
from hesper_gateway.sessions import Common, MeterSession, client_system_title
from hesper_gateway.timeproof import TimeProof
from hesper_gateway.tunnel import TunnelErrand, TunnelRecords, Tunnels
from hesper_sim import secrets
from hesper_sim.district import District
from hesper_sim.faults import Fault
from hesper_sim.fleet import FleetSettings, plan
from hesper_sim.history import History
from hesper_sim.journal import Record
from hesper_sim.served import MeterServer

T = TypeVar("T")

GATEWAY = "gw-1"
START = 1_790_000_100
"""A quarter of an hour, in September 2026."""
FLEET = FleetSettings(tcp=1, shared=0, dial_in=0, rs485=0, push=False)


@dataclass
class Works:
    """One gateway with one simulated meter; tests turn the clock that both go by."""

    folder: Path
    time_s: float = START + 60
    authority: Signer = field(default_factory=Signer.generate)
    key: Signer = field(default_factory=Signer.generate)
    releases: tuple[Signer, Signer] = field(
        default_factory=lambda: (Signer.generate(), Signer.generate())
    )
    """Those who sign manifests of images."""
    alarms: list[str] = field(default_factory=list)
    silent: bool = False
    silent_after: int | None = None
    """How many messages the meter still answers."""
    clock: Callable[[], float] | None = None
    """Counts instead of ``time_s``."""
    tick_s: float = 0.0
    """How far ``time_s`` goes on with every message that the meter gets."""
    answers_after_s: float = 0.0
    received: int = 0
    settled: list[tuple[str, str, bool]] = field(default_factory=list)
    """Changes of keys of which it became known how they ended."""
    written: list[dict[str, Any]] = field(default_factory=list)
    """What the meter has written into its journal."""
    images: dict[str, bytes] = field(default_factory=dict)
    """Firmware images by SHA-256, for whoever asks for blocks."""
    asked_for: list[BlocksRequest] = field(default_factory=list)
    quota_octets: int = 1024 * 1024
    slice_s: float = 20.0
    ceilings: CeilingsConfig = field(default_factory=lambda: CeilingsConfig(seconds_between=0))
    in_reach: dict[str, int] = field(default_factory=dict)
    """How many supplies a tunnel to a meter reaches, where more than one."""
    port: int = 0
    START = START

    def __post_init__(self) -> None:
        self.tunnels = Tunnels()
        history = History(int(self.now()), 900, 2 * 86400)
        self.district = District(plan(FLEET), history, self, self.now)
        (self.meter,) = self.district.meters.values()
        self.plan = self.meter.plan
        self.simulated = MeterServer(self.district, self.meter)
        self.district.set_clock(self.meter, 0)
        self.database = Database(self.folder / "gateway.db", ballast_octets=4096)
        self.outbox = Outbox(self.database, self.key)
        self.gathering = Gathering(self.outbox, window_s=0.0)
        self._heard = asyncio.Event()

    async def heard(self) -> None:
        """Wait for the next message that the meter takes."""
        self._heard.clear()
        await self._heard.wait()

    def append(self, records: Iterable[Record]) -> None:
        self.written += records

    def close(self) -> None:
        """The meter's journal has no file."""

    def now(self) -> float:
        return self.time_s if self.clock is None else self.clock()

    @property
    def serial(self) -> str:
        return self.plan.serial

    def config(self, **changes: Any) -> MeterConfig:
        named = {
            "id": self.serial,
            "line": "test",
            "template": "hesper-sim",
            "logical_device_name": self.plan.logical_device_name,
            "server_address": self.plan.server_address,
        }
        return MeterConfig(**(named | changes))

    def whole(self, broker_port: int, ingest: Signer, **tables: Any) -> GatewayConfig:
        """The whole gateway as configured, with the meter on its line."""
        keys, signing = self.folder / "meter.json", self.folder / "gateway.key"
        if not signing.exists():
            self.key.save(signing)
            keys.touch(mode=0o600)
            names = ("encryption_key", "authentication_key", "master_key")
            keys.write_text(json.dumps({name: getattr(self.keys, name).hex() for name in names}))
        known = {each.key_id: each.public_key.hex() for each in (self.authority, ingest)}
        named = {
            "gateway": GATEWAY,
            "state": self.folder / "state",
            "broker": {"host": "127.0.0.1", "port": broker_port},
            "keys": {
                "signing": signing,
                "commands": known,
                "receipts": known,
                "releases": {each.key_id: each.public_key.hex() for each in self.releases},
            },
            "lines": [{"name": "test", "kind": "tcp", "host": "127.0.0.1", "port": self.port}],
            "meters": [self.config(keys_file=keys).model_dump(exclude_none=True)],
        }
        return GatewayConfig.model_validate(named | tables)

    def session(
        self,
        line: Line,
        limits: Mapping[str, Any] | None = None,
        objects: Mapping[str, Any] | None = None,
        times: Mapping[str, Any] | None = None,
        **changes: Any,
    ) -> MeterSession:
        """The session of the meter; ``limits``, ``objects``, ``times`` change its template."""
        config = self.config(**changes)
        template = templates.load(config.template)
        quick = {"answer_s": 0.5, "relay_s": 0.2} | dict(times or {})
        changed = {
            "times": template.times.model_copy(update=quick),
            "limits": template.limits.model_copy(update=dict(limits or {})),
            "objects": template.objects.model_copy(update=dict(objects or {})),
        }
        common = Common(
            Counters(self.database),
            client_system_title(GATEWAY),
            self.now,
            key_store=KeyStore(self.folder / "keys", lambda *told: self.settled.append(told)),
        )
        return MeterSession(config, template.model_copy(update=changed), self.keys, line, common)

    @property
    def keys(self) -> MeterKeys:
        """What the meter's keys file holds, whatever its keys are now."""
        master = secrets.symmetric(FLEET.seed, self.serial, "master key", self.plan.suite)
        plan = self.plan
        return MeterKeys(plan.encryption_key, plan.authentication_key, master_key=master)

    @asynccontextmanager
    async def line(self) -> AsyncIterator[Line]:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            connection = ServerConnection(
                self.simulated, WrapperServerLink(self.plan.server_address)
            )
            try:
                while octets := await reader.read(65536):
                    self.received += 1
                    self.time_s += self.tick_s
                    boots = self.meter.boots
                    if Fault.OUTAGE in self.meter.faults:
                        break
                    sent = connection.receive(octets)
                    self._heard.set()
                    if self.meter.boots != boots:
                        break
                    await asyncio.sleep(self.answers_after_s)
                    if not self.silent and self.received != self.silent_after:
                        writer.write(sent)
                        await writer.drain()
            except (LinkError, ConnectionError):
                pass
            finally:
                writer.close()

        listener = await asyncio.start_server(answer, "127.0.0.1", 0)
        self.port = listener.sockets[0].getsockname()[1]
        async with listener:
            config = TcpLine(name="test", kind="tcp", host="127.0.0.1", port=self.port)
            yield Line("test", TcpCarrier(config))

    @asynccontextmanager
    async def working(self, **changes: Any) -> AsyncIterator["Works"]:
        """Run an executor that has proven its time, with the meter on a line."""
        keys = Keyring.of(self.authority.public_key)
        proof = TimeProof(GATEWAY, keys, self.now, lambda: datetime.fromtimestamp(self.now(), UTC))
        nonce = requests.request_from_payload(proof.ask(), GATEWAY).nonce
        answer = TimeAnswer(GATEWAY, nonce, datetime.fromtimestamp(self.now(), UTC))
        assert proof.accept(requests.answer_to_payload(answer, self.authority))
        names = {self.serial: self.plan.logical_device_name}
        async with self.line() as line:
            executor = Executor(
                Mandate(GATEWAY, keys, self.ceilings, names, self.in_reach),
                Records(self.database, self.outbox),
                proof,
                self.meters(self.session(line, **changes), proof),
                lambda code, _: self.alarms.append(code),
            )
            self._executor = executor
            tasks = [asyncio.create_task(self.gathering.run()), asyncio.create_task(executor.run())]
            try:
                yield self
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)

    def meters(self, session: MeterSession, proof: TimeProof) -> MeterErrands:
        stores = Stores(self.gathering, self.outbox)
        clocks = ClockSetter(self.outbox, proof.offset_ms)
        self.sessions = {self.serial: session}
        records = TunnelRecords(self.database)
        tunnel = TunnelErrand(
            self.tunnels, records, lambda code, *_: self.alarms.append(code), (0.0,)
        )
        keys = KeyChanger(self.key.opener(), (0.0, 0.0))
        return MeterErrands(self.sessions, stores, clocks, self.firmware(proof), tunnel, keys)

    def firmware(self, proof: TimeProof) -> Firmware:
        """Carries out firmware commands; whoever asks for blocks of `images` gets them at once."""
        store = ImageStore(self.folder / "images", self.quota_octets, left_free_octets=0)
        downloads = Downloads(
            GATEWAY, store, Limits(10**9, 2, (0.05,)), lambda code, _: self.alarms.append(code)
        )

        async def answer(_: Kind, payload: bytes) -> bool:
            request = requests.request_from_payload(payload, GATEWAY)
            assert isinstance(request, BlocksRequest)
            self.asked_for.append(request)
            for block in blocks.answers(request, self.images.get(request.image_hash, b"")):
                downloads.receive(block)
            return True

        downloads.publish = answer
        downloads.connected.set()
        records = TransferRecords(self.database)
        means = Means(downloads, records, proof.now, self.slice_s, (0.01,), (0.01,))
        return Firmware(means, Keyring.of(*(each.public_key for each in self.releases)))

    def command(self, kind: str, counter: int = 1, **changes: Any) -> Command:
        now = datetime.fromtimestamp(self.now(), UTC)
        named = {
            "id": f"c-{counter}",
            "kind": kind,
            "gateway": GATEWAY,
            "meter": self.serial,
            "logical_device_name": self.plan.logical_device_name,
            "counter": counter,
            "issued_at": now,
            "not_before": now - timedelta(seconds=5),
            "not_after": now + timedelta(seconds=60),
            "requester": "ann",
            "approver": None,
            "reason": "test",
        }
        return Command(**(named | changes))

    async def result(self, kind: str, counter: int = 1, **changes: Any) -> CommandResult:
        """Give a command and return how it ended."""
        command = self.command(kind, counter, **changes)
        self.give(command)
        await self.until(lambda w: w.ended(command.id))
        ended = self.ended(command.id)
        assert ended is not None
        return ended

    def give(self, command: Command) -> None:
        self._executor.receive(commands.to_payload(command, self.authority))

    async def until(self, condition: Callable[["Works"], object]) -> None:
        """Wait until something holds of what the outbox has."""
        async with asyncio.timeout(60):
            while not condition(self):
                landed = asyncio.Event()
                self.outbox.appended = landed.set
                if not condition(self):
                    await landed.wait()

    async def around(self, line: Line, look: Callable[[], T]) -> tuple[T, T]:
        """Hold the line until other work waits for it, then a reading; look at both moments."""
        held, free = asyncio.Event(), asyncio.Event()

        async def hold() -> T:
            held.set()
            await free.wait()
            return look()

        async def read() -> T:
            return look()

        async def until_waiting(count: int) -> None:
            while len(line._waiting) < count:  # noqa: ASYNC110 - it has no event
                await asyncio.sleep(0.001)

        async with asyncio.timeout(60), asyncio.TaskGroup() as tasks:
            holding = tasks.create_task(line.submit(hold, Priority.COMMAND))
            await held.wait()
            await until_waiting(1)
            reading = tasks.create_task(line.submit(read))
            await until_waiting(2)
            free.set()
        return holding.result(), reading.result()

    def results(self, command_id: str) -> list[CommandResult]:
        """What was told of a command, in order."""
        keys = Keyring.of(self.key.public_key)
        told = [results.from_payload(each, keys, GATEWAY) for each in self.sent(Kind.RESULTS)]
        return [each for each in told if each.command_id == command_id]

    def ended(self, command_id: str) -> CommandResult | None:
        told = self.results(command_id)
        return next((each for each in told if each.state != "executing"), None)

    def sent(self, kind: Kind) -> list[bytes]:
        """What waits in the outbox for the cloud, in order."""
        waiting = [*self.outbox.urgent(), *self.outbox.readings_after(-1, 1000)]
        batches = [self.outbox.load(sequence) for sequence in sorted(waiting)]
        return [batch.payload for batch in batches if batch and batch.kind is kind]

    def events(self) -> list[Event]:
        payloads = self.sent(Kind.EVENTS)
        return [event for payload in payloads for event in events.from_payload(payload).events]

    def captured_at(self, profile: bytes) -> list[int]:
        """When the rows of a profile that are to be sent were captured."""
        found: list[int] = []
        for payload in self.sent(Kind.READINGS):
            opened = open_batch(payload)
            for section in columns.decode(opened.body, opened.header.encoding):
                if section.profile == profile:
                    found += map(int, section.captured_at)
        return found

    def mark(self, profile: bytes) -> int | None:
        return self.outbox.progress.last_capture(self.serial, profile)


@pytest.fixture
def works(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Works]:
    """Simulated time, or the machine's for tests marked ``integration``."""
    is_real = request.node.get_closest_marker("integration") is not None
    works = Works(tmp_path, clock=time.time if is_real else None)
    yield works
    works.database.close()
