"""Rules, events and outages over REST: roles, versions, audit before effect, filters, pages."""

import json
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
from hesper_cloud.accounts.roles import Actor, Role
from hesper_cloud.app import create_app
from hesper_cloud.db.authority import AuditRow
from hesper_cloud.db.engines import open_engine, reading, writing
from hesper_cloud.db.registry import Alert, Event, Meter, Outage, PowerLoss, RuleMemory
from hesper_cloud.latest import LatestValues
from hesper_cloud.long_jobs.running import Runner
from hesper_cloud.rules import trials
from hesper_cloud.services.bundle import Services, assemble
from hesper_cloud.services.errors import NotFound
from hesper_cloud.services.sources import Sources
from hesper_cloud.stores.duckdb import DuckDbStore
from sqlalchemy import select

PASSWORDS = {"vic": "viewing-only-1", "ben": "second-pair-of-eyes"}
METER, OTHER = "HES12642984", "HES12642985"
RULE = {
    "title": "Voltage high",
    "text": "{value} {unit}",
    "condition": {"kind": "threshold", "logical_name": "1.0.32.7.0.255", "limit": "253"},
}
COVER = {
    "title": "Cover",
    "condition": {"kind": "event", "codes": ["tamper.cover_opened"], "ends_after_s": 60},
}


@pytest.fixture
def services(head_end: Any) -> Iterator[Services]:
    settings = head_end.settings
    store = DuckDbStore(settings.readings_file)
    read_only = open_engine(settings.database.authority_url, read_only=True)
    sources = Sources(
        settings, head_end.databases.registry, read_only, store, LatestValues(), head_end.clock
    )
    yield assemble(sources, lambda: 0.0)
    store.close()
    read_only.dispose()


@pytest.fixture
async def client(services: Services) -> AsyncIterator[httpx.AsyncClient]:
    app = create_app(services, services.sources.settings)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(
        transport=transport, base_url="http://hesper.test/api/v1"
    ) as client:
        yield client


async def who(client: httpx.AsyncClient, name: str) -> dict[str, str]:
    body = {"username": name, "password": PASSWORDS[name]}
    answer = await client.post("/auth/login", json=body)
    client.cookies.clear()
    return {"Authorization": f"Bearer {answer.json()['token']}"}


def audited(head_end: Any) -> list[tuple[str, str, str]]:
    with reading(head_end.databases.authority) as session:
        rows = session.scalars(select(AuditRow).where(AuditRow.action.startswith("rule.")))
        return [(row.actor, row.action, row.subject) for row in rows]


def happened(head_end: Any, *told: tuple[str, str | None, int]) -> None:
    at = head_end.clock.now
    with writing(head_end.databases.registry) as session:
        for code, meter, second in told:
            session.add(
                Event(
                    id=f"{code}/{meter}/{second}", meter=meter, gateway="gw-1", code=code,
                    severity="info", occurred_at=at + timedelta(seconds=second), stored_at=at,
                    text="=cmd()", attributes={},
                )
            )  # fmt: skip


@pytest.mark.usefixtures("deciding")
async def test_a_rule_is_written_tried_switched_on_and_its_versions_are_kept(
    client: httpx.AsyncClient, head_end: Any
) -> None:
    ben, vic = await who(client, "ben"), await who(client, "vic")
    made = await client.put("/rules/high", json={"definition": RULE, "note": "first"}, headers=ben)
    assert (made.status_code, made.json()["state"], made.json()["version"]) == (200, "off", 1)
    changed = RULE | {"severity": "critical"}
    first = made.headers["ETag"]
    again = {**ben, "If-Match": first}
    second = await client.put("/rules/high", json={"definition": changed}, headers=again)
    assert second.json()["version"] == 2
    stale = await client.put("/rules/high", json={"definition": RULE}, headers=again)
    assert stale.status_code == 412, stale.text
    switch = {"state": "on", "note": "ok"}
    unseen = await client.post("/rules/high/state", json=switch, headers=again)
    assert unseen.status_code == 412, unseen.text
    seen = {**ben, "If-Match": second.headers["ETag"]}
    on = await client.post("/rules/high/state", json=switch, headers=seen)
    assert on.json()["state"] == "on"
    versions = (await client.get("/rules/high/versions", headers=vic)).json()
    assert [(v["version"], v["made_by"], v["note"]) for v in versions] == [
        (2, "ben", ""), (1, "ben", "first")
    ]  # fmt: skip
    assert versions[0]["definition"]["severity"] == "critical"
    assert audited(head_end) == [
        ("ben", "rule.edit", "rule high"), ("ben", "rule.edit", "rule high"),
        ("ben", "rule.edit", "rule high"), ("ben", "rule.state", "rule high"),
        ("ben", "rule.state", "rule high"),
    ]  # fmt: skip


@pytest.mark.usefixtures("deciding")
async def test_a_rule_is_deleted_and_its_versions_stay(
    client: httpx.AsyncClient, head_end: Any
) -> None:
    ben, vic = await who(client, "ben"), await who(client, "vic")
    for title in ("first", "second"):
        body = {"definition": RULE | {"title": title}}
        made = await client.put("/rules/high", json=body, headers=ben)
    with writing(head_end.databases.registry) as session:
        now = head_end.clock.now
        said = {"severity": "warning", "raised_at": now, "changed_at": now, "text": "260"}
        session.add(Alert(rule="high", meter=METER, **said))
        session.add(RuleMemory(rule="high", subject=METER, phase="raised", since=now))
    assert (await client.delete("/rules/high", headers=vic)).status_code == 403
    stale = await client.delete("/rules/high", headers=ben | {"If-Match": '"1"'})
    assert stale.status_code == 412
    gone = await client.delete(
        "/rules/high",
        params={"note": "not needed"},
        headers=ben | {"If-Match": made.headers["ETag"]},
    )
    assert (gone.status_code, gone.content) == (204, b"")
    assert ("ben", "rule.delete", "rule high") in audited(head_end)
    assert (await client.get("/rules/high", headers=vic)).status_code == 404
    assert (await client.delete("/rules/high", headers=ben)).status_code == 404
    with reading(head_end.databases.registry) as session:
        assert session.scalars(select(Alert.state)).all() == ["cleared"]
        assert session.scalars(select(RuleMemory)).all() == []
    versions = (await client.get("/rules/high/versions", headers=vic)).json()
    assert [each["definition"]["title"] for each in versions] == ["second", "first"]
    again = await client.put("/rules/high", json={"definition": RULE}, headers=ben)
    assert (again.json()["version"], again.json()["state"]) == (3, "off")
    assert (await client.delete("/rules/tamper", headers=ben)).status_code == 409
    assert (await client.get("/rules/nothing/versions", headers=vic)).status_code == 404


@pytest.mark.usefixtures("deciding")
async def test_who_may_not_edit_changes_nothing(client: httpx.AsyncClient, head_end: Any) -> None:
    vic = await who(client, "vic")
    answer = await client.put("/rules/high", json={"definition": RULE}, headers=vic)
    assert answer.status_code == 403
    assert (await client.get("/rules/high", headers=vic)).status_code == 404
    assert audited(head_end) == []


THRESHOLD: dict[str, Any] = RULE["condition"]  # type: ignore[assignment]
NO_RULES: list[tuple[dict[str, Any], str]] = [
    ({"condition": {"kind": "python", "code": "1"}}, "condition"),
    ({"condition": THRESHOLD | {"limit": "NaN"}}, "limit"),
    ({"condition": THRESHOLD | {"limit": "-Infinity"}}, "limit"),
    ({"condition": THRESHOLD | {"limit": "1e400"}}, "limit"),
    ({"condition": THRESHOLD | {"limit": "1e-999999"}}, "limit"),
    ({"condition": THRESHOLD | {"hysteresis": "-1"}}, "hysteresis"),
    ({"condition": THRESHOLD | {"hold_s": 10**20}}, "hold_s"),
    ({"condition": THRESHOLD | {"logical_name": "voltage"}}, "logical_name"),
    ({"condition": {"kind": "sequence", "first": ["a"], "then": ["a"], "within_s": 1}}, "twice"),
    ({"text": "{subject.__class__}"}, "text"),
    ({"title": ""}, "title"),
    ({"scope": {"everything": True}}, "scope"),
]


@pytest.mark.usefixtures("deciding")
async def test_what_is_no_rule_is_refused_with_the_field(client: httpx.AsyncClient) -> None:
    ben = await who(client, "ben")
    for change, said in NO_RULES:
        answer = await client.put("/rules/high", json={"definition": RULE | change}, headers=ben)
        assert (answer.status_code, said in answer.text) == (422, True), change
    for name in ("High", "a", "x" * 64, "a%2Fb", "built in"):
        answer = await client.put(f"/rules/{name}", json={"definition": RULE}, headers=ben)
        assert answer.status_code in (400, 404, 405), name
    for name in (
        "alert-flood",
        "storm",
        "sim-data-limit",
        "archive-erasure",
    ):  # not raised by a rule of the list
        taken = await client.put(f"/rules/{name}", json={"definition": RULE}, headers=ben)
        assert (taken.status_code, "another name" in taken.text) == (400, True), name
    zero = RULE | {"condition": THRESHOLD | {"limit": "0e-999999999"}}
    made = await client.put("/rules/zero", json={"definition": zero}, headers=ben)
    assert made.json()["definition"]["condition"]["limit"] == "0"


@pytest.mark.usefixtures("deciding")
async def test_a_trial_with_much_to_look_at_is_a_job_that_reports_to_who_asked(
    services: Services, head_end: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(trials, "LONG", 0)
    registry, rules = head_end.databases.registry, services.rules
    ben, eva = Actor("ben", Role.APPROVER), Actor("eva", Role.APPROVER)
    span = head_end.clock.now - timedelta(days=1), head_end.clock.now
    asked = await rules.try_(ben, rules.understood(RULE), *span)
    assert asked.job is not None
    assert (await rules.tried(ben, asked.job)).job == asked.job  # it has not begun
    with pytest.raises(NotFound):
        await rules.tried(eva, asked.job)
    while Runner(
        registry, [trials.Trials(registry, services.sources.store)], head_end.clock
    ).turn():
        pass
    found = await rules.tried(ben, asked.job)
    assert found.subjects > 0
    assert (found.job, found.alerts, len(found.per_bucket)) == (None, 0, 60)


@pytest.mark.usefixtures("deciding")
async def test_rules_that_are_code_stand_in_the_list_and_some_are_edited(
    client: httpx.AsyncClient,
) -> None:
    ben = await who(client, "ben")
    rows = {row["id"]: row for row in (await client.get("/rules", headers=ben)).json()}
    assert {"silent-meter", "voltage", "tamper", "reverse-energy", "outage"} <= rows.keys()
    assert rows["silent-meter"]["set_in"] == "cloud.toml, [rules]"
    assert rows["voltage"]["thresholds"][1] == {
        "name": "voltage_tolerance_percent", "unit": "%", "value": 10, "usual": 10
    }  # fmt: skip
    body = {
        "title": "V",
        "condition": {"kind": "built-in", "thresholds": {"nominal_voltage_v": 240}},
    }
    made = await client.put("/rules/voltage", json={"definition": body}, headers=ben)
    assert (made.json()["state"], made.json()["thresholds"][0]["value"]) == ("on", 240)
    body["condition"]["thresholds"] = {"nominal_voltage_v": 5}  # type: ignore[index]
    low = await client.put("/rules/voltage", json={"definition": body}, headers=ben)
    assert (low.status_code, "between 50 and 1000" in low.text) == (400, True)
    always = await client.post("/rules/tamper/state", json={"state": "off"}, headers=ben)
    assert always.status_code == 409
    off = await client.post("/rules/voltage/state", json={"state": "off"}, headers=ben)
    assert off.json()["state"] == "off"
    never = await client.put("/rules/tamper", json={"definition": RULE}, headers=ben)
    assert never.status_code == 409


@pytest.mark.usefixtures("deciding")
async def test_a_draft_and_a_stored_rule_are_tried_on_history(
    client: httpx.AsyncClient, head_end: Any
) -> None:
    ben = await who(client, "ben")
    happened(head_end, *(("tamper.cover_opened", METER, 600 * n) for n in range(3)))
    span = {
        "from": (head_end.clock.now - timedelta(hours=1)).isoformat(),
        "to": (head_end.clock.now + timedelta(hours=1)).isoformat(),
    }
    draft = await client.post("/rules/try", json={"definition": COVER, **span}, headers=ben)
    assert draft.status_code == 200, draft.text
    report = draft.json()
    assert (report["alerts"], report["alerting"], report["still_open"]) == (3, 1, 0)
    assert [row["subject"] for row in report["firings"]] == [METER] * 3
    assert sum(report["per_bucket"]) == 3
    await client.put("/rules/cover", json={"definition": COVER}, headers=ben)
    stored = await client.post("/rules/cover/try", params=span, headers=ben)
    assert stored.json()["alerts"] == 3
    backwards = {"from": span["to"], "to": span["from"]}
    wrong = await client.post("/rules/cover/try", params=backwards, headers=ben)
    assert wrong.status_code == 400


async def test_much_history_becomes_a_job(
    client: httpx.AsyncClient, head_end: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("hesper_cloud.rules.trials.LONG", 10)
    ben = await who(client, "ben")
    span = {
        "from": (head_end.clock.now - timedelta(days=2)).isoformat(),
        "to": head_end.clock.now.isoformat(),
    }
    answer = await client.post("/rules/try", json={"definition": RULE, **span}, headers=ben)
    job = await client.get(f"/jobs/{answer.json()['job']}", headers=ben)
    assert job.json()["kind"] == "rule-trial"


async def test_events_are_found_by_what_they_are_where_and_when(
    client: httpx.AsyncClient, head_end: Any
) -> None:
    vic = await who(client, "vic")
    with writing(head_end.databases.registry) as session:
        session.get_one(Meter, OTHER).area = "north"
    happened(
        head_end, ("tamper.cover_opened", METER, 0), ("power.down", OTHER, 60),
        ("meter.code_4711", METER, 120), ("gateway.started", None, 180),
    )  # fmt: skip

    async def codes(**asked: Any) -> list[str]:
        answer = await client.get("/events", params=asked, headers=vic)
        assert answer.status_code == 200, answer.text
        return [row["code"] for row in answer.json()]

    newest = ["gateway.started", "meter.code_4711", "power.down", "tamper.cover_opened"]
    assert await codes() == newest
    assert await codes(group="tamper") == ["tamper.cover_opened"]
    assert await codes(group="unknown") == ["meter.code_4711"]
    assert await codes(group="power") == ["gateway.started", "power.down"]
    assert await codes(meter=METER) == ["meter.code_4711", "tamper.cover_opened"]
    assert await codes(area="north") == ["power.down"]
    assert await codes(code="power.down", gateway="gw-1", severity="info") == ["power.down"]
    start = head_end.clock.now + timedelta(seconds=60)
    span = {"from": start.isoformat(), "to": (start + timedelta(seconds=61)).isoformat()}
    assert await codes(**span) == ["meter.code_4711", "power.down"]
    assert await codes(sort="occurred_at") == newest[::-1]
    first = await client.get("/events", params={"limit": 3}, headers=vic)
    rest = await client.get(f"http://hesper.test{first.links['next']['url']}", headers=vic)
    assert [row["code"] for row in first.json() + rest.json()] == newest
    assert (await client.get("/events", params={"group": "x"}, headers=vic)).status_code == 400


async def test_the_catalogue_counts_what_is_stored_and_what_it_does_not_know(
    client: httpx.AsyncClient, head_end: Any
) -> None:
    vic = await who(client, "vic")
    happened(head_end, *(("meter.code_4711", METER, n) for n in range(3)), ("power.down", METER, 0))
    rows = {row["code"]: row for row in (await client.get("/events/catalogue", headers=vic)).json()}
    assert rows["meter.code_4711"] == {
        "code": "meter.code_4711", "group": "unknown", "severity": "info",
        "title": "Unknown event meter.code_4711", "ended_by": [], "stored": 3,
    }  # fmt: skip
    assert (rows["power.down"]["stored"], rows["power.down"]["ended_by"]) == (1, ["power.up"])


async def test_outages_are_listed_and_shown_with_their_meters(
    client: httpx.AsyncClient, head_end: Any
) -> None:
    vic, now = await who(client, "vic"), head_end.clock.now
    with writing(head_end.databases.registry) as session:
        for number, state in ((1, "open"), (2, "merged"), (3, "restored")):
            session.add(
                Outage(
                    id=number, kind="feeder", place=f"f{number}", name="Mill", area=None,
                    state=state, began_at=now + timedelta(seconds=number), noticed_at=now,
                    lost_count=2, back_count=1, customer_count=2, updated_at=now,
                )
            )  # fmt: skip
        session.add(PowerLoss(meter=METER, lost_at=now, back_at=now, proof="event", outage=1))
        session.add(PowerLoss(meter=OTHER, lost_at=now, outage=1))
    listed = (await client.get("/outages", headers=vic)).json()
    assert [row["id"] for row in listed] == [3, 1]
    opened = (await client.get("/outages", params={"state": "open"}, headers=vic)).json()
    assert [row["id"] for row in opened] == [1]
    shown = (await client.get("/outages/1", headers=vic)).json()
    assert [(row["meter"], row["proof"]) for row in shown["meters"]] == [
        (OTHER, None), (METER, "event")
    ]  # fmt: skip
    assert (await client.get("/outages/9", headers=vic)).status_code == 404
    json.dumps(shown)
