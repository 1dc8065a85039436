"""Relational data on a real PostgreSQL: the same migrations, the same promises."""

import subprocess
import sys
import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from hesper_cloud import audit, provision
from hesper_cloud.app import bootstrap
from hesper_cloud.authority.core import Authority
from hesper_cloud.commissioning import MeterPaper, commission
from hesper_cloud.db import authority, migrate, registry
from hesper_cloud.db.authority import Batch, BatchRow
from hesper_cloud.db.engines import is_open_elsewhere, open_engine, reading, writing
from hesper_cloud.db.registry import DeadLetter, Gateway, ImportFile, LongJob, Meter, Request, Sim
from hesper_cloud.db.sole import InUse, Lost, sole
from hesper_cloud.imports.applying import Applying
from hesper_cloud.imports.folders import Folder
from hesper_cloud.imports.trying import Brought, try_file
from hesper_cloud.ingest.dead_letters import DeadLetters
from hesper_cloud.long_jobs.asking import Wish, ask
from hesper_cloud.long_jobs.running import Runner
from hesper_cloud.settings import DatabaseSettings, Settings
from hesper_contracts.frame import Refused
from hesper_contracts.json_columns import open_
from migrating import upgrade_both
from sqlalchemy import create_engine, inspect, make_url, select
from sqlalchemy.exc import InternalError, ProgrammingError

pytestmark = pytest.mark.integration
Databases = Callable[[], str]
GATEWAY = "gw-1"
AT = datetime(2026, 3, 29, 0, 59, 59, 123456, tzinfo=UTC)


@pytest.fixture
def head_end(
    postgres_database: Databases,
    tmp_path: Path,
    gateway_signer: Any,
    clock: Any,
    head_end_class: Any,
) -> Iterator[Any]:
    urls = DatabaseSettings(url=postgres_database(), authority_url=postgres_database())
    settings = Settings(state=tmp_path / "state", database=urls)
    provision.initialise(settings, "default")
    databases = provision.Databases.open(settings)
    for name, role in (("ann", "operator"), ("ben", "approver")):
        provision.add_user(databases.authority, name, role, "second-pair-of-eyes")
    provision.add_gateway(databases, GATEWAY, gateway_signer.public_key.hex())
    papers = [
        MeterPaper(id=f"HES1264298{n}", gateway=GATEWAY, logical_device_name=f"HSP001264298{n}000")
        for n in range(10)
    ]
    commission(databases, papers)
    with writing(databases.registry) as session:
        for meter in session.scalars(select(Meter)):
            meter.relay_output, meter.relay_confirmed_at = True, clock.now
    databases.close()
    made = head_end_class(settings, gateway_signer, clock)
    yield made
    made.close()


@pytest.mark.parametrize(
    ("database", "metadata"),
    [
        ("registry", registry.RegistryBase.metadata),
        ("authority", authority.AuthorityBase.metadata),
    ],
)
def test_the_same_migrations_go_forward_and_back(
    postgres_database: Databases, database: Any, metadata: Any
) -> None:
    engine = open_engine(postgres_database())
    migrate.upgrade(engine, database)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, metadata) == []
    with engine.begin() as connection:
        command.downgrade(migrate.history(database, connection), "base")
    assert set(inspect(engine).get_table_names()) == {"alembic_version"}
    migrate.upgrade(engine, database)
    engine.dispose()


def test_of_two_that_migrate_at_once_one_waits_for_the_other(postgres_database: Databases) -> None:
    url = postgres_database()
    first, second = open_engine(url), open_engine(url)
    try:
        upgrade_both(first, second)
        assert migrate.revision_of(second) == migrate.newest("registry")
    finally:
        first.dispose()
        second.dispose()


def test_who_has_a_database_open_is_known(postgres_database: Databases) -> None:
    url = postgres_database()
    assert not is_open_elsewhere(url)
    engine = open_engine(url)
    engine.connect().close()
    assert is_open_elsewhere(url)
    engine.dispose()


def test_one_process_alone_works_on_a_database(postgres_database: Databases) -> None:
    url, other = open_engine(postgres_database()), open_engine(postgres_database())
    holds = (
        "import sys; from hesper_cloud.db.engines import open_engine\n"
        "from hesper_cloud.db.sole import sole\n"
        "with sole(open_engine(sys.argv[1]), 'authority'):\n"
        "    print('alone', flush=True); sys.stdin.read()"
    )
    address = url.url.render_as_string(hide_password=False)
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", holds, address], **pipes) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == b"alone\n"
        with sole(other, "authority"):
            pass
        with (
            pytest.raises(InUse, match="another authority works on postgresql"),
            sole(url, "authority"),
        ):
            pass
        first.kill()
    with sole(url, "authority"):
        pass


def test_who_worked_alone_and_was_cut_off_ends_all_the_same(postgres_database: Databases) -> None:
    engine = open_engine(postgres_database())
    others = "pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    with sole(engine, "authority"), engine.connect() as connection:
        ended = connection.exec_driver_sql(f"SELECT pg_terminate_backend(pid) FROM {others}")
        assert ended.scalars().all() == [True]
    engine.dispose()


def test_who_has_lost_its_lock_writes_nothing_more(postgres_database: Databases) -> None:
    engine, other = (open_engine(url) for url in [postgres_database()] * 2)
    migrate.upgrade(engine, "registry")
    locks = "pg_locks WHERE locktype = 'advisory' AND pid <> pg_backend_pid()"
    with sole(engine, "authority"):
        with writing(engine) as session:
            session.add(Gateway(id="gw-1"))
        with other.connect() as connection:
            ended = connection.exec_driver_sql(
                f"SELECT pg_terminate_backend(pid, 60000) FROM {locks}"
            )
            assert ended.scalars().all() == [True]
        with sole(other, "authority"), writing(other) as session:
            session.add(Gateway(id="gw-2"))
        with pytest.raises(Lost, match="the authority has lost its connection"), writing(engine):
            pass
    with writing(engine) as session:  # as whoever works beside an authority
        assert session.scalars(select(Gateway.id).order_by(Gateway.id)).all() == ["gw-1", "gw-2"]
    engine.dispose()
    other.dispose()


def test_times_come_back_and_a_reader_keeps_its_snapshot(postgres_database: Databases) -> None:
    engine = open_engine(postgres_database())
    migrate.upgrade(engine, "registry")
    with writing(engine) as session:
        session.add(registry.Meter(id="HES1", first_seen_at=AT))
    with reading(engine) as reader:
        assert reader.scalars(select(registry.Meter.first_seen_at)).one() == AT
        with writing(engine) as session:
            session.add(registry.Meter(id="HES2", first_seen_at=AT))
        assert len(reader.scalars(select(registry.Meter.id)).all()) == 1
    engine.dispose()


def test_a_read_only_engine_does_not_write(postgres_database: Databases) -> None:
    url = postgres_database()
    writer, reader = open_engine(url), open_engine(url, read_only=True)
    migrate.upgrade(writer, "authority")
    with pytest.raises(InternalError, match="read-only"), writing(reader) as session:
        session.add(authority.Cursor(name="results", position=3))
    writer.dispose()
    reader.dispose()


@pytest.fixture
def apart(postgres_database: Databases) -> Iterator[tuple[DatabaseSettings, DatabaseSettings]]:
    """The databases as the authority has them, and as a head end whose role there only reads."""
    role = f"reader_{uuid.uuid4().hex[:8]}"
    urls = DatabaseSettings(url=postgres_database(), authority_url=postgres_database())
    owner = create_engine(urls.authority_url, isolation_level="AUTOCOMMIT")
    with owner.connect() as connection:
        connection.exec_driver_sql(f"CREATE ROLE {role} LOGIN PASSWORD 'reads'")
        for what in ("TABLES", "SEQUENCES"):
            grant = f"ALTER DEFAULT PRIVILEGES GRANT SELECT ON {what} TO {role}"
            connection.exec_driver_sql(grant)
    as_reader = make_url(urls.authority_url).set(username=role, password="reads")
    url = as_reader.render_as_string(hide_password=False)
    yield urls, urls.model_copy(update={"authority_url": url})
    with owner.connect() as connection:
        connection.exec_driver_sql(f"DROP OWNED BY {role}")
        connection.exec_driver_sql(f"DROP ROLE {role}")
    owner.dispose()


def test_a_head_end_with_a_role_that_reads_and_keys_of_its_own_comes_up_and_writes_nothing(
    apart: tuple[DatabaseSettings, DatabaseSettings], tmp_path: Path
) -> None:
    decides = Settings(state=tmp_path / "authority", database=apart[0])
    serves = Settings(state=tmp_path / "head-end", database=apart[1])
    provision.initialise(decides, "default")
    serves.keys.mkdir(parents=True)
    for name in ("receipts.key", "requests.pub", "tokens.key"):
        (decides.keys / name).rename(serves.keys / name)
    with bootstrap(serves) as head_end:
        assert head_end.services is not None
    engine = open_engine(serves.database.authority_url)
    with pytest.raises(ProgrammingError, match="permission denied"), writing(engine) as session:
        session.add(authority.Cursor(name="results", position=3))
    engine.dispose()


def test_a_command_lives_its_life(head_end: Any) -> None:
    asked = head_end.ask_disconnect(meter="HES12642980").outcome["command"]
    assert head_end.approve(asked, password="second-pair-of-eyes").state == "done"
    (envelope,) = head_end.published()
    head_end.answer(envelope, "confirmed", output=False)
    assert head_end.command(asked).state == "confirmed"
    with reading(head_end.databases.authority) as session:
        assert audit.verify(session).intact


def test_a_batch_lives_its_life(head_end: Any) -> None:
    meters = [f"HES1264298{n}" for n in range(10)]
    terms = {"canary": 2, "wave_size": 4, "per_hour": 3_600_000, "stop_percent": 20}
    wish = {"kind": "relay.read", "meters": [*meters, "HES00000000"], "reason": "a look", **terms}
    proposed = head_end.ask("ann", "batch.propose", **wish).outcome
    asked = {"batch": proposed["batch"], "digest": proposed["digest"]}
    approved = head_end.ask("ben", "batch.approve", **asked, password="second-pair-of-eyes")
    assert approved.outcome["state"] == "canary"
    answered: set[str] = set()
    while open_ := [each for each in head_end.published() if each.id not in answered]:
        assert len(open_) <= (4 if answered else 2)
        for each in open_:
            answered.add(each.id)
            head_end.answer(each, "confirmed", output=True)
        head_end.clock.advance(1)
        head_end.authority.turn()
    with reading(head_end.databases.authority) as session:
        assert session.get_one(Batch, proposed["batch"]).state == "done"
        rows = session.scalars(select(BatchRow).order_by(BatchRow.position)).all()
        assert [row.state for row in rows] == ["confirmed"] * 10 + ["excluded"]


def test_two_authorities_settle_every_request_once(head_end: Any) -> None:
    """Ten meters are to be reconnected, each asked for twice, while two authorities turn."""
    with writing(head_end.databases.registry) as session:
        for meter in session.scalars(select(Meter)):
            meter.relay_output = False
        for n in range(20):
            payload = {
                "action": "reconnect", "meter": f"HES1264298{n % 10}", "reason": "paid",
                "serial_tail": "",
            }  # fmt: skip
            session.add(
                Request(
                    kind="command.request", requested_by="ann", payload=payload,
                    idempotency_key=f"key-{n}", created_at=head_end.clock.now,
                )
            )  # fmt: skip
    authorities = [head_end.start_authority(), head_end.start_authority()]
    ready = threading.Barrier(2)
    failures: list[BaseException] = []

    def turn(each: Authority) -> None:
        ready.wait()
        try:
            for _ in range(12):
                each.turn()
        except BaseException as error:  # noqa: BLE001 - told by the test's thread
            failures.append(error)

    threads = [threading.Thread(target=turn, args=(each,)) for each in authorities]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    commands = head_end.commands()
    assert sorted(each.meter for each in commands) == [f"HES1264298{n}" for n in range(10)]
    assert sorted(each.counter for each in commands) == list(range(1, 11))
    with reading(head_end.databases.registry) as session:
        states = [each.state for each in session.scalars(select(Request))]
        assert sorted(states) == ["done"] * 10 + ["refused"] * 10
        assert session.get_one(Gateway, GATEWAY).id == GATEWAY
    with reading(head_end.databases.authority) as session:
        assert audit.verify(session).intact
    assert len({each.id for each in head_end.published()}) == 10


IMPORTED = {
    "simcards": "simNumber,iccid\nS-1,89430000000000000010\nS-2,89430000000000000020\n",
    "customers": "customerName,accountNumber,connectionDate\nAda,A-1,2026-03-29\nBob,A-2,\n",
    "meters": "meterNumber,concentratorId,customer,simCard\nM-1,gw-1,A-1,S-1\nM-2,,A-2,\nM-3,x,,\n",
}


def test_files_are_imported_and_a_job_is_one_runner_s_alone(
    postgres_database: Databases, tmp_path: Path
) -> None:
    engine = open_engine(postgres_database())
    migrate.upgrade(engine, "registry")
    with writing(engine) as session:
        session.add(Gateway(id="gw-1"))
    for number, (kind, text) in enumerate(IMPORTED.items()):
        import_id = f"{number:032x}"
        brought = Brought(kind, "f.csv", text.encode())  # type: ignore[arg-type]
        trial = try_file(engine, Folder(tmp_path, import_id), brought, None)
        with writing(engine) as session:
            session.add(
                ImportFile(
                    id=import_id, kind=kind, name="f.csv", brought_by="ann", brought_at=AT,
                    sha256="", octets=1, reading={}, row_count=trial.row_count,
                    good_count=trial.good_count, problems={},
                )
            )  # fmt: skip
            ask(session, Wish("import", "", "ann", {"import": import_id}), AT)
        runners = [
            Runner(engine, [Applying(engine, tmp_path, lambda: AT, 1)], lambda: AT)
            for _ in range(2)
        ]
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda runner: [runner.turn() for _ in range(4)], runners))
    with reading(engine) as session:
        assert {job.state for job in session.scalars(select(LongJob))} == {"done"}
        assert [job.result["entered"] for job in session.scalars(select(LongJob))] == [2, 2, 2]
        held = {row.id: (row.customer, row.sim_id) for row in session.scalars(select(Meter))}
        assert {name: told[0] for name, told in held.items()} == {"M-1": "Ada", "M-2": "Bob"}
        assert session.scalars(select(Sim.meter).where(Sim.number == "S-1")).one() == "M-1"
    engine.dispose()


def test_a_message_whose_fault_names_an_octet_0_is_kept(postgres_database: Databases) -> None:
    engine = open_engine(postgres_database())
    migrate.upgrade(engine, "registry")
    odd = b'{"kind":"readings","version":1,"\\u0000":1}'
    with pytest.raises(Refused) as refusal:
        open_(odd, AT)
    DeadLetters(engine).add("hesper/v1/gw-1/up/readings", odd, str(refusal.value))
    with reading(engine) as session:
        (letter,) = session.scalars(select(DeadLetter)).all()
    assert letter.payload == odd
    assert "unknown field `\N{REPLACEMENT CHARACTER}`" in letter.reason
    engine.dispose()


def told(config: Path, *words: object) -> tuple[int, str]:
    """Runs the command line in a process of its own; returns its exit code and complaints."""
    program = "from hesper_cloud.cli import main; main()"
    command = [sys.executable, "-c", program, *map(str, words), "--config", str(config)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    return ended.returncode, ended.stderr


def test_a_role_that_reads_makes_backups_and_what_it_may_not_is_said_in_one_line(
    apart: tuple[DatabaseSettings, DatabaseSettings], tmp_path: Path
) -> None:
    owns, reads = apart
    config = tmp_path / "cloud.toml"
    config.write_text(f'[database]\nurl = "{reads.url}"\nauthority_url = "{reads.authority_url}"\n')
    code, complaint = told(config, "dead-letters", "list")
    assert (code, complaint.count("\n")) == (2, 1), complaint
    assert "was `hesper-cloud init` run?" in complaint
    provision.initialise(Settings(state=tmp_path / "state", database=owns), "default")
    code, complaint = told(config, "backup", tmp_path / "backups")
    assert code == 0, complaint
    code, complaint = told(config, "database", "back", "registry", "0005", "--reason", "x")
    assert (code, complaint.count("\n")) == (2, 1), complaint
    assert "permission denied for table audit; is this the cloud.toml" in complaint
