"""The services of a head end with its authority at work, and a client of its REST API."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import httpx
import pytest
from hesper_cloud.accounts.roles import Actor, Role
from hesper_cloud.api.application import create_app
from hesper_cloud.authority.process import now_utc
from hesper_cloud.db.engines import open_engine
from hesper_cloud.latest import LatestValues
from hesper_cloud.services.bundle import Services, assemble
from hesper_cloud.services.sources import Sources
from hesper_cloud.stores.duckdb import DuckDbStore

PASSWORDS = {
    "vic": "viewing-only-1",
    "ann": "asking-politely-1",
    "ben": "second-pair-of-eyes",
    "cleo": "keeper-of-the-house",
}
Bearer = Callable[[str], Awaitable[dict[str, str]]]


@pytest.fixture
def services(head_end, deciding) -> Iterator[Services]:
    head_end.authority._clock = now_utc
    store = DuckDbStore(head_end.settings.readings_file)
    read_only = open_engine(head_end.settings.database.authority_url, read_only=True)
    registry = head_end.databases.registry
    sources = Sources(head_end.settings, registry, read_only, store, LatestValues(), now_utc)
    made = assemble(sources, lambda: 0.0)
    yield made
    made.energy.close()
    store.close()
    read_only.dispose()


@pytest.fixture
def ann() -> Actor:
    """An operator of every area."""
    return Actor("ann", Role.OPERATOR)


@pytest.fixture
def cleo() -> Actor:
    """An administrator of every area."""
    return Actor("cleo", Role.ADMIN)


@pytest.fixture
async def client(services) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(services, services.sources.settings)
    transport = httpx.ASGITransport(app)
    base_url = "http://hesper.test/api/v1"
    async with httpx.AsyncClient(transport=transport, base_url=base_url) as made:
        yield made


@pytest.fixture
def bearer(client) -> Bearer:
    """Logs a person in; the headers that speak for them."""

    async def log_in(username: str) -> dict[str, str]:
        body: dict[str, Any] = {"username": username, "password": PASSWORDS[username]}
        answer = await client.post("/auth/login", json=body)
        client.cookies.clear()
        return {"Authorization": f"Bearer {answer.json()['token']}"}

    return log_in
