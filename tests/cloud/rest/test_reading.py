"""What REST tells over the real application, databases and store."""

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from hesper_cloud import provision
from hesper_cloud.accounts.roles import Actor, Role
from hesper_cloud.authority.hours import Hours
from hesper_cloud.authority.policy import Policy
from hesper_cloud.authority.process import now_utc
from hesper_cloud.db.engines import writing
from hesper_cloud.db.registry import (
    Backfill,
    DeadLetter,
    Event,
    Gap,
    Gateway,
)
from hesper_cloud.stores.port import Group
from hesper_cloud.worded import Worded
from rest_calls import (
    ENERGY,
    GATEWAY,
    LOAD_PROFILE,
    METER,
    POWER,
    PROTECTED,
    bearer,
    get,
    readings_block,
)


async def test_nothing_without_a_login(client, span):
    for path in ("/meters", f"/meters/{METER}", "/overview", "/audit", "/readings/export"):
        answer = await client.get(f"/api/v1{path}", params=span)
        assert answer.status_code == 401
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["title"] == "Unauthorized"


async def test_a_cut_outside_its_hours_is_blocked_before_anybody_asks(client, services, head_end):
    never = Policy(hours=Hours(weekdays=set())).model_dump(mode="json")
    provision.activate_policy(head_end.databases.authority, "never", never)
    detail = await get(client, await bearer(client, "vic"), f"/meters/{METER}")
    assert "no supply is cut" in detail["disconnect_blocked"]
    assert detail["reconnect_blocked"] is None
    said = await services.meters.get(Actor("vic", Role.VIEWER), METER)
    assert isinstance(said.disconnect_blocked, Worded), "pages say it in their own language"


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


async def test_versions_of_one_instant_are_not_cut_apart_by_a_page(client, services, last, span):
    block = readings_block(last)
    other = replace(block, values=block.values + 1)
    services.sources.store.write(Group({}, [other], (last + 5) * 1000))
    who = await bearer(client, "vic")
    seen: list[tuple[str, int]] = []
    while True:
        page = await get(client, who, "/readings", meter=METER, limit=1, **span)
        seen += [(row["captured_at"], row["revision"]) for row in page["rows"]]
        if page["next_to"] is None:
            break
        span["to"] = datetime.fromtimestamp(page["next_to"], UTC).isoformat()
    assert len(seen) == len(set(seen)) == 2 * 96


async def test_the_overview_counts(client):
    who = await bearer(client, "vic")
    figures = await get(client, who, "/overview")
    assert (figures["meters_total"], figures["meters_online"]) == (2, 1)
    assert figures["readings_per_s"] == 12.5
    assert figures["fleet_load_w"] == 500
    assert figures["fleet_load_at"] is not None
    load = await get(client, who, "/overview/load")
    assert len(load["times"]) == len(load["today"]) == len(load["yesterday"]) == 96
    assert 500 in load["today"]
    hours = await get(client, who, "/overview/completeness")
    assert len(hours) == 24


async def test_health_metrics_and_description(client):
    health = await client.get("/health")
    assert health.json()["checks"]["registry"] is True
    assert "hesper_ingest_readings" in (await client.get("/metrics")).text
    paths = (await client.get("/api/v1/openapi.json")).json()["paths"]
    assert {"/api/v1/meters", "/api/v1/commands", "/api/v1/alerts"} <= paths.keys()
