"""A gateway that is killed again and again brings an image all the same, over a real broker."""

import asyncio
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hesper_contracts import commands, requests, results
from hesper_contracts.frame import Kind
from hesper_contracts.requests import BlocksRequest
from hesper_contracts.results import CommandResult
from hesper_contracts.signing import Keyring, Signer

pytestmark = pytest.mark.integration

PROGRAM = """
import asyncio, sys
from pathlib import Path
from hesper_gateway import app
from hesper_gateway.config import GatewayConfig
asyncio.run(app.run(GatewayConfig.model_validate_json(Path(sys.argv[1]).read_bytes())))
"""


class Agent:
    """The whole gateway as a process, to be killed."""

    def __init__(self, config: Any, folder: Path) -> None:
        self._file = folder / "gateway.json"
        self._file.write_text(config.model_dump_json(exclude_none=True))

    async def start(self) -> None:
        words = (sys.executable, "-c", PROGRAM, self._file)
        self._process = await asyncio.create_subprocess_exec(*words)

    async def kill(self) -> None:
        self._process.kill()
        await self._process.wait()

    async def restart(self) -> None:
        await self.kill()
        await self.start()


def asked(cloud: Any) -> list[int]:
    """Which blocks the gateway has asked for, in order."""
    told = [requests.request_from_payload(each, "gw-1") for each in cloud.of(Kind.REQUESTS)]
    return [each.first for each in told if isinstance(each, BlocksRequest)]


def ended(works: Any, cloud: Any, command_id: str) -> CommandResult | None:
    keys = Keyring.of(works.key.public_key)
    told = [results.from_payload(each, keys, "gw-1") for each in cloud.of(Kind.RESULTS)]
    return next((e for e in told if e.command_id == command_id and e.state != "executing"), None)


async def until_heard(works: Any, condition: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not condition():
            await works.heard()


async def test_killed_at_every_stage_it_goes_on(
    works: Any, campaign: Any, broker: Any, cloud_on: Any
) -> None:
    campaign.octets = campaign.LARGE
    ingest = Signer.generate()
    async with works.line(), cloud_on(broker.port, ingest) as cloud:
        cloud.generous, cloud.authority = True, works.authority
        cloud.images, cloud.blocks_left = {campaign.image_hash: campaign.octets}, 2
        agent = Agent(
            works.whole(broker.port, ingest, firmware={"blocks_in_flight": 1}), works.folder
        )

        async def send(command: Any) -> None:
            envelope = commands.to_payload(command, works.authority)
            await cloud.send("gw-1", Kind.COMMANDS, envelope)

        await agent.start()
        try:
            await cloud.until(lambda c: c.of(Kind.REQUESTS))
            await send(campaign.transfer())
            await cloud.until(lambda c: asked(c) == [0, 1, 2])
            await agent.kill()
            cloud.blocks_left = 100
            await agent.start()
            await until_heard(works, lambda: len(campaign.blocks_kept()) > 50)
            await agent.restart()
            await until_heard(works, lambda: len(campaign.blocks_kept()) > 150)
            await agent.restart()
            await until_heard(works, lambda: campaign.steps("status"))
            await agent.restart()
            await cloud.until(lambda c: ended(works, c, "c-1"), within_s=20)
            campaign.slowly()
            await send(campaign.activation())
            await until_heard(works, lambda: campaign.status == 5)
            await agent.restart()
            await cloud.until(lambda c: ended(works, c, "c-2"), within_s=20)
        finally:
            await agent.kill()
        transfer, activation = (ended(works, cloud, each) for each in ("c-1", "c-2"))
    assert transfer is not None
    assert activation is not None
    assert (transfer.state, activation.state) == ("confirmed", "confirmed")
    assert activation.findings.firmware_after == campaign.version
    assert asked(cloud) == [0, 1, 2, 1, 2, 3]
    assert campaign.blocks_kept() == list(range(250))
    assert len(campaign.steps("initiate")) == 1
    assert [each["status"] for each in campaign.steps("status")] == [2, 3, 5, 6]
