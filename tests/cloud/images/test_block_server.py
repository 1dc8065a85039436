"""Blocks go to the gateways that ask for them, over a real broker, not faster than is allowed."""

import asyncio
import logging
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiomqtt
import pytest
from hesper_cloud.images.handing import Handing
from hesper_cloud.images.pacing import Pacing
from hesper_cloud.images.serving import BlockServer, pacing
from hesper_cloud.settings import BrokerSettings, FirmwareSettings, Settings
from hesper_contracts import blocks
from hesper_contracts.blocks import BLOCK_OCTETS
from hesper_contracts.frame import Kind
from hesper_contracts.requests import BlocksRequest
from hesper_contracts.topics import Topics
from hesper_gateway.firmware import Downloads, ImageStore, Limits
from hesper_gateway.firmware.images import ImageUnusable, Wanted

FAST = Pacing(10**9, 10**9)


@asynccontextmanager
async def handing(release: Any, sent: list[Any], limits: Pacing = FAST) -> AsyncIterator[Handing]:
    """Hands out from a shelf that has the image; `sent` gets gateway and block."""

    def publish(gateway: str, payload: bytes) -> bool:
        sent.append((gateway, blocks.from_payload(payload)))
        return True

    made = Handing(release.kept(), limits, publish)
    running = asyncio.create_task(made.run())
    await asyncio.sleep(0)
    try:
        yield made
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def until(condition: Any) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - it has no event
            await asyncio.sleep(0.01)


async def test_a_run_is_answered_up_to_the_end_of_the_image(release: Any) -> None:
    sent: list[Any] = []
    async with handing(release, sent) as made:
        made.take(BlocksRequest("gw-1", release.image_hash, 5, 8))
        await until(lambda: len(sent) == 2)
    assert [(gateway, block.number) for gateway, block in sent] == [("gw-1", 5), ("gw-1", 6)]
    assert sent[1][1].octets == release.octets[6 * BLOCK_OCTETS :]


async def test_however_often_it_is_asked_nothing_piles_up(release: Any) -> None:
    sent: list[Any] = []
    async with handing(release, sent) as made:
        for _ in range(1000):
            made.take(BlocksRequest("gw-1", release.image_hash, 0, 7))
        await until(lambda: len(sent) == 7)
        made.take(BlocksRequest("gw-1", release.image_hash, 6, 1))
        await until(lambda: len(sent) == 8)
    assert [block.number for _, block in sent] == [*range(7), 6]


async def test_what_is_not_there_or_not_whole_any_more_is_not_handed_out(release: Any) -> None:
    sent: list[Any] = []
    async with handing(release, sent) as made:
        made.take(BlocksRequest("gw-2", "ab" * 32, 0, 1))
        with release.shelf().path_of(release.image_hash).open("r+b") as file:
            file.write(b"swapped")
        made.take(BlocksRequest("gw-1", release.image_hash, 0, 1))
        await until(lambda: not made._wanted)
    assert sent == []


async def test_asking_in_vain_is_no_faster_than_blocks_are(release: Any) -> None:
    """Neither disk nor log are a stolen gateway's to fill."""
    sent: list[Any] = []
    asked, others = 0, ("ab" * 32, release.image_hash)
    async with handing(release, sent, Pacing(BLOCK_OCTETS, BLOCK_OCTETS)) as made:
        ends_at = asyncio.get_running_loop().time() + 0.5
        while asyncio.get_running_loop().time() < ends_at:
            if not made._wanted:
                made.take(BlocksRequest("gw-1", others[asked % 2], 2**32 - 1, 64))
                asked += 1
            await asyncio.sleep(0.005)
    assert sent == []
    assert asked <= 2


def test_nonsense_without_end_does_not_fill_the_log(
    release: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    server = BlockServer(Settings(state=tmp_path), release.shelf())
    with caplog.at_level(logging.WARNING):
        for number in range(1000):
            message: Any = SimpleNamespace(
                topic=Topics().up("gw-1", Kind.REQUESTS), payload=b"nonsense %d" % number
            )
            server._on_message(server._client, None, message)
    assert 0 < len(caplog.records) < 100


def test_a_cell_shares_its_rate_and_others_have_their_own() -> None:
    cells = {"berlin-1": ("gw-1", "gw-2")}
    limits = pacing(
        FirmwareSettings(gateway_octets_per_s=1000, cell_octets_per_s=1000, cells=cells)
    )
    turns = [limits.take(gateway, 1000, 0.0) for gateway in ("gw-1", "gw-2", "gw-3", "gw-1")]
    assert turns == [0.0, 1.0, 0.0, 2.0]


async def test_a_gateway_fetches_an_image_over_the_broker(
    release: Any, broker: Any, tmp_path: Path
) -> None:
    release.octets = os.urandom(300_000)
    shelf = release.kept()
    settings = Settings(
        state=tmp_path,
        broker=BrokerSettings(host="127.0.0.1", port=broker.port),
        firmware=FirmwareSettings(
            release_keys=release.release_keys,
            gateway_octets_per_s=10**7,
            left_free_mb=0,
        ),
    )
    serving = BlockServer(settings, shelf)
    running = asyncio.create_task(serving.run())
    alarms: list[str] = []
    store = ImageStore(tmp_path / "gateway", 10**7, left_free_octets=0)
    downloads = Downloads(
        "gw-1", store, Limits(10**7, 4, (2.0,)), lambda code, _: alarms.append(code)
    )
    try:
        async with (
            asyncio.timeout(60),
            aiomqtt.Client("127.0.0.1", broker.port, protocol=aiomqtt.ProtocolVersion.V5) as client,
        ):
            await client.subscribe(Topics().down("gw-1", Kind.BLOCKS), qos=1)
            await serving.subscribed.wait()

            async def publish(kind: Kind, payload: bytes) -> bool:
                await client.publish(Topics().up("gw-1", kind), payload, qos=1)
                return True

            async def receive() -> None:
                async for message in client.messages:
                    downloads.receive(bytes(message.payload))

            receiving = asyncio.create_task(receive())
            downloads.publish = publish
            downloads.connected.set()
            wanted = Wanted(release.image_hash, len(release.octets))
            await downloads.fetch(wanted, lambda: None)
            assert store.is_whole(wanted)
            # The same image swapped on disk, so that the head end does not see it.
            (tmp_path / "gateway" / f"{release.image_hash}.image").unlink()
            path = shelf.path_of(release.image_hash)
            before = path.stat()
            with path.open("r+b") as file:
                file.write(b"swapped")
            os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
            with pytest.raises(ImageUnusable, match="is not the image"):
                await downloads.fetch(wanted, lambda: None)
            assert not store.is_whole(wanted)
            assert set(alarms) == {"gateway.image_altered"}
            receiving.cancel()
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
