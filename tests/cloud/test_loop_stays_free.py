"""No route asks a database on the loop, where one that is slow would hold up everybody."""

import asyncio
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hesper_cloud.app import create_app
from hesper_cloud.db.engines import open_engine
from hesper_cloud.latest import LatestValues
from hesper_cloud.services.bundle import assemble
from hesper_cloud.services.sources import Sources
from hesper_cloud.stores.duckdb import DuckDbStore
from sqlalchemy import Engine, event

sys.path.insert(0, str(Path(__file__).parent))
from api_calls import PREFIX, described, routes

CLEO = {"username": "cleo", "password": "keeper-of-the-house"}


class Watch:
    """Notes what is asked of databases on a thread that runs a loop."""

    def __init__(self) -> None:
        self.asked = 0
        self.on_loop: list[str] = []

    def note(self, _connection: Any, _cursor: Any, statement: str, *_others: Any) -> None:
        self.asked += 1
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return
        self.on_loop.append(statement)


@pytest.fixture
def app(head_end: Any) -> Iterator[Any]:
    settings, registry = head_end.settings, head_end.databases.registry
    store = DuckDbStore(settings.readings_file)
    read_only = open_engine(settings.database.authority_url, read_only=True)
    sources = Sources(settings, registry, read_only, store, LatestValues(), head_end.clock)
    services = assemble(sources, lambda: 0.0)
    yield create_app(services, settings)
    services.energy.close()
    store.close()
    read_only.dispose()


@pytest.fixture
async def client(app: Any) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://hesper.test") as client:
        yield client


@pytest.fixture
def watch() -> Iterator[Watch]:
    watch = Watch()
    event.listen(Engine, "before_cursor_execute", watch.note)
    yield watch
    event.remove(Engine, "before_cursor_execute", watch.note)


async def test_no_list_or_export_is_asked_for_on_the_loop(
    client: httpx.AsyncClient, watch: Watch
) -> None:
    token = (await client.post(f"{PREFIX}/auth/login", json=CLEO)).json()["token"]
    held: dict[str, str] = {}
    for name, call in routes(described()):
        if call.method == "get":
            await call.answer(client, token)
            if watch.on_loop:
                held[name] = watch.on_loop[0]
                watch.on_loop.clear()
    assert watch.asked
    assert held == {}
