"""What the gateway's tests share: a real database file, an outbox on it, readings to put in."""

import asyncio
import socket
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import aiomqtt
import pytest
from hesper_contracts import batch, blocks, receipts, requests, status
from hesper_contracts.frame import Kind
from hesper_contracts.readings import LOAD_PROFILE, MeterRows, Quantity, Section
from hesper_contracts.receipts import Receipt, ReceiptList
from hesper_contracts.requests import BlocksRequest, TimeAnswer, TimeRequest
from hesper_contracts.signing import Signer
from hesper_contracts.status import CloudStatus
from hesper_contracts.topics import Address, Topics
from hesper_gateway.database import Database
from hesper_gateway.outbox import Outbox

ENERGY = Quantity(bytes((1, 0, 1, 8, 0, 255)), 0, 30)


def section_of(meter: str, first: int, count: int = 6) -> Section:
    """Readings of one meter, one per 900 s."""
    times = [first + 900 * index for index in range(count)]
    values: list[int | None] = [1000 + 7 * index for index in range(count)]
    rows = MeterRows(meter, times, [0] * count, [0] * count, [values])
    return Section(LOAD_PROFILE, times[-1] + 1, (ENERGY,), [rows])


@pytest.fixture
def section() -> Callable[..., Section]:
    return section_of


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    database = Database(tmp_path / "gateway.db", ballast_octets=4096)
    yield database
    database.close()


@pytest.fixture(scope="session")
def gateway_key() -> Signer:
    return Signer.generate()


@pytest.fixture
def dying_card(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, read-only from ``mount -o remount,abort`` on, as after an error."""
    image, folder = tmp_path / "card.image", tmp_path / "state"
    folder.mkdir()
    with image.open("wb") as file:
        file.truncate(32 * 1024 * 1024)
    for command in (["mkfs.ext4", "-q", image], ["mount", "-o", "loop", image, folder]):
        if subprocess.run(command, check=False, capture_output=True).returncode != 0:
            pytest.skip("mounting a file system needs root")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


@pytest.fixture
def outbox(database: Database, gateway_key: Signer) -> Outbox:
    return Outbox(database, gateway_key)


@dataclass
class Cloud:
    """The far end of the uplink on a real broker: hears batches, gives receipts when told to."""

    client: aiomqtt.Client
    topics: Topics
    key: Signer = field(default_factory=Signer.generate)
    heard: list[tuple[Kind, bytes]] = field(default_factory=list)
    generous: bool = False
    """Gives a receipt for every batch at once."""
    authority: Signer | None = None
    """Answers requests for the time with this key."""
    images: dict[str, bytes] = field(default_factory=dict)
    """Answers requests for blocks of these, by SHA-256."""
    blocks_left: int = 10**6
    """How many blocks it still sends."""
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def of(self, kind: Kind) -> list[bytes]:
        return [payload for each, payload in self.heard if each is kind]

    async def until(self, condition: Callable[["Cloud"], object], within_s: float = 60) -> None:
        async with asyncio.timeout(within_s):
            while not condition(self):
                self.changed.clear()
                await self.changed.wait()

    async def listen(self) -> None:
        async for message in self.client.messages:
            address = self.topics.parse(str(message.topic))
            assert isinstance(address, Address)
            assert isinstance(message.payload, bytes)
            self.heard.append((address.kind, message.payload))
            self.changed.set()
            if self.generous and address.kind in {Kind.READINGS, Kind.EVENTS, Kind.RESULTS}:
                await self.give_receipt(address.gateway, message.payload)
            if address.kind is Kind.REQUESTS:
                await self.answer(address.gateway, message.payload)

    async def answer(self, gateway: str, payload: bytes) -> None:
        match requests.request_from_payload(payload, gateway):
            case TimeRequest(nonce=nonce) if self.authority is not None:
                told = TimeAnswer(gateway=gateway, nonce=nonce, time=datetime.now(UTC))
                signed = requests.answer_to_payload(told, self.authority)
                await self.send(gateway, Kind.ANSWERS, signed)
            case BlocksRequest() as asked if asked.image_hash in self.images:
                for block in blocks.answers(asked, self.images[asked.image_hash]):
                    if self.blocks_left:
                        self.blocks_left -= 1
                        await self.send(gateway, Kind.BLOCKS, block)

    async def give_receipt(self, gateway: str, *payloads: bytes, key: Signer | None = None) -> None:
        opened = [batch.open_(payload) for payload in payloads]
        told = ReceiptList(
            gateway,
            opened[0].epoch,
            tuple(
                Receipt(each.sequence, batch.digest(payload))
                for each, payload in zip(opened, payloads, strict=True)
            ),
        )
        await self.send(gateway, Kind.RECEIPTS, receipts.to_payload(told, key or self.key))

    async def send(self, gateway: str, kind: Kind, payload: bytes) -> None:
        await self.client.publish(self.topics.down(gateway, kind), payload, qos=1)

    async def announce(self, role: str = "ingest") -> None:
        said = CloudStatus(role=role, instance="1", state="online", started_at=datetime.now(UTC))
        await self.client.publish(
            self.topics.cloud_status(role, "1"), status.to_payload(said), qos=1, retain=True
        )


@pytest.fixture
def cloud_on() -> Callable[..., AbstractAsyncContextManager[Cloud]]:
    """Opens a `Cloud` on a broker: ``async with cloud_on(broker) as cloud``."""

    @asynccontextmanager
    async def opened(port: int, key: Signer | None = None) -> AsyncIterator[Cloud]:
        client = aiomqtt.Client(
            "127.0.0.1",
            port,
            protocol=aiomqtt.ProtocolVersion.V5,
            socket_options=[(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)],
        )
        async with client:
            cloud = Cloud(client, Topics(), key or Signer.generate())
            await client.subscribe(f"{cloud.topics.root}/+/up/#", qos=1)
            listening = asyncio.create_task(cloud.listen())
            try:
                yield cloud
            finally:
                listening.cancel()
                await asyncio.gather(listening, return_exceptions=True)

    return opened
