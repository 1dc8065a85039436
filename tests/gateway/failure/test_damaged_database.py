"""A card that decays: the database is moved aside, and what it knew is replaced with care."""

import asyncio
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hesper_contracts.readings import LOAD_PROFILE, Section
from hesper_contracts.signing import Signer
from hesper_gateway import journal
from hesper_gateway.counters import SKIPPED_AFTER_LOSS, Counters, CounterUnknown
from hesper_gateway.database import Database, DatabaseDamaged, damaged_mark
from hesper_gateway.outbox import Outbox
from hesper_gateway.replacement import EVIDENCE, open_database

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


async def filled(path: Path, section: Callable[..., Section]) -> None:
    """A database of several checkpoints with a mark, a counter and 60 batches."""
    database = Database(path, ballast_octets=0)
    outbox = Outbox(database, Signer.generate())
    for number in range(60):
        rows = section("M1", 1_790_000_100 + 900 * number, 300)
        await outbox.append_readings([rows], {("M1", LOAD_PROFILE): number})
    Counters(database).reserve("M1", "guek")()
    database.close()


def smash(path: Path, start: int, octets: int = 2048) -> None:
    with path.open("r+b") as file:
        file.seek(start)
        file.write(b"\x5a" * octets)


def root_page(path: Path, table: str) -> int:
    connection = sqlite3.connect(path)
    (page,) = connection.execute(
        "SELECT rootpage FROM sqlite_master WHERE name = ?", (table,)
    ).fetchone()
    connection.close()
    return int(page) - 1


@pytest.mark.parametrize("what", ["header", "schema", "counters", "progress", "settings", "gone"])
async def test_a_damaged_database_is_moved_aside(tmp_path: Path, section, what: str) -> None:
    path = tmp_path / "gateway.db"
    await filled(path, section)
    match what:
        case "header":
            smash(path, 0)
        case "schema":
            smash(path, 100)
        case "gone":
            path.write_bytes(b"")
        case table:
            smash(path, 4096 * root_page(path, table))
    before = path.read_bytes()
    opened = open_database(path, 0)
    assert opened.replaced
    assert opened.database.lost is not None
    (evidence,) = (tmp_path / EVIDENCE).iterdir()
    assert (evidence / "gateway.db").read_bytes().startswith(before)
    assert (evidence / "reason.txt").read_text().strip() in opened.replaced
    outbox = Outbox(opened.database, Signer.generate())
    assert outbox.progress.last_capture("M1", LOAD_PROFILE) is None
    opened.database.close()
    again = open_database(path, 0)
    assert (again.replaced, again.database.lost) == ("", opened.database.lost)
    again.database.close()


async def test_damage_found_while_running_ends_it_and_counts_at_the_next_start(
    tmp_path: Path, section, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "gateway.db"
    await filled(path, section)
    smash(path, 4096 * (root_page(path, "batches")))
    database = Database(path, ballast_octets=0)
    with pytest.raises(DatabaseDamaged):
        Outbox(database, Signer.generate())
    database.close()
    assert "batches" not in caplog.text
    assert damaged_mark(path).exists()
    opened = open_database(path, 0)
    assert "malformed" in opened.replaced
    assert not damaged_mark(path).exists()
    opened.database.close()


async def test_damage_found_by_the_writer_reaches_whoever_waits(tmp_path: Path, section) -> None:
    path = tmp_path / "gateway.db"
    await filled(path, section)
    smash(path, 4096 * (root_page(path, "batches")))
    database = Database(path, ballast_octets=0)
    waiting = [
        database.write(lambda c: c.execute("DELETE FROM batches").rowcount) for _ in range(3)
    ]
    outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    assert all(isinstance(outcome, DatabaseDamaged) for outcome in outcomes)
    database.close()
    assert damaged_mark(path).exists()


def test_two_folders_of_evidence_are_kept_whatever_the_clock(tmp_path: Path) -> None:
    path = tmp_path / "gateway.db"
    for number in range(5):
        opened = open_database(path, 0)
        opened.database.close()
        path.write_bytes(b"%d" % number * 4096)
    opened = open_database(path, 0)
    opened.database.close()
    kept = sorted(each.name.partition("-")[0] for each in (tmp_path / EVIDENCE).iterdir())
    assert kept == ["4", "5"]


def test_what_a_person_lays_beside_the_evidence_is_in_nobodys_way(tmp_path: Path) -> None:
    path, evidence = tmp_path / "gateway.db", tmp_path / EVIDENCE
    theirs = ["for-support.tar.gz", "1-20260101T000000Z.tar.gz", "notes", "12"]
    evidence.mkdir()
    for name in theirs:
        (evidence / name).write_bytes(b"theirs")
    for number in range(4):
        opened = open_database(path, 0)
        opened.database.close()
        path.write_bytes(b"%d" % number * 4096)
    open_database(path, 0).database.close()
    assert {each.name for each in evidence.iterdir() if each.is_file()} == set(theirs)
    assert len([each for each in evidence.iterdir() if each.is_dir()]) == 2


def test_a_power_cut_between_moving_aside_and_the_new_one(tmp_path: Path) -> None:
    path = tmp_path / "gateway.db"
    Database(path, ballast_octets=0).close()
    path.unlink()
    opened = open_database(path, 0)
    assert "gone" in opened.replaced
    opened.database.close()


class Cut(BaseException):
    """The power goes."""


async def test_power_cuts_while_it_is_moved_lose_no_evidence(
    tmp_path: Path, section, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "gateway.db"
    await filled(path, section)
    smash(path, 0)
    before = path.read_bytes()
    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", _no_power)
        with pytest.raises(Cut):
            open_database(path, 0)
    assert damaged_mark(path).exists()
    for _ in range(3):
        with monkeypatch.context() as patched:
            patched.setattr("hesper_gateway.replacement.Database", _no_power)
            with pytest.raises(Cut):
                open_database(path, 0)
    opened = open_database(path, 0)
    assert opened.replaced
    opened.database.close()
    (kept,) = (tmp_path / EVIDENCE).rglob("gateway.db")
    assert kept.read_bytes() == before


def _no_power(*_: object, **__: object) -> Database:
    raise Cut


def test_counters_wait_for_the_meter_and_skip_what_may_have_been_lost(tmp_path: Path) -> None:
    path = tmp_path / "gateway.db"
    database = Database(path, ballast_octets=0, lost="test")
    counter = Counters(database).reserve("M1", "guek")
    with pytest.raises(CounterUnknown):
        counter()
    counter.advance(0)  # the meter does not tell
    with pytest.raises(CounterUnknown):
        counter()
    counter.advance(5001)
    assert counter() == 5001 + SKIPPED_AFTER_LOSS
    counter.advance(7000)
    assert counter() == 5002 + SKIPPED_AFTER_LOSS
    database.close()
    database = Database(path, ballast_octets=0)
    assert Counters(database).reserve("M1", "guek")() > 5002 + SKIPPED_AFTER_LOSS
    with pytest.raises(CounterUnknown):
        Counters(database).reserve("M2", "guek")()
    database.close()


def test_a_journal_begins_once(tmp_path: Path) -> None:
    database = Database(tmp_path / "gateway.db", ballast_octets=0)
    assert journal.beginning(database) is None
    for hours in (0, 5):
        at = NOON + timedelta(hours=hours)
        database.submit(lambda c, at=at: journal.begin(c, at)).result()
    assert journal.beginning(database) == NOON
    database.close()


def test_a_journal_that_was_there_before_this_rule_needs_no_beginning(tmp_path: Path) -> None:
    database = Database(tmp_path / "gateway.db", ballast_octets=0)
    database.submit(lambda c: c.execute("DELETE FROM settings")).result()
    database.submit(lambda c: journal.begin(c, NOON)).result()
    assert journal.beginning(database) is None
    database.close()
