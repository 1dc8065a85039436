"""The real application with real databases, a real store and a running authority."""

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime

import httpx
import pytest
from hesper_cloud import provision
from hesper_cloud.app import create_app
from hesper_cloud.authority.hours import EVER
from hesper_cloud.authority.policy import Policy
from hesper_cloud.authority.process import now_utc
from hesper_cloud.db.engines import open_engine, writing
from hesper_cloud.db.registry import (
    Meter,
)
from hesper_cloud.latest import LatestValues
from hesper_cloud.services.bundle import Services, assemble
from hesper_cloud.services.sources import Sources
from hesper_cloud.stores.duckdb import DuckDbStore
from hesper_cloud.stores.port import Group
from hesper_contracts.batch import BatchId
from rest_calls import GATEWAY, METER, readings_block


@pytest.fixture
def last() -> int:
    """The newest capture time: of this test's own moment, for what is old is no load any more."""
    return int(datetime.now(UTC).timestamp()) // 900 * 900


@pytest.fixture
def span(last) -> dict[str, str]:
    return {
        "from": datetime.fromtimestamp(last - 86_400, UTC).isoformat(),
        "to": datetime.fromtimestamp(last + 900, UTC).isoformat(),
    }


@pytest.fixture
def services(head_end, last) -> Iterator[Services]:
    head_end.clock.now = now_utc()
    head_end.authority._clock = now_utc  # a request that is sent meanwhile is of now, however slow
    at_any_hour = Policy(hours=EVER).model_dump(mode="json")
    provision.activate_policy(head_end.databases.authority, "at any hour", at_any_hour)
    with writing(head_end.databases.registry) as session:
        meter = session.get_one(Meter, METER)
        meter.relay_confirmed_at = meter.last_contact_at = now_utc()
    store, latest = DuckDbStore(head_end.settings.readings_file), LatestValues()
    store.write(
        Group({BatchId(GATEWAY, "ab" * 8, 1): "00" * 32}, [readings_block(last)], last * 1000 + 7)
    )
    latest.load(store)
    read_only = open_engine(head_end.settings.database.authority_url, read_only=True)
    sources = Sources(
        head_end.settings, head_end.databases.registry, read_only, store, latest, now_utc
    )
    yield assemble(sources, lambda: 12.5)
    store.close()
    read_only.dispose()


@pytest.fixture
async def client(services) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(services, services.sources.settings)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://hesper.test") as client:
        yield client
