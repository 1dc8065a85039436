"""Backups by schedule and by command, their alarms, and what is asked for after a restore."""

import errno
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from backed_up import NOW, batch, group, restored_into
from command_line import tell
from hesper_cloud.backup import commands, make
from hesper_cloud.backup.keeping import BackupKeeping, ask, rehearse
from hesper_cloud.backup.sending_again import SendingAgain, leave_note
from hesper_cloud.cli import app
from hesper_cloud.db.engines import open_engine, reading, writing
from hesper_cloud.db.registry import Alert, Backup, BatchSeen, Gateway
from hesper_cloud.job_settings import BackupSettings
from hesper_cloud.stores.duckdb import DuckDbStore
from hesper_contracts import again
from hesper_contracts.again import SendAgain
from hesper_contracts.batch import BatchId
from hesper_contracts.frame import Kind
from hesper_contracts.signing import Keyring, Signer
from sqlalchemy import select
from typer.testing import CliRunner


class Kept:
    """Backups by schedule over a head end on disk."""

    def __init__(self, head_end: Any, store: DuckDbStore, folder: Path) -> None:
        limits = BackupSettings(folder=folder, keep=2, alarm_after_hours=30)
        self.settings = head_end.settings.model_copy(update={"backup": limits})
        self.registry, self.clock, self.folder = head_end.databases.registry, head_end.clock, folder
        self.keeping = BackupKeeping(self.settings, store, self.registry, self.clock)

    def turn(self, hours: float = 0) -> None:
        self.clock.advance(hours * 3600)
        self.keeping.turn()

    def rows(self) -> list[Backup]:
        with reading(self.registry) as session:
            return list(session.scalars(select(Backup).order_by(Backup.id)))

    def alarms(self) -> set[str]:
        with reading(self.registry) as session:
            return set(session.scalars(select(Alert.rule).where(Alert.state != "cleared")))


@pytest.fixture
def kept(head_end: Any, store: DuckDbStore, tmp_path: Path) -> Kept:
    return Kept(head_end, store, tmp_path / "backups")


def test_backups_are_made_on_schedule_rehearsed_and_let_go(kept: Kept) -> None:
    kept.turn()
    kept.turn(23)
    (first,) = kept.rows()
    assert (first.state, first.rehearsal, first.octets > 0) == ("made", "restored", True)
    kept.turn(2)
    kept.turn(25)
    assert [row.state for row in kept.rows()] == ["made", "made"]
    assert sorted(path.name for path in kept.folder.iterdir()) == [
        Path(row.folder).name for row in kept.rows()
    ]
    assert kept.alarms() == set()


def test_a_clock_that_ran_ahead_for_a_while_stops_no_backups(kept: Kept) -> None:
    kept.turn()
    kept.turn(9 * 365 * 24)
    ahead = kept.rows()[-1]
    assert (ahead.state, ahead.rehearsal) == ("made", "restored")
    kept.turn(-9 * 365 * 24 + 25)
    newest = kept.rows()[-1]
    assert (newest.state, newest.made_at) == ("made", kept.clock())
    kept.turn(200)
    assert kept.rows()[-1].rehearsal == "restored"
    assert ahead.id not in {row.id for row in kept.rows()}
    shutil.rmtree(kept.folder)
    kept.folder.touch()
    kept.turn(60)
    assert "backup-age" in kept.alarms()


def test_a_clock_that_began_long_ago_lets_no_new_backup_go(kept: Kept) -> None:
    kept.turn()
    kept.turn(25)
    kept.turn(-20 * 365 * 24)
    made = [row.made_at for row in kept.rows()]
    assert kept.clock() in made
    kept.turn(1)
    assert [row.made_at for row in kept.rows()] == made


def test_tries_that_fail_for_months_do_not_pile_up(kept: Kept) -> None:
    kept.folder.write_text("in the way")
    for _ in range(110):
        kept.turn(1)
    rows = kept.rows()
    assert len(rows) == 101
    assert f"There is no backup since {rows[0].made_at:%F %T} UTC" in alert_of(kept, "backup-age")
    kept.folder.unlink()
    kept.turn(1)
    assert "backup-age" not in kept.alarms()


def alert_of(kept: Kept, rule: str) -> str:
    with reading(kept.registry) as session:
        return session.scalars(select(Alert.text).where(Alert.rule == rule)).one()


def test_an_old_backup_is_alarmed_and_a_new_one_clears_it(kept: Kept) -> None:
    kept.turn()
    shutil.move(kept.folder, kept.folder.with_name("away"))
    kept.folder.write_text("in the way")
    kept.turn(31)
    assert kept.alarms() == {"backup-age", "backup-gone"}
    assert kept.rows()[-1].state == "failed"
    kept.folder.unlink()
    kept.turn(1)
    assert kept.alarms() == {"backup-gone"}
    kept.turn(13)
    assert kept.alarms() == set()


def test_backups_that_are_gone_are_none_and_are_alarmed(kept: Kept) -> None:
    kept.turn()
    shutil.rmtree(Path(kept.rows()[0].folder))  # or the disk is another one
    kept.turn(1)
    assert [row.state for row in kept.rows()] == ["failed", "made"]
    assert (Path(kept.rows()[1].folder) / "manifest.json").exists()
    kept.turn(1)
    assert kept.alarms() == {"backup-gone"}
    kept.turn(13)
    assert kept.alarms() == set()


def test_a_disk_that_answers_with_an_error_is_alarmed(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept.turn()

    def fails(path: Path, *_: object, **__: object) -> bool:
        if kept.folder in (path, *path.parents):
            raise OSError(errno.EIO, "input/output error", str(path))
        return bool(usual(path))

    usual = Path.is_file
    monkeypatch.setattr(Path, "is_file", fails)
    kept.turn(31)
    assert kept.alarms() == {"backup-gone", "backup-age"}
    assert {row.state for row in kept.rows()} == {"failed"}
    assert all("input/output error" in str(row.reason) for row in kept.rows())
    monkeypatch.setattr(Path, "glob", fails)
    assert "input/output error" in rehearse(kept.folder / "hesper")


def test_nobody_waits_for_the_disk_of_the_backups(
    kept: Kept, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each time that the disk is touched, somebody else writes."""
    state = kept.registry.url.database
    touched = []

    def watched(name: str, usual: Any) -> Any:
        def touch(path: Any, *more: Any, **options: Any) -> Any:
            if kept.folder in Path(path).parents:
                touched.append(name)
                with closing(sqlite3.connect(state, uri=True, timeout=0)) as other:
                    other.execute("BEGIN IMMEDIATE")
            return usual(path, *more, **options)

        return touch

    monkeypatch.setattr(Path, "is_file", watched("is_file", Path.is_file))
    monkeypatch.setattr(Path, "stat", watched("stat", Path.stat))
    monkeypatch.setattr(shutil, "rmtree", watched("rmtree", shutil.rmtree))
    for _ in range(3):
        kept.turn(25)
    assert len(kept.rows()) == 2
    assert {"is_file", "stat", "rmtree"} <= set(touched)


def test_a_store_that_cannot_be_read_is_told_and_nobody_is_waited_for(
    head_end: Any, store: DuckDbStore, tmp_path: Path
) -> None:
    store.close()
    head_end.settings.readings_file.write_bytes(b"no database" * 1000)
    config = tmp_path / "cloud.toml"
    config.write_text(f'state = "{head_end.settings.state}"\n')
    told = tell(config, "backup", tmp_path / "out")
    assert told.returncode != 0
    assert "readings.duckdb" in told.stderr
    assert "was asked" not in told.stderr


def test_a_backup_that_cannot_be_restored_is_alarmed(kept: Kept) -> None:
    kept.turn()
    kept.turn(25)
    newest = Path(kept.rows()[-1].folder)
    (newest / "registry.db").write_bytes(b"")
    kept.turn(23)
    kept.clock.advance(200 * 3600)
    kept.keeping._rehearse(timedelta(hours=1))
    assert kept.alarms() == {"backup-rehearsal"}
    assert "damaged" in str(kept.rows()[-1].rehearsal)


def test_the_head_end_makes_what_the_command_line_asks_for(kept: Kept, tmp_path: Path) -> None:
    backup_id = ask(kept.registry, tmp_path / "by hand", kept.clock())
    kept.turn()
    row = next(row for row in kept.rows() if row.id == backup_id)
    assert (row.state, Path(row.folder).parent) == ("made", tmp_path / "by hand")
    assert rehearse(Path(row.folder)) == "restored"


def test_by_command_line(head_end: Any, store: DuckDbStore, tmp_path: Path) -> None:
    store.close()
    config, fresh = tmp_path / "cloud.toml", tmp_path / "fresh.toml"
    config.write_text(f'state = "{head_end.settings.state}"\n')
    fresh.write_text('state = "fresh"\n')
    run = CliRunner().invoke
    made = run(app, ["backup", str(tmp_path / "out"), "-c", str(config)])
    assert made.exit_code == 0, made.output
    (folder,) = (tmp_path / "out").iterdir()
    assert str(folder) in made.output
    assert run(app, ["rehearse", str(folder)]).exit_code == 0
    restored = run(app, ["restore", str(folder), "-c", str(fresh)])
    assert restored.exit_code == 0, restored.output
    assert "still wanted" in restored.output
    assert "what was erased since 20" in restored.output
    assert run(app, ["restore", str(folder), "-c", str(fresh)]).exit_code != 0


HOLDING = """
import sys
from pathlib import Path
from hesper_cloud.aggregates.book import EnergyBook
book = EnergyBook(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


def test_a_head_end_on_influxdb_is_asked_by_the_command_line_too(
    head_end: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(commands, "_PATIENCE_S", 0.0)
    settings, config = head_end.settings, tmp_path / "cloud.toml"
    config.write_text(f'state = "{settings.state}"\nstore.kind = "influx"\n')
    half_made = tmp_path / "out" / "hesper-20260601T120000Z.partial"  # the head end's own
    half_made.mkdir(parents=True)
    arguments = [sys.executable, "-c", HOLDING, str(settings.energy_file)]
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == b"held\n"
        asked = CliRunner().invoke(app, ["backup", str(tmp_path / "out"), "-c", str(config)])
        other.communicate()
    assert "was asked" in asked.output
    with reading(head_end.databases.registry) as session:
        (row,) = session.scalars(select(Backup)).all()
    assert (row.state, row.folder) == ("asked", str(tmp_path / "out"))
    assert list((tmp_path / "out").iterdir()) == [half_made]


def test_after_a_restore_gateways_are_asked_for_what_came_since(
    head_end: Any, store: DuckDbStore, tmp_path: Path
) -> None:
    with writing(head_end.databases.registry) as session:
        session.add(BatchSeen(**batch(1500)._asdict(), digest="00", stored_at=NOW))
        session.add(Gateway(id="gw-3", state="unknown", first_seen_at=NOW, attributes={}))
    store.write(group(2000))
    folder, _ = make(head_end.settings, store, tmp_path / "backups", NOW)
    settings = restored_into(folder, tmp_path / "new")
    registry, signer = open_engine(settings.database.url), Signer.generate()
    sent: list[SendAgain] = []

    def publish(gateway: str, kind: Kind, payload: bytes) -> None:
        assert kind is Kind.AGAIN
        sent.append(again.from_payload(payload, Keyring.of(signer.public_key), gateway))

    asking = SendingAgain(settings.state, registry, signer, publish, head_end.clock)
    asking.turn()
    assert sent == [], "nobody has been heard from yet"
    with writing(registry) as session:
        for name in ("gw-1", "gw-3"):
            gateway = session.get_one(Gateway, name)
            gateway.state, gateway.last_seen_at = "online", head_end.clock.now
    asking.turn()
    assert sent == [SendAgain("gw-1", "ab" * 8, 500), SendAgain("gw-3", None, 0)]
    asking.turn()
    with writing(registry) as session:
        younger = BatchId("gw-1", "cd" * 8, 4)
        session.add(BatchSeen(**younger._asdict(), digest="00", stored_at=NOW))
    asking.turn()
    assert sent[2:] == [SendAgain("gw-1", "cd" * 8, 0)], "an outbox younger than the backup"
    head_end.clock.advance(3600)
    asking.turn()
    asking.turn()
    assert len(sent) == 6
    for _ in range(14):
        assert (settings.state / "restored.json").exists()
        head_end.clock.advance(86_400)
        asking.turn()
    assert not (settings.state / "restored.json").exists()
    registry.dispose()


def test_a_new_machine_whose_clock_was_wrong_asks_gateways_all_the_same(
    head_end: Any, tmp_path: Path
) -> None:
    registry, clock, asked = head_end.databases.registry, head_end.clock, list[str]()
    leave_note(tmp_path, {}, NOW - timedelta(days=700))
    clock.advance(365 * 86_400)

    def publish(gateway: str, _: Kind, __: bytes) -> None:
        asked.append(gateway)

    asking = SendingAgain(tmp_path, registry, Signer.generate(), publish, clock)
    asking.turn()
    clock.advance(-365 * 86_400)
    with writing(registry) as session:
        gateway = session.get_one(Gateway, "gw-1")
        gateway.state, gateway.last_seen_at = "online", clock.now
    asking.turn()
    assert asked == ["gw-1"]
