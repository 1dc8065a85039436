"""The dashboards ask only what the stores and REST answer."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from hesper_cloud.app import create_app
from hesper_cloud.db.engines import writing
from hesper_cloud.db.registry import Alert, Gap, ServiceLevelDay
from hesper_cloud.latest import LatestValues
from hesper_cloud.services.bundle import assemble
from hesper_cloud.services.sources import Sources
from hesper_cloud.stores.duckdb import DuckDbStore
from hesper_cloud.stores.influx import InfluxStore
from hesper_cloud.stores.influx_server import InfluxV1
from hesper_cloud.stores.port import Block, Group, Quantity
from hesper_contracts.batch import BatchId

FOLDER = Path(__file__).parents[2] / "deploy" / "grafana"
METER, PROFILE = "HES12642984", "1.0.99.1.0.255"
NOW = int(datetime.now(UTC).timestamp()) // 900 * 900
COUNT = 8


def dashboard(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((FOLDER / name).read_text(encoding="utf-8"))
    return found


def targets(name: str) -> list[Any]:
    return [
        pytest.param(target, id=panel["title"])
        for panel in dashboard(name)["panels"]
        for target in panel["targets"]
    ]


def group() -> Group:
    at = NOW - 900 * np.arange(COUNT, 0, -1, dtype=np.int64)
    names = ("1.0.1.7.0.255", "1.0.1.8.0.255", "1.0.32.7.0.255")
    block = Block(
        profile=PROFILE,
        quantities=tuple(
            Quantity(name, scaler, unit)
            for name, scaler, unit in zip(names, (0, 0, -1), (27, 30, 35), strict=True)
        ),
        meters=(METER,),
        meter_index=np.zeros(COUNT, dtype=np.int64),
        captured_at=at,
        clock_status=np.zeros(COUNT, dtype=np.int64),
        quality=np.array([16] + [0] * (COUNT - 1)),
        received_at=NOW,
        values=np.stack([np.full(COUNT, 500), 100 * np.arange(COUNT), np.full(COUNT, 2300)]),
        missing=None,
    )
    return Group({BatchId("gw-1", "ab" * 8, 1): "00" * 32}, [block], NOW * 1000)


@pytest.fixture(scope="module")
def influx(influx_url: str) -> str:
    store = InfluxStore(InfluxV1(influx_url, "grafana"))
    store.write(group())
    store.close()
    return influx_url


def filled(text: str) -> str:
    start = NOW - 86_400
    named = {"$timeFilter": f"time >= {start}s AND time <= {NOW}s", "$__interval": "15m"}
    for name, value in {**named, "$meter": METER}.items():
        text = text.replace(name, value)
    assert "$" not in text
    return text


@pytest.mark.integration
@pytest.mark.parametrize("target", targets("influx.json"))
def test_every_query_runs_on_a_real_influxdb(influx: str, target: dict[str, Any]) -> None:
    asked = {"db": "grafana", "q": filled(target["query"])}
    answer = httpx.get(f"{influx}/query", params=asked, timeout=60.0).json()
    (result,) = answer["results"]
    assert "error" not in result
    values = [row for series in result.get("series", ()) for row in series["values"]]
    assert any(value not in {None, 0} for row in values for value in row[1:])


@pytest.mark.integration
def test_the_meters_to_choose_from_are_found(influx: str) -> None:
    (choice,) = [each for each in dashboard("influx.json")["templating"]["list"]
                 if each["name"] == "meter"]  # fmt: skip
    asked = {"db": "grafana", "q": choice["query"]}
    answer = httpx.get(f"{influx}/query", params=asked, timeout=60.0).json()
    assert answer["results"][0]["series"][0]["values"] == [["meter", METER]]


@pytest.fixture
def sources(head_end: Any, tmp_path: Path) -> Iterator[Sources]:
    registry, now = head_end.databases.registry, datetime.now(UTC)
    store = DuckDbStore(tmp_path / "readings.duckdb")
    store.write(group())
    with writing(registry) as session:
        common = {"meter": METER, "noticed_at": now}
        session.add(
            Gap(profile=PROFILE, from_at=now, to_at=now, expected_count=1, cause="line", **common)
        )
        session.add(Alert(rule="r", severity="info", raised_at=now, text="t"))
        today = now.replace(hour=0, minute=0, second=0, microsecond=0)
        session.add(
            ServiceLevelDay(level="daily-8h", day=today, due_count=2, met_count=1, computed_at=now)
        )
    yield Sources(
        head_end.settings, registry, head_end.databases.authority, store, LatestValues(),
        lambda: datetime.now(UTC),
    )  # fmt: skip
    store.close()


@pytest.mark.parametrize("target", targets("rest.json"))
async def test_every_address_answers_with_the_columns_that_are_shown(
    sources: Sources, target: dict[str, Any]
) -> None:
    services = assemble(sources, lambda: 0.0)
    transport = httpx.ASGITransport(create_app(services, sources.settings))
    url = target["url"].replace("$meter", METER)
    for name, at in (("from", NOW - 86_400), ("to", NOW)):
        iso = datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
        url = url.replace(f"${{__{name}:date:iso}}", iso)
    async with httpx.AsyncClient(transport=transport, base_url="http://hesper.test") as client:
        body = {"username": "vic", "password": "viewing-only-1"}
        token = (await client.post("/api/v1/auth/login", json=body)).json()["token"]
        answer = await client.get(url, headers={"Authorization": f"Bearer {token}"})
    services.energy.close()
    assert answer.status_code == 200, answer.text
    found = answer.json()
    found = found[target["root_selector"]] if target["root_selector"] else found
    first = found[0] if isinstance(found, list) else found
    for column in target["columns"]:
        value: Any = first
        for step in re.findall(r"`([^`]+)`|([^.`]+)", column["selector"]):
            assert "".join(step) in value, column["selector"]
            value = value["".join(step)]
