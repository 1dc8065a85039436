"""An account of one area: through no route does it see anything of another.

The routes come from the API's own description, and every table that names a meter, a gateway or an
area holds rows of both areas: a new list that forgets to narrow itself fails here by itself.
"""

import sys
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from sqlalchemy import (
    JSON,
    Boolean,
    Date,
    DateTime,
    Integer,
    LargeBinary,
    Numeric,
    String,
    create_engine,
    select,
)
from sqlalchemy.orm import Session

sys.path.insert(0, str(Path(__file__).parent))
from api_calls import PREFIX, described, routes
from hesper_cloud.accounts.roles import Actor, Role
from hesper_cloud.app import create_app
from hesper_cloud.db.authority import Batch, BatchRow, CommandRecord, User
from hesper_cloud.db.columns import UtcTime
from hesper_cloud.db.decisions import BreakGlass
from hesper_cloud.db.energy import Substitute
from hesper_cloud.db.engines import open_engine, reading, writing
from hesper_cloud.db.registry import Gateway, Meter, PlanAssignment, RegistryBase
from hesper_cloud.latest import LatestValues
from hesper_cloud.services.bundle import assemble
from hesper_cloud.services.scope import seen_rows
from hesper_cloud.services.sources import Sources
from hesper_cloud.stores.duckdb import DuckDbStore
from hesper_cloud.stores.port import Block, Group, Quantity
from hesper_contracts.batch import BatchId

NORTH, SOUTH = "HES12642984", "HES77770001"
FEW = "south side"
"""Every word of the south's holds this, or its meter's or gateway's name."""
GATEWAYS = {NORTH: "gw-1", SOUTH: "gw-south"}
MARKS = (SOUTH, "gw-south", FEW)
LOAD_PROFILE, ENERGY, POWER = "1.0.99.1.0.255", "1.0.1.8.0.255", "1.0.1.7.0.255"
COMMAND, BATCH = "5" * 36, "6" * 36
STATES = {
    "alerts": {"state": "new", "severity": "critical"},
    "events": {"severity": "critical"},
    "gaps": {"state": "open", "cause": "line", "profile": LOAD_PROFILE},
    "backfills": {"state": "asked", "profile": LOAD_PROFILE},
    "meter_profiles": {"profile": LOAD_PROFILE, "source": "meter"},
    "elements": {"kind": "transformer"},
    "element_meters": {"role": "customer", "to_at": None},
    "substitutes": {"method": "edit", "profile": LOAD_PROFILE, "logical_name": ENERGY},
    "customers": {"state": "active"},
    "sims": {"state": "active"},
}
PLACES = {"meter": SOUTH, "gateway": "gw-south", "area": FEW, "new_meter": SOUTH}
PLACES |= {"old_meter": SOUTH, "meter_id": SOUTH, "gateway_id": "gw-south"}
OVER = {"cleared_at", "closed_at", "deleted_at", "ended_at", "removed_at", "withdrawn_at"}
"""Times at which something was over: nothing in the south is, for what is over is in few lists."""
NOT_ROWS_OF_PEOPLE = {"requests", "results", "batches_seen", "again_asks", "dirty_days"}


def worth_of(column: Any, place: int) -> Any:
    """A value of a column's type; words carry the mark of the south."""
    kind = column.type
    if isinstance(kind, UtcTime | DateTime):
        return NOW + timedelta(seconds=place)
    match kind:
        case Boolean():
            return True
        case Integer() | Numeric():
            return 1
        case Date():
            return date(2026, 11, 19)
        case JSON():
            return {"said": f"{FEW}"}
        case LargeBinary():
            return FEW.encode()
        case String():
            return f"{FEW} {column.name}"[: kind.length or 100]
    return None


NOW = datetime.now(UTC).replace(microsecond=0)


def rows_of_the_south(base: Any) -> Iterator[Any]:
    """One row for every table that names a meter, a gateway or an area, and has none for it yet.

    An element of the grid names none: it is of the areas of the meters that stand there.
    """
    for mapper in base.registry.mappers:
        table = mapper.local_table
        names = set(table.columns.keys())
        if table.name == "plan_assignments":
            yield from (assigned(kind) for kind in ("schedule", "template"))
        if table.name in {"meters", "gateways", *NOT_ROWS_OF_PEOPLE}:
            continue
        if not names & PLACES.keys() and table.name != "elements":
            continue
        given = {
            column.name: PLACES.get(column.name, worth_of(column, 0)) for column in table.columns
        }
        given |= dict.fromkeys(OVER & names)
        yield mapper.class_(**(given | STATES.get(table.name, {})))


def assigned(kind: str) -> PlanAssignment:
    query = {"gateway": "gw-south", "area": FEW}
    return PlanAssignment(
        kind=kind, name="calm", version=1, query=query, made_at=NOW, made_by="ann", ended_at=None
    )


@pytest.fixture
def town(head_end) -> Any:
    """A head end with a north and a south, and an operator of the north alone."""
    registry, authority = head_end.databases.registry, head_end.databases.authority
    with writing(registry) as session:
        session.get_one(Meter, NORTH).area = "north"
        session.add(Gateway(id="gw-south", first_seen_at=NOW))
        session.flush()
        session.add(
            Meter(
                id=SOUTH,
                gateway_id="gw-south",
                state="commissioned",
                logical_device_name="HSP0077770001000",
                customer=f"{FEW} customer",
                address=f"{FEW} street",
                area=FEW,
                first_seen_at=NOW,
                last_contact_at=NOW,
            )
        )
    free = create_engine(registry.url)  # asks for no row elsewhere that a row speaks of
    with Session(free) as session, session.begin():
        session.add_all(rows_of_the_south(RegistryBase))
    free.dispose()
    with writing(authority) as session:
        ann = session.get_one(User, "ann")
        for name, role in (("nora", "operator"), ("nick", "approver"), ("nell", "auditor")):
            session.add(
                User(
                    username=name,
                    role=role,
                    areas=["north"],
                    password_hash=ann.password_hash,
                    created_at=NOW,
                )
            )
        for each in (
            a_command(),
            a_batch(),
            BreakGlass(**of_class(BreakGlass) | {"reviewed_at": None, "command": COMMAND}),
        ):
            session.add(each)
        session.flush()
        session.add(BatchRow(**of_class(BatchRow) | {"batch": BATCH, "meter": SOUTH}))
    return head_end


def of_class(mapped: Any) -> dict[str, Any]:
    return {
        column.name: PLACES.get(column.name, worth_of(column, 0))
        for column in mapped.__table__.columns
    }


def a_command() -> CommandRecord:
    said = of_class(CommandRecord) | {
        "id": COMMAND,
        "state": "awaiting_approval",
        "kind": "relay.read",
    }
    return CommandRecord(**said | {"batch": None, "findings": None, "parameters": {}})


def a_batch() -> Batch:
    return Batch(
        **of_class(Batch) | {"id": BATCH, "state": "awaiting_approval", "kind": "relay.read"}
    )


def readings(last: int, meter: str) -> Block:
    times = np.arange(last - 900 * 7, last + 1, 900, dtype=np.int64)
    return Block(
        profile=LOAD_PROFILE,
        quantities=(Quantity(POWER, 0, 27), Quantity(ENERGY, 0, 30)),
        meters=(meter,),
        meter_index=np.zeros(8, dtype=np.int64),
        captured_at=times,
        clock_status=np.zeros(8, dtype=np.int64),
        quality=np.zeros(8, dtype=np.int64),
        received_at=last,
        values=np.stack([np.full(8, 500), 1_000_000 + 125 * np.arange(8)]),
        missing=None,
    )


@pytest.fixture
def app(town, monkeypatch) -> Iterator[Any]:
    monkeypatch.setattr("hesper_cloud.services.authority_link.WAIT", timedelta(0))
    monkeypatch.setattr("hesper_cloud.services.authority_link._IN_HAND_S", 0.0)
    settings, last = town.settings, int(NOW.timestamp()) // 900 * 900
    store, latest = DuckDbStore(settings.readings_file), LatestValues()
    for number, meter in enumerate((NORTH, SOUTH), 1):
        batch = BatchId(GATEWAYS[meter], "ab" * 8, number)
        store.write(Group({batch: "00" * 32}, [readings(last, meter)], last * 1000 + number))
    latest.load(store)
    read_only = open_engine(settings.database.authority_url, read_only=True)
    sources = Sources(
        settings, town.databases.registry, read_only, store, latest, lambda: datetime.now(UTC)
    )
    services = assemble(sources, lambda: 0.0)
    yield create_app(services, settings)
    services.energy.close()
    store.close()
    read_only.dispose()


@pytest.fixture
async def client(app) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://hesper.test") as client:
        yield client


async def token_of(client: httpx.AsyncClient, who: str, password: str = "asking-politely-1") -> str:
    body = {"username": who, "password": password}
    answer = await client.post(f"{PREFIX}/auth/login", json=body)
    assert answer.status_code == 200, answer.text
    return str(answer.json()["token"])


def questions() -> Iterator[tuple[str, Any]]:
    """Every GET route, asked in general, and asked about what is in the south."""
    span = {
        "from": (NOW - timedelta(days=1)).isoformat(),
        "to": (NOW + timedelta(hours=1)).isoformat(),
    }
    ids = {"command_id": COMMAND, "batch_id": BATCH, "logical_name": ENERGY}
    about = {"meter_id": SOUTH, "meter": SOUTH, "gateway": "gw-south", "gateway_id": "gw-south"}
    about |= {"area": FEW, "element_id": f"{FEW} id", "customer_id": 1, "sim_id": 1}
    for given in (span | ids, span | ids | about):
        for name, call in routes(described(), given):
            if name.startswith("GET "):
                yield name, call


async def test_an_account_of_one_area_sees_nothing_of_another_through_any_route(client):
    tokens = {who: await token_of(client, who) for who in ("nora", "nick", "nell")}
    everything = await token_of(client, "cleo", "keeper-of-the-house")
    told: dict[str, list[str]] = {}
    broken: dict[str, str] = {}
    holding = set()
    for name, call in questions():
        for who, token in tokens.items():
            answer = await call.answer(client, token)
            if answer.status_code >= 500:
                broken[name] = answer.text
            if answer.status_code == 200 and any(mark in answer.text for mark in MARKS):
                told.setdefault(who, []).append(name)
        answer = await call.answer(client, everything)
        if any(mark in answer.text for mark in MARKS):
            holding.add(name)
    assert (told, broken) == ({}, {})
    assert holding >= {
        "GET /meters",
        "GET /meters/{meter_id}",
        "GET /gateways",
        "GET /events",
        "GET /alerts",
        "GET /gaps",
        "GET /backfills",
        "GET /commands",
        "GET /commands/{command_id}",
        "GET /batches",
        "GET /break-glass",
        "GET /topology",
        "GET /elements",
        "GET /elements/{element_id}",
        "GET /overview/attention",
        "GET /readings",
        "GET /readings/export",
        "GET /readings/changes",
        "GET /exports/readings",
        "GET /schedules/assignments",
        "GET /templates/assignments",
        "GET /customers",
        "GET /sims",
    }


async def test_figures_are_of_the_areas_one_sees(app, client):
    figures = {}
    for who, password in (("nora", "asking-politely-1"), ("cleo", "keeper-of-the-house")):
        headers = {"Authorization": f"Bearer {await token_of(client, who, password)}"}
        figures[who] = (await client.get(f"{PREFIX}/overview", headers=headers)).json()
    own, all_of_it = figures["nora"], figures["cleo"]
    assert (own["meters_total"], all_of_it["meters_total"]) == (1, 3)
    assert (own["gateways_total"], all_of_it["gateways_total"]) == (1, 2)
    assert (own["alerts_open"], own["critical_alerts"], own["gaps_open"]) == (0, 0, 0)
    assert own["commands_awaiting_approval"] == 0
    assert own["fleet_load_w"] is None


async def test_what_is_elsewhere_cannot_be_commanded_edited_or_acknowledged(app, client, town):
    headers = {"Authorization": f"Bearer {await token_of(client, 'nick')}"}
    wish = {"meter": SOUTH, "action": "disconnect", "reason": "unpaid", "serial_tail": "0001"}
    asked = {
        "/commands": wish,
        "/commands/" + COMMAND + "/approve": {"password": "asking-politely-1"},
        "/commands/" + COMMAND + "/reject": {"reason": "no"},
        "/alerts/1/acknowledge": {"note": "seen"},
        "/batches": {"kind": "relay.read", "meters": [SOUTH], "reason": "to look"},
        "/batches/" + BATCH + "/approve": {"digest": FEW, "password": "asking-politely-1"},
    }
    for path, body in asked.items():
        key = {"Idempotency-Key": path}
        answer = await client.post(f"{PREFIX}{path}", json=body, headers=headers | key)
        assert answer.status_code == 404, (path, answer.text)


async def test_the_number_of_an_edit_elsewhere_tells_no_meter(client, town):
    headers = {"Authorization": f"Bearer {await token_of(client, 'nick')}"}
    with reading(town.databases.registry) as session:
        elsewhere = session.scalars(select(Substitute.id)).one()
    told = []
    for number in (elsewhere, elsewhere + 1):
        path = f"{PREFIX}/readings/edits/{number}/withdraw"
        key = {"Idempotency-Key": f"edit {number}"}
        answer = await client.post(path, json={"reason": "misread"}, headers=headers | key)
        assert answer.status_code == 404
        told.append(answer.json()["detail"].replace(str(number), "N"))
    assert told[0] == told[1]


async def test_the_id_of_a_command_elsewhere_tells_no_meter(client, town):
    headers = {"Authorization": f"Bearer {await token_of(client, 'nick')}"}
    proof = {"password": "asking-politely-1"}
    review = proof | {"verdict": "justified", "reason": "a fire"}
    for path, body in (("/commands/{}/release", proof), ("/break-glass/{}/review", review)):
        for command in (COMMAND, "9" * 36):
            answer = await client.post(PREFIX + path.format(command), json=body, headers=headers)
            assert answer.status_code == 404, answer.text
            assert answer.json()["detail"] == f"there is no command {command}"


async def test_an_export_that_names_a_meter_elsewhere_is_as_of_one_that_is_nowhere(client):
    span = {
        "from": (NOW - timedelta(days=1)).isoformat(),
        "to": (NOW + timedelta(hours=1)).isoformat(),
    }
    headers = {"Authorization": f"Bearer {await token_of(client, 'nora')}"}
    for meters in ([SOUTH], ["HES00000000"], [NORTH, SOUTH]):
        asked = {**span, "meter": meters}
        answer = await client.get(f"{PREFIX}/exports/readings", params=asked, headers=headers)
        assert answer.status_code == 404, (meters, answer.text)
        told = answer.json()["detail"]
        assert told == f"there is no meter {meters[-1]}"
    for wanted in (span, {**span, "meter": [NORTH]}):
        answer = await client.get(f"{PREFIX}/exports/readings", params=wanted, headers=headers)
        assert answer.status_code == 200
        assert {line.partition(",")[0] for line in answer.text.splitlines()[1:]} == {NORTH}


def test_the_authority_too_knows_where_an_account_sees(town):
    wish = {"action": "read", "reason": "", "serial_tail": ""}
    answer = town.ask("nora", "command.request", meter=SOUTH, **wish)
    assert answer.outcome["reason"] == f"there is no meter '{SOUTH}'"
    answer = town.ask("nora", "command.request", meter=NORTH, **wish)
    assert answer.state == "done", answer.outcome


def test_rows_are_looked_for_until_there_are_enough(town):
    class Row:
        def __init__(self, meter: str) -> None:
            self.meter = meter

    rows = [Row(SOUTH)] * 700 + [Row(NORTH)] * 3
    actor = Actor("nora", Role.OPERATOR, areas=("north",))
    registry = town.databases.registry
    found = seen_rows(registry, actor, lambda start, count: rows[start : start + count], 2)
    assert [row.meter for row in found] == [NORTH, NORTH]
