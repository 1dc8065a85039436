"""Validated readings, edits, bills, balances and series over HTTP, with roles and audit."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import numpy as np
import pytest
from archived import archived_until
from hesper_cloud.access_log import AccessLogKeeping
from hesper_cloud.aggregates.book import EnergyBook
from hesper_cloud.aggregates.work import Work
from hesper_cloud.api.application import create_app
from hesper_cloud.app import now_utc
from hesper_cloud.db.engines import open_engine, reading, writing
from hesper_cloud.db.registry import DataAccess, Meter, Request
from hesper_cloud.latest import LatestValues
from hesper_cloud.services.bundle import Services, assemble
from hesper_cloud.services.sources import Sources
from hesper_cloud.settings import RetentionSettings
from hesper_cloud.stores.duckdb import DuckDbStore
from hesper_cloud.stores.port import Block, Group, Quantity
from hesper_cloud.validation import dirty
from hesper_contracts.batch import BatchId
from sqlalchemy import select

METER, ENERGY, PROFILE = "HES12642984", "1.0.1.8.0.255", "1.0.99.1.0.255"
PASSWORDS = {
    "vic": "viewing-only-1",
    "ann": "asking-politely-1",
    "ben": "second-pair-of-eyes",
    "cleo": "keeper-of-the-house",
}
DAY = int(datetime(2026, 6, 1, tzinfo=UTC).timestamp())
AT = "2026-06-01T06:00:00+00:00"
SPAN = {"from": "2026-06-01T00:00:00Z", "to": "2026-06-02T00:00:00Z"}
EDIT = {
    "meter": METER,
    "logical_name": ENERGY,
    "captured_at": AT,
    "value": 10_601,
    "unit": 30,
    "reason": "read from the display",
}
GRID = f"""kind,id,name,parent,role,from,to
transformer,tr-7,Mill lane,,,,
meter,{METER},,tr-7,inflow,,
"""


def a_day_with_a_gap() -> Block:
    times = np.array([t for t in range(DAY, DAY + 86_401, 900) if not 0 < t - DAY - 7200 < 3600])
    return Block(
        profile=PROFILE,
        quantities=(Quantity(ENERGY, 0, 30),),
        meters=(METER,),
        meter_index=np.zeros(len(times), dtype=np.int64),
        captured_at=times,
        clock_status=np.zeros(len(times), dtype=np.int64),
        quality=np.zeros(len(times), dtype=np.int64),
        received_at=DAY + 86_400,
        values=(10_000 + (times - DAY) // 36)[np.newaxis],
        missing=None,
    )


class Working:
    """Works off what is marked, as the job does."""

    def __init__(self, sources: Sources) -> None:
        self._book = EnergyBook(sources.settings.energy_file)
        registry, clock = sources.registry, sources.clock
        self.work = Work(registry, sources.store, self._book, sources.settings, clock)

    def close(self) -> None:
        self._book.close()


@pytest.fixture
def services(head_end) -> Iterator[Services]:
    head_end.authority._clock = now_utc
    store = DuckDbStore(head_end.settings.readings_file)
    store.write(Group({BatchId("gw-1", "ab" * 8, 1): "00" * 32}, [a_day_with_a_gap()], DAY * 1000))
    registry = head_end.databases.registry
    with writing(registry) as session:
        dirty.mark(session, [(METER, DAY // 86_400)], now_utc())
    read_only = open_engine(head_end.settings.database.authority_url, read_only=True)
    sources = Sources(head_end.settings, registry, read_only, store, LatestValues(), now_utc)
    made = assemble(sources, lambda: 0.0)
    yield made
    made.energy.close()
    store.close()
    read_only.dispose()


@pytest.fixture
def working(services) -> Iterator[Working]:
    made = Working(services.sources)
    made.work.turn()
    yield made
    made.close()


@pytest.fixture
async def client(services, head_end) -> AsyncIterator[httpx.AsyncClient]:
    async def decide() -> None:
        while True:
            await asyncio.to_thread(head_end.authority.turn)
            await asyncio.sleep(0.01)

    app = create_app(services, services.sources.settings)
    deciding = asyncio.create_task(decide())
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://hesper.test/api/v1"
    ) as made:
        yield made
    deciding.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await deciding


async def bearer(client: httpx.AsyncClient, who: str) -> dict[str, str]:
    body = {"username": who, "password": PASSWORDS[who]}
    answer = await client.post("/auth/login", json=body)
    client.cookies.clear()
    return {"Authorization": f"Bearer {answer.json()['token']}"}


async def get(client: httpx.AsyncClient, who: dict[str, str], path: str, **query: Any) -> Any:
    answer = await client.get(path, headers=who, params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def test_the_view_marks_estimates_and_tells_quality(client, working):
    vic = await bearer(client, "vic")
    view = await get(client, vic, "/readings/validated", meter=METER, logical_name=ENERGY, **SPAN)
    assert (len(view["values"]), view["scaler"], view["unit"]) == (96, 0, 30)
    estimates = [each for each in view["values"] if each["source"] == "estimate"]
    assert [each["value"] for each in estimates] == [10_225, 10_250, 10_275]
    assert {(each["grade"], *each["codes"]) for each in estimates} == {(9, "2.8.0")}
    assert view["values"][0]["grade"] == 17  # the capture that ends the day before
    assert (view["values"][50]["grade"], view["values"][50]["codes"]) == (17, ["2.0.1"])
    day = {"from": "2026-06-01", "to": "2026-06-01"}
    quality = (await get(client, vic, f"/meters/{METER}/quality", **day))[0]
    assert (quality["score"], quality["expected"], quality["estimated"]) == (98, 96, 3)
    assert (await get(client, vic, "/quality", day="2026-06-01"))[0]["meter"] == METER
    checks = await get(client, vic, f"/meters/{METER}/checks", **SPAN)
    assert [(each["check"], each["captures"]) for each in checks] == [("missing", 3)]


async def test_voltages_are_assessed_by_the_week(client, services):
    times = np.arange(DAY + 900, DAY + 7 * 86_400 + 1, 900)  # 2026-06-01 is a Monday
    none = np.zeros(len(times), dtype=np.int64)
    low = np.where(np.arange(len(times)) < 34, 2069, 2300)[np.newaxis]
    voltage = (Quantity("1.0.32.7.0.255", -1, 35),)
    block = Block(PROFILE, voltage, (METER,), none, times, none + 1, none, DAY, low, None)
    services.sources.store.write(Group({}, [block], DAY * 1000))
    vic = await bearer(client, "vic")
    path = f"/meters/{METER}/voltage-weeks"
    (week,) = await get(client, vic, path, **{"from": "2026-06-03", "to": "2026-06-03"})
    assert (week["week"], week["logical_name"]) == ("2026-06-01", "1.0.32.7.0.255")
    assert (week["due"], week["within"], week["verdict"]) == (672, 638, "missed")
    for days in (
        {"from": "2026-06-03", "to": "2026-06-02"},
        {"from": "2000-01-01", "to": "2026-06-02"},
        {"from": "9999-12-31", "to": "9999-12-31"},
    ):
        assert (await client.get(path, headers=vic, params=days)).status_code == 400


async def test_an_edit_is_audited_first_counts_once_and_is_taken_back(client, working, head_end):
    ben = await bearer(client, "ben")
    key = {"Idempotency-Key": "edit-1"}
    answers = [await client.post("/readings/edits", json=EDIT, headers=ben | key) for _ in "ab"]
    assert [each.status_code for each in answers] == [201, 201]
    assert answers[0].json() == answers[1].json()
    with reading(head_end.databases.registry) as session:
        noted = [row for row in session.query(Request) if row.kind == "audit.note"]
    assert [row.payload["action"] for row in noted][-1] == "reading.edit"
    audited = (await get(client, ben, "/audit", subject=ENERGY))["rows"]
    assert [(row["action"], row["before"], row["after"], row["why"]) for row in audited] == [
        ("reading.edit", "10600e0", "10601e0", "read from the display")
    ]
    working.work.turn()
    one = {"meter": METER, "logical_name": ENERGY, "from": AT, "to": "2026-06-01T06:00:01Z"}
    value = (await get(client, ben, "/readings/validated", **one))["values"][0]
    assert (value["value"], value["raw"], value["grade"]) == (10_601, 10_600, 7)
    path = f"/readings/edits/{answers[0].json()['id']}/withdraw"
    answers = [
        await client.post(path, json={"reason": "misread"}, headers=ben | {"Idempotency-Key": key})
        for key in ("back-1", "back-2")
    ]
    assert answers[0].json()["withdrawn_by"] == "ben"
    assert answers[1].status_code == 409
    assert (await get(client, ben, "/readings/validated", **one))["values"][0]["value"] == 10_600
    kept = await get(client, ben, "/readings/edits", meter=METER, history=True, **SPAN)
    assert "edit" in [row["method"] for row in kept]


async def test_edits_ask_for_a_role_a_reason_a_key_and_a_meter(client):
    ann, ben = await bearer(client, "ann"), await bearer(client, "ben")
    key = {"Idempotency-Key": "k"}

    async def status(who: dict[str, str], **changes: Any) -> int:
        answer = await client.post("/readings/edits", json=EDIT | changes, headers=who)
        return answer.status_code

    assert await status(ann | key) == 403
    assert await status(ben) == 400
    assert await status(ben | key, reason="") == 422
    assert await status(ben | key, reason="   ") == 400
    assert await status(ben | key, meter="HES0") == 404
    assert await status(ben | key, value=2**70) == 400
    assert await status(ben | key, value=2**62, scaler=3) == 400
    assert await status(ben | key, scaler=-18) == 400
    for year in ("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"):
        assert await status(ben | key, captured_at=year) == 400
    assert await status(ben | key) == 201
    assert await status(ben | key, value=7) == 422  # the key served another edit


@pytest.fixture
def letting_go(services) -> RetentionSettings:
    """Readings stay 92 days."""
    kept = RetentionSettings(raw_days=92, archive="/nowhere")
    settings = services.sources.settings
    store = settings.store.model_copy(update={"retention": kept})
    settings = settings.model_copy(update={"store": store})
    object.__setattr__(services.sources, "settings", settings)
    return kept


async def test_a_reading_that_may_have_left_is_not_edited(client, working, letting_go):
    ben = await bearer(client, "ben")
    old = datetime.fromtimestamp(letting_go.horizon(now_utc()) - 900, UTC)
    young = datetime.fromtimestamp(letting_go.horizon(now_utc()) + 900, UTC)
    for at, status in ((old, 409), (young, 201)):
        headers = ben | {"Idempotency-Key": f"{at}"}
        edit = EDIT | {"captured_at": at.isoformat()}
        answer = await client.post("/readings/edits", json=edit, headers=headers)
        assert answer.status_code == status, answer.text


async def test_an_export_is_whole_or_says_from_when_on(client, services):
    vic = await bearer(client, "vic")
    archived_until(services.sources.registry, date(2026, 6, 1))
    whole = await client.get("/exports/readings", headers=vic, params=SPAN)
    assert whole.status_code == 200
    earlier = SPAN | {"from": "2026-05-31T00:00:00Z"}
    for validated in ("false", "true"):
        asked = earlier | {"validated": validated}
        answer = await client.get("/exports/readings", headers=vic, params=asked)
        assert answer.status_code == 409
        assert "before 2026-06-01 are in the archive" in answer.text


async def reaching_back(client, services, route, more):
    """Returns a day until which all is archived, and what is answered from then on and before."""
    vic = await bearer(client, "vic")
    day = now_utc().date() - timedelta(days=60)
    archived_until(services.sources.registry, day)
    answers = []
    for start in (day, day - timedelta(days=1)):
        span = {"from": f"{start}T00:00:00Z", "to": f"{day}T12:00:00Z"}
        answers.append(await client.get(route, headers=vic, params=more | span))
        assert answers[-1].status_code == 200, answers[-1].text
    return day, answers


@pytest.mark.parametrize(
    ("route", "more"),
    [
        ("/readings", {"meter": METER}),
        ("/readings/validated", {"meter": METER, "logical_name": ENERGY}),
        (f"/meters/{METER}/readings", {}),
        (f"/meters/{METER}/series", {"logical_name": ENERGY}),
    ],
)
async def test_reads_that_reach_back_into_the_archive_say_so(client, services, route, more):
    day, answers = await reaching_back(client, services, route, more)
    said = [answer.json()["archived_before"] for answer in answers]
    assert said == [None, f"{day}T00:00:00Z"]


async def test_a_stream_of_readings_that_lacks_what_is_archived_says_so(client, services):
    day, answers = await reaching_back(client, services, "/readings/export", {})
    said = [answer.headers.get("Archived-Before") for answer in answers]
    assert said == [None, f"{day}T00:00:00Z"]
    told = (await client.get("/openapi.json")).json()["paths"]["/api/v1/readings/export"]["get"]
    assert "Archived-Before" in told["responses"]["200"]["headers"]


async def test_without_an_authority_no_edit_counts(client, working, head_end, monkeypatch):
    ben = await bearer(client, "ben")
    monkeypatch.setattr("hesper_cloud.services.authority_link.WAIT", timedelta(seconds=0.05))
    monkeypatch.setattr(head_end.authority, "turn", lambda: None)
    headers = ben | {"Idempotency-Key": "k"}
    answer = await client.post("/readings/edits", json=EDIT, headers=headers)
    assert answer.status_code == 503
    edits = await get(client, ben, "/readings/edits", meter=METER, **SPAN)
    assert "edit" not in [row["method"] for row in edits]


async def test_aggregates_stand_beside_a_series_from_outside(client, working):
    ann = await bearer(client, "ann")
    csv = "at,value\n2026-06-01T00:30:00Z,17.5\n2026-06-01T00:45:00Z,18.0\n"
    posted = await client.post(
        "/series/temperature",
        content=csv,
        params={"scaler": -1, "unit": 9},
        headers=ann | {"Content-Type": "text/csv"},
    )
    assert posted.json() == {"points": 2}
    found = await get(
        client, ann, f"/meters/{METER}/aggregates",
        logical_name=ENERGY, step="hour", series="temperature", **SPAN,
    )  # fmt: skip
    rows = found["rows"]
    assert (len(rows), rows[0]["sum"], rows[0]["series_mean"]) == (24, 100, 178)
    assert (rows[2]["estimated"], rows[1]["series_mean"]) == (4, None)
    assert found["series"]["symbol"] == "°C"
    wrong = await client.post("/series/temperature", content="{}", headers=ann)
    assert wrong.status_code == 400
    cut = {"content": "at,value\r1", "headers": ann | {"Content-Type": "text/csv"}}
    assert (await client.post("/series/temperature", **cut)).status_code == 400
    afar = await client.post("/series/temperature", **cut, params={"scaler": -1_000_000_000})
    assert afar.status_code == 422
    vic = await bearer(client, "vic")
    body = {"series": "t", "points": []}
    assert (await client.post("/series/t", json=body, headers=vic)).status_code == 403
    assert [row["name"] for row in await get(client, vic, "/series")] == ["temperature"]


async def test_bill_topology_and_balance(client, working):
    cleo, ann = await bearer(client, "cleo"), await bearer(client, "ann")
    bill = await get(client, ann, f"/meters/{METER}/bill", month="2026-06-15")
    assert (bill["start"]["value"], bill["end"]["value"]) == (10_000, None)
    assert (bill["intervals"], bill["estimated_count"], bill["symbol"]) == (2400, 4, "Wh")
    assert bill["demand"][0]["power"] == 100
    assert (await client.put("/topology", content=GRID, headers=ann)).status_code == 403
    for cut in ("x", GRID + "area,a\rb\n"):
        assert (await client.put("/topology", content=cut, headers=cleo)).status_code == 400
    put = await client.put("/topology", content=GRID, headers=cleo)
    assert put.json() == {"elements": 1, "meters": 1}
    assert (await client.get("/topology", headers=ann)).text.startswith("kind,id,name")
    found = await get(client, ann, "/elements/tr-7/balance", **SPAN)
    assert [(row["inflow_mwh"], row["losses_percent"]) for row in found] == [(2_400_000, 100.0)]
    missing = await client.get("/elements/x/balance", params=SPAN, headers=ann)
    assert missing.status_code == 404


@pytest.mark.parametrize(("area", "zone"), [("islands", "Atlantic/Azores"), ("elsewhere", "UTC")])
async def test_the_days_of_a_balance_are_those_of_its_meters(
    client, working, services, monkeypatch, area, zone
):
    """`tr-7` is the element's own name, and no area's."""
    sources = services.sources
    zones = {"zone": "UTC", "area_zones": {"islands": "Atlantic/Azores", "tr-7": "Asia/Tokyo"}}
    validation = sources.settings.validation.model_copy(update=zones)
    settings = sources.settings.model_copy(update={"validation": validation})
    monkeypatch.setattr(services.energy, "_sources", replace(sources, settings=settings))
    with writing(sources.registry) as session:
        session.get_one(Meter, METER).area = area
    cleo, ann = await bearer(client, "cleo"), await bearer(client, "ann")
    assert (await client.put("/topology", content=GRID, headers=cleo)).status_code == 200
    span = {"from": "2026-06-01T00:00:00Z", "to": "2026-06-03T00:00:00Z", "step": "day"}
    found = await get(client, ann, "/elements/tr-7/balance", **span)
    midnight = datetime(2026, 6, 2, tzinfo=ZoneInfo(zone))
    assert datetime.fromisoformat(found[-1]["from"]) == midnight


@pytest.mark.parametrize(
    ("lines", "looks"),
    [
        ([f"{METER},,tr-7,customer,,"], [METER]),
        ([f"{METER},,tr-7,inflow,,", "B,,tr-7,customer,,", "C,,tr-7,customer,,"], []),
        ([f"{METER},,tr-7,customer,,", "C,,tr-7,customer,,2026-06-01T06:00:00Z"], [METER]),
        ([f"{METER},,tr-7,customer,,2026-06-01T00:00:00Z", "C,,tr-7,customer,,"], ["C"]),
    ],
)
async def test_the_balance_of_a_single_customer_is_a_look_at_its_data(
    client, working, services, lines, looks
):
    cleo, ann = await bearer(client, "cleo"), await bearer(client, "ann")
    grid = GRID.splitlines()[:2] + [f"meter,{line}" for line in lines]
    put = await client.put("/topology", content="\n".join(grid), headers=cleo)
    assert put.status_code == 200
    await get(client, ann, "/elements/tr-7/balance", **SPAN)
    AccessLogKeeping(services.sources.registry, services.sources.looks).flush()
    with reading(services.sources.registry) as session:
        noted = session.scalars(select(DataAccess)).all()
    assert [(row.who, row.operation, row.meter) for row in noted] == [
        ("ann", "balance", meter) for meter in looks
    ]
