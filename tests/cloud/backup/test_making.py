"""A backup of a running head end comes back in full, or says what is wrong with it."""

import errno
import os
import shutil
import sqlite3
import threading
from contextlib import closing
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pyarrow as pa
import pytest
from backed_up import NOW, T0, batch, everything, group, restored_into
from full_disk import room_for
from hesper_cloud import audit, certificates, keys
from hesper_cloud.aggregates.book import SCORES, EnergyBook
from hesper_cloud.authority import enrolment
from hesper_cloud.backup import BackupError, make, making, restore, restoring
from hesper_cloud.backup.keeping import rehearse
from hesper_cloud.certificates import Desk
from hesper_cloud.db.authority import KeptConfiguration
from hesper_cloud.db.delivery import DeliveryTarget
from hesper_cloud.db.engines import open_engine, reading, writing
from hesper_cloud.db.registry import Gateway
from hesper_cloud.delivery.targets import seal_context
from hesper_cloud.settings import Settings
from hesper_cloud.stores.duckdb import DuckDbStore
from hesper_cloud.stores.port import StartAgain, StoreUnavailable
from hesper_cloud.vault import Vault
from sqlalchemy import select
from sqlalchemy.exc import OperationalError


def test_all_comes_back_into_an_empty_folder(
    head_end: Any, store: DuckDbStore, tmp_path: Path
) -> None:
    command = head_end.ask_disconnect().outcome["command"]
    store._sealing.maintain(int(NOW.timestamp()))
    folder, manifest = make(head_end.settings, store, tmp_path / "backups", NOW)
    assert folder.name == "hesper-20260601T120000Z"
    assert manifest.contents["readings"]["batches"]["rows"] == 12
    assert list((folder / "readings" / "sealed").iterdir()), "sealed days are part of it"
    settings = restored_into(folder, tmp_path / "new")
    again = DuckDbStore(settings.readings_file)
    assert everything(again) == everything(store)
    assert again.known([batch(number) for number in range(12)]) == {
        batch(number): f"{number:064x}" for number in range(12)
    }
    again.close()
    authority = open_engine(settings.database.authority_url, read_only=True)
    with reading(authority) as session:
        assert audit.verify(session).intact
    authority.dispose()
    with sqlite3.connect(settings.state / "authority.db") as database:
        assert database.execute("SELECT id FROM commands").fetchall() == [(command,)]


def test_no_command_counter_that_was_used_since_the_backup_is_used_after_a_restore(
    head_end: Any, store: DuckDbStore, tmp_path: Path
) -> None:
    """Of a gateway that got its first command since, no counter is in the backup at all."""
    folder, _ = make(head_end.settings, store, tmp_path / "backups", NOW)
    with reading(head_end.databases.registry) as session:
        gateways = set(session.scalars(select(Gateway.id)))
    counters: dict[str, int] = {}
    for again in ("once", "twice"):
        before, began = counters, int(datetime.now(UTC).timestamp())
        settings = restored_into(folder, tmp_path / again)
        with sqlite3.connect(settings.state / "authority.db") as database:
            counters = dict(database.execute("SELECT gateway, next FROM gateway_counters"))
        assert counters.keys() == gateways != set()
        assert all(each >= max(began, before.get(name, 0)) for name, each in counters.items())


def test_it_is_taken_while_readings_come_in_and_holds_whole_groups(
    head_end: Any, store: DuckDbStore, tmp_path: Path
) -> None:
    stop, written = threading.Event(), threading.Event()

    def write_on() -> None:
        number = 12
        while not stop.is_set():
            store.write(group(number))
            written.set()
            number += 1

    writer = threading.Thread(target=write_on)
    writer.start()
    assert written.wait(10)
    folder, manifest = make(head_end.settings, store, tmp_path / "backups", NOW)
    stop.set()
    writer.join()
    again = DuckDbStore(restored_into(folder, tmp_path / "new").readings_file)
    batches = manifest.contents["readings"]["batches"]["rows"]
    assert batches >= 13
    assert len(everything(again)) == batches * 100
    again.close()


def test_after_a_restore_a_batch_that_came_later_is_new_and_an_older_one_is_known(
    head_end: Any, store: DuckDbStore, tmp_path: Path
) -> None:
    folder, _ = make(head_end.settings, store, tmp_path / "backups", NOW)
    store.write(group(12))
    held, cursor = store.changes("", 1200).cursor, store.changes("", 10_000).cursor
    again = DuckDbStore(restored_into(folder, tmp_path / "new").readings_file)
    assert again.write(group(11)).new == 0
    assert again.write(group(12)).new == 100
    assert len(again.changes(held, 10_000).readings) == 100, "the backup holds all it speaks of"
    with pytest.raises(StartAgain) as told:
        again.changes(cursor, 10_000)
    assert len(again.changes(told.value.cursor, 10_000).readings) == 100, "what came again"
    again.close()


def test_a_cursor_of_a_store_that_was_restored_and_lost_skips_nothing_of_the_next(
    head_end: Any, store: DuckDbStore, tmp_path: Path
) -> None:
    """Both number their commits alike; the reader of the first has seen one more."""
    folder, _ = make(head_end.settings, store, tmp_path / "backups", NOW)
    first, second = (
        DuckDbStore(restored_into(folder, tmp_path / name).readings_file) for name in ("1", "2")
    )
    first.write(group(12))
    first.write(group(13))
    cursor = first.changes("", 10_000).cursor
    second.write(group(20))
    with pytest.raises(StartAgain) as told:
        second.changes(cursor, 10_000)
    page = second.changes(told.value.cursor, 10_000).readings
    assert [row.captured_at for row in page] == [T0 + 900 * (2000 + n) for n in range(100)]
    first.close()
    second.close()


def test_a_backup_of_before_there_were_epochs_is_restored(
    head_end: Any, store: DuckDbStore, tmp_path: Path
) -> None:
    folder, manifest = make(head_end.settings, store, tmp_path / "backups", NOW)
    (folder / "readings" / "lineage.parquet").unlink()
    del manifest.files["readings/lineage.parquet"], manifest.contents["readings"]["lineage"]
    manifest.write(folder)
    again = DuckDbStore(restored_into(folder, tmp_path / "new").readings_file)
    assert again.changes("3.0.0.0.0.0", 10).readings, "cursors of that time are good"
    again.close()


def test_keys_are_not_in_it_and_a_restore_says_which_are_wanted(
    head_end: Any, store: DuckDbStore, tmp_path: Path
) -> None:
    folder, manifest = make(head_end.settings, store, tmp_path / "backups", NOW)
    secrets = [path.read_bytes().strip() for path in head_end.settings.keys.glob("*.key")]
    octets = b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
    assert not any(secret in octets for secret in secrets)
    assert folder.stat().st_mode & 0o077 == 0
    settings = Settings(state=tmp_path / "new")
    wanted = restore(folder, settings).wanted
    assert len(wanted) == 2
    assert manifest.keys["commands"] in wanted[0]
    shutil.rmtree(tmp_path / "new")
    shutil.copytree(head_end.settings.keys, settings.keys)
    assert restore(folder, settings).wanted == ()


def locked_in(vault: Vault, context: str) -> dict[str, bytes]:
    locked = vault.lock(b"a secret", context)
    return {"wrapped_key": locked.wrapped_key, "box": locked.box}


def test_a_restore_names_the_master_keys_and_the_authority_that_no_backup_holds(
    head_end: Any, store: DuckDbStore, tmp_path: Path
) -> None:
    own, databases = head_end.settings.keys, head_end.databases
    certificates.begin(Desk(head_end.settings, databases, NOW), "Hesper", below_root=False)
    certificates.server(Desk(head_end.settings, databases, NOW), ["broker"], tmp_path / "broker")
    with writing(databases.authority) as session:
        box = locked_in(keys.vault(own), enrolment.vault_context("gw-1", 1))
        session.add(KeptConfiguration(gateway="gw-1", version=1, kept_at=NOW, **box))
    with writing(databases.registry) as session:
        said = {"name": "post", "kind": "email", "config": {}, "made_by": "ann", "changed_at": NOW}
        target = DeliveryTarget(**said)
        session.add(target)
        session.flush()
        box = locked_in(keys.delivery_vault(own), seal_context(target.id))
        target.wrapped_key, target.sealed_secret = box["wrapped_key"], box["box"]
    folder, _ = make(head_end.settings, store, tmp_path / "backups", NOW)
    settings = Settings(state=tmp_path / "new")

    def wanted() -> list[str]:
        told = restore(folder, settings).wanted
        for path in settings.state.iterdir():
            if path != settings.keys:
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        return [each.removeprefix(str(settings.keys))[1:].partition(" ")[0] for each in told]

    of_locks = ["vault.key:", "delivery.key:", "ca.key"]
    assert wanted() == ["commands.key", "receipts.key", *of_locks]
    shutil.copytree(own, settings.keys)
    assert wanted() == []
    (settings.keys / "vault.key").write_text("ab" * 32)
    (settings.keys / "delivery.key").unlink()
    (settings.keys / "ca.key").unlink()
    assert wanted() == of_locks, "another master key opens nothing"
    assert not (settings.keys / "delivery.key").exists(), "nothing is made by looking"


def test_a_process_that_may_not_read_the_command_key_makes_a_backup_that_names_it(
    head_end: Any, store: DuckDbStore, tmp_path: Path
) -> None:
    """As in containers, where the web's process finds an empty file in its place."""
    folder, whole = make(head_end.settings, store, tmp_path / "whole", NOW)
    (head_end.settings.keys / "commands.key").write_bytes(b"")
    folder, manifest = make(head_end.settings, store, tmp_path / "backups", NOW)
    assert manifest.keys == whole.keys
    settings = Settings(state=tmp_path / "new")
    shutil.copytree(head_end.settings.keys, settings.keys)
    (wanted,) = restore(folder, settings).wanted
    assert "commands.key" in wanted


def test_images_imports_and_reports_are_part_of_it(
    head_end: Any, store: DuckDbStore, tmp_path: Path
) -> None:
    state = head_end.settings.state
    brought = {
        f"images/{'ab' * 32}.image": b"octets of an image",
        f"images/{'ab' * 32}.manifest": b"{}",
        f"imports/{'0f' * 16}/original": b"id;name\n",
        "reports/7/report.csv": b"a;b\n",
    }
    for name, octets in {**brought, f"images/{'ab' * 32}.77.part": b"half"}.items():
        (state / name).parent.mkdir(parents=True, exist_ok=True)
        (state / name).write_bytes(octets)
    (state / "imports" / ("0f" * 16)).chmod(0o700)
    folder, manifest = make(head_end.settings, store, tmp_path / "backups", NOW)
    counts = {name: table["rows"] for name, table in manifest.contents["files"].items()}
    assert counts == {"images": 2, "imports": 1, "reports": 1}
    assert rehearse(folder) == "restored"
    new = restored_into(folder, tmp_path / "new").state
    found = {
        str(path.relative_to(new)): path.read_bytes()
        for name in ("images", "imports", "reports")
        for path in (new / name).rglob("*")
        if path.is_file()
    }
    assert found == brought
    assert (new / "imports" / ("0f" * 16)).stat().st_mode & 0o077 == 0
    (tmp_path / "used" / "images").mkdir(parents=True)
    (tmp_path / "used" / "images" / "other.image").write_bytes(b"")
    with pytest.raises(BackupError, match="images is not empty"):
        restored_into(folder, tmp_path / "used")
    (folder / "files" / "reports" / "7" / "report.csv").write_bytes(b"a;c\n")
    with pytest.raises(BackupError, match="damaged"):
        restored_into(folder, tmp_path / "other")


@pytest.mark.parametrize("name", ["authority.db", "registry.db", "readings/batches.parquet"])
def test_damage_is_noticed_before_anything_is_restored(
    head_end: Any, store: DuckDbStore, tmp_path: Path, name: str
) -> None:
    folder, _ = make(head_end.settings, store, tmp_path / "backups", NOW)
    path = folder / name
    octets = bytearray(path.read_bytes())
    octets[len(octets) // 2] ^= 1
    path.write_bytes(octets)
    with pytest.raises(BackupError, match="damaged"):
        restored_into(folder, tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_nothing_is_overwritten(head_end: Any, store: DuckDbStore, tmp_path: Path) -> None:
    folder, _ = make(head_end.settings, store, tmp_path / "backups", NOW)
    with pytest.raises(BackupError, match="empty folder"):
        restore(folder, head_end.settings)


def test_a_backup_that_cannot_be_finished_leaves_nothing(head_end: Any, tmp_path: Path) -> None:
    (tmp_path / "backups").write_text("in the way")
    with pytest.raises(BackupError):
        make(head_end.settings, None, tmp_path / "backups", NOW)
    with pytest.raises(BackupError, match="no backup"):
        restored_into(tmp_path, tmp_path / "new")


def test_a_full_disk_is_said_and_leaves_nothing(
    head_end: Any, store: DuckDbStore, tmp_path: Path
) -> None:
    backups = tmp_path / "backups"
    with room_for(4096), pytest.raises(BackupError, match=r"authority\.db into .*backups"):
        make(head_end.settings, store, backups, NOW)
    assert list(backups.iterdir()) == []
    with room_for(100), pytest.raises(StoreUnavailable):
        store.copy_to(tmp_path / "copy")


def test_a_backup_counts_when_all_of_it_outlives_a_power_cut(
    head_end: Any, store: DuckDbStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    durable: list[Path] = []
    monkeypatch.setattr(making, "synchronise", durable.append)
    folder, _ = make(head_end.settings, store, tmp_path / "backups", NOW)
    passing = folder.with_suffix(".partial")
    here = {passing / path.relative_to(folder) for path in folder.rglob("*")}
    assert set(durable) == here | {passing, folder.parent}
    assert durable[-1] == folder.parent

    def refuse(path: Path) -> None:
        raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))

    monkeypatch.setattr(making, "synchronise", refuse)
    with pytest.raises(BackupError, match="quota"):
        make(head_end.settings, store, tmp_path / "full", NOW)
    assert list((tmp_path / "full").iterdir()) == []


def test_a_rehearsal_does_not_fill_the_disk(
    head_end: Any, store: DuckDbStore, tmp_path: Path
) -> None:
    folder, _ = make(head_end.settings, store, tmp_path / "backups", NOW)
    with (folder / "registry.db").open("ab") as file:
        file.truncate(2**42)  # without blocks: nothing is written
    assert "are free" in rehearse(folder)


def test_what_a_killed_backup_left_goes_with_the_next(
    head_end: Any, store: DuckDbStore, tmp_path: Path
) -> None:
    for name in ("hesper-20250101T000000Z.partial", "rehearsal-abc"):
        (tmp_path / "backups" / name).mkdir(parents=True)
    folder, _ = make(head_end.settings, store, tmp_path / "backups", NOW)
    assert rehearse(folder) == "restored"
    assert list(folder.parent.iterdir()) == [folder]


def test_a_damaged_sealed_file_is_not_backed_up(
    head_end: Any, store: DuckDbStore, tmp_path: Path
) -> None:
    store._sealing.maintain(int(NOW.timestamp()))
    sealed = min(head_end.settings.readings_file.with_suffix(".sealed").glob("*.parquet"))
    octets = bytearray(sealed.read_bytes())
    octets[len(octets) // 2] ^= 1
    before = sealed.stat()
    sealed.write_bytes(octets)
    os.utime(sealed, ns=(before.st_atime_ns, before.st_mtime_ns))
    with pytest.raises(BackupError, match=sealed.name):
        make(head_end.settings, store, tmp_path / "backups", NOW)
    folder, _ = make(head_end.settings, store, tmp_path / "backups", NOW)
    assert not (folder / "readings" / "sealed" / sealed.name).exists(), "it was set aside"


@pytest.mark.parametrize(
    "name",
    [
        "hesper.db-wal",
        "authority.db-journal",
        "readings.duckdb.wal",
        "energy.duckdb",
        "readings.sealed",
    ],
)
def test_remains_of_other_databases_are_not_joined_with_it(
    head_end: Any, store: DuckDbStore, tmp_path: Path, name: str
) -> None:
    folder, _ = make(head_end.settings, store, tmp_path / "backups", NOW)
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / name).write_bytes(b"of another time")
    with pytest.raises(BackupError, match=name):
        restored_into(folder, tmp_path / "new")
    assert [path.name for path in (tmp_path / "new").iterdir()] == [name]


def test_a_restore_that_fails_leaves_nothing_to_start_with(
    head_end: Any, store: DuckDbStore, tmp_path: Path
) -> None:
    folder, manifest = make(head_end.settings, store, tmp_path / "backups", NOW)
    manifest.contents["readings"]["readings"]["rows"] += 1
    manifest.write(folder)
    with pytest.raises(BackupError, match="not what was backed up"):
        restored_into(folder, tmp_path / "new")
    assert list((tmp_path / "new").iterdir()) == []


def test_a_disk_that_is_full_at_the_last_step_of_a_restore_leaves_nothing_either(
    head_end: Any, store: DuckDbStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, _ = make(head_end.settings, store, tmp_path / "backups", NOW)
    full = OperationalError("UPDATE", None, sqlite3.OperationalError("database or disk is full"))
    monkeypatch.setattr(restoring, "skip_used", Mock(side_effect=full))
    with pytest.raises(BackupError, match="disk is full"):
        restored_into(folder, tmp_path / "new")
    assert list((tmp_path / "new").iterdir()) == []


@pytest.mark.parametrize("name", ["../outside", "/etc/hostname"])
def test_a_manifest_names_nothing_outside_of_its_folder(
    head_end: Any, store: DuckDbStore, tmp_path: Path, name: str
) -> None:
    folder, manifest = make(head_end.settings, store, tmp_path / "backups", NOW)
    manifest.files[name] = "00" * 32
    manifest.write(folder)
    with pytest.raises(BackupError, match="outside"):
        restored_into(folder, tmp_path / "new")
    del manifest.files[name]
    manifest.write(folder)
    (folder / "readings" / "sealed" / "more.parquet").write_bytes(b"")
    with pytest.raises(BackupError, match="not in its manifest"):
        restored_into(folder, tmp_path / "new")


def test_the_energy_book_is_part_of_it(head_end: Any, store: DuckDbStore, tmp_path: Path) -> None:
    day = date(2026, 5, 1)
    rows = {"meter": ["M1"], "day": [day], "starts_at": [T0], "score": [97]}
    rows |= {name: [1] for name in ("expected", "stored", "doubted", "estimated", "edited")}
    score = pa.table(rows).select(SCORES.names).cast(SCORES)
    with closing(EnergyBook(head_end.settings.energy_file)) as book:
        book.replace(pa.table({"meter": ["M1"], "day": [day]}), {"scores": score}, NOW)
        folder, manifest = make(head_end.settings, store, tmp_path / "backups", NOW)
        there = book.rows("FROM scores")
    assert manifest.contents["energy"]["scores"]["rows"] == 1
    settings = restored_into(folder, tmp_path / "new")
    with closing(EnergyBook(settings.energy_file)) as again:
        assert again.rows("FROM scores") == there
