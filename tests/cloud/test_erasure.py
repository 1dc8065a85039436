"""What is stored of one customer's meter goes on an administrator's order, and nothing else."""

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hesper_cloud import jobs
from hesper_cloud.aggregates.book import SCORES, EnergyBook
from hesper_cloud.cli import app
from hesper_cloud.db.authority import AuditRow
from hesper_cloud.db.engines import open_engine, reading, writing
from hesper_cloud.db.registry import (
    Alert,
    DeadLetter,
    Erasure,
    Event,
    Gap,
    Meter,
    MeterProfile,
    PowerLoss,
    RegistryBase,
    RuleMemory,
    RuleTrial,
    Substitute,
)
from hesper_cloud.erasure import ordering
from hesper_cloud.erasure.carrying_out import Erasures
from hesper_cloud.erasure.commands import told
from hesper_cloud.gaps import GapLedger
from hesper_cloud.ingest.beginnings import Beginnings
from hesper_cloud.ingest.dead_letters import DeadLetters
from hesper_cloud.latest import LatestValues
from hesper_cloud.provision import ProvisioningError
from hesper_cloud.services.sources import Sources
from hesper_cloud.settings import RuleSettings, Settings
from hesper_cloud.stores.blocks import block_of
from hesper_cloud.stores.duckdb import DuckDbStore
from hesper_cloud.stores.duckdb_sealing import Retention
from hesper_cloud.stores.influx import InfluxStore
from hesper_cloud.stores.influx_server import InfluxV1
from hesper_cloud.stores.port import LATEST, Group, ReadingStore
from hesper_contracts import batch, columns, readings
from hesper_contracts.batch import BatchId
from hesper_contracts.frame import Kind
from hesper_contracts.readings import LOAD_PROFILE, MeterRows, Quantity, Section
from sqlalchemy import select, text
from sqlalchemy.exc import OperationalError
from typer.testing import CliRunner

GONE, OTHER = "HES12642984", "HES12642985"
DAY, PROFILE = 86_400, "1.0.99.1.0.255"
ENERGY = Quantity(bytes((1, 0, 1, 8, 0, 255)), 0, 30)
NOW = datetime.now(UTC)
FIRST = int(NOW.timestamp()) // DAY * DAY - 4 * DAY
TOPIC = "hesper/v1/gw-1/up/readings"
WHY = "the customer moved out"


def section(*meters: str, first: int = FIRST, count: int = 2 * 24) -> Section:
    at = [first + 3600 * n for n in range(count)]
    none = [0] * count
    rows = [MeterRows(meter, at, none, none, [[n for n, _ in enumerate(at)]]) for meter in meters]
    return Section(LOAD_PROFILE, at[-1], (ENERGY,), rows)


def fill_store(store: ReadingStore) -> None:
    blocks = [block_of(columns.from_sections([section(GONE, OTHER)])[0])]
    store.write(Group({BatchId("gw-1", "ab" * 8, 1): "00" * 32}, blocks, FIRST * 1000))


def letter(number: int, *meters: str) -> bytes:
    encoding, body = readings.encode([section(*meters, count=2)])
    return batch.seal(Kind.READINGS, encoding, "ab" * 8, number, body)


def rows_of(meter: str) -> list[RegistryBase]:
    """One of everything that the registry may hold of a meter."""
    span = {"from_at": NOW, "to_at": NOW, "profile": PROFILE}
    said = {"severity": "info", "text": f"voltage of {meter}"}
    return [
        Gap(meter=meter, **span, expected_count=1, cause="line", noticed_at=NOW),
        MeterProfile(
            meter=meter, profile=PROFILE, capture_period_s=3600,
            expected_from=datetime.fromtimestamp(FIRST, UTC), source="announced",
        ),
        Substitute(
            meter=meter, profile=PROFILE, logical_name="1.0.1.8.0.255", captured_at=NOW, version=1,
            method="edit", value=1, scaler=0, unit=30, made_at=NOW,
        ),
        Event(id=f"e-{meter}", meter=meter, gateway="gw-1", code="x", occurred_at=NOW,
              stored_at=NOW, **said),
        Alert(rule="voltage", meter=meter, state="cleared", raised_at=NOW, **said),
        Alert(rule="silence", meter=meter, state="new", raised_at=NOW, **said),
        PowerLoss(meter=meter, lost_at=NOW, settled=False),
        RuleMemory(rule="r", subject=meter, phase="raised", since=NOW),
        RuleTrial(rule="r", version=1, subject=meter, raised_at=NOW, text="told"),
    ]  # fmt: skip


def fill(head_end: Any) -> None:
    """Readings in sealed days and in the table, rows of registry and energy book, letters."""
    store = DuckDbStore(head_end.settings.readings_file, Retention(seal_rows=1))
    fill_store(store)
    store.maintain(int(NOW.timestamp()))
    late = block_of(columns.from_sections([section(GONE, OTHER, first=FIRST + 5, count=2)])[0])
    store.write(Group({}, [late], FIRST * 1000))
    store.close()
    book = EnergyBook(head_end.settings.energy_file)
    day = [NOW.date()] * 2
    scores = {"meter": [GONE, OTHER], "day": day}
    table = pa.table(
        [scores.get(field.name, [1, 1]) for field in SCORES],
        schema=SCORES,
    )
    book.replace(pa.table(scores), {"scores": table}, NOW)
    book.close()
    with writing(head_end.databases.registry) as session:
        session.add_all(rows_of(GONE) + rows_of(OTHER))
    letters = DeadLetters(head_end.databases.registry)
    for number, meters in enumerate(((GONE,), (OTHER,), (GONE, OTHER))):
        letters.add(TOPIC, letter(number, *meters), "contradicts")
    letters.add(TOPIC, f"about {GONE}".encode(), "no Hesper payload")


def left(settings: Settings, *meters: str) -> list[dict[str, int]]:
    """How much there is of each meter, by kind."""
    registry = open_engine(settings.database.url)
    book = EnergyBook(settings.energy_file)
    store = DuckDbStore(settings.readings_file)
    stored = [row.meter for row in store.export(0, LATEST)]
    latest = [meter for block, _ in store.latest_rows() for meter in block.meters]
    answer = []
    with reading(registry) as session:
        for meter in meters:
            found = {"readings": stored.count(meter), "latest": latest.count(meter)}
            for model in (Gap, Substitute, Event, Alert, PowerLoss, RuleMemory, RuleTrial):
                named = model.subject if hasattr(model, "subject") else model.meter
                query = select(model).where(named == meter)
                found[model.__name__] = len(session.scalars(query).all())
            scores = book.rows("SELECT 1 FROM scores WHERE meter = $meter", meter=meter)
            answer.append(found | {"scores": len(scores)})
    store.close()
    book.close()
    registry.dispose()
    return answer


NOTHING = {
    "Gap": 0, "Substitute": 0, "Event": 0, "Alert": 1, "scores": 0, "readings": 0, "latest": 0,
    "PowerLoss": 0, "RuleMemory": 0, "RuleTrial": 0,
}  # fmt: skip
ALL = {
    "Gap": 1, "Substitute": 1, "Event": 1, "Alert": 2, "scores": 1, "readings": 50, "latest": 1,
    "PowerLoss": 1, "RuleMemory": 1, "RuleTrial": 1,
}  # fmt: skip


def config_of(head_end: Any) -> str:
    path = head_end.settings.state.parent / "cloud.toml"
    path.write_text(f'state = "{head_end.settings.state}"\n')
    return str(path)


def erase(head_end: Any, *more: str) -> str:
    arguments = ["meter", "erase", GONE, "--reason", WHY, *more, "-c", config_of(head_end)]
    answer = CliRunner().invoke(app, arguments)
    assert answer.exit_code == 0, answer.output
    return answer.output


def test_everything_of_one_meter_goes_and_nothing_of_another(head_end: Any) -> None:
    fill(head_end)
    aside = head_end.settings.state / "readings.sealed" / "aside"
    aside.mkdir()
    (aside / "2026-01-01-damaged.parquet").write_bytes(b"?")
    assert left(head_end.settings, GONE, OTHER) == [ALL, ALL]
    output = erase(head_end)
    assert f"{GONE} is erased: " in output
    for part in ("readings: 50", "gaps: 1", "rows of the energy book: 2", "dead letters: 1"):
        assert part in output
    assert "dead letter 3 names it" in output
    assert "dead letter 4 names it" in output
    assert "2026-01-01-damaged.parquet was damaged" in output
    assert left(head_end.settings, GONE, OTHER) == [NOTHING, ALL]
    assert len(list(aside.parent.glob("*.parquet"))) == 2, "files of before are gone from the disk"
    with reading(head_end.databases.registry) as session:
        assert session.get_one(Meter, GONE).customer == "Ada Byron"
        assert session.scalars(select(DeadLetter.id)).all() == [2, 3, 4]


def test_what_is_erased_is_not_expected_any_more_and_a_second_order_finds_nothing(
    head_end: Any,
) -> None:
    fill(head_end)
    erase(head_end)
    registry = head_end.databases.registry
    store = DuckDbStore(head_end.settings.readings_file)
    GapLedger(registry, store, RuleSettings(), lambda: datetime.now(UTC)).check()
    store.close()
    with reading(registry) as session:
        assert GONE not in session.scalars(select(Gap.meter)).all()
        profiles = {row.meter: row.expected_from for row in session.scalars(select(MeterProfile))}
    assert NOW <= profiles[GONE] <= datetime.now(UTC)
    assert profiles[OTHER] == datetime.fromtimestamp(FIRST, UTC)
    output = erase(head_end, "--forget-customer")
    assert output.startswith(f"nothing was left of {GONE}\n")
    with reading(registry) as session:
        forgotten, other = session.get_one(Meter, GONE), session.get_one(Meter, OTHER)
        assert (forgotten.customer, forgotten.gateway_id) == (None, "gw-1")
        assert other.customer == "Ada Byron"


def test_a_late_row_from_before_makes_nobody_ask_for_those_that_were_erased(
    head_end: Any,
) -> None:
    """It was in a gateway's outbox, or in a backfill that was under way."""
    fill(head_end)
    erase(head_end)
    registry = head_end.databases.registry
    store = DuckDbStore(head_end.settings.readings_file)
    late = block_of(columns.from_sections([section(GONE, first=FIRST + 7, count=1)])[0])
    store.write(Group({}, [late], FIRST * 1000))
    beginnings = Beginnings(registry)
    beginnings.note(PROFILE, {GONE: FIRST + 7}, int(NOW.timestamp()))
    beginnings.flush(at_once=True)
    GapLedger(registry, store, RuleSettings(), lambda: datetime.now(UTC)).check()
    store.close()
    with reading(registry) as session:
        assert GONE not in session.scalars(select(Gap.meter)).all()
        assert session.get_one(MeterProfile, (GONE, PROFILE)).expected_from >= NOW


def audited(head_end: Any) -> list[tuple[str, str | None]]:
    with reading(head_end.databases.authority) as session:
        rows = session.scalars(select(AuditRow).where(AuditRow.action == ordering.ACTION))
        return [(row.subject, row.why) for row in rows]


def test_it_is_audited_before_it_is_ordered(head_end: Any) -> None:
    databases = head_end.databases
    first = ordering.order(databases, GONE, WHY, NOW)
    assert ordering.order(databases, GONE, WHY, NOW) == first, "the order that stands is meant"
    with reading(databases.registry) as session:
        assert session.get_one(Erasure, first).audit_row > 1
    with databases.registry.begin() as connection:
        connection.execute(text("DROP TABLE erasures"))
    with pytest.raises(OperationalError):
        ordering.order(databases, GONE, "audited though it came to nothing", NOW)
    assert [why for _, why in audited(head_end)] == [WHY, WHY, "audited though it came to nothing"]


def test_without_an_audit_row_there_is_no_order(head_end: Any) -> None:
    with head_end.databases.authority.begin() as connection:
        connection.execute(text(f"DROP TABLE {AuditRow.__tablename__}"))
    with pytest.raises(OperationalError):
        ordering.order(head_end.databases, GONE, WHY, NOW)
    with reading(head_end.databases.registry) as session:
        assert session.scalars(select(Erasure)).all() == []


@pytest.mark.parametrize(("meter", "reason"), [("nobody", WHY), (GONE, "  ")])
def test_no_such_meter_and_no_reason_are_refused(head_end: Any, meter: str, reason: str) -> None:
    with pytest.raises(ProvisioningError):
        ordering.order(head_end.databases, meter, reason, NOW)
    assert audited(head_end) == []


def sources_of(head_end: Any, store: ReadingStore, latest: LatestValues) -> Sources:
    databases = head_end.databases
    return Sources(
        *(head_end.settings, databases.registry, databases.authority),
        *(store, latest, lambda: datetime.now(UTC)),
    )


def test_influxdb_is_erased_and_says_that_it_did_not_count(head_end: Any, influx_url: str) -> None:
    store = InfluxStore(InfluxV1(influx_url, f"erasure-{os.getpid()}"), feed_behind_s=0)
    fill_store(store)
    book = EnergyBook(head_end.settings.energy_file)
    erasures = Erasures(sources_of(head_end, store, LatestValues()), book)
    lines = []
    for _ in range(2):
        number = ordering.order(head_end.databases, GONE, WHY, NOW)
        erasures.begin()
        erasures.finish()
        done = ordering.outcome(head_end.databases.registry, number)
        assert done is not None
        lines.append(told(done)[0])
    assert lines == [
        f"{GONE} is erased: readings: all, uncounted",
        f"nothing was left of {GONE}",
    ]
    assert {row.meter for row in store.export(0, LATEST)} == {OTHER}
    book.close()
    store.close()


def test_of_a_time_that_is_over_the_newest_value_goes_too_and_no_second_of_others(
    head_end: Any,
) -> None:
    """The meter has said nothing since: what it said last was in the time that is erased."""
    fill(head_end)
    store, latest = DuckDbStore(head_end.settings.readings_file), LatestValues()
    latest.load(store)
    book = EnergyBook(head_end.settings.energy_file)
    erasures = Erasures(sources_of(head_end, store, latest), book)
    half = timedelta(seconds=0.5)
    begin = datetime.fromtimestamp(FIRST + 3600, UTC) + half
    span = (begin, begin + timedelta(days=2))
    ordering.order(head_end.databases, GONE, WHY, NOW, span)
    erasures.begin()
    erasures.finish()
    left_of = sorted(row.captured_at for row in store.export(0, LATEST) if row.meter == GONE)
    assert left_of == [FIRST, FIRST + 5, FIRST + 3600]
    assert (latest.of(GONE), len(latest.of(OTHER))) == ([], 1)
    earlier = (NOW - timedelta(days=400), datetime.fromtimestamp(FIRST, UTC))
    ordering.order(head_end.databases, OTHER, WHY, NOW, earlier)
    erasures.begin()
    assert len(latest.of(OTHER)) == 1
    book.close()
    store.close()


STEPS = (1, 2, 3, 4, 7, 9, 12)
"""Of the first pass: registry, table, a file written, the old one gone, store, book; one more."""
PROGRAM = [sys.executable, "-c", "from hesper_cloud.cli import main; main()"]


@pytest.mark.integration
async def test_a_head_end_that_runs_is_asked(
    head_end: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(head_end)
    monkeypatch.setattr(jobs, "ERASURES_EVERY_S", 0.1)
    store, latest = DuckDbStore(head_end.settings.readings_file), LatestValues()
    latest.load(store)
    assert latest.of(GONE)
    book = EnergyBook(head_end.settings.energy_file)
    command = await asyncio.create_subprocess_exec(
        *PROGRAM, "meter", "erase", GONE, "--reason", WHY, "-c", config_of(head_end),
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert command.stderr is not None
    assert b"was asked" in await asyncio.wait_for(command.stderr.readline(), 30)
    assert latest.of(GONE), "nothing is erased while the order merely stands"
    running = asyncio.create_task(jobs.run(sources_of(head_end, store, latest), lambda: 0.0))
    output, _ = await asyncio.wait_for(command.communicate(), 30)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await asyncio.get_running_loop().shutdown_default_executor()  # a job's thread is not cancelled
    assert b"is erased: " in output
    assert (latest.of(GONE), len(latest.of(OTHER))) == ([], 1)
    store.close()
    book.close()
    assert left(head_end.settings, GONE) == [NOTHING]


FORKS = """
import os, signal, sys
from datetime import UTC, datetime
from pathlib import Path
from hesper_cloud.aggregates.book import EnergyBook
from hesper_cloud.db.engines import open_engine
from hesper_cloud.erasure import carrying_out
from hesper_cloud.latest import LatestValues
from hesper_cloud.services.sources import Sources
from hesper_cloud.settings import Settings
from hesper_cloud.stores.duckdb import DuckDbStore
from hesper_cloud.stores.duckdb_rewriting import Rewriting
from hesper_cloud.stores.duckdb_sealed import Folder

def deadly(function):
    def stepping(*arguments, **named):
        answer = function(*arguments, **named)
        steps[0] += 1
        if steps[0] == wanted:
            os.kill(os.getpid(), signal.SIGKILL)
        return answer
    return stepping

for line in sys.stdin:
    number, state = line.split()
    wanted, steps = int(number), [0]
    if not (child := os.fork()):
        for owner, name in (
            (Rewriting, "delete"), (Rewriting, "rewrite"), (Folder, "supersede"),
            (DuckDbStore, "erase"), (LatestValues, "forget"), (EnergyBook, "erase"),
            (carrying_out.rows, "erase"),
        ):
            setattr(owner, name, deadly(getattr(owner, name)))
        settings = Settings(state=Path(state))
        engines = map(open_engine, (settings.database.url, settings.database.authority_url))
        store, book = DuckDbStore(settings.readings_file), EnergyBook(settings.energy_file)
        now = lambda: datetime.now(UTC)
        sources = Sources(settings, *engines, store, LatestValues(), now)
        erasures = carrying_out.Erasures(sources, book)
        erasures.begin()
        erasures.finish()
        store.close()
        book.close()
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@pytest.mark.integration
def test_killed_at_any_step_the_next_start_completes_it(head_end: Any, tmp_path: Path) -> None:
    fill(head_end)
    number = ordering.order(head_end.databases, GONE, WHY, NOW)
    head_end.databases.close()
    arguments = [sys.executable, "-c", FORKS]
    with subprocess.Popen(
        arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as forks:
        assert forks.stdin is not None
        assert forks.stdout is not None

        def run(step: int, state: Path) -> int:
            print(step, state, file=forks.stdin, flush=True)
            return int(forks.stdout.readline())

        for step in STEPS:
            copy = tmp_path / f"copy-{step}" / "state"
            shutil.copytree(head_end.settings.state, copy)
            assert run(step, copy) == -signal.SIGKILL
            assert run(0, copy) == 0
            settings = Settings(state=copy)
            assert left(settings, GONE, OTHER) == [NOTHING, ALL], step
            registry = open_engine(settings.database.url)
            assert ordering.outcome(registry, number) is not None, step
            registry.dispose()
            shutil.rmtree(copy)
        forks.stdin.close()
