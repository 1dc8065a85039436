"""A card that turns read-only, or answers writes with errors: it is said, and gone on beside."""

import resource
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest
from hesper_contracts.readings import Section
from hesper_contracts.signing import Signer
from hesper_gateway.alarms import Alarms
from hesper_gateway.database import Database, DatabaseError, StorageFull
from hesper_gateway.outbox import Outbox, OutboxFull

Failing = Callable[[], AbstractContextManager[None]]


def insert(number: int) -> Callable[[sqlite3.Connection], object]:
    return lambda c: c.execute(
        "INSERT INTO batches VALUES (?, 'readings', 0, ?)", (number, bytes(5000))
    )


def sequences(database: Database) -> list[int]:
    rows = database.read(lambda c: c.execute("SELECT sequence FROM batches").fetchall())
    return [number for (number,) in rows]


@pytest.fixture
def failing() -> Failing:
    """Within the context no file of this process takes an octet."""

    @contextmanager
    def held() -> Iterator[None]:
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (0, hard))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))

    return held


def test_a_card_that_turned_read_only_ends_jobs_and_not_the_writer(dying_card: Path) -> None:
    database = Database(dying_card / "gateway.db", ballast_octets=64 * 1024)
    database.submit(insert(1)).result()
    subprocess.run(["mount", "-o", "remount,abort", dying_card], check=True)
    for number in (2, 3):
        with pytest.raises(StorageFull, match="takes no writes"):
            database.submit(insert(number)).result()
    assert (sequences(database), bool(database.failing)) == ([1], True)
    assert not database.ballast.is_given_up
    database.close()
    with pytest.raises(DatabaseError, match="Read-only"):
        Database(dying_card / "gateway.db")


async def test_while_the_card_fails_nothing_is_fetched_and_then_it_is_gone_on(
    tmp_path: Path,
    gateway_key: Signer,
    section: Callable[..., Section],
    failing: Failing,
    caplog: pytest.LogCaptureFixture,
) -> None:
    database = Database(tmp_path / "gateway.db", ballast_octets=0)
    outbox = Outbox(database, gateway_key)
    alarms = Alarms(outbox)
    alarms.tell("gateway.storage_full", "the disk is full")
    assert await outbox.append_readings([section("M1", 0)]) == 1
    with failing():
        with pytest.raises(OutboxFull, match="takes no writes"):
            await outbox.append_readings([section("M1", 900)])
        with pytest.raises(OutboxFull, match="takes no writes"):
            await outbox.require_room()
        await alarms.finish()
        assert (sequences(database), outbox.backlog_batches) == ([1], 1)
    told = [each for each in caplog.records if "could not be stored" in each.getMessage()]
    assert [each.exc_info for each in told] == [None]
    assert database.failing
    await outbox.require_room()
    assert not database.failing
    assert await outbox.append_readings([section("M1", 900)]) == 2
    database.close()
