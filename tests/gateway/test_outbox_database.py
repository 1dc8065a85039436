"""The database itself: durable settings, group commit, jobs that fail alone, a full disk."""

import asyncio
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hesper_gateway.database import Database, DatabaseError, JobRefused, StorageFull, connect

WRITER = """
import sys
from pathlib import Path
from hesper_gateway.database import Database

database = Database(Path(sys.argv[1]))
for number in range(1_000_000):
    database.submit(
        lambda c: c.execute("INSERT INTO progress VALUES (?, x'00', ?)", (f"m{number}", number))
    ).result()
    print(number, flush=True)
"""


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB of its own, which only root may mount."""
    folder = tmp_path / "card"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if subprocess.run(mount, check=False, capture_output=True).returncode != 0:
        pytest.skip("mounting a small file system needs root")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def insert(number: int, octets: int = 0) -> object:
    return lambda c: c.execute(
        "INSERT INTO batches VALUES (?, 'readings', 0, ?)", (number, bytes(octets))
    )


def test_every_connection_is_durable(tmp_path: Path) -> None:
    connection = connect(tmp_path / "gateway.db")
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    assert connection.execute("PRAGMA synchronous").fetchone() == (2,)
    connection.close()


def test_where_write_ahead_logging_cannot_work_nothing_opens() -> None:
    with pytest.raises(DatabaseError, match="journal_mode"):
        connect(Path(":memory:"))


def test_a_file_that_is_no_database_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "gateway.db"
    path.write_bytes(b"not a database, but somebody's only copy of it" * 100)
    with pytest.raises(DatabaseError, match="not a database"):
        Database(path)
    assert path.read_bytes().startswith(b"not a database")


def test_a_schema_of_the_future_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "gateway.db"
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version=99")
    connection.close()
    with pytest.raises(DatabaseError, match="version 99"):
        Database(path)


async def test_a_refused_job_rolls_back_alone(database: Database) -> None:
    def refusing(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO batches VALUES (2, 'readings', 0, x'')")
        raise JobRefused("changed its mind")

    outcomes = await asyncio.gather(
        database.write(insert(1)),
        database.write(refusing),
        database.write(insert(3)),
        return_exceptions=True,
    )
    assert isinstance(outcomes[1], JobRefused)
    rows = database.read(lambda c: c.execute("SELECT sequence FROM batches").fetchall())
    assert rows == [(1,), (3,)]


async def test_many_writers_share_commits(database: Database) -> None:
    commits: list[str] = []
    database._writer.set_trace_callback(
        lambda statement: commits.append(statement) if statement == "COMMIT" else None
    )
    await asyncio.gather(*(database.write(insert(number)) for number in range(100)))
    assert len(commits) < 50


def test_a_second_agent_is_kept_out(database: Database) -> None:
    with pytest.raises(DatabaseError, match="in use"):
        Database(database.path)


def test_after_closing_nothing_is_accepted(tmp_path: Path) -> None:
    database = Database(tmp_path / "gateway.db", ballast_octets=0)
    database.close()
    with pytest.raises(DatabaseError, match="closed"):
        database.submit(insert(1))


def test_power_cut_loses_no_acknowledged_row(tmp_path: Path) -> None:
    path = tmp_path / "gateway.db"
    for cut_after in (1, 40, 200):
        path.with_name("rows").mkdir(exist_ok=True)
        own = path.with_name("rows") / f"{cut_after}.db"
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, str(own)], stdout=subprocess.PIPE, text=True
        ) as writer:
            assert writer.stdout is not None
            acknowledged = [int(writer.stdout.readline()) for _ in range(cut_after)]
            writer.send_signal(signal.SIGKILL)
            acknowledged += [int(line) for line in writer.stdout.read().splitlines()]
        database = Database(own)
        stored = database.read(lambda c: c.execute("SELECT captured_at FROM progress").fetchall())
        database.close()
        assert {number for (number,) in stored} >= set(acknowledged)


def test_full_disk_gives_up_the_ballast_and_still_drains(small_disk: Path) -> None:
    database = Database(small_disk / "gateway.db", ballast_octets=256 * 1024)
    assert database.ballast.present
    number = 0
    while database.ballast.present:
        number += 1
        database.submit(insert(number, 20_000)).result()
    (count,) = database.read(lambda c: c.execute("SELECT count(*) FROM batches").fetchone())
    assert count == number
    database.submit(lambda c: c.execute("DELETE FROM batches WHERE sequence < 10")).result()
    database.submit(insert(1, 20_000)).result()
    database.close()


def test_full_without_ballast_refuses_and_keeps_what_it_has(small_disk: Path) -> None:
    database = Database(small_disk / "gateway.db", ballast_octets=0)
    outcomes = [database.submit(insert(number, 20_000)) for number in range(100)]
    stored = [number for number, outcome in enumerate(outcomes) if outcome.exception() is None]
    assert 10 < len(stored) < 100
    assert isinstance(outcomes[-1].exception(), StorageFull)
    rows = database.read(lambda c: c.execute("SELECT sequence FROM batches").fetchall())
    assert [number for (number,) in rows] == stored
    database.close()


def test_a_gateway_starts_on_a_full_disk(small_disk: Path) -> None:
    path = small_disk / "gateway.db"
    Database(path, ballast_octets=256 * 1024).close()
    with (small_disk / "other").open("wb", buffering=0) as other:
        other.write(bytes(2 * 1024 * 1024))
    database = Database(path, ballast_octets=256 * 1024)
    database.submit(insert(1)).result()
    database.close()
