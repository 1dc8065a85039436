"""Values as large as 64 bits are, and scalers of any octet: pages stay, one meter costs no other.

Whatever decodes is stored and shown as it is; what is made of it for people is left out where it
cannot be a number of a meter.
"""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from exported import ENERGY, POWER
from head_end import START
from hesper_cloud.app import create_app
from hesper_cloud.latest import LatestValues
from hesper_cloud.services.bundle import assemble
from hesper_cloud.services.sources import Sources
from hesper_cloud.stores.duckdb import DuckDbStore
from hesper_cloud.stores.port import Block, Group, Quantity
from rest_calls import block_of_one

NOW = int(START.timestamp()) // 900 * 900
SANE, ODD = "HES12642984", "HES12642985"  # both on record
HALF_KW = 500


def block(meter: str, power: Quantity, energy: Quantity, values: list[list[int]]) -> Block:
    count = len(values[0])
    at = NOW - 900 * np.arange(count - 1, -1, -1, dtype=np.int64)
    return block_of_one(meter, (power, energy), at, np.array(values, dtype=np.int64))


ODDITIES = {
    "growth beyond 64 bits": (3, 0, [[2**62] * 4, [-(2**62), 2**62, -(2**62), 2**62]]),
    "scalers at their ends": (127, -128, [[5] * 4, [1000, 1001, 1002, 1003]]),
    "the largest scaler of sums": (9, 9, [[2**63 - 1] * 4, [0, 2**61, 2**62, 2**62 + 2**61]]),
    "the least value": (-128, 127, [[-(2**63)] * 4, [-(2**63), 0, 1, 2**63 - 1]]),
}


@pytest.fixture
async def pages(
    request: pytest.FixtureRequest, head_end: Any, tmp_path: Path
) -> AsyncIterator[httpx.AsyncClient]:
    """The pages of a head end that has an ordinary meter and an odd one."""
    power, energy, values = request.param
    blocks = [
        block(
            SANE, Quantity(POWER, 0, 27), Quantity(ENERGY, 0, 30), [[HALF_KW] * 4, [0, 9, 18, 27]]
        ),
        block(ODD, Quantity(POWER, power, 27), Quantity(ENERGY, energy, 30), values),
    ]
    store, latest = DuckDbStore(tmp_path / "readings.duckdb"), LatestValues()
    store.write(Group({}, blocks, NOW * 1000))
    latest.load(store)
    head_end.clock.now = datetime.fromtimestamp(NOW + 60, UTC)
    databases = head_end.databases
    sources = Sources(
        head_end.settings, databases.registry, databases.authority, store, latest, head_end.clock
    )
    services = assemble(sources, lambda: 0.0)
    transport = httpx.ASGITransport(create_app(services, head_end.settings))
    async with httpx.AsyncClient(transport=transport, base_url="http://hesper.test") as client:
        body = {"username": "vic", "password": "viewing-only-1"}
        token = (await client.post("/api/v1/auth/login", json=body)).json()["token"]
        client.headers["Authorization"] = f"Bearer {token}"
        yield client
    services.energy.close()
    store.close()


@pytest.mark.parametrize("pages", ODDITIES.values(), ids=ODDITIES, indirect=True)
async def test_every_page_stays_and_the_others_load_is_told(pages: httpx.AsyncClient) -> None:
    span = {"from": "1970-01-01T00:00:00Z", "to": "2100-01-01T00:00:00Z"}
    for path in ("overview/load", "dashboard/stats", f"meters/{ODD}", f"meters/{ODD}/readings"):
        answer = await pages.get(f"/api/v1/{path}", params=span)
        assert answer.status_code == 200, f"{path}: {answer.text}"
    overview = (await pages.get("/api/v1/overview")).json()
    assert overview["fleet_load_w"] == HALF_KW
