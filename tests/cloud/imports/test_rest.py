"""Import, jobs and reports over REST, as an integrator goes: template, dry run, job, files."""

import csv
import io
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
from hesper_cloud.aggregates.book import EnergyBook
from hesper_cloud.app import create_app
from hesper_cloud.authority.process import now_utc
from hesper_cloud.db.authority import AuditRow
from hesper_cloud.db.delivery import DeliveryTarget
from hesper_cloud.db.engines import open_engine, reading, writing
from hesper_cloud.db.registry import (
    Area,
    DataAccess,
    ImportFile,
    ReportSchedule,
    ScheduledRun,
)
from hesper_cloud.jobs import long_work
from hesper_cloud.latest import LatestValues
from hesper_cloud.long_jobs.running import Runner
from hesper_cloud.reports.schedules import ScheduledReports
from hesper_cloud.rules.alerts import Alerts
from hesper_cloud.rules.sim_data import SimDataRule
from hesper_cloud.services.bundle import assemble
from hesper_cloud.services.sources import Sources
from hesper_cloud.stores.duckdb import DuckDbStore
from sqlalchemy import select

PASSWORDS = {
    "vic": "viewing-only-1",
    "ann": "asking-politely-1",
    "ben": "second-pair-of-eyes",
    "cleo": "keeper-of-the-house",
}
FILE = (
    "meterNumber;concentratorId;area;port\r\n"
    "M-1;gw-1;North;4059\r\nM-2;gw-9;Atlantis;0\r\n=M-3;gw-1;North;\r\nM-1;;;\r\n"
)


class Town:
    """A head end without its processes: application, authority on a thread, runner by hand."""

    sources: Sources

    def __init__(self, client: httpx.AsyncClient, runner: Runner, head_end: Any) -> None:
        self.client = client
        self.head_end = head_end
        self._runner = runner
        self._tokens: dict[str, str] = {}

    def work(self) -> None:
        while self._runner.turn():
            pass

    async def call(self, who: str, method: str, path: str, **sent: Any) -> httpx.Response:
        if who not in self._tokens:
            body = {"username": who, "password": PASSWORDS[who]}
            answer = await self.client.post("/api/v1/auth/login", json=body)
            self._tokens[who] = answer.json()["token"]
            self.client.cookies.clear()
        headers = {"Authorization": f"Bearer {self._tokens[who]}"} | sent.pop("headers", {})
        return await self.client.request(method, f"/api/v1{path}", headers=headers, **sent)

    def noted(self) -> list[tuple[str, str]]:
        with reading(self.head_end.databases.authority) as session:
            rows = session.scalars(select(AuditRow).order_by(AuditRow.sequence)).all()
        return [(row.actor, row.action) for row in rows]


@pytest.fixture
async def town(head_end: Any, deciding: None) -> AsyncIterator[Town]:
    head_end.authority = head_end.start_authority()
    settings, databases = head_end.settings, head_end.databases
    head_end.clock.now = now_utc()
    store = DuckDbStore(settings.readings_file)
    read_only = open_engine(settings.database.authority_url, read_only=True)
    sources = Sources(
        settings, databases.registry, read_only, store, LatestValues(), lambda: head_end.clock.now
    )
    with writing(databases.registry) as session:
        session.add(Area(name="North"))
    services = assemble(sources, lambda: 0.0)
    book = EnergyBook(settings.energy_file)
    runner = Runner(databases.registry, long_work(sources, book), sources.clock)
    transport = httpx.ASGITransport(create_app(services, settings))
    async with httpx.AsyncClient(transport=transport, base_url="http://hesper.test") as client:
        town = Town(client, runner, head_end)
        town.sources = sources
        yield town
    book.close()
    services.energy.close()
    store.close()
    read_only.dispose()


async def test_the_whole_way_of_a_file(town: Town) -> None:
    template = await town.call("vic", "GET", "/templates/meters")
    assert template.headers["content-type"] == "text/csv; charset=utf-8"
    assert template.text.lstrip("\ufeff").startswith("meterNumber,concentratorId,")
    told = {"name": "meters of June.csv"}
    tried = await town.call("ann", "POST", "/meters/import", params=told, content=FILE.encode())
    assert tried.status_code == 201
    found = tried.json()
    assert (found["row_count"], found["good_count"], found["bad_count"]) == (4, 2, 2)
    assert (found["encoding"], found["separator"], found["job"]) == ("utf-8", ";", None)
    counts = {(each["column"], each["code"]): each["count"] for each in found["problems"]}
    assert counts == {
        ("concentratorId", "unknown_gateway"): 1,
        ("area", "unknown_area"): 1,
        ("port", "not_a_port"): 1,
        ("meterNumber", "twice_in_file"): 1,
    }
    path = f"/imports/{found['id']}"
    problems = (await town.call("ann", "GET", f"{path}/problems")).json()
    assert [row["row"] for row in problems] == [3, 5]
    assert {each["column"] for each in problems[0]["problems"]} == {
        "concentratorId",
        "area",
        "port",
    }
    assert [
        row["row"] for row in (await town.call("ann", "GET", f"{path}/problems?offset=1")).json()
    ] == [5]
    applied = await town.call("ann", "POST", f"{path}/apply")
    assert (applied.status_code, applied.json()["job"]["state"]) == (202, "waiting")
    assert (await town.call("ann", "POST", f"{path}/apply")).status_code == 409
    assert ("ann", "import.apply") in town.noted()
    town.work()
    job = (await town.call("vic", "GET", f"/jobs/{applied.json()['job']['id']}")).json()
    assert (job["state"], job["done"], job["total"]) == ("done", 2, 2)
    assert job["result"] == {"entered": 2, "rejected": 0}
    rejected = await town.call("ann", "GET", f"{path}/rejected.csv")
    rows = list(csv.reader(io.StringIO(rejected.text.lstrip("\ufeff"))))
    assert [row[0] for row in rows] == ["meterNumber", "M-2", "M-1"]
    assert "create the area first" in rows[1][-1]
    listed = (await town.call("ann", "GET", "/imports")).json()
    assert [(each["id"], each["name"]) for each in listed["rows"]] == [(found["id"], told["name"])]
    exported = await town.call("ann", "GET", "/meters?search=%3DM-3")
    assert exported.json()["total"] == 1


async def test_of_a_file_that_was_removed_no_rows_are_told_and_none_applied(town: Town) -> None:
    tried = await town.call("ann", "POST", "/meters/import", content=FILE.encode())
    path = f"/imports/{tried.json()['id']}"
    with writing(town.sources.registry) as session:
        session.get_one(ImportFile, tried.json()["id"]).removed_at = town.sources.clock()
    for rows in ("problems", "changes", "rejected.csv"):
        assert (await town.call("ann", "GET", f"{path}/{rows}")).status_code == 404
    assert (await town.call("ann", "POST", f"{path}/apply")).status_code == 409
    shown = (await town.call("ann", "GET", path)).json()
    assert (shown["removed"], shown["bad_count"], shown["job"]) == (True, 2, None)


async def test_applied_at_once(town: Town) -> None:
    content = "simNumber,iccid,status\nS-9,89430000000000000099,active\n".encode("utf-16")
    answer = await town.call("ann", "POST", "/sims/import?apply=true", content=content)
    assert answer.json()["job"]["state"] == "waiting"
    town.work()
    again = await town.call("ann", "POST", "/sims/import?apply=true", content=content)
    assert (again.json()["bad_count"], again.json()["job"]) == (1, None)


BAD_INPUT = [
    ("/meters/import", b"", 400, "names the columns: meterNumber"),
    ("/meters/import", b"meterNumber\x00", 400, "no CSV text"),
    ("/meters/import?encoding=ebcdic", b"x", 422, "encoding"),
    ("/meters/import?separator=%3B", b"x", 422, "separator"),
    ("/meters/import?name=a%00b", FILE.encode(), 400, "a file's name"),
    ("/customers/import", b'customerName,accountNumber\n"Robert\n', 400, "row 2"),
    ("/imports/..%2F..%2Fkeys/apply", b"", 404, ""),
    ("/imports/ZZ/apply", b"", 422, ""),
]


async def test_bad_input_is_told(town: Town) -> None:
    for path, content, status, says in BAD_INPUT:
        answer = await town.call("ann", "POST", path, content=content)
        assert (path, answer.status_code) == (path, status)
        assert says in answer.text


async def test_a_file_that_cannot_be_kept_is_refused_with_what_to_do(town: Town) -> None:
    in_its_place = town.head_end.settings.state / "imports"
    in_its_place.write_text("a disk that takes nothing")
    answer = await town.call("ann", "POST", "/meters/import", content=FILE.encode())
    assert answer.status_code == 503
    assert "make room on the head end's disk" in answer.json()["detail"]
    assert (await town.call("ann", "GET", "/imports")).json()["rows"] == []
    in_its_place.unlink()
    answer = await town.call("ann", "POST", "/meters/import", content=FILE.encode())
    assert answer.status_code == 201


async def test_a_job_is_ended_by_who_asked_or_an_admin_and_goes_on(town: Town) -> None:
    content = b"meterNumber\nM-1\n"
    answer = await town.call("ann", "POST", "/meters/import?apply=true", content=content)
    path = f"/jobs/{answer.json()['job']['id']}"
    assert (await town.call("vic", "POST", f"{path}/cancel")).status_code == 403
    assert (await town.call("ben", "POST", f"{path}/cancel")).status_code == 403
    assert (await town.call("ann", "POST", f"{path}/resume")).status_code == 409
    cancelled = await town.call("cleo", "POST", f"{path}/cancel")
    assert (cancelled.json()["state"], cancelled.json()["ended_by"]) == ("cancelled", "cleo")
    assert (await town.call("ann", "POST", f"{path}/cancel")).status_code == 409
    town.work()
    assert (await town.call("ann", "GET", path)).json()["done"] == 0
    assert (await town.call("ann", "POST", f"{path}/resume")).json()["state"] == "waiting"
    town.work()
    assert (await town.call("ann", "GET", path)).json()["state"] == "done"
    assert (await town.call("ann", "POST", f"{path}/resume")).status_code == 409
    assert [action for _, action in town.noted()][-2:] == ["job.cancel", "job.resume"]


async def test_jobs_are_listed_in_pages_with_the_scheduled_ones(town: Town) -> None:
    at = town.head_end.clock.now
    with writing(town.head_end.databases.registry) as session:
        session.add(
            ScheduledRun(
                name="rules", every_s=300.0, begun_at=at, ended_at=at - timedelta(seconds=300),
                seconds=1.5, problem="put off: gone", problem_at=at, run_count=7, failure_count=1,
            )
        )  # fmt: skip
    for number in range(3):
        content = f"meterNumber\nM-{number}\n".encode()
        await town.call("ann", "POST", "/meters/import?apply=true", content=content)
    found = (await town.call("vic", "GET", "/jobs?limit=2")).json()
    assert [each["id"] for each in found["rows"]] == [3, 2]
    following = (await town.call("vic", "GET", f"/jobs?limit=2&cursor={found['next']}")).json()
    assert ([each["id"] for each in following["rows"]], following["next"]) == ([1], None)
    assert (await town.call("vic", "GET", "/jobs?state=done")).json()["rows"] == []
    row = found["scheduled"][0]
    assert (row["name"], row["running"], row["last_seconds"]) == ("rules", True, 1.5)
    assert (row["problem"], row["run_count"], row["failure_count"]) == ("put off", 7, 1)
    for who, told in (("ann", "put off"), ("ben", "put off: gone"), ("cleo", "put off: gone")):
        (row,) = (await town.call(who, "GET", "/jobs")).json()["scheduled"]
        assert row["problem"] == told, "statements and values are not for everybody"


async def test_reports_are_asked_for_kept_and_given_out(town: Town) -> None:
    body = {"kind": "silent-meters", "first": "2026-06-01", "last": "2026-06-07"}
    assert (await town.call("vic", "POST", "/reports", json=body)).status_code == 403
    asked = await town.call("ann", "POST", "/reports", json=body | {"zone": "Europe/Vienna"})
    assert asked.status_code == 202
    town.work()
    job = (await town.call("ann", "GET", f"/jobs/{asked.json()['id']}")).json()
    path = f"/reports/{job['result']['report']}"
    report = (await town.call("vic", "GET", path)).json()
    assert (report["from_at"], report["to_at"]) == ("2026-05-31T22:00:00Z", "2026-06-07T22:00:00Z")
    pdf = await town.call("vic", "GET", f"{path}/file")
    assert pdf.content.startswith(b"%PDF-")
    assert 'filename="silent-meters-2026-06-01.pdf"' in pdf.headers["content-disposition"]
    found = await town.call("vic", "GET", f"{path}/file?format=csv")
    assert found.text.lstrip("\ufeff").startswith("Meter,Customer,Account,Area")
    assert len(found.content) == report["files"]["csv"]["octets"]
    assert (await town.call("vic", "GET", "/reports")).json()["rows"][0]["id"] == report["id"]
    assert (await town.call("vic", "GET", "/reports/99")).status_code == 404


async def test_who_makes_or_fetches_a_report_of_households_has_looked(town: Town) -> None:
    body = {"kind": "consumption", "first": "2026-06-01", "last": "2026-06-07"}
    asked = (await town.call("ann", "POST", "/reports", json=body | {"area": "North"})).json()
    town.work()
    job = (await town.call("ann", "GET", f"/jobs/{asked['id']}")).json()
    path = f"/reports/{job['result']['report']}"
    assert (await town.call("vic", "GET", path)).status_code == 200
    for form in ("pdf", "csv"):
        assert (await town.call("vic", "GET", f"{path}/file?format={form}")).status_code == 200
    waiting = town.sources.looks.take()
    (look,) = [each for each in waiting if each.who == "vic"]
    assert (look.operation, look.door, look.area) == ("consumption report", "rest", "North")
    assert (waiting[look].count, look.to_at - look.from_at) == (2, 7 * 86_400)
    with reading(town.head_end.databases.registry) as session:
        (made,) = session.scalars(select(DataAccess))
    assert (made.who, made.door, made.operation) == ("ann", "report", "consumption")


NONSENSE = [
    ({"kind": "gossip"}, 400, "there is no report"),
    ({"zone": "Europe/Atlantis"}, 400, "no time zone"),
    ({"zone": "../../etc/passwd"}, 400, "no time zone"),
    ({"last": "2026-05-01"}, 400, "the first one first"),
    ({"first": "0001-01-01"}, 400, "1 to 400 days"),
    ({"kind": "service-levels", "area": "North"}, 400, "cannot be divided"),
    ({"kind": "audit"}, 403, "audit log"),
]


async def test_reports_that_make_no_sense_are_refused(town: Town) -> None:
    for changes, status, says in NONSENSE:
        body = {"kind": "consumption", "first": "2026-06-01", "last": "2026-06-07"} | changes
        answer = await town.call("ann", "POST", "/reports", json=body)
        assert (changes, answer.status_code, says in answer.text) == (changes, status, True)


async def test_schedules_are_added_and_removed(town: Town) -> None:
    body = {"name": "weekly", "kind": "consumption", "every": "week", "zone": "Europe/Vienna"}
    assert (await town.call("vic", "POST", "/reports/schedules", json=body)).status_code == 403
    added = await town.call("ann", "POST", "/reports/schedules", json=body)
    assert (added.status_code, added.json()["at_minute"]) == (201, 360)
    assert added.json()["next_at"] > town.head_end.clock.now.isoformat()
    assert (await town.call("ann", "POST", "/reports/schedules", json=body)).status_code == 409
    listed = (await town.call("vic", "GET", "/reports/schedules")).json()
    assert [each["name"] for each in listed] == ["weekly"]
    path = f"/reports/schedules/{listed[0]['id']}"
    assert (await town.call("ann", "DELETE", path)).status_code == 204
    assert (await town.call("ann", "DELETE", path)).status_code == 404
    assert [action for _, action in town.noted()][-2:] == [
        "report-schedule.add",
        "report-schedule.remove",
    ]


async def test_a_schedule_is_changed_rested_and_given_a_target(town: Town) -> None:
    body = {"name": "weekly", "kind": "consumption", "every": "week", "zone": "Europe/Vienna"}
    added = (await town.call("ann", "POST", "/reports/schedules", json=body)).json()
    other = body | {"name": "other"}
    assert (await town.call("ann", "POST", "/reports/schedules", json=other)).status_code == 201
    path = f"/reports/schedules/{added['id']}"
    shown = await town.call("vic", "GET", path)
    assert (shown.json()["enabled"], shown.json()["target"]) == (True, None)
    assert (await town.call("vic", "PUT", path, json=body)).status_code == 403
    assert (await town.call("ann", "PUT", path, json=other)).status_code == 409
    unknown = await town.call("ann", "PUT", path, json=body | {"target": "nowhere"})
    assert (unknown.status_code, "no mail target" in unknown.text) == (400, True)
    with writing(town.sources.registry) as session:
        session.add(
            DeliveryTarget(
                name="billing", kind="email", config={}, made_by="cleo", failures=0,
                changed_at=town.head_end.clock.now,
            )
        )  # fmt: skip
    changed = body | {"every": "day", "at_minute": 30, "target": "billing", "enabled": False}
    done = await town.call("ann", "PUT", path, json=changed)
    assert done.status_code == 200, done.text
    said = done.json()
    assert (said["every"], said["at_minute"], said["target"]) == ("day", 30, "billing")
    assert (said["enabled"], said["version"]) == (False, 2)
    assert said["next_at"] != added["next_at"]
    with writing(town.sources.registry) as session:
        session.get_one(ReportSchedule, added["id"]).next_at = town.head_end.clock.now
    ScheduledReports(town.sources.registry, town.sources.clock).turn()
    jobs = (await town.call("ann", "GET", "/jobs")).json()["rows"]
    assert jobs == []  # it rests
    stale = {"If-Match": shown.headers["ETag"]}
    again = await town.call("ann", "PUT", path, json=changed, headers=stale)
    assert again.status_code == 412
    assert (
        await town.call("ann", "PUT", path, json=changed | {"enabled": True})
    ).status_code == 200
    missing = await town.call("ann", "PUT", "/reports/schedules/999", json=changed)
    assert missing.status_code == 404
    with reading(town.head_end.databases.authority) as session:
        noted = select(AuditRow).where(AuditRow.action == "report-schedule.change")
        first = session.scalars(noted.order_by(AuditRow.sequence)).first()
    assert first is not None
    assert (first.before, first.after) == (
        "consumption every week at 06:00 Europe/Vienna",
        "consumption every day at 00:30 Europe/Vienna, mailed to billing, paused",
    )


async def test_a_file_changes_what_is_there_by_choice_alone(town: Town) -> None:
    first = b"accountNumber,customerName,phoneNumber\r\nA-9,Ada Byron,+43 1 111111\r\n"
    told = {"name": "first.csv", "apply": True}
    await town.call("ann", "POST", "/customers/import", params=told, content=first)
    town.work()
    second = b"accountNumber,customerName,phoneNumber\r\nA-9,Ada Byron,+43 1 222222\r\nA-8,Bob,\r\n"
    refused = await town.call("ann", "POST", "/customers/import", content=second)
    assert (refused.json()["existing"], refused.json()["good_count"]) == ("refuse", 1)
    tried = await town.call(
        "ann", "POST", "/customers/import", params={"existing": "update"}, content=second
    )
    found = tried.json()
    counts = (found["good_count"], found["change_count"], found["same_count"])
    assert (found["existing"], counts) == ("update", (2, 1, 0))
    path = f"/imports/{found['id']}"
    (row,) = (await town.call("ann", "GET", f"{path}/changes")).json()
    assert row["row"] == 2
    assert row["changes"] == [{"field": "phone", "before": "+43 1 111111", "after": "+43 1 222222"}]
    (customer,) = (await town.call("ann", "GET", "/customers")).json()["rows"]
    assert customer["phone"] == "+43 1 111111"  # a dry run changes nothing
    assert (await town.call("ann", "POST", f"{path}/apply")).status_code == 202
    town.work()
    job = (await town.call("ann", "GET", path)).json()["job"]
    assert job["result"] == {"entered": 1, "rejected": 0, "changed": 1, "same": 0}
    history = (await town.call("ann", "GET", f"/customers/{customer['id']}/history")).json()
    newest = (history["rows"] if isinstance(history, dict) else history)[0]
    assert (newest["before"], newest["after"]) == (
        {"phone": "+43 1 111111"}, {"phone": "+43 1 222222"}
    )  # fmt: skip
    with reading(town.head_end.databases.authority) as session:
        noted = session.scalars(
            select(AuditRow.after).where(AuditRow.action == "import.apply")
        ).all()
    assert "1 of them change what is there" in str(noted[-1])


async def test_the_use_of_sim_cards_comes_by_file_and_alarms_at_the_limit(town: Town) -> None:
    card = {"iccid": "89430000000000000010", "number": "S-1", "data_limit_mb": 500}
    made = (await town.call("ann", "POST", "/sims", json=card)).json()
    template = (await town.call("vic", "GET", "/templates/simuse")).text
    assert template.lstrip("\ufeff") == "iccid,dataUsed\r\n"
    alerts = Alerts(town.sources.registry, town.sources.clock)
    rule = SimDataRule(town.sources.registry, alerts, town.sources.clock)
    expected = {"0.1 GB": [], "450": ["sim-data-near"], "500": ["sim-data-limit"], "3": []}
    for used, rules in expected.items():
        octets = f"iccid,dataUsed\r\n{card['iccid']},{used}\r\n".encode()
        told = {"apply": True, "decimal": "point"}
        await town.call("ann", "POST", "/sims/use/import", params=told, content=octets)
        town.work()
        rule.check()
        rows = (await town.call("vic", "GET", "/alerts")).json()
        found = rows["rows"] if isinstance(rows, dict) else rows
        open_rules = [row["rule"].partition("/")[0] for row in found if row["state"] != "cleared"]
        assert [each for each in open_rules if each.startswith("sim-")] == rules, used
    shown = (await town.call("vic", "GET", f"/sims/{made['id']}")).json()
    assert shown["data_used_mb"] == 3
