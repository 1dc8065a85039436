"""What REST lets people ask for and decide, with a running authority; and whom it lets."""

import asyncio
from datetime import timedelta

import pytest
from hesper_cloud.authority.process import now_utc
from hesper_cloud.db.engines import writing
from hesper_cloud.db.registry import (
    Alert,
    Result,
)
from hesper_contracts import results
from hesper_contracts.results import CommandResult, Findings
from rest_calls import (
    CALENDAR,
    ENERGY,
    GATEWAY,
    LOAD_PROFILE,
    METER,
    PASSWORDS,
    PROTECTED,
    ask,
    bearer,
    get,
    wish,
)


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
    async with asyncio.timeout(60):
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
