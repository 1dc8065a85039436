"""A command that reads, from the authority's broker to a meter and back, by the whole agent."""

import asyncio
from typing import Any

import pytest
from hesper_contracts import commands, results
from hesper_contracts.frame import Kind
from hesper_contracts.signing import Keyring, Signer
from hesper_gateway import app

pytestmark = pytest.mark.integration


async def test_a_ping_comes_back_signed(works: Any, broker: Any, cloud_on: Any) -> None:
    ingest = Signer.generate()
    async with works.line(), cloud_on(broker.port, ingest) as cloud:
        cloud.generous, cloud.authority = True, works.authority
        config = works.whole(broker.port, ingest)
        running = asyncio.create_task(app.run(config))
        try:
            await cloud.until(lambda c: c.of(Kind.REQUESTS))
            envelope = commands.to_payload(works.command("ping"), works.authority)
            await cloud.send("gw-1", Kind.COMMANDS, envelope)
            await cloud.until(lambda c: len(c.of(Kind.RESULTS)) == 2)
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
    keys = Keyring.of(works.key.public_key)
    told = [results.from_payload(each, keys, "gw-1") for each in cloud.of(Kind.RESULTS)]
    assert [each.state for each in told] == ["executing", "confirmed"]
    assert told[1].findings.logical_device_name == works.plan.logical_device_name
