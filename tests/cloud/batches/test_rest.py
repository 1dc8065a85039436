"""Batches over REST: roles, the way of a batch, rows and CSV, on a deciding authority."""

import threading
from collections.abc import AsyncIterator, Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import httpx
import pytest
from hesper_cloud.accounts.roles import Actor, Role
from hesper_cloud.app import create_app
from hesper_cloud.db.engines import open_engine
from hesper_cloud.latest import LatestValues
from hesper_cloud.services.bundle import Services, assemble
from hesper_cloud.services.sources import Sources
from hesper_cloud.stores.duckdb import DuckDbStore
from hesper_cloud.worded import wording

FORMULA = "=HYPERLINK(1)"
PROTECTED = "HES12642985"
PASSWORDS = {
    "vic": "viewing-only-1",
    "ann": "asking-politely-1",
    "ben": "second-pair-of-eyes",
}


@pytest.fixture
def deciding(town) -> Iterator[None]:
    """Lets the authority take turns on a thread, as its process does."""
    stop = threading.Event()

    def turns() -> None:
        while not stop.wait(0.005):
            town.head_end.authority.turn()

    thread = threading.Thread(target=turns)
    thread.start()
    yield
    stop.set()
    thread.join()


@pytest.fixture
def services(town, deciding) -> Iterator[Services]:
    settings, databases = town.head_end.settings, town.head_end.databases
    store = DuckDbStore(settings.readings_file)
    read_only = open_engine(settings.database.authority_url, read_only=True)
    sources = Sources(
        settings, databases.registry, read_only, store, LatestValues(), lambda: town.clock.now
    )
    yield assemble(sources, lambda: 0.0)
    store.close()
    read_only.dispose()


@pytest.fixture
async def client(town, services) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(create_app(services, town.head_end.settings))
    async with httpx.AsyncClient(transport=transport, base_url="http://hesper.test") as client:
        yield client


class Person:
    """One account's way to the batches."""

    def __init__(self, client: httpx.AsyncClient, token: str) -> None:
        self._client = client
        self._headers = {"Authorization": f"Bearer {token}"}

    async def post(self, path: str, body: Any, key: str = "") -> httpx.Response:
        headers = self._headers | ({"Idempotency-Key": key} if key else {})
        return await self._client.post(f"/api/v1/batches{path}", json=body, headers=headers)

    async def get(self, path: str, **query: Any) -> httpx.Response:
        path = f"/api/v1/batches{path}"
        return await self._client.get(path, params=query, headers=self._headers)


@pytest.fixture
async def people(client) -> dict[str, Person]:
    found = {}
    for name, password in PASSWORDS.items():
        body = {"username": name, "password": password}
        answer = await client.post("/api/v1/auth/login", json=body)
        client.cookies.clear()
        found[name] = Person(client, answer.json()["token"])
    return found


async def test_every_row_that_takes_no_part_is_counted_by_its_cause(people, town):
    town.head_end.ask_disconnect(meter=town.meters[0])
    strangers = [f"HES9999{number:04}" for number in range(1_500)]
    body = {
        "kind": "relay.disconnect",
        "reason": "unpaid",
        "meters": [*town.meters[:2], *strangers],
    }
    made = (await people["ann"].post("", body, "k")).json()
    causes = (await people["vic"].get(f"/{made['id']}/excluded")).json()
    assert causes == [
        {"cause": "unknown meter", "count": 1_500},
        {"cause": "another command is awaiting approval", "count": 1},
    ]
    assert (await people["vic"].get("/none/excluded")).status_code == 404


async def test_a_cause_keeps_its_wording_so_that_every_language_can_tell_it(town, services):
    batch = town.propose(kind="relay.disconnect", meters=[PROTECTED, town.meters[0]])
    (left_out,) = await services.batches.excluded(Actor("vic", Role.VIEWER), batch)
    assert wording(left_out.cause) == {
        "template": "protected: {cause}",
        "values": {"cause": "life support"},
    }


async def test_a_batch_by_rest_from_proposal_to_its_rows(people, town):
    vic, ann, ben = people["vic"], people["ann"], people["ben"]
    body = {"kind": "ping", "reason": "are they there", "meters": [*town.meters[:3], FORMULA]}
    assert (await vic.post("", body, "k")).status_code == 403
    assert (await ann.post("", body)).status_code == 400
    assert (await ann.post("", body | {"query": {}}, "both")).status_code == 400
    first = await ann.post("", body, "k")
    assert first.status_code == 201, first.text
    again = await ann.post("", body, "k")
    batch = first.json()
    assert again.json()["id"] == batch["id"]
    assert batch["counts"] == {"waiting": 3, "excluded": 1}

    of = f"/{batch['id']}"
    approval = {"digest": batch["digest"], "password": PASSWORDS["ben"]}
    assert (await ann.post(f"{of}/approve", approval)).status_code == 403
    wrong = await ben.post(f"{of}/approve", approval | {"digest": "0" * 64})
    assert (wrong.status_code, "not the hash" in wrong.text) == (409, True)
    approved = await ben.post(f"{of}/approve", approval)
    assert (approved.status_code, approved.json()["approver"]) == (200, "ben")
    assert (await vic.post(f"{of}/pause", {})).status_code == 403
    assert (await ann.post(f"{of}/explode", {})).status_code == 422
    paused = await ann.post(f"{of}/pause", {"reason": "a storm"})
    assert (paused.json()["state"], paused.json()["detail"]) == ("paused", "a storm")

    assert [one["id"] for one in (await vic.get("")).json()] == [batch["id"]]
    assert (await vic.get("", state="done")).json() == []
    page = (await vic.get(f"{of}/rows", offset=2, limit=1)).json()
    assert (page["total"], page["rows"][0]["meter"]) == (4, town.meters[2])
    excluded = (await vic.get(f"{of}/rows", state="excluded")).json()
    assert (excluded["total"], excluded["rows"][0]["excluded"]) == (1, "unknown meter")
    causes = (await vic.get(f"{of}/excluded")).json()
    assert causes == [{"cause": "unknown meter", "count": 1}]
    lines = (await vic.get(f"{of}/rows.csv")).text.splitlines()
    assert lines[0].startswith("position,meter,gateway,area,state,excluded")
    assert len(lines) == 5
    assert lines[4].startswith(f"3,'{FORMULA},")
    assert (await vic.get("/none")).status_code == 404


async def test_a_query_finds_the_meters(people, town):
    body = {"kind": "relay.read", "reason": "a look", "query": {"search": "HES2000"}}
    batch = (await people["ann"].post("", body, "k")).json()
    assert batch["counts"] == {"waiting": len(town.meters)}


async def test_a_decision_with_the_time_that_was_shown_is_for_that_batch(people, town):
    ann, ben = people["ann"], people["ben"]
    asked = {"kind": "ping", "reason": "are they there", "meters": town.meters[:3], "canary": 0}
    batch = (await ann.post("", asked, "k")).json()
    of = f"/{batch['id']}"
    proof = {"digest": batch["digest"], "password": PASSWORDS["ben"]}
    assert (await ben.post(f"{of}/approve", proof)).status_code == 200
    shown = (await ann.post(f"{of}/pause", {"reason": "rain"})).json()["updated_at"]
    elsewhere = datetime.fromisoformat(shown).astimezone(timezone(timedelta(hours=2)))
    word = proof | {"stood_at": elsewhere.isoformat()}
    assert (await ben.post(f"{of}/resume", word)).status_code == 200
    town.clock.advance(1)
    assert (await ann.post(f"{of}/pause", {"reason": "rain again"})).status_code == 200
    late = await ben.post(f"{of}/resume", word)
    assert (late.status_code, "has moved since" in late.text) == (409, True)
