"""Readings that leave the store: proven in the archive before, on either store."""

import secrets
import shutil
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from command_line import tell
from hesper_cloud.archive import files, keeping
from hesper_cloud.archive.keeping import ArchiveKeeping
from hesper_cloud.db import migrate
from hesper_cloud.db.alerting import Alert
from hesper_cloud.db.archive import ArchivedPart, archived_before
from hesper_cloud.db.engines import open_engine, reading, writing
from hesper_cloud.settings import RetentionSettings, StoreSettings
from hesper_cloud.stores import copying
from hesper_cloud.stores.duckdb import DuckDbStore
from hesper_cloud.stores.influx import InfluxStore
from hesper_cloud.stores.influx_server import InfluxV1
from hesper_cloud.stores.port import Block, Group, Quantity, ReadingStore
from hesper_cloud.validation import dirty
from sqlalchemy import delete, select
from tables import make_tables

DAY = 86_400
MARCH = int(datetime(2026, 3, 1, tzinfo=UTC).timestamp())
APRIL = int(datetime(2026, 4, 1, tzinfo=UTC).timestamp())
PROFILE = "1.0.99.1.0.255"
ENERGY, VOLTAGE = Quantity("1.0.1.8.0.255", 0, 30), Quantity("1.0.32.7.0.255", -1, 35)


def block(at: int, count: int, by: int = 0, meter: str = "M1") -> Block:
    times = at + 3600 * np.arange(count)
    values = np.stack([times // 3600 + by, np.full(count, 2301)])
    missing = np.zeros(values.shape, bool)
    missing[1, ::3] = True
    nothing = np.zeros(count, np.int64)
    received_at = int(times[-1]) + 7
    return Block(
        PROFILE, (ENERGY, VOLTAGE), (meter,), nothing, times, nothing, nothing, received_at,
        values, missing,
    )  # fmt: skip


class Archive:
    """A store of which March has to leave, and what archives it."""

    def __init__(self, folder: Path, store: ReadingStore) -> None:
        self.folder, self.store = folder / "archive", store
        self.now = datetime(2026, 7, 2, tzinfo=UTC)
        self.registry = open_engine(f"sqlite:///{folder / 'hesper.db'}")
        make_tables(self.registry)
        self.start()

    def start(self) -> None:
        """As after a restart of the head end."""
        kept = RetentionSettings(raw_days=92, archive=str(self.folder))
        self.keeping = ArchiveKeeping(kept, self.store, self.registry, lambda: self.now)

    def put(self, *blocks: Block) -> None:
        self.store.write(Group({}, blocks, int(self.now.timestamp()) * 1000))

    def parts(self) -> list[ArchivedPart]:
        with reading(self.registry) as session:
            return list(session.scalars(select(ArchivedPart).order_by(ArchivedPart.name)))

    def readings(self) -> list[Any]:
        found = [
            each for part in self.parts() for each in files.readings(f"{self.folder}/{part.name}")
        ]
        return sorted(found, key=lambda each: (each.meter, each.captured_at, each.revision))

    def alerts(self) -> list[str]:
        with reading(self.registry) as session:
            query = select(Alert).where(Alert.state != "cleared")
            return [alert.text for alert in session.scalars(query)]


@pytest.fixture(params=["duckdb", "influx"])
def archive(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Archive]:
    store: ReadingStore
    if request.param == "duckdb":
        store = DuckDbStore(tmp_path / "readings.duckdb")
    else:
        server = InfluxV1(request.getfixturevalue("influx_url"), f"test-{secrets.token_hex(4)}")
        store = InfluxStore(server, is_archived=True, feed_behind_s=0)
    made = Archive(tmp_path, store)
    yield made
    store.close()
    made.registry.dispose()


def stored(store: ReadingStore) -> list[Any]:
    found = store.export(0, 2 * APRIL)
    return sorted(found, key=lambda each: (each.meter, each.captured_at, each.revision))


def test_a_month_leaves_once_it_is_in_the_archive_as_it_was(archive: Archive) -> None:
    archive.put(block(MARCH, 24 * 33), block(MARCH, 24, meter="M2"))
    archive.put(block(MARCH + 3600, 1, by=5))  # another value: a revision
    archive.store.maintain(MARCH + 40 * DAY)
    before = stored(archive.store)
    archive.keeping.turn()
    leaves = [each for each in before if each.captured_at < APRIL]
    assert archive.readings() == leaves
    assert any(each.revision for each in leaves)
    assert stored(archive.store) == [each for each in before if each.captured_at >= APRIL]
    parts = archive.parts()
    assert [part.day for part in parts] == list(range(MARCH // DAY, APRIL // DAY))
    assert (parts[0].readings, parts[0].revisions) == (49, 1)
    assert parts[0].name == "day=2026-03-01/readings-0.parquet"
    assert archived_before(archive.registry) == APRIL
    assert archive.alerts() == []


def test_a_month_that_is_not_old_enough_stays(archive: Archive) -> None:
    archive.now = datetime(2026, 7, 1, 23, tzinfo=UTC)  # March 31 is 92 days old, and not over
    archive.put(block(MARCH, 24 * 3))
    archive.keeping.turn()
    assert archive.parts() == []
    assert len(stored(archive.store)) == 24 * 3


def mark(archive: Archive, day: int) -> None:
    with writing(archive.registry) as session:
        dirty.mark(session, [("M1", day)], archive.now)


@pytest.mark.parametrize("late_by", [-1, 39])
def test_a_month_waits_for_the_sums_of_its_days(archive: Archive, late_by: int) -> None:
    """And of those after it, whose estimates may reach back into it."""
    archive.put(block(MARCH, 24 * 33))
    mark(archive, APRIL // DAY + late_by)
    archive.keeping.turn()
    assert archive.parts() == []
    assert len(stored(archive.store)) == 24 * 33
    with writing(archive.registry) as session:
        dirty.settled(session, dirty.taken(archive.registry, 1))
    mark(archive, APRIL // DAY + 40)  # far enough away
    archive.keeping.turn()
    assert len(stored(archive.store)) == 24 * 2


def test_a_day_that_is_marked_while_its_month_is_archived_holds_the_month_up(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive.put(block(MARCH, 24 * 33))
    put = keeping.put

    def put_and_mark(url: str, octets: Any) -> int:
        mark(archive, MARCH // DAY + 30)
        return put(url, octets)

    monkeypatch.setattr(keeping, "put", put_and_mark)
    archive.keeping.turn()
    assert len(stored(archive.store)) == 24 * 33
    with writing(archive.registry) as session:
        dirty.settled(session, dirty.taken(archive.registry, 1))
    archive.keeping.turn()
    assert len(stored(archive.store)) == 24 * 2


def test_what_a_day_has_already_is_known_piece_by_piece(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However large the fleet: a day's digests are not all in memory at once."""
    archive.put(block(MARCH, 24))
    archive.keeping.turn()
    monkeypatch.setattr(keeping, "_DIGESTS_AT_ONCE", 5)
    archive.put(block(MARCH, 24), block(MARCH, 24, meter="M2"))
    archive.keeping.turn()
    assert [part.readings for part in archive.parts()] == [24, 24]
    assert [each.meter for each in archive.readings()] == 24 * ["M1"] + 24 * ["M2"]
    assert stored(archive.store) == []


def test_late_readings_follow_as_a_part_of_their_own(archive: Archive) -> None:
    archive.put(block(MARCH, 24))
    archive.keeping.turn()
    archive.put(block(MARCH, 26))  # what the archive has comes again, and two that it has not
    archive.keeping.turn()
    assert stored(archive.store) == []
    late = archive.parts()[1]
    assert late.name == "day=2026-03-02/readings-0.parquet"
    archive.put(block(MARCH + DAY, 3, by=9))  # other values, and an hour more
    archive.keeping.turn()
    assert [(part.name, part.readings) for part in archive.parts()] == [
        ("day=2026-03-01/readings-0.parquet", 24),
        ("day=2026-03-02/readings-0.parquet", 2),
        ("day=2026-03-02/readings-1.parquet", 3),
    ]


def test_what_comes_in_while_a_month_is_archived_does_not_leave_unseen(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive.put(block(MARCH, 24))
    proven, turns = copying.content, []

    def late(readings: Any) -> copying.Content:
        if not turns:
            turns.append(1)
            archive.put(block(MARCH, 1, meter="M9"))
        return proven(readings)

    monkeypatch.setattr(keeping, "content", late)
    archive.keeping.turn()
    assert {each.meter for each in archive.readings()} == {"M1", "M9"}
    assert [part.readings for part in archive.parts()] == [24, 1]
    assert stored(archive.store) == []


def test_nothing_leaves_whose_archive_does_not_give_it_back(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive.put(block(MARCH, 24))
    before = stored(archive.store)
    real = files.readings
    monkeypatch.setattr(files, "readings", lambda url: list(real(url))[1:])
    archive.keeping.turn()
    assert stored(archive.store) == before
    assert archive.parts() == []
    (text,) = archive.alerts()
    assert "day=2026-03-01/readings-0.parquet does not give back what was written" in text
    monkeypatch.undo()
    archive.keeping.turn()
    assert archive.readings() == before
    assert archive.alerts() == []


def test_killed_between_archiving_and_letting_go_nothing_is_lost_or_doubled(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Killed(BaseException):
        pass

    def killed(before: int) -> bool:
        raise Killed

    archive.put(block(MARCH, 48))
    before = stored(archive.store)
    monkeypatch.setattr(archive.store, "let_go", killed)
    with pytest.raises(Killed):
        archive.keeping.turn()
    monkeypatch.undo()
    assert stored(archive.store) == before
    archive.start()
    archive.keeping.turn()
    assert archive.readings() == before
    assert stored(archive.store) == []


def test_files_that_the_list_has_forgotten_are_entered_and_not_overwritten(
    archive: Archive,
) -> None:
    archive.put(block(MARCH, 24), block(MARCH, 24, meter="M2"))
    before = stored(archive.store)
    archive.keeping.turn()
    migrate.go_back(archive.registry, "registry", "0019")
    migrate.upgrade(archive.registry, "registry")
    archive.start()
    archive.put(block(MARCH, 2, meter="M2"), block(MARCH, 1, meter="M3"))
    archive.keeping.turn()
    assert [(part.name, part.readings) for part in archive.parts()] == [
        ("day=2026-03-01/readings-0.parquet", 48), ("day=2026-03-01/readings-1.parquet", 1)
    ]  # fmt: skip
    assert archive.readings()[:48] == before
    assert archive.readings()[48].meter == "M3"
    assert stored(archive.store) == []


def test_an_archive_that_is_not_where_it_was_takes_nothing(archive: Archive) -> None:
    archive.put(block(MARCH, 24))
    archive.keeping.turn()
    shutil.move(archive.folder, archive.folder.with_name("unmounted"))
    archive.put(block(MARCH + DAY, 5))
    archive.keeping.turn()
    assert len(stored(archive.store)) == 5
    assert not archive.folder.exists()
    assert "hesper-archive.json" in archive.alerts()[0]


class Site(NamedTuple):
    config: Path
    archive: Archive


@pytest.fixture
def site(tmp_path: Path) -> Site:
    state = tmp_path / "state"
    state.mkdir()
    store = DuckDbStore(state / "readings.duckdb")
    made = Archive(state, store)
    made.put(block(MARCH, 30))
    made.keeping.turn()
    store.close()
    made.registry.dispose()
    config = tmp_path / "cloud.toml"
    config.write_text(
        f'state = "state"\n[store.retention]\nraw_days = 92\narchive = "{made.folder}"\n'
    )
    return Site(config, made)


def test_the_archive_is_listed_checked_and_unpacked(site: Site, tmp_path: Path) -> None:
    span = ("2026-03-01", "2026-03-31")
    told = tell(site.config, "archive", "list", *span)
    first, second = told.stdout.splitlines()
    assert first.split("\t")[:4] == ["2026-03-01", "day=2026-03-01/readings-0.parquet", "24", "0"]
    assert second.split("\t")[2] == "6"
    assert tell(site.config, "archive", "check", *span).returncode == 0
    for what in ("list", "check"):
        told = tell(site.config, "archive", what, "2026-05-01", "2026-05-31")
        assert (told.returncode, told.stdout) == (0, "")
        assert told.stderr.strip() == "nothing is archived of 2026-05-01 to 2026-05-31"
    into = tmp_path / "march.duckdb"
    assert "30 readings in" in tell(site.config, "archive", "unpack", *span, into).stdout
    unpacked = DuckDbStore(into)
    assert [each.captured_at for each in stored(unpacked)] == [
        MARCH + 3600 * hour for hour in range(30)
    ]
    unpacked.close()
    other = list(files.readings(f"{site.archive.folder}/day=2026-03-01/readings-0.parquet"))[1:]
    damaged = site.archive.folder / "day=2026-03-01/readings-0.parquet"
    damaged.write_bytes(b"".join(files.octets(other)))
    told = tell(site.config, "archive", "check", *span)
    assert told.returncode == 1
    assert "holds 23 readings that are not those archived" in told.stderr
    damaged.write_bytes(damaged.read_bytes()[:500])
    told = tell(site.config, "archive", "check", *span)
    assert told.returncode == 1
    assert "day=2026-03-01" in told.stderr


def test_of_an_archive_that_is_damaged_or_not_there_nothing_is_unpacked(
    site: Site, tmp_path: Path
) -> None:
    into = tmp_path / "march.duckdb"
    told = tell(site.config, "archive", "unpack", "2027-03-01", "2027-03-31", into)
    assert (told.returncode, "nothing is archived of 2027-03-01" in told.stderr) == (2, True)
    unpack = ("archive", "unpack", "2026-03-01", "2026-03-31", into)
    second = site.archive.folder / "day=2026-03-02/readings-0.parquet"
    whole = second.read_bytes()
    for octets in (whole[:500], None):
        second.unlink()
        if octets is not None:
            second.write_bytes(octets)
        told = tell(site.config, *unpack)
        assert (told.returncode, told.stderr.count("\n")) == (2, 1)
        assert "nothing was unpacked: day=2026-03-02/readings-0.parquet: " in told.stderr
        second.touch()
    (site.archive.folder / "hesper-archive.json").unlink()
    told = tell(site.config, *unpack)
    assert (told.returncode, "hesper-archive.json" in told.stderr) == (2, True)
    assert not into.exists()


def test_files_that_the_list_has_forgotten_are_adopted(site: Site) -> None:
    span = ("2026-03-01", "2026-03-31")
    before = tell(site.config, "archive", "list", *span).stdout
    registry = open_engine(str(site.archive.registry.url))
    with writing(registry) as session:
        session.execute(delete(ArchivedPart))
    registry.dispose()
    told = tell(site.config, "archive", "adopt", *span)
    assert "day=2026-03-02/readings-0.parquet is entered" in told.stdout
    assert told.returncode == 0
    assert tell(site.config, "archive", "list", *span).stdout == before
    (site.archive.folder / "day=2026-03-03").mkdir()
    (site.archive.folder / "day=2026-03-03/readings-0.parquet").write_bytes(b"PAR1 and no more")
    damaged = tell(site.config, "archive", "adopt", *span)
    assert "a file of 2026-03-03 is not entered" in damaged.stderr
    assert damaged.returncode == 1


def test_an_export_of_what_has_left_says_where_it_is(site: Site, tmp_path: Path) -> None:
    span = ("--from", "2026-03-01", "--to", "2026-04-05")
    told = tell(site.config, "export", "csv", tmp_path / "out", *span)
    assert told.returncode == 1
    assert "readings before 2026-03-03 are in the archive" in told.stderr
    later = ("--from", "2026-03-03", "--to", "2026-04-05")
    assert tell(site.config, "export", "csv", tmp_path / "out", *later).returncode == 0


def test_settings_that_could_lose_readings_are_refused() -> None:
    with pytest.raises(ValueError, match="last 40 days stay online"):
        RetentionSettings(archive="/mnt/archive")
    with pytest.raises(ValueError, match="named from the root"):
        RetentionSettings(archive="archive", raw_days=92)
    kept = RetentionSettings(archive="s3://cold/readings", raw_days=92)
    assert kept.removed_after_days == 0
    assert RetentionSettings(raw_days=92).removed_after_days == 92
    with pytest.raises(ValueError, match="one process writes and lets go"):
        StoreSettings(kind="influx", sole_writer=False, retention=kept)


def test_the_horizon_is_a_midnight() -> None:
    now = datetime(2026, 7, 2, 13, 5, tzinfo=UTC)
    assert RetentionSettings().horizon(now) == 0
    horizon = datetime.fromtimestamp(RetentionSettings(raw_days=92).horizon(now), UTC)
    assert horizon == datetime(2026, 4, 1, tzinfo=UTC)
    assert now - horizon > timedelta(days=92)
