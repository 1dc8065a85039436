"""REST over the real application with real databases, a real store and a running authority."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import numpy as np
import pytest
from hesper_cloud import provision
from hesper_cloud.app import create_app
from hesper_cloud.authority.hours import EVER
from hesper_cloud.authority.policy import Policy
from hesper_cloud.authority.process import now_utc
from hesper_cloud.db.engines import open_engine, writing
from hesper_cloud.db.registry import (
    Alert,
    Backfill,
    DeadLetter,
    Event,
    Gap,
    Gateway,
    Meter,
    Result,
)
from hesper_cloud.latest import LatestValues
from hesper_cloud.services.bundle import Services, assemble
from hesper_cloud.services.sources import Sources
from hesper_cloud.stores.duckdb import DuckDbStore
from hesper_cloud.stores.port import Block, Group, Quantity
from hesper_contracts import results
from hesper_contracts.batch import BatchId
from hesper_contracts.results import CommandResult, Findings

METER, PROTECTED, GATEWAY = "HES12642984", "HES12642985", "gw-1"
LOAD_PROFILE, ENERGY, POWER = "1.0.99.1.0.255", "1.0.1.8.0.255", "1.0.1.7.0.255"
PASSWORDS = {
    "vic": "viewing-only-1",
    "ann": "asking-politely-1",
    "ben": "second-pair-of-eyes",
    "cleo": "keeper-of-the-house",
}
CALENDAR = {
    "name": "2027",
    "seasons": [{"name": "S", "month": 1, "day": 1, "week": "W"}],
    "weeks": [{"name": "W", "day_ids": [1] * 7}],
    "days": [{"day_id": 1, "switches": [{"at": "06:00:00", "script": 1}]}],
    "activate_at": None,
}


def readings_block(last: int, count: int = 96) -> Block:
    times = np.arange(last - 900 * (count - 1), last + 1, 900, dtype=np.int64)
    energy = 1_000_000 + 125 * np.arange(count, dtype=np.int64)
    power = np.full(count, 500, dtype=np.int64)
    return Block(
        profile=LOAD_PROFILE,
        quantities=(Quantity(POWER, 0, 27), Quantity(ENERGY, 0, 30)),
        meters=(METER,),
        meter_index=np.zeros(count, dtype=np.int64),
        captured_at=times,
        clock_status=np.zeros(count, dtype=np.int64),
        quality=np.zeros(count, dtype=np.int64),
        received_at=last,
        values=np.stack([power, energy]),
        missing=None,
    )


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


async def bearer(client: httpx.AsyncClient, who: str) -> dict[str, str]:
    body = {"username": who, "password": PASSWORDS[who]}
    answer = await client.post("/api/v1/auth/login", json=body)
    assert answer.status_code == 200, answer.text
    client.cookies.clear()
    return {"Authorization": f"Bearer {answer.json()['token']}"}


async def get(client: httpx.AsyncClient, who: dict[str, str], path: str, **query: Any) -> Any:
    answer = await client.get(f"/api/v1{path}", headers=who, params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


async def ask(client: httpx.AsyncClient, who: dict[str, str], key: str, **changes: Any) -> Any:
    body = {
        "meter": METER,
        "action": "disconnect",
        "reason": "unpaid since March",
        "serial_tail": METER[-4:],
    }
    headers = who | {"Idempotency-Key": key}
    return await client.post("/api/v1/commands", json=body | changes, headers=headers)


async def test_nothing_without_a_login(client, span):
    for path in ("/meters", f"/meters/{METER}", "/overview", "/audit", "/readings/export"):
        answer = await client.get(f"/api/v1{path}", params=span)
        assert answer.status_code == 401
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["title"] == "Unauthorized"


async def test_an_unknown_address_is_a_problem_and_no_page(client):
    answer = await client.get("/api/v1/nothing/here")
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/problem+json"


async def test_meters_are_found_filtered_and_paged(client):
    who = await bearer(client, "vic")
    page = await get(client, who, "/meters", search="byron", sort="id", descending=True, limit=1)
    assert (page["total"], [row["id"] for row in page["rows"]]) == (2, [PROTECTED])
    online = await get(client, who, "/meters", state="online")
    assert [row["id"] for row in online["rows"]] == [METER]
    silent = await get(client, who, "/meters", state="silent", relay="connected")
    assert [row["id"] for row in silent["rows"]] == [PROTECTED]
    assert (
        await client.get("/api/v1/meters", params={"state": "x"}, headers=who)
    ).status_code == 422


async def test_gateways_gaps_dead_letters_and_the_audit_log_come_by_pages(client, services):
    at = now_utc()
    with writing(services.sources.registry) as session:
        for number in range(3):
            session.add(Gateway(id=f"gw-page-{number}", first_seen_at=at, state="offline"))
            when = at - timedelta(hours=number)
            session.add(
                Gap(
                    meter=METER, profile=LOAD_PROFILE, from_at=when, to_at=when, expected_count=1,
                    cause="meter silent", noticed_at=at,
                )
            )  # fmt: skip
            session.add(
                DeadLetter(
                    topic=f"t/{number}", reason="no frame", payload=b"x" * number, digest="00" * 32,
                    received_at=at,
                )
            )  # fmt: skip
            session.add(
                Backfill(
                    gateway=GATEWAY, meter=METER, profile=LOAD_PROFILE, from_at=at, to_at=at,
                    missing_count=number, state="asked", asked_at=at,
                )
            )  # fmt: skip
    who = await bearer(client, "ben")
    for number in range(3):
        await client.post(
            "/api/v1/auth/login", json={"username": "ben", "password": f"no {number}"}
        )
    wanted = {
        "/gateways?search=page&state=offline": ["gw-page-0", "gw-page-1", "gw-page-2"],
        "/gateways?search=page&sort=-id": ["gw-page-2", "gw-page-1", "gw-page-0"],
        "/dead-letters?sort=id": ["t/0", "t/1", "t/2"],
        "/backfills": [2, 1, 0],
    }
    fields = {"/gateways": "id", "/dead-letters": "topic", "/backfills": "missing_count"}
    for address, expected in wanted.items():
        field = fields[address.partition("?")[0]]
        assert [row[field] for row in await all_pages(client, who, address, 2)] == expected, address
    gaps = await all_pages(client, who, f"/gaps?meter={METER}", 1)
    assert [gap["from_at"] for gap in gaps] == sorted((g["from_at"] for g in gaps), reverse=True)
    assert len({gap["id"] for gap in gaps}) == 3
    whole = await get(client, who, "/audit", limit=1000)
    paged = await all_pages(client, who, "/audit", 2)
    assert [row["sequence"] for row in paged][-4:] == [row["sequence"] for row in whole["rows"]][
        -4:
    ]
    action = whole["rows"][-1]["action"]
    chosen = await get(client, who, "/audit", action=action, to=at.isoformat())
    assert {row["action"] for row in chosen["rows"]} <= {action}
    foreign = await client.get("/api/v1/gaps?cursor=nonsense", headers=who)
    assert foreign.status_code == 400


async def all_pages(
    client: httpx.AsyncClient, who: dict[str, str], address: str, limit: int
) -> list[Any]:
    """The rows of a list, page by page as its ``Link`` headers lead."""
    found: list[Any] = []
    joint = "&" if "?" in address else "?"
    answer = await client.get(f"/api/v1{address}{joint}limit={limit}", headers=who)
    while True:
        assert answer.status_code == 200, answer.text
        rows = answer.json()
        found += rows if isinstance(rows, list) else rows["rows"]
        if "next" not in answer.links:
            return found
        answer = await client.get(answer.links["next"]["url"], headers=who)


async def test_one_meter_with_latest_values_series_gaps_and_events(client, services, span, last):
    with writing(services.sources.registry) as session:
        at = now_utc()
        session.add(
            Gap(
                meter=METER,
                profile=LOAD_PROFILE,
                from_at=at - timedelta(hours=2),
                to_at=at - timedelta(hours=1),
                expected_count=4,
                cause="meter silent",
                noticed_at=at,
            )
        )
        session.add(
            Event(
                id="e1",
                meter=METER,
                gateway=GATEWAY,
                code="44",
                severity="critical",
                occurred_at=at,
                stored_at=at,
                text="Terminal cover opened",
            )
        )
    who = await bearer(client, "vic")
    detail = await get(client, who, f"/meters/{METER}")
    assert detail["row"]["online"] is True
    assert detail["load_w"] == 500
    assert detail["disconnect_blocked"] is None
    blocked = await get(client, who, f"/meters/{PROTECTED}")
    assert "life support" in blocked["disconnect_blocked"]
    latest = {
        each["logical_name"]: each for each in await get(client, who, f"/meters/{METER}/latest")
    }
    assert (latest[ENERGY]["value"], latest[ENERGY]["symbol"]) == (1_000_000 + 125 * 95, "Wh")
    series = await get(client, who, f"/meters/{METER}/series", logical_name=ENERGY, **span)
    assert (series["values"][-1], series["times"][-1]) == (latest[ENERGY]["value"], last)
    gaps = await get(client, who, f"/meters/{METER}/gaps", **span | {"to": now_utc().isoformat()})
    assert [gap["cause"] for gap in gaps] == ["meter silent"]
    assert (await get(client, who, "/gaps"))[0]["meter"] == METER
    assert (await get(client, who, f"/meters/{METER}/events"))[0]["code"] == "44"
    missing = await client.get("/api/v1/meters/HES0", headers=who)
    assert missing.status_code == 404


async def test_the_export_holds_every_integer(client, span, last):
    who = await bearer(client, "vic")
    text = (await client.get("/api/v1/readings/export", params=span, headers=who)).text
    rows = [json.loads(line) for line in text.splitlines()]
    block = readings_block(last)
    found = sorted(
        (
            int(datetime.fromisoformat(row["captured_at"]).timestamp()),
            row["values"][POWER]["value"],
            row["values"][ENERGY]["value"],
        )
        for row in rows
    )
    expected = zip(block.captured_at, block.values[0], block.values[1], strict=True)
    assert found == [tuple(map(int, row)) for row in expected]
    assert rows[0]["values"][ENERGY] | {"value": 0} == {"value": 0, "scaler": 0, "unit": 30}
    assert (rows[0]["meter"], rows[0]["profile"], rows[0]["clock_status"]) == (
        METER,
        LOAD_PROFILE,
        0,
    )


async def test_pages_of_readings_meet_without_loss(client, span):
    who = await bearer(client, "vic")
    seen: list[str] = []
    while True:
        page = await get(client, who, "/readings", meter=METER, limit=7, **span)
        seen += [row["captured_at"] for row in page["rows"]]
        if page["next_to"] is None:
            break
        span["to"] = datetime.fromtimestamp(page["next_to"], UTC).isoformat()
    assert len(seen) == len(set(seen)) == 96


async def test_the_overview_counts(client):
    who = await bearer(client, "vic")
    figures = await get(client, who, "/overview")
    assert (figures["meters_total"], figures["meters_online"]) == (2, 1)
    assert figures["readings_per_s"] == 12.5
    assert figures["fleet_load_w"] == 500
    load = await get(client, who, "/overview/load")
    assert len(load["times"]) == len(load["today"]) == len(load["yesterday"]) == 96
    assert 500 in load["today"]
    hours = await get(client, who, "/overview/completeness")
    assert len(hours) == 24


async def test_ten_rapid_clicks_make_one_command(client, deciding, services):
    who = await bearer(client, "ann")
    answers = await asyncio.gather(*(ask(client, who, "one-click") for _ in range(10)))
    assert {answer.status_code for answer in answers} == {201}
    assert len({answer.json()["id"] for answer in answers}) == 1
    others = await asyncio.gather(*(ask(client, who, f"click-{n}") for n in range(3)))
    assert {answer.status_code for answer in others} == {409}
    reused = await ask(client, who, "one-click", reason="something else")
    assert reused.status_code == 422


async def test_request_approve_and_send(client, deciding, head_end):
    ann, ben = await bearer(client, "ann"), await bearer(client, "ben")
    command = (await ask(client, ann, "k1")).json()
    assert command["state"] == "awaiting_approval"
    path = f"/api/v1/commands/{command['id']}/approve"
    wrong = await client.post(path, json={"password": "not-my-password"}, headers=ben)
    assert (wrong.status_code, wrong.json()["detail"]) == (409, "the password does not fit")
    own = await client.post(path, json={"password": PASSWORDS["ann"]}, headers=ann)
    assert own.status_code == 403
    good = await client.post(path, json={"password": PASSWORDS["ben"]}, headers=ben)
    assert good.json()["state"] in ("queued", "sent")
    assert (await get(client, ann, "/commands", state="open"))[0]["approver"] == "ben"
    assert await asyncio.to_thread(head_end.outbox.arrived.wait, 5)
    assert head_end.published()[0].id == command["id"]
    assert (await get(client, ben, "/audit/verify"))["intact"] is True


async def wish(client: httpx.AsyncClient, who: dict[str, str], key: str, **body: Any) -> Any:
    headers = who | {"Idempotency-Key": key}
    return await client.post("/api/v1/commands", json={"meter": METER} | body, headers=headers)


async def test_who_may_ask_for_which_kind_and_who_must_agree(client, deciding, span):
    since = {"since": span["from"], "until": span["from"]}
    takes = {
        "ping": {},
        "read.registers": {"logical_names": [ENERGY]},
        "read.profile": {"profile": LOAD_PROFILE} | since,
        "read.event_log": {"log": "fraud"} | since,
        "clock.sync": {},
        "tariff.special_days": {"days": []},
        "tariff.calendar": CALENDAR,
        "limiter.write": {"threshold_normal": 5_000},
    }
    by_two = {"tariff.calendar", "limiter.write"}
    people = {name: await bearer(client, name) for name in ("vic", "ann", "ben")}
    for kind, parameters in takes.items():
        body = {"kind": kind, "parameters": parameters, "reason": "as agreed"}
        body["serial_tail"] = METER[-4:]
        assert (await wish(client, people["vic"], kind, **body)).status_code == 403
        answer = await wish(client, people["ann"], kind, **body)
        assert answer.status_code == 201, answer.text
        row = answer.json()
        assert (row["kind"], row["requester"]) == (kind, "ann")
        assert (row["state"] == "awaiting_approval") == (kind in by_two)
        path, secret = f"/api/v1/commands/{row['id']}/approve", {"password": PASSWORDS["ann"]}
        assert (await client.post(path, json=secret, headers=people["ann"])).status_code == 403
        secret = {"password": PASSWORDS["ben"]}
        approved = await client.post(path, json=secret, headers=people["ben"])
        assert approved.status_code == (200 if kind in by_two else 409)
        other = body | {"meter": PROTECTED, "serial_tail": PROTECTED[-4:]}
        refused = kind == "limiter.write"
        answer = await wish(client, people["ben"], kind, **other)
        assert (answer.status_code, "life support" in answer.text) == (
            409 if refused else 201,
            refused,
        )


async def test_a_kind_is_held_to_its_contract_at_the_door(client, deciding):
    ann = await bearer(client, "ann")
    refusals = (
        ({"kind": "ping", "parameters": {"twice": 1}}, 400, "does not take"),
        ({"kind": "clock.sync", "parameters": {"max_step_s": 0}}, 400, "does not take"),
        ({"kind": "keys.change", "parameters": {"sealed": "AA=="}}, 400, "does not take"),
        ({"kind": "relay.explode"}, 400, "there is no command"),
        ({"kind": "clock.sync", "reason": ""}, 409, "a reason is required"),
        ({"kind": "ping", "approver": "ben"}, 422, "approver"),
    )
    for number, (body, status, words) in enumerate(refusals):
        answer = await wish(client, ann, f"k{number}", **body)
        assert (answer.status_code, words in answer.text) == (status, True), answer.text
    assert await get(client, ann, "/commands") == []


async def test_what_was_found_is_shown_and_a_repeat_is_the_same_command(client, deciding, head_end):
    ann = await bearer(client, "ann")
    body = {"kind": "read.registers", "parameters": {"logical_names": [ENERGY]}}
    first, again = [await wish(client, ann, "one", **body) for _ in range(2)]
    assert (first.status_code, first.json()["id"]) == (201, again.json()["id"])
    assert (await wish(client, ann, "one", kind="ping")).status_code == 422
    assert await asyncio.to_thread(head_end.outbox.arrived.wait, 5)
    (order,) = head_end.published()
    result = CommandResult(
        command_id=order.id,
        gateway=GATEWAY,
        meter=METER,
        state="confirmed",
        at=now_utc(),
        registers={ENERGY: (5_000, 0, 30)},
        findings=Findings(),
    )
    payload = results.to_payload(result, head_end.gateway, "ab" * 8, 1)
    with writing(head_end.databases.registry) as session:
        row = {"command_id": order.id, "gateway": GATEWAY, "payload": payload}
        session.add(Result(**row, received_at=now_utc()))
    async with asyncio.timeout(5):
        row = await get(client, ann, f"/commands/{order.id}")
        while row["state"] != "confirmed":
            row = await get(client, ann, f"/commands/{order.id}")
    assert row["parameters"] == body["parameters"]
    assert row["findings"] == {"registers": {ENERGY: {"value": 5_000, "scaler": 0, "unit": 30}}}


async def test_roles_are_held_at_the_door(client, deciding):
    vic = await bearer(client, "vic")
    assert (await ask(client, vic, "k")).status_code == 403
    switch = {"engaged": True, "reason": "test"}
    assert (await client.put("/api/v1/kill-switch", json=switch, headers=vic)).status_code == 403
    assert (await client.get("/api/v1/audit", headers=vic)).status_code == 403


async def test_without_an_authority_nothing_is_promised(client, monkeypatch):
    monkeypatch.setattr("hesper_cloud.services.authority_link.WAIT", timedelta(seconds=0.05))
    who = await bearer(client, "ann")
    answer = await ask(client, who, "k")
    assert (answer.status_code, "does not answer" in answer.json()["detail"]) == (503, True)


async def test_an_alert_is_acknowledged_after_its_audit_row(client, deciding, services):
    with writing(services.sources.registry) as session:
        alert = Alert(
            rule="silent-meter",
            meter=METER,
            severity="critical",
            raised_at=now_utc(),
            text="Silent",
        )
        session.add(alert)
    ann, ben = await bearer(client, "ann"), await bearer(client, "ben")
    path = f"/api/v1/alerts/{alert.id}/acknowledge"
    answer = await client.post(path, json={"note": "on it"}, headers=ann)
    assert (answer.json()["state"], answer.json()["acknowledged_by"]) == ("acknowledged", "ann")
    assert (await client.post(path, json={}, headers=ann)).status_code == 409
    audit = await get(client, ben, "/audit", subject="alert")
    assert [row["action"] for row in audit["rows"]] == ["alert.acknowledge"]
    assert (await get(client, ann, "/overview/attention"))[0]["cause"] == "silent-meter"


@pytest.mark.parametrize(("scheme", "secure"), [("http", False), ("https", True)])
async def test_a_cookie_that_came_over_tls_never_leaves_without(client, scheme, secure):
    body = {"username": "ann", "password": PASSWORDS["ann"]}
    answer = await client.post(f"{scheme}://hesper.test/api/v1/auth/login", json=body)
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert ("secure" in cookie) is secure


async def test_a_cookie_needs_our_own_origin_to_change_things(client, deciding):
    body = {"username": "ann", "password": PASSWORDS["ann"]}
    await client.post("/api/v1/auth/login", json=body)
    everywhere = {"areas": None, "scopes": None}
    me = (await client.get("/api/v1/auth/me")).json()
    assert me == {"username": "ann", "role": "operator"} | everywhere
    key = {"Idempotency-Key": "k"}
    foreign = await ask(client, {"Origin": "https://evil.example"}, "k")
    assert foreign.status_code == 403
    cross = await ask(client, {"Sec-Fetch-Site": "cross-site"} | key, "k")
    assert cross.status_code == 403
    assert (await ask(client, {"Origin": "http://hesper.test"}, "k")).status_code == 201
    assert (await client.post("/api/v1/auth/logout")).status_code == 204
    client.cookies.clear()
    assert (await client.get("/api/v1/auth/me")).status_code == 401


async def test_bad_bodies_are_problems(client, span):
    who = await bearer(client, "ann")
    no_key = await client.post(
        "/api/v1/commands", json={"meter": METER, "action": "disconnect"}, headers=who
    )
    assert (no_key.status_code, "Idempotency-Key" in no_key.json()["detail"]) == (400, True)
    assert (await ask(client, who, "k", action="explode")).status_code == 422
    garbage = await client.post("/api/v1/auth/login", content=b"\xff{")
    assert garbage.status_code == 422
    assert (await client.get("/api/v1/nowhere", headers=who)).status_code == 404
    naive = span | {"from": "2026-01-01T00:00:00"}
    answer = await client.get(f"/api/v1/meters/{METER}/gaps", params=naive, headers=who)
    assert answer.status_code == 422


async def test_health_metrics_and_description(client):
    health = await client.get("/health")
    assert health.json()["checks"]["registry"] is True
    assert "hesper_ingest_readings" in (await client.get("/metrics")).text
    paths = (await client.get("/api/v1/openapi.json")).json()["paths"]
    assert {"/api/v1/meters", "/api/v1/commands", "/api/v1/alerts"} <= paths.keys()
