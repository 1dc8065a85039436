"""Decoded traces in the cloud: kept in signed results, shown to whom may look, looks noted."""

from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
from hesper_cloud.accounts.roles import Actor, Role
from hesper_cloud.app import create_app
from hesper_cloud.authority.process import now_utc
from hesper_cloud.db.engines import open_engine, writing
from hesper_cloud.db.registry import Meter
from hesper_cloud.latest import LatestValues
from hesper_cloud.paging import Asked
from hesper_cloud.services.access_log import Wanted
from hesper_cloud.services.bundle import Services, assemble
from hesper_cloud.services.errors import NotFound
from hesper_cloud.services.sources import Sources
from hesper_cloud.stores.duckdb import DuckDbStore
from hesper_contracts.conversation import Conversation, Utterance
from hesper_contracts.results import ClockReading, Findings

METER = "HES12642984"
KIND = "read.conversation"
ANN = Actor("ann", Role.OPERATOR, door="console")
BEN = Actor("ben", Role.APPROVER)
FAR = Actor("fay", Role.OPERATOR, areas=("Hill",))
VIC = Actor("vic", Role.VIEWER)
OCTETS = "6036ac0a8008" + "**" * 8


@pytest.fixture
def services(head_end: Any) -> Iterator[Services]:
    settings, registry = head_end.settings, head_end.databases.registry
    with writing(registry) as session:
        session.get_one(Meter, METER).area = "Harbour"
    store = DuckDbStore(settings.readings_file)
    authority = open_engine(settings.database.authority_url, read_only=True)
    made = assemble(
        Sources(settings, registry, authority, store, LatestValues(), now_utc), lambda: 0.0
    )
    yield made
    made.energy.close()
    store.close()
    authority.dispose()


@pytest.fixture
async def client(services: Services) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(create_app(services, services.sources.settings))
    async with httpx.AsyncClient(transport=transport, base_url="http://hesper.test") as client:
        yield client


def found(now: Any) -> Findings:
    said = (
        Utterance(at=now, what="sent", octets=OCTETS, octet_count=14, says=("Aarq (14 octets)",)),
        Utterance(at=now + timedelta(seconds=5), what="note", says=("<b>nothing</b> arrived",)),
    )
    told = Conversation(
        utterances=said, utterance_count=3, octets_sent=14, octets_received=0, truncated=True
    )
    return Findings(clock=ClockReading(now, 200), conversation=told)


def ask(head_end: Any, kind: str) -> Any:
    wish = {"meter": METER, "kind": kind, "parameters": {}, "reason": "", "serial_tail": ""}
    return head_end.ask("ann", "command.request", **wish)


def asked(head_end: Any) -> tuple[str, Any]:
    row = ask(head_end, KIND)
    (order,) = head_end.published()[-1:]
    return row.outcome["command"], order


def traced(head_end: Any, state: str = "failed") -> str:
    command, order = asked(head_end)
    head_end.answer(order, state, detail="no answer", findings=found(head_end.clock.now))
    return command


async def test_a_silent_meters_conversation_is_shown_by_rest(
    head_end: Any, services: Services, client: httpx.AsyncClient
) -> None:
    command = traced(head_end)
    login = {"username": "ann", "password": "asking-politely-1"}
    token = (await client.post("/api/v1/auth/login", json=login)).json()["token"]
    headers = {"Authorization": f"Bearer {token}"}
    shown = (await client.get(f"/api/v1/commands/{command}", headers=headers)).json()
    assert (shown["state"], shown["detail"]) == ("failed", "no answer")
    assert set(shown["findings"]) == {"clock"}
    told = await client.get(f"/api/v1/commands/{command}/conversation", headers=headers)
    assert told.status_code == 200
    document = told.json()
    assert {name: document[name] for name in ("command", "meter", "gateway")} == {
        "command": command,
        "meter": METER,
        "gateway": shown["gateway"],
    }
    assert (document["utterance_count"], document["truncated"]) == (3, True)
    sent, note = document["utterances"]
    assert sent["octets"] == OCTETS
    assert (note["what"], note["says"]) == ("note", ["<b>nothing</b> arrived"])


async def test_a_look_is_noted_and_needs_the_right_to_see_the_meter(
    head_end: Any, services: Services
) -> None:
    command = traced(head_end)
    for stranger in (
        services.conversations.get(FAR, command),
        services.conversations.asked_for(FAR, METER),
    ):
        with pytest.raises(NotFound):
            await stranger
    assert (await services.conversations.get(VIC, command)).octets_sent == 14
    rows = (await services.access_log.page(BEN, Wanted(), Asked())).rows
    assert [(row.who, row.operation, row.meter) for row in rows] == [("vic", "conversation", METER)]


async def test_what_was_asked_for_is_listed_newest_first(head_end: Any, services: Services) -> None:
    first = traced(head_end)
    head_end.clock.advance(1)
    second = traced(head_end, "confirmed")
    ask(head_end, "ping")
    rows = await services.conversations.asked_for(ANN, METER)
    assert [row.id for row in rows] == [second, first]
    assert [row.id for row in await services.conversations.asked_for(ANN, METER, 1)] == [second]


async def test_without_a_conversation_there_is_nothing_to_show(
    head_end: Any, services: Services
) -> None:
    command, order = asked(head_end)
    with pytest.raises(NotFound):
        await services.conversations.get(ANN, command)
    head_end.answer(order, "rejected", detail="time not proven since boot")
    with pytest.raises(NotFound):
        await services.conversations.get(ANN, command)
    with pytest.raises(NotFound):
        await services.conversations.get(ANN, "no such command")


async def test_a_result_that_nobody_verified_shows_nothing(
    head_end: Any, services: Services
) -> None:
    command, order = asked(head_end)
    forger = type(head_end.gateway).generate()
    head_end.answer(order, "failed", findings=found(head_end.clock.now), signer=forger)
    assert head_end.command(command).state == "sent"
    with pytest.raises(NotFound):
        await services.conversations.get(ANN, command)


def test_no_batch_asks_for_it(head_end: Any) -> None:
    row = head_end.ask(
        "ann",
        "batch.propose",
        kind=KIND,
        meters=[METER],
        parameters={},
        reason="all of them",
    )
    assert row.state == "refused"
    assert "one meter at a time" in row.outcome["reason"]
