"""One meter's readings leave the archive on an order, and nothing of another is lost."""

import os
import shutil
import signal
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from command_line import tell
from head_end import Clock, HeadEnd
from hesper_cloud.aggregates.book import EnergyBook
from hesper_cloud.archive import files, leaving_out
from hesper_cloud.archive.files import Share
from hesper_cloud.archive.keeping import ArchiveKeeping
from hesper_cloud.archive.leaving_out import LeavingOut
from hesper_cloud.archive.names import Place, place_of
from hesper_cloud.db.alerting import Alert
from hesper_cloud.db.archive import ArchivedPart
from hesper_cloud.db.engines import open_engine, reading, writing
from hesper_cloud.db.registry import Erasure
from hesper_cloud.erasure import of_archive, ordering
from hesper_cloud.erasure.carrying_out import Erasures
from hesper_cloud.exports.parquet import written
from hesper_cloud.exports.targets import below, put
from hesper_cloud.latest import LatestValues
from hesper_cloud.services.sources import Sources
from hesper_cloud.settings import RetentionSettings, Settings
from hesper_cloud.stores.copying import DAY_S, Content, content
from hesper_cloud.stores.duckdb import DuckDbStore
from hesper_cloud.stores.port import EARLIEST, LATEST, Block, Group, Quantity, Reading, StoreError
from sqlalchemy import delete, select
from sqlalchemy.orm import make_transient

GONE, OTHER = "HES12642984", "HES12642985"
MARCH = int(datetime(2026, 3, 1, tzinfo=UTC).timestamp())
NOW = datetime(2026, 7, 2, tzinfo=UTC)
ENERGY, VOLTAGE = Quantity("1.0.1.8.0.255", 0, 30), Quantity("1.0.32.7.0.255", -1, 35)
ALL = Share(GONE, EARLIEST, LATEST)
WHY = "the customer moved out"


def block(meter: str, at: int, count: int, by: int = 0) -> Block:
    times = at + 3600 * np.arange(count)
    values = np.stack([times // 3600 + by, np.full(count, 2301)])
    missing = np.zeros(values.shape, bool)
    missing[1, ::3] = True
    nothing = np.zeros(count, np.int64)
    return Block(
        "1.0.99.1.0.255", (ENERGY, VOLTAGE), (meter,), nothing, times, nothing, nothing,
        int(times[-1]) + 7, values, missing,
    )  # fmt: skip


class Archive:
    """Three archived days: both meters with a revision each, one alone, late readings of both."""

    def __init__(self, head_end: Any, folder: Path) -> None:
        self.folder, self.databases = folder, head_end.databases
        self.registry = head_end.databases.registry
        retention = RetentionSettings(raw_days=92, archive=str(folder))
        store = head_end.settings.store.model_copy(update={"retention": retention})
        self.settings = head_end.settings.model_copy(update={"store": store})
        self.store = DuckDbStore(self.settings.readings_file)
        self.keeping = ArchiveKeeping(retention, self.store, self.registry, lambda: NOW)
        self.before = self.readings()

    def fill(self) -> None:
        """Archives what all of the tests begin with."""
        first = [block(GONE, MARCH, 24), block(OTHER, MARCH, 48)]
        self.write(*first, block(GONE, MARCH + 3 * DAY_S, 5))
        self.put(block(GONE, MARCH, 2, by=3), block(OTHER, MARCH, 1, by=4))
        self.put(block(GONE, MARCH + DAY_S, 3), block(OTHER, MARCH + DAY_S, 3, by=2))
        self.put(block(GONE, MARCH + 600, 2), block(OTHER, MARCH + 600, 2))

    def write(self, *blocks: Block) -> None:
        self.store.write(Group({}, blocks, int(NOW.timestamp()) * 1000))

    def put(self, *blocks: Block) -> None:
        self.write(*blocks)
        self.keeping.turn()

    def parts(self) -> list[ArchivedPart]:
        with reading(self.registry) as session:
            order = (ArchivedPart.day, ArchivedPart.part)
            return list(session.scalars(select(ArchivedPart).order_by(*order)))

    def readings(self) -> list[Reading]:
        """What the registry names, each part with the count and the digest that it has there."""
        found = []
        for part in self.parts():
            held = list(files.readings(f"{self.folder}/{part.name}"))
            entered = Content(part.readings, part.revisions, part.sha256)
            assert content(held) == entered, part.name
            assert (self.folder / part.name).stat().st_size == part.octets
            found += held
        return sorted(found, key=lambda each: (each.meter, each.captured_at, each.revision))

    def of(self, meter: str) -> list[Reading]:
        return [each for each in self.before if each.meter == meter]

    def names(self) -> list[str]:
        found = (path for path in self.folder.rglob("*") if path.is_file())
        return sorted(str(path.relative_to(self.folder)) for path in found)

    def leave_out(self, share: Share = ALL) -> int:
        return sum(LeavingOut(str(self.folder), self.registry, share).run())

    def erasures(self, book: EnergyBook) -> Erasures:
        engines = (self.registry, self.databases.authority)
        sources = Sources(self.settings, *engines, self.store, LatestValues(), lambda: NOW)
        return Erasures(sources, book)

    def config(self) -> Path:
        """A cloud.toml that names all this."""
        path = self.settings.state.parent / "cloud.toml"
        path.write_text(
            f'state = "{self.settings.state}"\n'
            f'[store.retention]\nraw_days = 92\narchive = "{self.folder}"\n'
        )
        return path

    def restore_list(self, parts: list[ArchivedPart]) -> None:
        """Puts a list back as a backup held it."""
        with writing(self.registry) as session:
            session.execute(delete(ArchivedPart))
            for part in parts:
                make_transient(part)
                session.add(part)

    def alerts(self) -> list[str]:
        with reading(self.registry) as session:
            query = select(Alert).where(Alert.rule == "archive-erasure", Alert.state != "cleared")
            return [alert.text for alert in session.scalars(query)]


@pytest.fixture(scope="module")
def prepared_state(
    prepared_state: Path, gateway_signer: Any, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A state folder whose readings were archived, once; the archive is beside it."""
    folder = tmp_path_factory.mktemp("archived") / "state"
    shutil.copytree(prepared_state, folder)
    head_end = HeadEnd(Settings(state=folder), gateway_signer, Clock())
    made = Archive(head_end, folder.parent / "archive")
    made.fill()
    made.store.close()
    head_end.close()
    return folder


@pytest.fixture
def archive(head_end: Any, prepared_state: Path, tmp_path: Path) -> Iterator[Archive]:
    shutil.copytree(prepared_state.parent / "archive", tmp_path / "archive")
    made = Archive(head_end, tmp_path / "archive")
    assert made.before, "both meters have readings in the archive"
    yield made
    made.store.close()


@pytest.fixture
def book(head_end: Any) -> Iterator[EnergyBook]:
    made = EnergyBook(head_end.settings.energy_file)
    yield made
    made.close()


def test_a_meter_leaves_every_part_and_the_others_stay_as_they_were(archive: Archive) -> None:
    assert len(archive.of(GONE)) > 30
    assert archive.leave_out() == len(archive.of(GONE))
    assert archive.readings() == archive.of(OTHER)
    assert any(each.revision for each in archive.of(OTHER))
    parts = [part.name for part in archive.parts()]
    assert archive.names() == [*sorted(parts), "hesper-archive.json"]
    assert not any(name.startswith("day=2026-03-04") for name in parts), "nothing is left of it"
    assert "day=2026-03-01/readings-0-1.parquet" in parts
    before = [path.stat().st_mtime_ns for path in archive.folder.rglob("*.parquet")]
    assert archive.leave_out() == 0
    assert [path.stat().st_mtime_ns for path in archive.folder.rglob("*.parquet")] == before


def test_elsewhere_than_on_a_disk_too(archive: Archive) -> None:
    elsewhere = f"memory://{archive.folder.name}-elsewhere"
    for name in archive.names():
        put(f"{elsewhere}/{name}", [(archive.folder / name).read_bytes()])
    assert sum(LeavingOut(elsewhere, archive.registry, ALL).run()) == len(archive.of(GONE))
    parts = sorted(part.name for part in archive.parts())
    assert below(elsewhere) == [*parts, "hesper-archive.json"]
    left = [each for name in parts for each in files.readings(f"{elsewhere}/{name}")]
    assert sorted(left, key=lambda each: (each.captured_at, each.revision)) == archive.of(OTHER)


def test_of_a_time_alone_the_rest_of_the_meter_stays(archive: Archive) -> None:
    span = Share(GONE, MARCH + 5 * 3600, MARCH + 3 * DAY_S + 3600)
    archive.leave_out(span)
    left = [
        each
        for each in archive.before
        if each.meter == OTHER or not span.start <= each.captured_at < span.end
    ]
    assert archive.readings() == left
    assert len(left) < len(archive.before)


def test_only_row_groups_that_may_hold_the_meter_are_read(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*_: Any) -> Any:
        raise AssertionError("no value has to be read")

    monkeypatch.setattr(files, "_chosen", never)
    assert archive.leave_out(Share("AAA", EARLIEST, LATEST)) == 0
    assert archive.leave_out(Share(GONE, MARCH + 9 * DAY_S, LATEST)) == 0


def test_late_readings_after_an_erasure_get_a_number_of_their_own(archive: Archive) -> None:
    archive.leave_out(Share(GONE, MARCH + 3 * DAY_S, LATEST))
    archive.put(block(OTHER, MARCH + DAY_S, 4, by=70))
    archive.leave_out(Share(OTHER, MARCH + DAY_S, MARCH + DAY_S + 1))
    archive.put(block(OTHER, MARCH + DAY_S, 4, by=80))
    keys = [(part.day, part.part) for part in archive.parts()]
    assert len(set(keys)) == len(keys)
    assert archive.alerts() == []
    assert len(archive.readings()) == sum(part.readings for part in archive.parts())


def test_a_version_that_does_not_give_back_what_is_left_is_not_entered(
    archive: Archive, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = [part.name for part in archive.parts()]
    real = files.groups

    def lacking(url: str) -> Iterator[Any]:
        parts = place_of(url.removeprefix(f"{archive.folder}/"))
        cut = 1 if parts is not None and parts.version else 0
        yield from (table.slice(cut) for table in real(url))

    monkeypatch.setattr(files, "groups", lacking)
    with pytest.raises(Exception, match="does not give back what was written"):
        archive.leave_out()
    monkeypatch.undo()
    assert set(names) - set(archive.names()) == {"day=2026-03-04/readings-0.parquet"}
    archive.leave_out()
    assert archive.readings() == archive.of(OTHER)


def test_what_archiving_left_when_it_was_killed_is_rid_of_the_meter_too(archive: Archive) -> None:
    day = archive.folder / "day=2026-03-04"
    shutil.copy(day / "readings-0.parquet", day / "readings-1.parquet")
    shutil.copy(day / "readings-0.parquet", day / ".readings-1.parquet.part")
    (archive.folder / "notes.txt").write_text("somebody's own")
    archive.leave_out()
    assert list(day.iterdir()) == []
    assert (archive.folder / "notes.txt").exists()


def test_an_older_version_stays_where_the_entered_one_is_not_there(archive: Archive) -> None:
    archive.leave_out(Share(GONE, MARCH, MARCH + 3600))
    part = archive.parts()[0]
    current = archive.folder / part.name
    older = archive.folder / Place(part.day, part.part).name
    current.rename(older)
    with pytest.raises(Exception, match=f"{part.name} is not there"):
        archive.leave_out()
    assert older.exists()


STEPS: list[tuple[Any, str]] = [
    (leaving_out, "put"),
    (LeavingOut, "_prove"),
    (LeavingOut, "_enter"),
    (leaving_out, "remove"),
]


@pytest.mark.integration
@pytest.mark.parametrize("step", [name for _, name in STEPS])
@pytest.mark.parametrize("time", [1, 2, 3])
def test_killed_at_any_step_the_next_turn_completes_it(
    archive: Archive, book: EnergyBook, step: str, time: int
) -> None:
    ordering.order(archive.databases, GONE, WHY, NOW)
    erasures = archive.erasures(book)
    erasures.begin()
    erasures.finish()
    assert _killed_at(archive, step, time) == -signal.SIGKILL
    assert set(archive.of(OTHER)) <= set(archive.readings())
    assert not erasures.leave_archive()
    assert archive.readings() == archive.of(OTHER)
    parts = sorted(part.name for part in archive.parts())
    assert archive.names() == [*parts, "hesper-archive.json"]
    with reading(archive.registry) as session:
        assert session.scalars(select(Erasure.finished_at)).all() == [NOW]


def _killed_at(archive: Archive, step: str, time: int) -> int:
    """Makes the last pass in another process, which dies after a step's n-th time."""
    (owner,) = (owner for owner, name in STEPS if name == step)
    if not (child := os.fork()):
        setattr(owner, step, _deadly(getattr(owner, step), time))
        archive.registry.dispose(close=False)
        registry = open_engine(archive.settings.database.url)
        list(LeavingOut(str(archive.folder), registry, ALL).run())
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _deadly(function: Callable[..., Any], time: int) -> Callable[..., Any]:
    steps = [0]

    def stepping(*arguments: Any) -> Any:
        answer = function(*arguments)
        steps[0] += 1
        if steps[0] == time:
            os.kill(os.getpid(), signal.SIGKILL)
        return answer

    return stepping


def test_an_order_stands_until_the_archive_is_back(archive: Archive, book: EnergyBook) -> None:
    number = ordering.order(archive.databases, GONE, WHY, NOW)
    erasures = archive.erasures(book)
    away = archive.folder.with_name("unmounted")
    archive.folder.rename(away)
    archive.folder.mkdir()
    erasures.begin()
    erasures.finish()
    for _ in range(2):
        with pytest.raises(StoreError, match=f"{GONE}: .*hesper-archive.json"):
            erasures.leave_archive()
        assert ordering.outcome(archive.registry, number) is None
    (text,) = archive.alerts()
    assert text.startswith("Erasures stand, because the archive cannot be changed: ")
    archive.folder.rmdir()
    away.rename(archive.folder)
    assert not erasures.leave_archive()
    done = ordering.outcome(archive.registry, number)
    assert done is not None
    assert done.removed["readings in the archive"] == len(archive.of(GONE))
    assert archive.readings() == archive.of(OTHER)
    assert archive.alerts() == []


def test_a_damaged_part_holds_up_neither_other_parts_nor_other_orders(
    archive: Archive, book: EnergyBook
) -> None:
    damaged = archive.folder / "day=2026-03-01/readings-0.parquet"
    sound = damaged.read_bytes()
    damaged.write_bytes(sound[: len(sound) // 2])
    standing = ordering.order(archive.databases, GONE, WHY, NOW)
    later = (datetime.fromtimestamp(MARCH + DAY_S, UTC), NOW)
    possible = ordering.order(archive.databases, OTHER, WHY, NOW, later)
    erasures = archive.erasures(book)
    erasures.begin()
    erasures.finish()
    with pytest.raises(StoreError, match=r"day=2026-03-01/readings-0\.parquet"):
        erasures.leave_archive()
    assert ordering.outcome(archive.registry, standing) is None
    assert ordering.outcome(archive.registry, possible) is not None
    assert {part.name for part in archive.parts()} == {"day=2026-03-01/readings-0.parquet"} | {
        part.name for part in archive.parts() if part.day == MARCH // DAY_S
    }
    damaged.write_bytes(sound)
    assert not erasures.leave_archive()
    assert ordering.outcome(archive.registry, standing) is not None
    assert {each.meter for each in archive.readings()} == {OTHER}


def test_a_turn_ends_in_time_and_the_next_goes_on(
    archive: Archive, book: EnergyBook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(of_archive, "TURN_S", 0.0)
    ordering.order(archive.databases, GONE, WHY, NOW)
    erasures = archive.erasures(book)
    erasures.begin()
    erasures.finish()
    turns = 1
    while erasures.leave_archive():
        turns += 1
    assert turns > 3
    assert archive.readings() == archive.of(OTHER)


def test_an_archive_that_is_not_set_any_more_is_not_passed_over(
    archive: Archive, book: EnergyBook
) -> None:
    archive.settings = archive.settings.model_copy(
        update={
            "store": archive.settings.store.model_copy(update={"retention": RetentionSettings()})
        }
    )
    number = ordering.order(archive.databases, GONE, WHY, NOW)
    erasures = archive.erasures(book)
    erasures.begin()
    erasures.finish()
    with pytest.raises(StoreError, match="an archive that is not set"):
        erasures.leave_archive()
    assert ordering.outcome(archive.registry, number) is None


def test_asked_for_again_all_passes_are_made_again(archive: Archive, book: EnergyBook) -> None:
    number = ordering.order(archive.databases, GONE, WHY, NOW)
    erasures = archive.erasures(book)
    erasures.begin()
    erasures.finish()
    archive.write(block(GONE, MARCH + 60 * DAY_S, 4))
    assert ordering.order(archive.databases, GONE, WHY, NOW) == number
    assert not erasures.leave_archive()
    assert ordering.outcome(archive.registry, number) is None
    erasures.begin()
    erasures.finish()
    assert not erasures.leave_archive()
    assert ordering.outcome(archive.registry, number) is not None
    assert list(archive.store.export(EARLIEST, LATEST)) == []


def test_asked_for_again_while_the_archive_is_worked_on_it_is_not_done(
    archive: Archive, book: EnergyBook, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = ordering.order(archive.databases, GONE, WHY, NOW)
    erasures = archive.erasures(book)
    erasures.begin()
    erasures.finish()
    real = LeavingOut.run

    def asked_meanwhile(leaving: LeavingOut) -> Iterator[int]:
        yield from real(leaving)
        ordering.order(archive.databases, GONE, WHY, NOW)

    monkeypatch.setattr(LeavingOut, "run", asked_meanwhile)
    erasures.leave_archive()
    assert ordering.outcome(archive.registry, number) is None
    monkeypatch.undo()
    erasures.begin()
    erasures.finish()
    erasures.leave_archive()
    assert ordering.outcome(archive.registry, number) is not None


def test_an_archive_that_was_never_used_holds_up_nothing(archive: Archive, tmp_path: Path) -> None:
    with writing(archive.registry) as session:
        session.execute(delete(ArchivedPart))
    for folder in (str(tmp_path / "not-yet"), "memory://not-yet"):
        assert list(LeavingOut(folder, archive.registry, ALL).run()) == []


def test_the_command_erases_the_archive_too(archive: Archive) -> None:
    archive.store.close()
    config = archive.config()
    away = archive.folder.with_name("unmounted")
    archive.folder.rename(away)
    told = tell(config, "meter", "erase", GONE, "--reason", WHY)
    assert told.returncode != 0
    assert "erasures stand, because the archive cannot be changed" in told.stderr
    away.rename(archive.folder)
    told = tell(config, "meter", "erase", GONE, "--reason", WHY)
    assert f"readings in the archive: {len(archive.of(GONE))}" in told.stdout
    assert tell(config, "archive", "check", "2026-03-01", "2026-03-31").returncode == 0
    assert archive.readings() == archive.of(OTHER)


def test_a_list_from_before_an_erasure_is_led_on_to_what_is_there(archive: Archive) -> None:
    before, span = archive.parts(), ("2026-03-01", "2026-03-31")
    archive.leave_out()
    archive.leave_out(Share(OTHER, MARCH, MARCH + 3600))
    left, names = archive.readings(), archive.names()
    archive.restore_list(before)
    config, first = archive.config(), "day=2026-03-01/readings-0"
    checked = tell(config, "archive", "check", *span)
    assert checked.returncode == 1
    assert f"{first}.parquet: was replaced by {first}-2.parquet" in checked.stderr
    adopted = tell(config, "archive", "adopt", *span)
    assert f"{first}-2.parquet stands in place of {first}.parquet" in adopted.stdout
    gone = "day=2026-03-04/readings-0.parquet"
    assert adopted.returncode == 1
    assert f"{gone} is not there: nor a later version of it" in adopted.stderr
    away = archive.folder.rename(archive.folder.with_name("unmounted"))
    unreached = tell(config, "archive", "adopt", *span, "--forget-gone")
    assert (unreached.returncode, len(archive.parts())) == (2, len(before))
    assert "hesper-archive.json" in unreached.stderr
    away.rename(archive.folder)
    forgotten = tell(config, "archive", "adopt", *span, "--forget-gone")
    assert (forgotten.returncode, forgotten.stdout) == (0, f"{gone} is not in the list any more\n")
    assert archive.readings() == left
    assert archive.names() == names
    assert tell(config, "archive", "check", *span).returncode == 0
    archive.put(block(OTHER, MARCH + DAY_S, 4, by=70))
    assert len(archive.readings()) == len(left) + 4


@pytest.mark.parametrize("says", [True, False])
def test_a_file_that_does_not_hold_what_it_says_is_not_adopted(
    archive: Archive, says: bool
) -> None:
    before = archive.parts()
    archive.leave_out()
    entered = archive.parts()[0]
    url = f"{archive.folder}/{entered.name}"
    held = files.said(url)
    assert held == Content(entered.readings, entered.revisions, entered.sha256)
    tables = [table.slice(1) if says else table for table in files.groups(url)]
    put(url, written(tables, lambda: files.saying(held) if says else {}))
    archive.restore_list(before)
    told = tell(archive.config(), "archive", "adopt", "2026-03-01", "2026-03-01")
    assert told.returncode == 1
    assert f"{entered.name} does not say what it holds, or does not hold it" in told.stderr
    assert archive.parts()[0].name == before[0].name
