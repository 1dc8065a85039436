"""A command from the authority's broker to a meter and back, by the whole agent."""

import asyncio
import sqlite3
from collections.abc import Callable
from contextlib import closing
from typing import Any

import pytest
from hesper_contracts import commands, events, new_keys, results
from hesper_contracts.commands import Command
from hesper_contracts.frame import Kind
from hesper_contracts.new_keys import NewKeys, Recipient
from hesper_contracts.results import CommandResult
from hesper_contracts.signing import Keyring, Signer
from hesper_gateway import app
from hesper_sim import key_change

pytestmark = pytest.mark.integration


async def results_of(
    works: Any,
    broker: Any,
    cloud_on: Any,
    order: Callable[[], Command],
    also: Callable[[Any], object],
) -> list[CommandResult]:
    """Run the agent until a command has ended and something else holds of the cloud."""
    ingest = Signer.generate()
    async with works.line(), cloud_on(broker.port, ingest) as cloud:
        cloud.generous, cloud.authority = True, works.authority
        running = asyncio.create_task(app.run(works.whole(broker.port, ingest)))
        try:
            await cloud.until(lambda c: c.of(Kind.REQUESTS))
            envelope = commands.to_payload(order(), works.authority)
            await cloud.send("gw-1", Kind.COMMANDS, envelope)
            await cloud.until(lambda c: len(c.of(Kind.RESULTS)) == 2 and also(c))
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
    keys = Keyring.of(works.key.public_key)
    return [results.from_payload(each, keys, "gw-1") for each in cloud.of(Kind.RESULTS)]


async def test_a_ping_comes_back_signed(works: Any, broker: Any, cloud_on: Any) -> None:
    told = await results_of(works, broker, cloud_on, lambda: works.command("ping"), lambda _: True)
    assert [each.state for each in told] == ["executing", "confirmed"]
    assert told[1].findings.logical_device_name == works.plan.logical_device_name


async def test_a_conversation_comes_back_without_a_secret(
    works: Any, broker: Any, cloud_on: Any
) -> None:
    published: list[bytes] = []

    def order() -> Command:
        return works.command("read.conversation", parameters={"logical_names": ["1.0.1.8.0.255"]})

    def seen(cloud: Any) -> bool:
        published[:] = [payload for kind in Kind for payload in cloud.of(kind)]
        return True

    told = await results_of(works, broker, cloud_on, order, seen)
    assert [each.state for each in told] == ["executing", "confirmed"]
    found = told[1].findings.conversation
    says = "\n".join(line for each in found.utterances for line in each.says)
    assert "Aarq" in says
    assert works.plan.logical_device_name in says
    assert "tag verified" in says
    keys = works.keys
    for key in (keys.encryption_key, keys.authentication_key, keys.master_key):
        assert not any(key in each or key.hex().encode() in each.lower() for each in published)
    (database,) = (works.folder / "state").glob("*.db")
    with closing(sqlite3.connect(database)) as journal:
        (kept,) = journal.execute("SELECT result FROM commands").fetchone()
    assert b"confirmed" in kept
    assert b"conversation" not in kept


async def test_keys_are_changed_and_told(works: Any, broker: Any, cloud_on: Any) -> None:
    new = NewKeys(encryption_key=b"e" * 16, authentication_key=b"a" * 16)
    box = new_keys.seal(new, Recipient("gw-1", works.serial, "c-1"), works.key.public_key)

    def order() -> Command:
        return works.command("keys.change", parameters={"sealed": box})

    def is_told(cloud: Any) -> bool:
        payloads = cloud.of(Kind.EVENTS)
        codes = [event.code for each in payloads for event in events.from_payload(each).events]
        return "meter.keys_changed" in codes

    told = await results_of(works, broker, cloud_on, order, is_told)
    assert [each.state for each in told] == ["executing", "confirmed"]
    assert told[1].findings.keys == "new"
    assert key_change.keys_of(works.district, works.meter).encryption == new.encryption_key
    assert (works.folder / "state" / "keys" / f"{works.serial}.json").exists()
