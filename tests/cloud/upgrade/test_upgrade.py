"""A rolling upgrade: gateways one version behind, and databases forward and back with rows in them.

`recorded.json` is what the version behind says on the wire, written by `record.py` run with it.
"""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hesper_cloud.cli import app
from hesper_cloud.db import authority, migrate, registry
from hesper_cloud.db.authority import AuditRow
from hesper_cloud.db.engines import open_engine, reading
from hesper_cloud.db.registry import Event, Gateway, Result
from hesper_cloud.ingest.dead_letters import DeadLetters
from hesper_cloud.ingest.decode_together import decode_all
from hesper_cloud.ingest.intakes import Intakes
from hesper_cloud.ingest.message import Delivery, Message
from hesper_cloud.latest import LatestValues
from hesper_cloud.stores.duckdb import DuckDbStore
from hesper_contracts import commands, receipts, requests, results
from hesper_contracts.commands import Command
from hesper_contracts.frame import Kind
from hesper_contracts.receipts import Receipt, ReceiptList
from hesper_contracts.requests import TimeAnswer
from hesper_contracts.signing import Keyring, Signer
from hesper_contracts.topics import Topics
from sqlalchemy import select
from typer.testing import CliRunner

RECORDED = json.loads(Path(__file__).with_name("recorded.json").read_text())
UP = {kind: bytes.fromhex(payload) for kind, payload in RECORDED["up"].items()}
DOWN = {kind: bytes.fromhex(payload) for kind, payload in RECORDED["down"].items()}
GATEWAY, METER, EPOCH = "gw-behind", "HES12642984", "0123456789abcdef"
CLOUD, GATEWAYS_OWN = (
    Signer(Ed25519PrivateKey.from_private_bytes(bytes(range(at, at + 32)))) for at in (0, 32)
)
BEHIND = {"registry": "0005", "authority": "0007"}
"""The schema of the version behind."""
MODELS = {
    "registry": registry.RegistryBase.metadata,
    "authority": authority.AuthorityBase.metadata,
}
ROWS = (1, 2)


def message(kind: str) -> Message:
    topic = Topics().up(GATEWAY, Kind(kind))
    return Message(topic, GATEWAY, Kind(kind), UP[kind], Delivery(1, 1, 1), 0.0, time.time())


@pytest.fixture
def head(tmp_path: Path) -> Iterator[Any]:
    engine = open_engine(f"sqlite:///{tmp_path / 'hesper.db'}")
    migrate.upgrade(engine, "registry")
    store, latest = DuckDbStore(tmp_path / "readings.duckdb"), LatestValues()
    stop = SimpleNamespace(is_set=lambda: False, wait=lambda _s: False)
    letters = DeadLetters(engine)
    intakes = Intakes.build(store, engine, latest, letters, stop, Topics())
    yield SimpleNamespace(engine=engine, store=store, intakes=intakes)
    store.close()
    engine.dispose()


def test_what_a_gateway_of_the_version_behind_says_is_stored_and_receipted(head: Any) -> None:
    told = [message("readings")]
    settled, _ = head.intakes.readings.store(told, decode_all(told))
    settled += head.intakes.events.store([message("events")])
    settled += head.intakes.results.store([message("results")])
    head.intakes.status.take(message("status"))
    assert [(each.batch.sequence, each.verdict) for each in settled] == [
        (1, "stored"), (2, "stored"), (3, "stored"),
    ]  # fmt: skip
    rows = head.store.readings(METER, None, 0, 2**33, 10)
    assert sorted(row.values[0].value for row in rows) == [10, 20, 30, 40]
    with reading(head.engine) as session:
        assert session.get_one(Event, "e-1").code == "meter.unreachable"
        row = session.scalars(select(Result)).one()
        gateway = session.get_one(Gateway, GATEWAY)
    keys = Keyring.of(GATEWAYS_OWN.public_key)
    assert results.from_payload(row.payload, keys, GATEWAY).state == "confirmed"
    assert (gateway.version, gateway.backlog) == ("0.1.0", 2)
    assert requests.request_from_payload(UP["requests"], GATEWAY).nonce == "ab" * 16


def body(payload: bytes) -> Any:
    return json.loads(payload[payload.index(b"{") :])


def shape(document: Any) -> Any:
    """The names of a document's fields, however deep."""
    if isinstance(document, dict):
        return {name: shape(value) for name, value in document.items()}
    return [shape(value) for value in document] if isinstance(document, list) else None


def test_what_a_head_end_says_has_no_field_that_the_version_behind_would_refuse() -> None:
    at = datetime(2026, 6, 1, 12, tzinfo=UTC)
    order = Command(
        id="c", kind="relay.disconnect", gateway=GATEWAY, meter=METER, logical_device_name="L",
        counter=7, issued_at=at, not_before=at, not_after=at, requester="ann", approver="ben",
        reason="unpaid", parameters={},
    )  # fmt: skip
    receipt = ReceiptList(GATEWAY, EPOCH, (Receipt(1, "ab" * 32, "stored", ""),))
    answer = TimeAnswer(gateway=GATEWAY, nonce="ab" * 16, time=at)
    today = {
        "commands": commands.to_payload(order, CLOUD),
        "receipts": receipts.to_payload(receipt, CLOUD),
        "answers": requests.answer_to_payload(answer, CLOUD),
    }
    for kind, payload in today.items():
        assert payload[:4] == DOWN[kind][:4], kind
        assert shape(body(payload)) == shape(body(DOWN[kind])), kind


def test_what_the_head_end_of_the_version_behind_said_is_still_understood() -> None:
    keys = Keyring.of(CLOUD.public_key)
    assert commands.from_payload(DOWN["commands"], keys, GATEWAY).kind == "relay.disconnect"
    assert receipts.from_payload(DOWN["receipts"], keys, GATEWAY).receipts[0].verdict == "stored"
    assert requests.answer_from_payload(DOWN["answers"], keys, GATEWAY).nonce == "ab" * 16


def go(engine: sa.Engine, database: Any, revision: str) -> None:
    with migrate.changing(engine) as connection:
        command.upgrade(migrate.history(database, connection), revision)


def value(column: sa.Column[Any], number: int) -> Any:
    """Something that fits a column; equal numbers refer to each other."""
    kind = column.type
    if isinstance(kind, sa.JSON):
        return {}
    if isinstance(kind, sa.Boolean):
        return number == 1
    if isinstance(kind, sa.DateTime):
        return datetime(2026, 1, number, tzinfo=UTC)
    if isinstance(kind, sa.Date):
        return date(2026, 1, number)
    if isinstance(kind, sa.LargeBinary):
        return bytes([number]) * 4
    if isinstance(kind, sa.Float):
        return float(number)
    return number if isinstance(kind, sa.Integer) else f"x{number}"


def tables_of(engine: sa.Engine) -> list[sa.Table]:
    metadata = sa.MetaData()
    metadata.reflect(engine)
    return [table for table in metadata.sorted_tables if table.name != "alembic_version"]


def fill(engine: sa.Engine, tables: list[sa.Table]) -> None:
    for table in tables:
        rows = [{each.name: value(each, number) for each in table.columns} for number in ROWS]
        with engine.begin() as connection:
            if not connection.scalar(select(sa.func.count()).select_from(table)):
                connection.execute(sa.insert(table), rows)


def held(engine: sa.Engine, tables: list[sa.Table]) -> dict[str, list[tuple[Any, ...]]]:
    """What the columns of some tables hold now, whatever else there is."""
    found = {}
    with engine.connect() as connection:
        for table in tables:
            names = sorted(each.name for each in table.columns)
            rows = connection.execute(select(*(table.c[name] for name in names)))
            found[table.name] = sorted((tuple(map(str, row)) for row in rows), key=str)
    return found


@pytest.fixture(params=["sqlite", "postgresql"])
def make_engine(
    request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[Callable[[], sa.Engine]]:
    made: list[sa.Engine] = []

    def make() -> sa.Engine:
        if request.param == "sqlite":
            url = f"sqlite:///{tmp_path / 'upgraded.db'}"
        else:
            url = request.getfixturevalue("postgres_database")()
        made.append(open_engine(url))
        return made[-1]

    yield make
    for engine in made:
        engine.dispose()


@pytest.mark.integration
@pytest.mark.parametrize("database", ["registry", "authority"])
def test_rows_live_through_the_way_forward_and_back(
    make_engine: Callable[[], sa.Engine], database: Any
) -> None:
    engine = make_engine()
    go(engine, database, BEHIND[database])
    behind = tables_of(engine)
    fill(engine, behind)
    before = held(engine, behind)
    assert all(len(rows) == len(ROWS) for rows in before.values())
    migrate.upgrade(engine, database)
    fill(engine, tables_of(engine))  # new tables have rows, too, on the way back
    migrate.go_back(engine, database, BEHIND[database])
    assert held(engine, behind) == before
    migrate.upgrade(engine, database)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, MODELS[database]) == []
    survived = {table.name: table for table in tables_of(engine)}
    with engine.connect() as connection:
        for table in behind:
            count = select(sa.func.count()).select_from(survived[table.name])
            assert connection.scalar(count) == len(ROWS), table.name


def test_the_command_line_goes_back_and_says_where_it_is(head_end: Any, tmp_path: Path) -> None:
    config = tmp_path / "cloud.toml"
    config.write_text(f'state = "{head_end.settings.state}"\n')

    def tell(*words: str) -> Any:
        return CliRunner().invoke(app, ["database", *words, "--config", str(config)])

    newest = migrate.newest("registry")
    assert f"registry: {newest}; this version needs {newest}" in tell("show").output
    assert tell("back", "registry", "9999", "--reason", "x").exit_code != 0
    head_end.databases.registry.connect().close()  # as of a head end that runs
    running = tell("back", "registry", BEHIND["registry"], "--reason", "the new one is slow")
    assert "stop head end and authority first" in str(running.exception)
    assert f"registry: {newest};" in tell("show").output
    head_end.databases.close()
    done = tell("back", "registry", BEHIND["registry"], "--reason", "the new one is slow")
    assert done.exit_code == 0, done.output
    assert f"registry: {BEHIND['registry']};" in tell("show").output
    with reading(head_end.databases.authority) as session:
        row = session.scalars(select(AuditRow).where(AuditRow.action == "database.back")).one()
        assert (row.subject, row.before, row.after) == ("registry", newest, BEHIND["registry"])


def begun(role: str, config: Path) -> tuple[int, str]:
    """Starts a role as a person does; returns how it ended, and its last words."""
    program = [sys.executable, "-c", "from hesper_cloud.cli import main; main()"]
    ended = subprocess.run(
        [*program, role, "--config", str(config)], capture_output=True, text=True, check=False
    )
    return ended.returncode, ended.stderr.splitlines()[-1]


@pytest.mark.parametrize(("role", "other"), [("run", "authority"), ("authority", "registry")])
def test_a_role_says_so_when_the_other_ones_database_is_of_another_version(
    head_end: Any, tmp_path: Path, role: str, other: migrate.Database
) -> None:
    config = tmp_path / "cloud.toml"
    config.write_text(f'state = "{head_end.settings.state}"\n[web]\nport = 0\n')
    engine = getattr(head_end.databases, other)
    newest = migrate.newest(other)

    migrate.go_back(engine, other, BEHIND[other])
    code, said = begun(role, config)
    assert code == 2
    assert said.startswith(
        f"hesper-cloud: the {other}'s schema is {BEHIND[other]}, this version needs {newest}: "
    )
    assert "`hesper-cloud init`" in said
    assert f"restart the {'authority' if other == 'authority' else 'head end'}" in said

    migrate.upgrade(engine, other)
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    code, said = begun(role, config)
    assert code == 2
    assert f"schema is 9999, this version knows none after {newest}: a newer version" in said


@pytest.mark.parametrize("database", ["registry", "authority"])
def test_no_command_touches_a_database_of_a_newer_version(
    head_end: Any, database: migrate.Database
) -> None:
    engine = getattr(head_end.databases, database)
    with engine.begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(migrate.OtherVersion, match=f"database back {database} "):
        migrate.upgrade(engine, database)
