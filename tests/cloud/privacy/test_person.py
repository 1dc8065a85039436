"""One person's data, given out whole and erased whole; nobody else's, and no name left behind."""

import csv
import io
import json
import zipfile
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from hesper_cloud.aggregates.book import EnergyBook
from hesper_cloud.assets.history import By
from hesper_cloud.assets.holdings import Holding, holdings
from hesper_cloud.assets.links import serve
from hesper_cloud.cli import app
from hesper_cloud.db.assets import AssetChange, Customer
from hesper_cloud.db.authority import AuditRow, CommandRecord
from hesper_cloud.db.engines import reading, writing
from hesper_cloud.db.registry import (
    DataAccess,
    DirtyDay,
    Event,
    Gap,
    ImportFile,
    ImportReject,
    LongJob,
    Meter,
    MeterProfile,
    Report,
)
from hesper_cloud.imports.folders import Folder
from hesper_cloud.jobs import long_work
from hesper_cloud.latest import LatestValues
from hesper_cloud.long_jobs.running import Runner
from hesper_cloud.privacy import commands
from hesper_cloud.privacy.collecting import begun
from hesper_cloud.privacy.exporting import KIND
from hesper_cloud.privacy.exporting import file_of as export_of
from hesper_cloud.provision import Databases
from hesper_cloud.reports.folders import file_of, folder_of
from hesper_cloud.services.sources import Sources
from hesper_cloud.stores.duckdb import DuckDbStore
from hesper_cloud.stores.port import Block, Group, Quantity
from hesper_contracts.batch import BatchId
from sqlalchemy import delete, func, select
from typer.testing import CliRunner

OURS, THEIRS = "HES12642984", "HES12642985"
NOW = datetime.now(UTC).replace(microsecond=0)
MOVED_IN = NOW - timedelta(days=10)
NAME, ACCOUNT, PHONE = "Ada Byron-Müller", "ACC-0815", "+44 20 7946 0018"


def group(number: int, meter: str, first: datetime, count: int) -> Group:
    at = int(first.timestamp()) // 900 * 900 + 900 * np.arange(count, dtype=np.int64)
    zeros = np.zeros(count, dtype=np.int64)
    block = Block(
        profile="1.0.99.1.0.255",
        quantities=(Quantity("1.0.1.8.0.255", 0, 30),),
        meters=(meter,),
        meter_index=zeros,
        captured_at=at,
        clock_status=zeros,
        quality=zeros,
        received_at=int(at[-1]),
        values=np.arange(count)[None, :],
        missing=None,
    )
    return Group({BatchId("gw-1", "ab" * 8, number): "00" * 32}, [block], int(at[-1]) * 1000)


def customer(session: Any, name: str, account: str, address: str) -> Customer:
    row = Customer(
        account_number=account, name=name, address=address, phone=PHONE,
        email="ada@example.org", area="Harbour", created_at=NOW, updated_at=NOW,
    )  # fmt: skip
    session.add(row)
    session.flush()
    return row


@pytest.fixture
def house(head_end: Any, tmp_path: Path) -> Any:
    """Ada has held one meter for ten days; before, it was Eve's, who has another one now."""
    registry = head_end.databases.registry
    store = DuckDbStore(head_end.settings.readings_file)
    store.write(group(1, OURS, MOVED_IN - timedelta(days=2), 4))
    store.write(group(2, OURS, MOVED_IN + timedelta(days=1), 6))
    store.write(group(3, THEIRS, MOVED_IN, 5))
    store.close()
    with writing(registry) as session:
        for meter in session.scalars(select(Meter)):
            meter.customer = meter.address = None
        ada, eve = (
            customer(session, NAME, ACCOUNT, "12 St James's Square"),
            customer(session, "Eve", "ACC-2", "1 Hill Road"),
        )
        ours, theirs = session.get_one(Meter, OURS), session.get_one(Meter, THEIRS)
        serve(session, ours, eve.id, By("ann", MOVED_IN - timedelta(days=400)))
        session.flush()
        serve(session, ours, ada.id, By("ann", MOVED_IN))
        serve(session, theirs, eve.id, By("ann", MOVED_IN))
        for number, at in enumerate((MOVED_IN - timedelta(days=1), NOW - timedelta(days=1))):
            session.add(
                Event(id=f"e{number}", meter=OURS, gateway="gw-1", code="x", severity="info",
                      occurred_at=at, stored_at=at, text="cover opened")
            )  # fmt: skip
            session.add(
                DataAccess(first_at=at, last_at=at, count=1, who=f"clerk{number}", door="rest",
                           operation="series", meter=OURS)
            )  # fmt: skip
    with writing(head_end.databases.authority) as session:
        session.add(
            CommandRecord(
                id="c1", kind="ping", meter=OURS, gateway="gw-1", state="confirmed",
                requester="ann", reason="", created_at=NOW, updated_at=NOW, parameters={},
            )
        )  # fmt: skip
    config = tmp_path / "cloud.toml"
    config.write_text(f'state = "{head_end.settings.state}"\n')
    head_end.config = config
    return head_end


def run(house: Any, *words: str) -> str:
    done = CliRunner().invoke(app, ["person", *words, "--config", str(house.config)])
    assert done.exit_code == 0, (done.output, done.exception)
    return done.output


def table(archive: zipfile.ZipFile, name: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.TextIOWrapper(archive.open(name), "utf-8")))


def check_export(path: Path) -> None:
    assert path.stat().st_mode & 0o777 == 0o600
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        record = json.loads(archive.read("customer.json"))
        assert (record["name"], record["phone"]) == (NAME, PHONE)
        (meter,) = json.loads(archive.read("meters.json"))
        assert meter["time"]["meter"] == OURS
        (readings,) = [name for name in archive.namelist() if name.startswith("readings/")]
        assert [row["1.0.1.8.0.255 Wh"] for row in table(archive, readings)] == list("012345")
        assert [row["id"] for row in table(archive, "events.csv")] == ["e1"]
        assert [row["id"] for row in table(archive, "commands.csv")] == ["c1"]
        assert "clerk1" in {row["who"] for row in table(archive, "access-log.csv")}
        assert "clerk0" not in archive.read("access-log.csv").decode()
        everything = b"".join(map(archive.read, archive.namelist())).decode()
    assert "Eve" not in everything
    assert THEIRS not in everything


def test_an_export_holds_all_of_one_person_and_nothing_of_another(
    house: Any, tmp_path: Path
) -> None:
    out = tmp_path / "ada.zip"
    told = run(house, "export", ACCOUNT, "--out", str(out))
    assert "readings: 6" in told
    check_export(out)
    with reading(house.databases.authority) as session:
        row = session.scalars(select(AuditRow).where(AuditRow.action == "person.export")).one()
        assert row.actor.startswith("operator:")
    with reading(house.databases.registry) as session:
        look = session.scalars(select(DataAccess).order_by(DataAccess.id.desc())).first()
        assert (look.operation, look.door, look.meter) == ("person export", "command line", OURS)


def test_who_has_the_meter_by_now_is_not_in_the_export_of_who_had_it(
    house: Any, tmp_path: Path
) -> None:
    """Whoever moved out does not learn who moved in, where they are and how their supply stands."""
    out = tmp_path / "eve.zip"
    run(house, "export", "ACC-2", "--out", str(out))
    with zipfile.ZipFile(out) as archive:
        told = archive.read("meters.json").decode()
        before, today = json.loads(told)
    assert before["record"] == {
        "id": OURS, "logical_device_name": "HSP0012642984000",
        "brand": None, "model": None, "meter_type": None,
    }  # fmt: skip
    assert before["time"]["until"] == MOVED_IN.isoformat()
    assert (today["record"]["id"], today["record"]["customer"]) == (THEIRS, "Eve")
    assert NAME not in told
    assert "St James" not in told


def test_looks_in_an_export_are_those_at_the_time_that_was_the_persons(
    house: Any, tmp_path: Path
) -> None:
    """Who looks today at what was measured for somebody then has looked at that person's data."""
    looked = {
        "then, at then": (-30, (-40, -30)),
        "today, at then": (9, (-40, -30)),
        "today, over the move": (9, (-1, 1)),
        "today, at today": (9, (0, 9)),
        "today, at the newest": (9, None),
    }
    with writing(house.databases.registry) as session:
        session.execute(delete(DataAccess))
        for who, (day, days) in looked.items():
            at = MOVED_IN + timedelta(days=day)
            start, end = (
                (MOVED_IN + timedelta(days=each) for each in days) if days else (None, None)
            )
            session.add(
                DataAccess(first_at=at, last_at=at, count=1, who=who, door="rest", meter=OURS,
                           operation="series", from_at=start, to_at=end)
            )  # fmt: skip
    found = {}
    for account in ("ACC-2", ACCOUNT):
        out = tmp_path / f"{account}.zip"
        run(house, "export", account, "--out", str(out))
        with zipfile.ZipFile(out) as archive:
            rows = table(archive, "access-log.csv")
        found[account] = [row["who"] for row in rows if row["operation"] == "series"]
    assert found["ACC-2"] == ["then, at then", "today, at then", "today, over the move"]
    assert found[ACCOUNT] == ["today, over the move", "today, at today", "today, at the newest"]


def test_a_reading_of_the_second_of_the_move_is_of_who_moved_out(
    house: Any, tmp_path: Path
) -> None:
    """A reading is of a whole second, a move of a part of one: erasure and export agree whose."""
    captured = int(MOVED_IN.timestamp()) // 900 * 900 + 1800
    with writing(house.databases.registry) as session:
        ada = session.scalars(select(Customer).where(Customer.account_number == ACCOUNT)).one()
        moved = datetime.fromtimestamp(captured, UTC) + timedelta(milliseconds=500)
        serve(session, session.get_one(Meter, THEIRS), ada.id, By("ann", moved))
    values = {}
    for account in (ACCOUNT, "ACC-2"):
        out = tmp_path / f"{account}.zip"
        run(house, "export", account, "--out", str(out))
        with zipfile.ZipFile(out) as archive:
            (name,) = [each for each in archive.namelist() if each.startswith(f"readings/{THEIRS}")]
            values[account] = [row["1.0.1.8.0.255 Wh"] for row in table(archive, name)]
    assert values[ACCOUNT] == ["3", "4"]
    assert values["ACC-2"][-1] == "2"


def test_a_head_end_that_runs_makes_the_file(
    house: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings, databases = house.settings, house.databases
    store, book = DuckDbStore(settings.readings_file), EnergyBook(settings.energy_file)
    sources = Sources(
        settings, databases.registry, databases.authority, store, LatestValues(),
        lambda: datetime.now(UTC),
    )  # fmt: skip
    runner = Runner(databases.registry, long_work(sources, book), sources.clock)
    monkeypatch.setattr(commands, "_here", lambda *_: None)  # another process holds the store
    looked: Callable[[Databases, int], LongJob] = commands._ended

    def worked(opened: Databases, number: int) -> LongJob:
        while runner.turn():
            pass
        return looked(opened, number)

    monkeypatch.setattr(commands, "_ended", worked)
    out = tmp_path / "ada.zip"
    run(house, "export", ACCOUNT, "--out", str(out))
    store.close()
    book.close()
    check_export(out)
    assert list((settings.state / "persons").iterdir()) == []


def test_an_erasure_leaves_no_name_and_no_reading(house: Any, tmp_path: Path) -> None:
    told = run(house, "erase", ACCOUNT, "--reason", "asked on 3 June, moved out")
    assert f"{OURS} is erased" in told
    assert "readings: 6" in told
    assert stored(house) == {OURS: 4, THEIRS: 5}, "what the meter measured for Eve is hers"
    with reading(house.databases.registry) as session:
        meter = session.get_one(Meter, OURS)
        assert (meter.customer, meter.customer_id, meter.address) == (None, None, None)
        history = str(
            [[row.before, row.after, row.reason] for row in session.scalars(select(AssetChange))]
        )
    for word in (NAME, ACCOUNT, PHONE, "St James"):
        assert word not in history
    for path in house.settings.state.glob("*.db"):
        if path.name.startswith("authority"):
            octets = path.read_bytes()
            assert NAME.encode() not in octets
            assert ACCOUNT.encode() not in octets
    with reading(house.databases.authority) as session:
        row = session.scalars(select(AuditRow).where(AuditRow.action == "person.erase")).one()
        assert row.subject.startswith("customer ")
    again = CliRunner().invoke(
        app, ["person", "export", ACCOUNT, "--out", str(tmp_path / "x"), "--config",
              str(house.config)],
    )  # fmt: skip
    assert again.exit_code != 0


def kept_files(house: Any) -> dict[str, Path]:
    """Files of imports and reports that name Ada or her meter, and such that do not."""
    state, cells = house.settings.state, {
        "01" * 16: [NAME, "ACC-9", ""],
        "02" * 16: ["Somebody", ACCOUNT, ""],
        "03" * 16: ["Somebody", "ACC-9", OURS],
        "04" * 16: ["Eve", f"{ACCOUNT}1", f"X{OURS}"],
    }  # fmt: skip
    with writing(house.databases.registry) as session:
        for name, row in cells.items():
            folder = Folder(state, name)
            folder.make()
            folder.original.write_bytes(",".join(row).encode("utf-16"))
            folder.good.write_bytes(orjson.dumps({"row": 2, "cells": row}) + b"\n")
            session.add(
                ImportFile(
                    id=name, kind="customers", name="june.csv", brought_by="ann", brought_at=NOW,
                    sha256="ab" * 32, octets=9, reading={}, row_count=1, good_count=1, problems={},
                )
            )  # fmt: skip
            session.add(ImportReject(import_id=name, row=2, problems={"cells": row}))
        for number, meter in ((1, OURS), (2, THEIRS)):
            job = LongJob(kind="report", title="r", asked_by="ann", asked_at=NOW, parameters={})
            session.add(job)
            session.flush()
            path = file_of(state, job.id, "csv")
            path.parent.mkdir(parents=True)
            path.write_text(f"Meter,Taken\n{meter},12\n")
            session.add(
                Report(
                    kind="consumption", title="r", from_at=NOW, to_at=NOW, zone="UTC", row_count=1,
                    files={}, made_by="ann", made_at=NOW, job_id=job.id,
                )
            )  # fmt: skip
            cells[f"report {number}"] = [str(job.id)]
    return {
        name: Folder(state, name).path if len(name) == 32 else folder_of(state, int(row[0]))
        for name, row in cells.items()
    }


def test_files_that_name_a_person_go_with_the_person(house: Any) -> None:
    """A file that waits to be applied would bring the person back."""
    paths = kept_files(house)
    told = run(house, "erase", ACCOUNT, "--reason", "asked on 3 June, moved out")
    assert {name for name, path in paths.items() if path.exists()} == {"04" * 16, "report 2"}
    assert "files of imports" in told
    assert "reports" in told
    with reading(house.databases.registry) as session:
        gone = select(ImportFile.id).where(ImportFile.removed_at.is_not(None))
        assert set(session.scalars(gone)) == {"01" * 16, "02" * 16, "03" * 16}
        assert set(session.scalars(select(ImportReject.import_id))) == {"04" * 16}
        removed = select(func.count()).where(Report.removed_at.is_not(None))
        assert session.scalar(removed) == 1


def test_an_export_that_nobody_fetched_goes_with_the_person(house: Any) -> None:
    """Whoever had it made may have lost the line: the file waits in the state folder."""
    with writing(house.databases.registry) as session:
        numbers = {row.account_number: row.id for row in session.scalars(select(Customer))}
        jobs = [
            LongJob(
                kind=KIND, title="", asked_by="ann", asked_at=NOW, parameters={"customer": each}
            )
            for each in (numbers[ACCOUNT], numbers[ACCOUNT], numbers["ACC-2"])
        ]
        session.add_all(jobs)
        session.flush()
        done, broken, eves = (export_of(house.settings.state, job.id) for job in jobs)
    done.parent.mkdir()
    for path in (done, begun(broken), eves):
        path.write_bytes(b"all that is kept")
    told = run(house, "erase", ACCOUNT, "--reason", "asked on 3 June")
    assert list(done.parent.iterdir()) == [eves]
    assert "exports of all data that named the person and are removed: 2" in told


def stored(house: Any) -> dict[str, int]:
    """How many readings are stored of each meter."""
    store = DuckDbStore(house.settings.readings_file)
    rows = list(store.export(0, int(NOW.timestamp()) + 10**6))
    store.close()
    return dict(Counter(row.meter for row in rows))


def test_of_a_meter_that_serves_somebody_else_the_own_time_alone_is_erased(house: Any) -> None:
    with writing(house.databases.registry) as session:
        for number, day in ((1, -5), (2, 5)):  # in Eve's time, and in Ada's
            at = MOVED_IN + timedelta(days=day)
            session.add(
                Gap(meter=OURS, profile="1.0.99.1.0.255", from_at=at, to_at=at, cause="x",
                    expected_count=number, noticed_at=at)
            )  # fmt: skip
        session.add(
            MeterProfile(meter=OURS, profile="1.0.99.1.0.255", source="learned",
                         expected_from=MOVED_IN - timedelta(days=5))
        )  # fmt: skip
    told = run(house, "erase", "ACC-2", "--reason", "asked")
    assert f"{THEIRS} is erased from" in told
    assert f"{OURS} is erased from" in told
    left = stored(house)
    assert left.pop(THEIRS, 0) <= 1  # of the quarter of an hour in which Eve came
    assert left == {OURS: 6}
    with reading(house.databases.registry) as session:
        assert session.get_one(Meter, OURS).customer == NAME
        assert session.scalars(select(Event.id)).all() == ["e1"]
        assert session.scalars(select(Gap.expected_count)).all() == [2]
        assert session.scalar(select(MeterProfile.expected_from)) == MOVED_IN
        assert {row.day for row in session.scalars(select(DirtyDay)) if row.meter == OURS} >= {
            int(MOVED_IN.timestamp()) // 86_400
        }
        rows = session.scalars(select(AssetChange).where(AssetChange.asset == OURS)).all()
        kept = str([[row.before, row.after] for row in rows])
    assert NAME in kept
    assert "Eve" not in kept
    assert "Hill Road" not in kept


def test_who_had_the_meter_before_stays_in_its_history(house: Any) -> None:
    run(house, "erase", ACCOUNT, "--reason", "asked on 3 June")
    with reading(house.databases.registry) as session:
        rows = session.scalars(select(AssetChange).where(AssetChange.asset == OURS)).all()
        kept = str([[row.before, row.after] for row in rows])
        assert session.scalars(select(Event.id)).all() == ["e0"]
    assert "Eve" in kept
    assert NAME not in kept


@pytest.mark.parametrize("reason", ["", "  ", f"{NAME} asked", f"account {ACCOUNT.lower()}"])
def test_a_reason_is_given_and_names_nobody(house: Any, reason: str) -> None:
    done = CliRunner().invoke(
        app, ["person", "erase", ACCOUNT, "--reason", reason, "--config", str(house.config)]
    )
    assert done.exit_code != 0
    with reading(house.databases.registry) as session:
        assert session.scalar(select(Customer.name).where(Customer.account_number == ACCOUNT))


def test_times_of_a_meter_follow_its_history(house: Any) -> None:
    with reading(house.databases.registry) as session:
        numbers = {row.name: row.id for row in session.scalars(select(Customer))}
        assert holdings(session, numbers[NAME]) == [Holding(OURS, MOVED_IN, None)]
        assert holdings(session, numbers["Eve"]) == [
            Holding(OURS, MOVED_IN - timedelta(days=400), MOVED_IN),
            Holding(THEIRS, MOVED_IN, None),
        ]
