"""A gateway whose card was restored from an older image, against real ingest and a real broker."""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hesper_cloud.db import registry
from hesper_contracts import results
from hesper_contracts.events import Event
from hesper_contracts.readings import LOAD_PROFILE, MeterRows, Section
from hesper_contracts.results import CommandResult
from hesper_contracts.signing import Keyring
from hesper_contracts.status import GatewayStatus, Presence
from hesper_gateway.broker_link import Account
from hesper_gateway.database import Database
from hesper_gateway.outbox import Outbox
from hesper_gateway.uplink import Ears, Identity, Uplink
from ingest_ends import ENERGY, GATEWAY_KEY, SIGNER, TOPICS, GatewayEnd, Head, now

pytestmark = pytest.mark.integration
STARTED = datetime.now(UTC)


def status_of(state: Presence) -> GatewayStatus:
    return GatewayStatus(
        gateway="gw-1", boot_id="b", state=state, sent_at=STARTED, started_at=STARTED
    )


def readings_at(time: int) -> list[Section]:
    return [Section(LOAD_PROFILE, now(), (ENERGY,), [MeterRows("M1", [time], [0], [0], [[time]])])]


@asynccontextmanager
async def agent(folder: Path, head: Head) -> AsyncIterator[Outbox]:
    """A run of the agent's outbox and uplink, which ends when all has its receipt."""
    database = Database(folder / "gateway.db", ballast_octets=0)
    outbox = Outbox(database, GATEWAY_KEY)
    identity = Identity("gw-1", TOPICS, Keyring.of(SIGNER.public_key))
    uplink = Uplink(
        Account("127.0.0.1", head.settings.broker.port, "gw-1"),
        identity,
        outbox,
        Ears(status_of, lambda *_: None),
    )
    running = asyncio.create_task(uplink.run())
    try:
        yield outbox
        await head.until(lambda: not outbox.backlog_batches)
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
        database.close()


async def test_it_begins_a_new_epoch_and_loses_and_doubles_nothing(
    head: Head, gateway: GatewayEnd, tmp_path: Path
) -> None:
    gateway.close()
    begun = now() - 7200
    card, image = tmp_path / "card", tmp_path / "image"
    async with head.running():
        async with agent(card, head) as outbox:
            before = outbox.epoch
            await outbox.append_readings(readings_at(begun))
        shutil.copytree(card, image)
        async with agent(card, head) as outbox:
            for number in range(1, 4):
                await outbox.append_readings(readings_at(begun + number))
        shutil.rmtree(card)
        shutil.copytree(image, card)
        async with agent(card, head) as outbox:
            for number in range(2, 6):  # two of them were read again
                await outbox.append_readings(readings_at(begun + number))
            event = Event(id="gw-1/e", code="gateway.started", occurred_at=STARTED)
            await outbox.append_events([event])
            await outbox.append_result(
                CommandResult(
                    command_id="c-1", gateway="gw-1", meter="M1", state="failed", at=STARTED
                )
            )
        assert outbox.epoch != before
        assert outbox.rejected_batches == 0
        captured = [begun + number for number in range(6)]
        assert head.stored() == [("M1", time, time) for time in captured]
        told = sorted(each.code for each in head.rows(registry.Event))
        assert told == ["gateway.outbox_went_back", "gateway.started"]
    for each in head.rows(registry.Result):
        found = results.from_payload(each.payload, Keyring.of(GATEWAY_KEY.public_key), "gw-1")
        assert found.command_id == "c-1"
