"""The life of alerts as people have it in hand, over REST: every step audited and written down."""

from datetime import timedelta, timezone

import pytest
from hesper_cloud.accounts.roles import Actor, Role
from hesper_cloud.alerting.keeping import AlertKeeping
from hesper_cloud.db.engines import writing
from hesper_cloud.db.registry import Meter
from hesper_cloud.rules.alerts import Alerts, Subject, Telling
from hesper_cloud.services.alert_records import AlertFilter

METER, OTHER = "HES12642984", "HES12642985"


class Desk:
    """What rules and the job do beside the people."""

    def __init__(self, sources) -> None:
        self._sources = sources
        self.door = Alerts(sources.registry, sources.clock)
        self.keeping = AlertKeeping(sources.registry, sources.settings.alerts, sources.clock)

    def raised(self, rule: str, meter: str = METER, severity="warning") -> int:
        """Raises an alert; returns the ids in the order in which they come, from 1."""
        self.door.raise_(Subject(rule, meter=meter), severity, f"{rule} of {meter}.")

    def later(self, **span: float) -> None:
        self._sources.clock.now += timedelta(**span)
        self.keeping.turn()


@pytest.fixture
def desk(services) -> Desk:
    return Desk(services.sources)


async def shown(person, alert: int) -> dict:
    return (await person.get(f"/alerts/{alert}")).json()


async def test_an_alert_is_seen_shelved_comes_back_and_is_cleared(people, desk, services):
    ann, ben = people["ann"], people["ben"]
    desk.raised("voltage")
    seen = await ann.post("/alerts/1/acknowledge", json={"note": "on it"})
    assert (seen.json()["state"], seen.json()["acknowledged_by"]) == ("acknowledged", "ann")
    assert (await ann.post("/alerts/1/acknowledge", json={})).status_code == 409
    until = services.sources.clock.now + timedelta(hours=8)
    shelved = await ben.post(
        "/alerts/1/shelve", json={"until": until.isoformat(), "reason": "crew at work"}
    )
    assert (shelved.json()["state"], shelved.json()["shelved_by"]) == ("shelved", "ben")
    desk.later(hours=7, minutes=59)
    assert (await shown(ann, 1))["alert"]["state"] == "shelved"
    desk.later(minutes=2)
    back = (await shown(ann, 1))["alert"]
    assert (back["state"], back["shelved_until"], back["acknowledged_by"]) == (
        "acknowledged",
        None,
        "ann",
    )
    desk.door.clear(Subject("voltage", meter=METER))
    detail = await shown(ann, 1)
    assert detail["alert"]["state"] == "cleared"
    assert [(step["who"], step["action"]) for step in detail["history"]] == [
        (None, "raised"),
        ("ann", "acknowledged"),
        ("ben", "shelved"),
        (None, "unshelved"),
        (None, "cleared"),
    ]
    assert [(note["author"], note["text"]) for note in detail["notes"]] == [("ann", "on it")]
    audited = await services.audit.page(Actor("ben", Role.APPROVER), subject="alert")
    assert [(row.actor, row.action, row.why) for row in reversed(audited.rows)] == [
        ("ann", "alert.acknowledge", "on it"),
        ("ben", "alert.shelve", "crew at work"),
    ]


async def test_shelving_wants_a_reason_and_a_moment_ahead_and_can_be_taken_back(
    people, desk, services
):
    ann, now = people["ann"], services.sources.clock.now
    desk.raised("voltage")

    async def shelve(until, reason: str = "crew at work") -> int:
        body = {"until": until.isoformat(), "reason": reason}
        return (await ann.post("/alerts/1/shelve", json=body)).status_code

    assert await shelve(now - timedelta(seconds=1)) == 400
    assert await shelve(now + timedelta(days=31)) == 400
    for far in ("9999-12-31T23:59:59-12:00", "9999-12-31T23:59:59Z"):
        body = {"until": far, "reason": "for ever"}
        assert (await ann.post("/alerts/1/shelve", json=body)).status_code == 400
    assert await shelve(now + timedelta(hours=1), " ") == 400
    assert await shelve(now + timedelta(hours=1), "") == 422
    assert (await ann.post("/alerts/1/unshelve", json={})).status_code == 409
    east = timezone(timedelta(hours=5))
    assert await shelve((now + timedelta(hours=1)).astimezone(east)) == 200
    until = f"{now + timedelta(hours=1):%Y-%m-%dT%H:%M:%SZ}"
    told = (await services.audit.page(Actor("cleo", Role.ADMIN), subject="alert 1")).rows
    assert f"shelved until {until}" in [row.after for row in told]
    back = await ann.post("/alerts/1/unshelve", json={"reason": "they are done"})
    assert (back.json()["state"], back.json()["shelved_reason"]) == ("new", None)
    assert (await people["vic"].post("/alerts/1/unshelve", json={})).status_code == 403


async def test_an_alert_is_given_to_somebody_and_talked_about(people, desk):
    ann = people["ann"]
    desk.raised("voltage")
    assert (await ann.post("/alerts/1/assign", json={"to": "nobody-here"})).status_code == 400
    assert (await ann.post("/alerts/1/assign", json={"to": "ben"})).json()["assigned_to"] == "ben"
    note = "<script>alert(1)</script>\nringing the customer"
    assert (await ann.post("/alerts/1/notes", json={"text": note})).status_code == 201
    assert (await ann.post("/alerts/1/notes", json={"text": " "})).status_code == 400
    mine = await ann.get("/alerts", params={"assigned_to": "ben"})
    assert [row["id"] for row in mine.json()] == [1]
    assert (await ann.get("/alerts", params={"assigned_to": "nobody"})).json() == []
    detail = await shown(ann, 1)
    assert detail["notes"][0]["text"] == note
    assert detail["history"][1]["detail"] == "assigned to ben"
    assert (await ann.post("/alerts/1/assign", json={"to": None})).json()["assigned_to"] is None
    assert (await ann.get("/alerts/77")).status_code == 404


async def test_alerts_come_by_priority_and_page_by_page(people, desk):
    vic = people["vic"]
    for n, severity in enumerate(("info", "critical", "warning", "critical", "info")):
        desk.raised(f"rule-{n}", severity=severity)
    first = await vic.get("/alerts", params={"limit": 3})
    assert [row["severity"] for row in first.json()] == ["critical", "critical", "warning"]
    following = first.links["next"]["url"].partition("/alerts")[2]
    second = await vic.get(f"/alerts{following}")
    assert [row["severity"] for row in second.json()] == ["info", "info"]
    assert "next" not in second.links
    asked = {"min_priority": 300, "sort": "raised_at", "rule": "rule-2", "meter": METER}
    assert [row["rule"] for row in (await vic.get("/alerts", params=asked)).json()] == ["rule-2"]
    assert (await vic.get("/alerts", params={"state": "sleeping"})).status_code == 422
    assert (await vic.get("/alerts", params={"sort": "text"})).status_code == 400
    rates = (await vic.get("/alerts/rates", params={"windows": 3})).json()
    assert rates["per_10_min"] == [0, 0, 5]


async def test_many_are_held_counted_and_then_done_together(people, desk):
    ann = people["ann"]
    for n in range(6):
        desk.raised(f"rule-{n}", severity="critical" if n else "info")
    held = (await ann.post("/alerts/selections", json={"severity": "critical"})).json()
    assert (held["count"], held["by_severity"], held["by_state"]) == (
        5,
        {"critical": 5},
        {"new": 5},
    )
    desk.raised("rule-6", severity="critical")  # comes later, and is not among them
    desk.door.clear(Subject("rule-1", meter=METER))
    path, body = f"/alerts/selections/{held['id']}", {"action": "acknowledge", "text": "storm"}
    assert (await ann.post(path, json={**body, "count": 6})).status_code == 409
    assert (await people["ben"].post(path, json={**body, "count": 5})).status_code == 404
    done = await ann.post(path, json={**body, "count": 5})
    assert done.json() == {"changed": 4, "passed_over": 1}
    assert (await ann.post(path, json={**body, "count": 5})).status_code == 409
    left = (await ann.get("/alerts", params={"state": "new"})).json()
    assert {row["rule"] for row in left} == {"rule-0", "rule-6"}
    rows = (await people["ben"].get("/audit", params={"subject": "selection"})).json()["rows"]
    assert [(row["action"], row["before"]) for row in rows] == [
        ("alert.acknowledge", "severity=critical")
    ]
    assert rows[0]["subject"] == f"5 alerts, selection {held['id']}"


async def test_a_selection_does_not_keep_for_ever(people, desk, services):
    ann = people["ann"]
    desk.raised("voltage")
    held = (await ann.post("/alerts/selections", json={})).json()
    services.sources.clock.now += timedelta(minutes=16)
    body = {"action": "note", "text": "late", "count": 1}
    answer = await ann.post(f"/alerts/selections/{held['id']}", json=body)
    assert (answer.status_code, "too old" in answer.json()["detail"]) == (409, True)


async def test_who_sees_some_areas_sees_their_alerts_alone(services, desk):
    with writing(services.sources.registry) as session:
        session.get_one(Meter, METER).area = "Harbour"
        session.get_one(Meter, OTHER).area = "Old Town"
    desk.raised("voltage", METER)
    desk.raised("voltage", OTHER)
    desk.door.raise_all([Telling(Subject("backup"), "critical", "No backup.", desk.door._clock())])
    scoped = Actor("hal", Role.OPERATOR, areas=("Harbour",))
    rows, _ = await services.alerts.page(scoped, AlertFilter())
    assert [row.meter for row in rows] == [METER]
    held = await services.alert_selections.hold(scoped, AlertFilter())
    assert held.count == 1
    assert (await services.alerts.rates(scoped, 1)).per_10_min == [1]


async def test_hidden_alerts_are_found_by_their_parent_and_their_meter(people, desk):
    vic = people["vic"]
    door, now = desk.door, desk.door._clock()
    silent = [
        Telling(Subject("silent-meter", meter=each), "warning", "Silent.", now, symptom=True)
        for each in (METER, OTHER)
    ]
    door.raise_all(silent)
    door.raise_(Subject("gateway-offline", gateway="gw-1"), "critical", "Offline.")
    desk.later(seconds=1)
    listed = (await vic.get("/alerts", params={"state": "open"})).json()
    assert [(row["id"], row["group"], row["affected_count"]) for row in listed] == [
        (3, "gateway/gw-1", 2)
    ]
    below = (await vic.get("/alerts", params={"parent": 3, "sort": "id"})).json()
    assert [(row["id"], row["suppressed"]) for row in below] == [(1, True), (2, True)]
    of_meter = (await vic.get("/alerts", params={"meter": METER})).json()
    assert [row["id"] for row in of_meter] == [1]
    assert (await shown(vic, 3))["children_count"] == 2
    overview = (await vic.get("/overview")).json()
    assert (overview["alerts_open"], overview["critical_alerts"]) == (1, 1)
