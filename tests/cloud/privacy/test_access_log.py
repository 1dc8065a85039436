"""Every look at a household's interval data is written down, whichever way it was taken."""

import asyncio
import getpass
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from hesper_cloud.access_log import AccessLogKeeping, Look, Looks, LooksFull
from hesper_cloud.accounts.roles import Actor, Role
from hesper_cloud.app import create_app
from hesper_cloud.authority.process import now_utc
from hesper_cloud.cli import app
from hesper_cloud.db.engines import open_engine, reading, writing
from hesper_cloud.db.registry import DataAccess, Meter, Report
from hesper_cloud.exports.scheduled import ScheduledExports
from hesper_cloud.job_settings import ScheduledExport
from hesper_cloud.latest import LatestValues
from hesper_cloud.paging import Asked
from hesper_cloud.reports.making import looks_of
from hesper_cloud.services.access_log import Wanted
from hesper_cloud.services.bundle import Services, assemble
from hesper_cloud.services.errors import NotFound, Unavailable
from hesper_cloud.services.looking import looked_at
from hesper_cloud.services.sources import Sources
from hesper_cloud.stores.duckdb import DuckDbStore
from hesper_cloud.stores.port import Block, Group, Quantity
from hesper_contracts.batch import BatchId
from sqlalchemy import select
from sqlalchemy.exc import OperationalError
from typer.testing import CliRunner

METER, OTHER = "HES12642984", "HES12642985"
LAST = 1_780_000_200
SPAN = {"from": "2026-05-01T00:00:00Z", "to": "2026-06-01T00:00:00Z"}
PASSWORDS = {"ann": "asking-politely-1", "ben": "second-pair-of-eyes"}
NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
ENERGY, POWER = "1.0.1.8.0.255", "1.0.1.7.0.255"


def a_block() -> Block:
    return Block(
        profile="1.0.99.1.0.255",
        quantities=(Quantity(ENERGY, 0, 30),),
        meters=(METER,),
        meter_index=np.zeros(4, dtype=np.int64),
        captured_at=LAST - 900 * np.arange(4, 0, -1, dtype=np.int64),
        clock_status=np.zeros(4, dtype=np.int64),
        quality=np.zeros(4, dtype=np.int64),
        received_at=LAST,
        values=np.array([[1, 2, 3, 4]]),
        missing=None,
    )


@pytest.fixture
def sources(head_end: Any) -> Iterator[Sources]:
    settings = head_end.settings
    store = DuckDbStore(settings.readings_file)
    store.write(Group({BatchId("gw-1", "ab" * 8, 1): "00" * 32}, [a_block()], LAST * 1000))
    authority = open_engine(settings.database.authority_url, read_only=True)
    registry = head_end.databases.registry
    with writing(registry) as session:
        session.get_one(Meter, METER).area = "Harbour"
        session.get_one(Meter, OTHER).area = "Hill"
    yield Sources(settings, registry, authority, store, LatestValues(), now_utc)
    store.close()
    authority.dispose()


@pytest.fixture
def services(sources: Sources) -> Iterator[Services]:
    made = assemble(sources, lambda: 0.0)
    yield made
    made.energy.close()


@pytest.fixture
async def client(services: Services) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(create_app(services, services.sources.settings))
    async with httpx.AsyncClient(transport=transport, base_url="http://hesper.test") as client:
        yield client


async def bearer(client: httpx.AsyncClient, who: str) -> dict[str, str]:
    said = {"username": who, "password": PASSWORDS[who]}
    answer = await client.post("/api/v1/auth/login", json=said)
    client.cookies.clear()
    return {"Authorization": f"Bearer {answer.json()['token']}"}


PATHS = {
    f"/meters/{METER}/latest": ("latest", METER),
    f"/meters/{METER}/series?logical_name={ENERGY}": ("series", METER),
    f"/readings?meter={METER}": ("readings", METER),
    "/readings/export": ("export", None),
    f"/readings/export?meter={METER}": ("export", METER),
    f"/readings/validated?meter={METER}&logical_name={ENERGY}": ("validated", METER),
    f"/readings/edits?meter={METER}": ("edits", METER),
    f"/meters/{METER}/aggregates?logical_name={ENERGY}&step=day": ("aggregates", METER),
    f"/meters/{METER}/bill?logical_name={ENERGY}&month=2026-05-01": ("bill", METER),
    f"/meters/{METER}/voltage-weeks?first=2026-05-04&last=2026-05-10": ("voltage weeks", METER),
    "/readings/changes": ("changes", None),
    f"/exports/readings?format=csv&meter={METER}": ("export", METER),
    "/exports/readings?format=csv": ("export", None),
}


async def test_each_way_to_interval_data_by_rest_is_logged(client: httpx.AsyncClient) -> None:
    ann, ben = await bearer(client, "ann"), await bearer(client, "ben")
    seen = 0
    for path, (operation, meter) in PATHS.items():
        span = f"{'&' if '?' in path else '?'}from={SPAN['from']}&to={SPAN['to']}"
        answer = await client.get(f"/api/v1{path}{span}", headers=ann)
        assert answer.status_code == 200, (path, answer.text)
        page = (await client.get("/api/v1/access-log", headers=ben)).json()
        newest = page["rows"][0]
        assert newest["id"] > seen, path
        seen = newest["id"]
        assert (newest["operation"], newest["meter"]) == (operation, meter), path
        assert (newest["who"], newest["door"]) == ("ann", "rest")


@pytest.mark.parametrize(
    ("first", "last"),
    [
        ("9999-12-31T00:00:00Z", "9999-12-31T23:59:59-12:00"),
        ("0001-01-01T00:00:00%2B12:00", "0001-01-02T00:00:00Z"),
        ("0001-01-01T00:00:00%2B12:00", "9999-12-31T23:59:59-12:00"),
    ],
)
async def test_a_range_beyond_the_calendar_takes_no_look_from_the_log(
    client: httpx.AsyncClient, services: Services, first: str, last: str
) -> None:
    """An end that has no name in UTC must not end the task that writes everybody's looks."""
    ann = await bearer(client, "ann")
    asked = 0
    for path in PATHS:
        span = f"{'&' if '?' in path else '?'}from={first}&to={last}"
        answer = await client.get(f"/api/v1{path}{span}", headers=ann)
        assert answer.status_code < 500, (path, answer.text)
        asked += answer.status_code == 200
    assert asked > len(PATHS) / 2
    keeping = AccessLogKeeping(services.sources.registry, services.sources.looks)
    assert keeping.flush() > 0
    with reading(services.sources.registry) as session:
        noted = session.scalars(select(DataAccess)).all()
    assert {row.operation for row in noted} >= {"readings", "series", "export", "edits"}
    assert all(row.from_at is None or row.from_at.year >= 1970 for row in noted)


async def test_the_load_that_a_meters_record_tells_is_looked_at(services: Services) -> None:
    """Who asks for the record each minute has the household's load curve."""
    sources, ann = services.sources, Actor("ann", Role.OPERATOR)
    assert (await services.meters.get(ann, METER)).load_w is None
    assert len(sources.looks) == 0, "nothing was shown of what is used there"
    block = replace(
        a_block(), quantities=(Quantity(POWER, 0, 27),), captured_at=LAST - 900 * np.arange(4)[::-1]
    )
    sources.store.write(Group({BatchId("gw-1", "ab" * 8, 2): "00" * 32}, [block], LAST * 1000 + 1))
    sources.latest.load(sources.store)
    assert (await services.meters.get(ann, METER)).load_w == 4
    (look,) = sources.looks.take()
    assert (look.who, look.operation, look.meter) == ("ann", "latest", METER)
    assert (await services.meters.row(ann, METER)).id == METER
    assert len(sources.looks) == 0, "a row of the list tells no load"
    for far in (Actor("fay", Role.OPERATOR, areas=("Hill",)), ann):
        with pytest.raises(NotFound):
            await services.meters.row(far, METER if far.areas else "HES0")


async def test_the_log_says_whose_data_was_seen(services: Services) -> None:
    ann = Actor("ann", Role.OPERATOR, door="console")
    far = Actor("fay", Role.OPERATOR, areas=("Hill",), door="report")
    start, end = NOON - timedelta(days=1), NOON
    await services.meters.series(ann, METER, ENERGY, start, end)
    list(services.readings.export(far, start, end))
    list(services.readings.export(ann, start, end))
    auditor = Actor("ada", Role.AUDITOR)
    seen = {}
    for meter in (METER, OTHER):
        page = await services.access_log.page(auditor, Wanted(meter), Asked())
        seen[meter] = [(each.who, each.door, each.meter, each.area) for each in page.rows]
    assert sorted(seen[METER], key=str) == [
        ("ann", "console", METER, None),
        ("ann", "console", None, None),
    ]
    assert sorted(seen[OTHER], key=str) == [
        ("ann", "console", None, None),
        ("fay", "report", None, "Hill"),
    ]
    page = await services.access_log.page(auditor, Wanted(who="fay"), Asked(limit=1))
    assert [(each.from_at, each.to_at) for each in page.rows] == [(start, end)]


async def test_who_may_not_read_the_audit_log_may_not_read_this_one(
    client: httpx.AsyncClient,
) -> None:
    ann = await bearer(client, "ann")
    assert (await client.get("/api/v1/access-log", headers=ann)).status_code == 403


async def test_pages_lead_on(services: Services) -> None:
    for number in range(7):
        looked_at(services.sources, Actor(f"u{number}", Role.VIEWER), "readings", METER)
    auditor, found, cursor = Actor("ada", Role.AUDITOR), [], ""
    while True:
        page = await services.access_log.page(auditor, Wanted(METER), Asked(3, cursor))
        found += [row.who for row in page.rows]
        if page.next_cursor is None:
            break
        cursor = page.next_cursor
    assert sorted(found) == [f"u{number}" for number in range(7)]


def test_looks_that_are_alike_are_one_row(head_end: Any) -> None:
    looks = Looks()
    keeping = AccessLogKeeping(head_end.databases.registry, looks)
    look = Look("ann", "console", "latest", METER)
    for seconds in range(100):
        looks.note([look], NOON + timedelta(seconds=seconds))
    looks.note([look._replace(from_at=0, to_at=900)], NOON)
    assert keeping.flush() == 2
    assert keeping.flush() == 0
    with reading(head_end.databases.registry) as session:
        rows = session.scalars(select(DataAccess).order_by(DataAccess.count.desc())).all()
    assert (rows[0].count, rows[0].first_at, rows[0].last_at) == (
        100,
        NOON,
        NOON + timedelta(seconds=99),
    )
    assert keeping.forget(NOON + timedelta(days=1)) == 2


def test_what_the_database_does_not_take_waits(head_end: Any, monkeypatch: Any) -> None:
    looks = Looks()
    broken = open_engine(f"sqlite:///{head_end.settings.state / 'no-tables.db'}")
    keeping = AccessLogKeeping(broken, looks)
    looks.note([Look("ann", "rest", "series", METER)], NOON)
    with pytest.raises(OperationalError):
        keeping.flush()
    assert len(looks) == 1
    looks.note([Look("ann", "rest", "series", METER)], NOON)
    assert AccessLogKeeping(head_end.databases.registry, looks).flush() == 1
    with reading(head_end.databases.registry) as session:
        assert session.scalars(select(DataAccess.count)).all() == [2]
    broken.dispose()


async def test_looks_are_durable_when_the_process_ends(head_end: Any) -> None:
    looks = Looks()
    keeping = asyncio.create_task(AccessLogKeeping(head_end.databases.registry, looks).run())
    await asyncio.sleep(0)
    looks.note([Look("ann", "rest", "series", METER)], NOON)
    keeping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await keeping
    with reading(head_end.databases.registry) as session:
        assert session.scalars(select(DataAccess.who)).all() == ["ann"]


async def test_nothing_is_shown_that_nobody_could_answer_for(services: Services) -> None:
    looks = services.sources.looks
    looks._most = 1
    ann = Actor("ann", Role.OPERATOR)
    await services.meters.latest(ann, METER)
    with pytest.raises(Unavailable, match="access log"):
        await services.meters.latest(ann, OTHER)
    with pytest.raises(LooksFull):
        looks.note([Look("ann", "rest", "series", OTHER)], NOON)


def test_no_name_holds_up_the_log(sources: Sources) -> None:
    for name in ("\0", "M" * 500, "\ud800", "'; DROP TABLE data_accesses; --"):
        looked_at(sources, Actor("ann", Role.VIEWER), "readings", name)
    assert AccessLogKeeping(sources.registry, sources.looks).flush() == 4


def test_exports_by_command_line_and_schedule_and_reports_are_logged(
    head_end: Any, tmp_path: Path
) -> None:
    state, registry = head_end.settings.state, head_end.databases.registry
    config = tmp_path / "cloud.toml"
    config.write_text(f'state = "{state}"\n')
    words = ["export", "csv", str(tmp_path / "out"), "--from", "2026-05-01", "--to", "2026-06-01"]
    done = CliRunner().invoke(app, [*words, "--meter", METER, "--config", str(config)])
    assert done.exit_code == 0, done.output
    store = DuckDbStore(state / "scheduled.duckdb")
    wanted = ScheduledExport(name="billing", format="csv", target=str(tmp_path / "billing"))
    ScheduledExports(registry, store, (wanted,), lambda: NOON, lambda *_: None).turn()
    store.close()
    report = Report(
        kind="consumption", title="Consumption", from_at=NOON - timedelta(days=1), to_at=NOON,
        zone="UTC", row_count=1, files={}, made_by="ann", made_at=NOON, job_id=0,
    )  # fmt: skip
    with reading(registry) as session:
        found = session.scalars(select(DataAccess).order_by(DataAccess.id)).all()
    assert [(each.door, each.operation, each.meter) for each in found] == [
        ("command line", "export", METER),
        ("schedule", "export", None),
    ]
    assert found[0].who == getpass.getuser()
    assert found[1].who == "billing"
    (look,) = looks_of(report, ["Hill"])
    assert (look.who, look.door, look.area, look.meter) == ("ann", "report", "Hill", None)
    report.kind = "audit"
    assert looks_of(report, None) == []
