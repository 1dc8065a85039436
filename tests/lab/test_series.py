"""Series from outside over the live broker, with the access rules that are shipped."""

import asyncio
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hesper_cloud.aggregates import outside
from hesper_cloud.db import migrate
from hesper_cloud.db.engines import open_engine, reading
from hesper_cloud.outside_in import OutsideIn
from hesper_cloud.settings import BrokerAccount, BrokerSettings, Settings
from sqlalchemy import Engine

pytestmark = pytest.mark.integration
DEADLINE_S = 60.0
TOPIC = "hesper/v1/series/series.weather"
POINTS = (
    b'{"series": "temperature", "scaler": -1, "unit": 9, "points": [["2026-09-21T14:00:00Z", %d]]}'
)


def stored(engine: Engine) -> list[tuple[int, int]]:
    with reading(engine) as session:
        return outside.points(session, "weather.temperature", 0, 2**33)


async def arrived(engine: Engine, value: int) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while [found for _, found in stored(engine)] != [value]:
        assert time.monotonic() < deadline, "the series did not come"
        await asyncio.sleep(0.02)


async def test_a_source_brings_a_series_and_bad_messages_do_not_stop_it(
    broker: Any, tmp_path: Path
) -> None:
    password = tmp_path / "ingest.password"
    password.write_text(broker.passwords["hes.ingest"])
    account = BrokerAccount(username="hes.ingest", password_file=password)
    settings = Settings(
        state=tmp_path, broker=BrokerSettings(port=broker.site.ports.broker, ingest=account)
    )
    engine = open_engine(settings.database.url)
    migrate.upgrade(engine, "registry")
    intake = OutsideIn(settings, engine, lambda: datetime(2026, 9, 21, 15, tzinfo=UTC))
    running = asyncio.create_task(intake.run())
    try:
        await asyncio.wait_for(intake.subscribed.wait(), DEADLINE_S)
        with broker.client("series.weather") as source, broker.client("gw-a") as gateway:
            assert not source.publish(TOPIC, b"\xff{")
            assert not source.publish(TOPIC, POINTS % 173)
            await arrived(engine, 173)
            assert gateway.publish(TOPIC, POINTS % 999) == "Not authorized"
            assert not source.publish(TOPIC, POINTS % 174)  # a correction
            await arrived(engine, 174)
    finally:
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        engine.dispose()
