"""Schedules, templates, settings, what is asked of a meter, consumption, approvals, figures."""

import hashlib
import uuid
from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any

import httpx
import pyarrow as pa
import pytest
from hesper_cloud import provision
from hesper_cloud.accounts.roles import Permission
from hesper_cloud.aggregates.book import DAYS
from hesper_cloud.authority.process import now_utc
from hesper_cloud.db.authority import AuditRow, CommandRecord
from hesper_cloud.db.engines import reading, writing
from hesper_cloud.services import plan_sending
from hesper_cloud.services.known_files import with_table
from sqlalchemy import select

METER, GATEWAY, ENERGY = "HES12642984", "gw-1", "1.0.1.8.0.255"
TOML = """gateway = "gw-1"   # ours
[schedule]
profile_s = 900
snapshot_s = 60

[[meters]]
id = "HES12642984"
template = "hesper-sim"
"""


@pytest.fixture(scope="module")
def ann(house) -> Iterator[httpx.Client]:
    with house.client("ann") as client:
        yield client


def key() -> dict[str, str]:
    return {"Idempotency-Key": uuid.uuid4().hex}


def commanded(house: Any, kind: str, parameters: dict[str, Any], state: str, **more: Any) -> None:
    """Puts a command there as the authority leaves it."""
    now = now_utc()
    row = CommandRecord(
        id=uuid.uuid4().hex, kind=kind, parameters=parameters, state=state,
        requester="ann", reason="as agreed", created_at=now, updated_at=now,
        **{"meter": METER, "gateway": GATEWAY} | more,
    )  # fmt: skip
    with writing(house.head_end.databases.authority) as session:
        session.add(row)


def configured(house: Any, text: str, digest: str | None = None, gateway: str = GATEWAY) -> None:
    digest = digest or hashlib.sha256(text.encode()).hexdigest()
    parameters, findings = {"toml": text}, {"configuration": digest}
    commanded(
        house,
        "gateway.configure",
        parameters,
        "confirmed",
        meter="",
        findings=findings,
        gateway=gateway,
    )


def state(ann: httpx.Client, kind: str) -> dict[str, Any]:
    (found,) = [each for each in ann.get(f"/{kind}s/states").json() if each["gateway"] == GATEWAY]
    return dict(found)


def test_a_schedule_is_desired_reported_sent_and_then_as_desired(house, ann):
    assert state(ann, "schedule") == {
        "gateway": GATEWAY, "desired_name": None, "desired_version": None, "desired": None,
        "reported": None, "reported_at": None, "command": None, "state": "unknown",
    }  # fmt: skip
    for profile_s in (900, 1800):
        body = {"document": {"profile_s": profile_s}, "note": "calmer"}
        assert ann.put("/schedules/calm", json=body).status_code == 200
    assert [row["version"] for row in ann.get("/schedules/calm").json()] == [2, 1]
    assert [row["document"] for row in ann.get("/schedules").json()] == [{"profile_s": 1800}]
    wrong = {"version": 9, "query": {"area": "North"}}
    assert ann.post("/schedules/calm/assignments", json=wrong).status_code == 404
    assigned = ann.post("/schedules/calm/assignments", json={"query": {"area": "North"}})
    assert assigned.json()["version"] == 2
    with reading(house.head_end.databases.authority) as session:
        noted = session.scalars(select(AuditRow).where(AuditRow.action == "schedule.assign"))
        assert [(row.subject, row.after) for row in noted] == [("calm 2", '{"area": "North"}')]
    assert (state(ann, "schedule")["desired"], state(ann, "schedule")["state"]) == (
        {"profile_s": 1800}, "unknown",
    )  # fmt: skip
    sending = {"reason": "as agreed with operations"}
    sent = ann.post("/schedules/calm/send", json=sending, headers=key())
    assert (sent.status_code, sent.json()["commands"], list(sent.json()["skipped"])) == (
        202, [], [GATEWAY],
    )  # fmt: skip
    configured(house, "\ufeff" + TOML)  # with the mark of an editor of Windows
    assert (state(ann, "schedule")["reported"], state(ann, "schedule")["state"]) == (
        {"profile_s": 900, "snapshot_s": 60}, "differs",
    )  # fmt: skip
    (command,) = ann.post("/schedules/calm/send", json=sending, headers=key()).json()["commands"]
    assert (command["kind"], command["state"]) == ("gateway.configure", "awaiting_approval")
    assert command["parameters"]["toml"] == TOML.replace("900\nsnapshot_s = 60", "1800.0")
    configured(house, command["parameters"]["toml"])
    assert state(ann, "schedule")["state"] == "as desired"
    configured(house, TOML, digest="00" * 32)  # changed on site: nothing is known any more
    assert state(ann, "schedule")["state"] == "unknown"
    path = f"/schedules/assignments/{assigned.json()['id']}"
    assert [ann.delete(path).status_code for _ in range(2)] == [204, 404]
    assert state(ann, "schedule")["desired_name"] is None


def test_gateways_that_cannot_be_asked_keep_no_other_waiting(house, ann, monkeypatch):
    monkeypatch.setattr(plan_sending, "MOST_AT_ONCE", 2)
    names = [f"gw-of-many-{number}" for number in range(6)]
    for name in names:
        provision.add_gateway(house.head_end.databases, name, "ab" * 32)
    for name in names[3:]:
        configured(house, TOML.replace("gw-1", name), gateway=name)
    assert ann.put("/schedules/many", json={"document": {"profile_s": 1800}}).status_code == 200
    for name in names:
        wish = {"query": {"gateway": name}}
        assert ann.post("/schedules/many/assignments", json=wish).status_code == 201
    asked = []
    for _ in range(2):
        body = {"reason": "as agreed with operations"}
        sent = ann.post("/schedules/many/send", json=body, headers=key()).json()
        asked += [command["gateway"] for command in sent["commands"]]
        assert len(sent["skipped"]) == 2
    assert asked == names[3:]


def test_the_newest_template_assignment_that_finds_a_meter_counts(house, ann):
    for name in ("old-way", "hesper-sim"):
        body = {"document": {"toml": "[clock]\n"}}
        assert ann.put(f"/templates/{name}", json=body).status_code == 200
        assert ann.post(f"/templates/{name}/assignments", json={}).status_code == 201
    configured(house, TOML + '[[meters]]\nid = "HES12642985"\ntemplate = "hesper-sim"\n')
    found = state(ann, "template")
    assert (found["desired"], found["reported"], found["state"]) == (
        {"hesper-sim": 2}, {"hesper-sim": 2}, "names agree",
    )  # fmt: skip
    assert ann.post(
        "/templates/old-way/assignments", json={"query": {"gateway": GATEWAY}}
    ).is_success
    assert state(ann, "template")["state"] == "differs"


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/schedules/Calm", {"document": {}}, 422),
        ("/schedules/x", {"document": {"profile_s": -1}}, 422),
        ("/schedules/x", {"document": {"surprise": 1}}, 422),
        ("/schedules/states", {"document": {}}, 409),
        ("/templates/customers", {"document": {"toml": "a = 1"}}, 409),
        ("/templates/x", {"document": {"toml": "a = = 1"}}, 422),
    ],
)
def test_what_is_no_plan_is_refused(ann, path, body, status):
    assert ann.put(path, json=body).status_code == status


def test_only_that_table_of_a_file_is_replaced():
    changed = with_table("a = 1\n", "schedule", {"profile_s": 5})
    assert changed == "a = 1\n[schedule]\nprofile_s = 5\n\n"
    for text in ('[schedule]\nx = """\n[y]\n"""\n', "[schedule.sub]\na = 1\n"):
        with pytest.raises(ValueError, match=r"schedule|Invalid|Expected|Unterminated"):
            with_table(text, "schedule", {"profile_s": 5})


def test_settings_say_what_is_desired_and_what_is_reported(house, ann):
    def shown(name: str) -> dict[str, Any]:
        found = ann.get(f"/meters/{METER}/settings").json()
        return next(each for each in found["settings"] if each["name"] == name)

    assert (shown("limiter")["state"], shown("limiter")["desired"]) == ("unknown", None)
    commanded(house, "limiter.write", {"threshold_normal": 3000}, "confirmed")
    assert (shown("limiter")["state"], shown("limiter")["reported"]) == (
        "as desired", {"threshold_normal": 3000},
    )  # fmt: skip
    version = ann.get(f"/meters/{METER}/settings").headers["etag"]
    wish = {
        "limiter": {"threshold_normal": 5000}, "template": "hesper-sim",
        "reason": "moved in", "serial_tail": METER[-4:],
    }  # fmt: skip
    answer = ann.put(f"/meters/{METER}/settings", json=wish, headers=key() | {"If-Match": version})
    assert answer.status_code == 202, answer.text
    (command,) = answer.json()["commands"]
    assert (command["kind"], command["state"]) == ("limiter.write", "awaiting_approval")
    pending = shown("limiter")
    assert (pending["state"], pending["reported"]) == ("pending", {"threshold_normal": 3000})
    assert pending["desired"]["threshold_normal"] == 5000
    ann.post(f"/commands/{command['id']}/cancel")
    assert (shown("limiter")["state"], shown("limiter")["command_state"]) == (
        "as desired", "cancelled",
    )  # fmt: skip
    assert shown("template")["desired"] == "hesper-sim"
    stale = ann.put(f"/meters/{METER}/settings", json=wish, headers=key() | {"If-Match": version})
    assert stale.status_code == 412
    commanded(house, "clock.sync", {"max_step_s": 60}, "failed")
    assert (shown("clock")["state"], shown("clock")["command_state"]) == ("unknown", "failed")
    assert ann.put(f"/meters/{METER}/settings", json={}, headers=key()).status_code == 400
    assert ann.get("/meters/none/settings").status_code == 404


def test_a_supply_is_cut_through_the_same_checks_and_waits_in_the_inbox(house, ann):
    other = "HES12642985"  # on life support: never cut
    wish = {"reason": "unpaid since March", "serial_tail": other[-4:]}
    refused = ann.post(f"/meters/{other}/disconnect", json=wish, headers=key())
    assert refused.status_code == 409
    wish = {"reason": "unpaid since March", "serial_tail": METER[-4:]}
    assert ann.post(f"/meters/{METER}/disconnect", json=wish).status_code == 400  # no key
    asked = ann.post(f"/meters/{METER}/disconnect", json=wish, headers=key())
    assert asked.status_code == 202, asked.text
    assert asked.headers["location"] == f"/api/v1/commands/{asked.json()['id']}"
    waiting = {row["id"]: row for row in ann.get("/approvals").json()}
    row = waiting[asked.json()["id"]]
    assert (row["kind"], row["what"], row["may_decide"]) == ("command", "relay.disconnect", False)
    with house.client("ben") as ben:
        rows = ben.get("/approvals?kind=command").json()
        assert next(each for each in rows if each["id"] == row["id"])["may_decide"] is True
        body = {"password": "second-pair-of-eyes"}
        assert ben.post(row["href"], json=body).status_code == 200
        assert row["id"] not in {each["id"] for each in ben.get("/approvals").json()}
    busy = ann.post(f"/meters/{METER}/connect", json={"reason": "paid"}, headers=key())
    assert (busy.status_code, "another command" in busy.json()["detail"]) == (409, True)
    look = ann.post(f"/meters/{METER}/read", json={"what": "relay"}, headers=key())
    assert look.status_code in (202, 409)


def test_readings_of_a_meter_come_by_pages(house, ann):
    headers = house.machine("pv", Permission.BRING_READINGS)
    start = 1_763_000_000
    readings = [
        {
            "meter": "PV-7",
            "captured_at": _at(start + 900 * n),
            "values": {"1.0.1.8.0.255": [n, 0, 30]},
        }
        for n in range(25)
    ]
    body = {"kind": "readings", "version": 1, "readings": readings}
    url = f"{house.url}/api/v1/meters/data-ingestion"
    assert httpx.post(url, json=body, headers=headers, timeout=60).status_code == 200
    path = f"/meters/PV-7/readings?from={_at(start)}&to={_at(start + 90_000)}&limit=10"
    found: list[Any] = []
    while path:
        answer = ann.get(path)
        assert answer.status_code == 200, answer.text
        found += [row["values"][ENERGY]["value"] for row in answer.json()["rows"]]
        path = answer.links.get("next", {}).get("url", "").removeprefix("/api/v1")
    assert found == list(range(24, -1, -1))


def _at(epoch_s: int) -> str:
    return datetime.fromtimestamp(epoch_s, UTC).isoformat().replace("+00:00", "Z")


def test_consumption_adds_up_days_of_many_meters_exactly(house, ann):
    days = [
        _day("PG-A", date(2026, 10, 31), 0, [100, 200]),
        _day("PG-B", date(2026, 10, 31), 1, [5]),  # 50 Wh: tens of them
        _day("PG-A", date(2026, 11, 1), 0, [7]),
    ]
    worked = pa.table(
        {"meter": [row["meter"] for row in days], "day": [row["day"] for row in days]},
        pa.schema([("meter", pa.string()), ("day", pa.date32())]),
    )
    book = house.services.energy._shelf.book
    book.replace(worked, {"days": pa.Table.from_pylist(days, schema=DAYS)}, now_utc())
    span = "from=2026-10-01&to=2026-11-30"
    found = ann.get(f"/consumption?{span}").json()
    assert [(row["first"], row["value"], row["meters"]) for row in found["rows"]] == [
        ("2026-10-31", 350, 2), ("2026-11-01", 7, 1),
    ]  # fmt: skip
    assert (found["scaler"], found["symbol"]) == (0, "Wh")
    months = ann.get(f"/consumption?{span}&step=month&meter=PG-A").json()["rows"]
    assert months == []  # the registry does not know it, so nobody can say whose it is
    assert ann.get("/consumption?from=2026-11-30&to=2026-10-01").status_code == 400


def _day(meter: str, day: date, scaler: int, sums: list[int]) -> dict[str, Any]:
    return {
        "meter": meter, "logical_name": ENERGY, "day": day, "starts_at": 0,
        "scaler": scaler, "unit": 30, "step_s": 3600, "sums": sums,
        "counts": [4] * len(sums), "estimated": [0] * len(sums),
    }  # fmt: skip


def test_the_dashboard_has_its_figures_in_one_answer(ann):
    found = ann.get("/dashboard/stats").json()
    assert found["figures"]["meters_total"] >= 2
    assert {"completeness", "attention"} <= found.keys()
