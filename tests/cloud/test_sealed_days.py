"""Sealed days of the embedded store: files and table are one, late data, damage, crashes."""

import errno
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pytest
from hesper_cloud.db.engines import open_engine, reading
from hesper_cloud.db.registry import Alert
from hesper_cloud.rules.alerts import Alerts
from hesper_cloud.rules.store_faults import tend
from hesper_cloud.stores import duckdb_file, duckdb_sums
from hesper_cloud.stores.duckdb import DuckDbStore
from hesper_cloud.stores.duckdb_rewriting import Rewriting
from hesper_cloud.stores.duckdb_sealed import SealedFile
from hesper_cloud.stores.duckdb_sealing import Retention
from hesper_cloud.stores.duckdb_snapshot import manifest
from hesper_cloud.stores.port import Block, Group, Quantity, StoreUnavailable
from hesper_contracts.batch import BatchId
from hesper_contracts.quality import Quality
from sqlalchemy import select
from tables import make_tables

PROFILE, ENERGY, VOLTAGE = "1.0.99.1.0.255", "1.0.1.8.0.255", "1.0.32.7.0.255"
DAY = 86_400
D0 = 20_697 * DAY  # 2026-09-01
METERS, PERIOD = 6, 3600
EAGER = Retention(seal_rows=1, turn_s=600)
Found = list[tuple[str, int, int | None, int]]


def block(days: range, add: int = 0, meters: int = METERS) -> Block:
    """Hourly registers of some meters over days, counted from D0."""
    times = np.arange(D0 + days.start * DAY, D0 + days.stop * DAY, PERIOD)
    captured = np.tile(times, meters)
    count = len(captured)
    return Block(
        PROFILE, (Quantity(ENERGY, 0, 30),), tuple(f"M{n}" for n in range(meters)),
        np.repeat(np.arange(meters), len(times)), captured, np.zeros(count, np.int64),
        np.zeros(count, np.int64), int(times[-1]) + 5, (captured // 60 + add)[None, :], None,
    )  # fmt: skip


def some(rows: list[tuple[int, int, int]]) -> Block:
    """Single rows: meter, captured_at, value."""
    meter, captured, value = map(np.array, zip(*rows, strict=True))
    none = np.zeros(len(rows), np.int64)
    return Block(
        PROFILE, (Quantity(ENERGY, 0, 30),), tuple(f"M{n}" for n in range(METERS)),
        meter, captured, none, none, D0, value[None, :], None,
    )  # fmt: skip


def put(
    store: DuckDbStore, *blocks: Block, sequence: int = 1, at: int = D0
) -> tuple[int, int, int]:
    batch = BatchId("gw-1", "00112233445566ff", sequence)
    written = store.write(Group({batch: "ab" * 32}, blocks, at * 1000))
    return written.new, written.duplicate, written.conflicting


def found(store: DuckDbStore) -> Found:
    rows = store.export(0, 2**33)
    return sorted((r.meter, r.captured_at, r.values[0].value, r.revision) for r in rows)


def files(folder: Path) -> list[str]:
    return sorted(path.name[:21] for path in (folder / "readings.sealed").glob("*.parquet"))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[DuckDbStore]:
    made = DuckDbStore(tmp_path / "readings.duckdb", EAGER)
    yield made
    made.close()


def answers(store: DuckDbStore) -> list[object]:
    """Everything that the port answers, to be compared before and after."""
    end = D0 + 40 * DAY
    rows = [
        (p.meters[key], int(at), int(value))
        for p in store.rows(PROFILE, 0, end)
        for key, at, value in zip(p.meter_index, p.captured_at, p.values[0], strict=True)
    ]
    latest = sorted(
        (b.meters[b.meter_index[n]], int(b.captured_at[n]), int(b.values[0][n]))
        for b, _ in store.latest_rows()
        for n in range(b.row_count)
    )
    return [
        found(store), rows, latest, store.series("M1", PROFILE, ENERGY, D0, end, None),
        store.fleet_series(PROFILE, ENERGY, D0, end, DAY),
        store.fleet_increase(PROFILE, ENERGY, D0, end, DAY),
        {m: t.tolist() for m, t in store.captured(PROFILE, D0, end).items()},
        store.captured_times("M2", PROFILE, D0, end).tolist(),
        store.readings("M3", None, D0, end, 50), store.changes("", 500),
    ]  # fmt: skip


def test_sealing_and_merging_change_no_answer(tmp_path: Path, store: DuckDbStore) -> None:
    put(store, block(range(3)))
    before = answers(store)
    assert store.maintain(D0 + 3 * DAY) == []
    assert [name[:11] for name in files(tmp_path)] == ["2026-09-01-", "2026-09-02-"]
    assert answers(store) == before
    put(store, block(range(3, 30)), sequence=2)
    before = answers(store)
    store.maintain(D0 + 36 * DAY)
    (merged,) = files(tmp_path)
    assert merged == "2026-09-01_2026-09-30"
    assert answers(store) == before
    store.close()
    again = DuckDbStore(tmp_path / "readings.duckdb", EAGER)
    assert answers(again) == before
    assert put(again, block(range(30)), sequence=3) == (0, 30 * 24 * METERS, 0)
    assert found(again) == before[0]
    again.close()


def test_late_and_corrected_rows_of_a_sealed_day_are_taken_once(
    tmp_path: Path, store: DuckDbStore
) -> None:
    holes = block(range(1))
    kept = np.arange(holes.row_count) % 5 != 0
    early = some(
        [(int(m), int(t), int(v)) for m, t, v, k in zip(
            holes.meter_index, holes.captured_at, holes.values[0], kept, strict=True) if k]
    )  # fmt: skip
    put(store, early)
    store.maintain(D0 + 3 * DAY)
    late = int((~kept).sum())
    assert put(store, holes, sequence=2, at=D0 + 3 * DAY) == (late, int(kept.sum()), 0)
    assert put(store, holes, sequence=3, at=D0 + 3 * DAY) == (0, holes.row_count, 0)
    assert put(store, some([(1, D0 + PERIOD, 7)]), sequence=4, at=D0 + 3 * DAY) == (0, 0, 1)
    before = answers(store)
    assert store.readings("M1", None, D0, D0 + 2 * PERIOD, 2)[0].quality & Quality.CONFLICTING
    store.maintain(D0 + 3 * DAY + 60)  # the late rows have not rested yet
    assert before == answers(store)
    store.maintain(D0 + 5 * DAY)
    assert len(files(tmp_path)) == 1
    assert answers(store) == before
    assert put(store, holes, sequence=5, at=D0 + 6 * DAY) == (0, holes.row_count, 0)


@pytest.mark.parametrize("restarted", [False, True])
@pytest.mark.parametrize("damage", ["bit", "cut", "gone"])
def test_a_damaged_file_is_set_aside_named_and_its_days_taken_again(
    tmp_path: Path, store: DuckDbStore, damage: str, restarted: bool
) -> None:
    put(store, block(range(3)))
    store.maintain(D0 + 5 * DAY)
    folder = tmp_path / "readings.sealed"
    path = min(folder.glob("*.parquet"))
    octets = bytearray(path.read_bytes())
    octets[len(octets) // 3] ^= 4
    if restarted:
        store.close()
    if damage == "gone":
        path.unlink()
    else:
        path.write_bytes(octets if damage == "bit" else octets[:-9])
    if restarted:
        store = DuckDbStore(tmp_path / "readings.duckdb", EAGER)
    assert len(found(store)) == 2 * 24 * METERS if damage != "bit" or restarted else True
    assert len(store.series("M1", PROFILE, ENERGY, 0, 2**33, None).times) == 48
    (fault,) = store.maintain(D0 + 5 * DAY + 1)
    assert (fault.name, fault.start, fault.end) == (path.name, D0, D0 + DAY)
    assert (damage == "gone") != (folder / "aside" / path.name).exists()
    assert put(store, block(range(3)), sequence=2) == (24 * METERS, 48 * METERS, 0)
    assert len(found(store)) == 72 * METERS
    assert store.maintain(D0 + 5 * DAY + 2) == []
    store.close()


def test_a_write_that_meets_a_damaged_file_goes_on_without_it(
    tmp_path: Path, store: DuckDbStore
) -> None:
    put(store, block(range(2)))
    store.maintain(D0 + 5 * DAY)
    min((tmp_path / "readings.sealed").glob("*.parquet")).write_bytes(b"PAR1")
    assert put(store, block(range(2)), sequence=2) == (24 * METERS, 24 * METERS, 0)


def test_a_meter_is_erased_from_sealed_days_and_old_days_go(
    tmp_path: Path, store: DuckDbStore
) -> None:
    put(store, block(range(4)))
    put(store, some([(1, D0 + PERIOD, 7)]), sequence=2)
    store.maintain(D0 + 4 * DAY)
    assert store.erase("M1") == 4 * 24 + 1
    assert {row[0] for row in found(store)} == {"M0", "M2", "M3", "M4", "M5"}
    cut = D0 + DAY + 5 * PERIOD
    assert store.expire(cut) == 29 * (METERS - 1)
    assert min(row[1] for row in found(store)) == cut
    store.close()
    again = DuckDbStore(tmp_path / "readings.duckdb", EAGER)
    assert len(found(again)) == (96 - 29) * (METERS - 1)
    assert not (tmp_path / "readings.sealed" / "x").exists()
    again.close()


def test_what_is_left_of_a_meter_of_which_days_are_erased_is_known_after_a_restart(
    tmp_path: Path, store: DuckDbStore
) -> None:
    """Also where nobody else has its quantities: start learns them from the newest rows."""
    volts = (Quantity(VOLTAGE, -1, 35),)
    odd = replace(block(range(2), meters=1), meters=("odd",), quantities=volts)
    put(store, block(range(2), meters=1), odd)
    store.maintain(D0 + 9 * DAY)
    assert store.erase("odd", D0 + DAY, D0 + 2 * DAY) == 24
    store.close()
    again = DuckDbStore(tmp_path / "readings.duckdb", EAGER)
    left = list(again.rows(PROFILE, D0, D0 + 2 * DAY, ["odd"]))
    assert [part.quantities[1:] for part in left] == [volts]
    assert not left[0].missing[1].any()
    latest = {
        (rows.meters[key], at)
        for rows, _ in again.latest_rows()
        for key, at in zip(rows.meter_index, rows.captured_at.tolist(), strict=True)
    }
    assert latest == {("M0", D0 + 2 * DAY - PERIOD), ("odd", D0 + DAY - PERIOD)}
    again.close()


def test_days_beyond_the_retention_go_where_the_disk_has_no_room_to_seal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keeping = Retention(seal_rows=1, raw_days=3, turn_s=600)
    store = DuckDbStore(tmp_path / "readings.duckdb", keeping)
    put(store, block(range(2)))
    store.maintain(D0 + 3 * DAY)
    put(store, block(range(2, 4)), sequence=2, at=D0 + 3 * DAY)
    assert len(files(tmp_path)) == 2

    def is_full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(Rewriting, "rewrite", is_full)
    with pytest.raises(StoreUnavailable):
        store.maintain(D0 + 5 * DAY)
    assert files(tmp_path) == []
    store.close()


def test_days_beyond_the_retention_go_by_themselves(tmp_path: Path) -> None:
    keeping = Retention(seal_rows=1, raw_days=3, batch_days=3, turn_s=600)
    store = DuckDbStore(tmp_path / "readings.duckdb", keeping)
    put(store, block(range(6)))
    store.maintain(D0 + 7 * DAY)
    assert min(row[1] for row in found(store)) == D0 + 4 * DAY
    assert len(found(store)) == 2 * 24 * METERS
    assert store.known([BatchId("gw-1", "00112233445566ff", 1)]) == {}
    assert put(store, some([(1, D0 + 5 * DAY, 0)]), at=D0 + 7 * DAY)[0] == 0
    store.close()


def test_rows_that_come_again_while_their_day_is_being_sealed_are_not_doubled(
    store: DuckDbStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(store, block(range(1)))
    before = found(store)
    again = threading.Thread(target=put, args=(store, block(range(1))), kwargs={"sequence": 2})

    def met(connection: duckdb.DuckDBPyConnection) -> list[SealedFile]:
        if threading.current_thread() is threading.main_thread() and not again.ident:
            again.start()
            again.join(0.05)  # it has to wait; if it does not, it is through by now
        return manifest(connection)

    monkeypatch.setattr(duckdb_file, "manifest", met)
    store.maintain(D0 + 3 * DAY)
    again.join(5)
    assert found(store) == before


def test_a_reader_does_not_miss_a_day_that_is_sealed_while_it_reads(store: DuckDbStore) -> None:
    put(store, block(range(2)))
    before = store.series("M0", PROFILE, ENERGY, D0, D0 + 4 * DAY, None)
    with store._file.snapshot(glance=True) as view:
        store.maintain(D0 + 4 * DAY)
        assert not store._file.confirms(view)
    with store._file.snapshot(glance=True) as view:
        assert store._file.confirms(view)
    assert store.series("M0", PROFILE, ENERGY, D0, D0 + 4 * DAY, None) == before


def test_late_rows_of_several_days_are_folded_into_their_month_at_once(
    store: DuckDbStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(store, block(range(30)))
    store.maintain(D0 + 36 * DAY)
    put(store, some([(0, D0 + day * DAY + 1, day) for day in (1, 2, 3)]), sequence=2)
    before, made, rewrite = found(store), [], Rewriting.rewrite

    def counted(*told: Any) -> int:
        made.append(told)
        return rewrite(*told)

    monkeypatch.setattr(Rewriting, "rewrite", counted)
    store.maintain(D0 + 40 * DAY)
    assert len(made) == 1
    assert found(store) == before


def test_remembered_sums_are_bounded_by_their_steps(
    store: DuckDbStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(duckdb_sums, "_REMEMBERED_STEPS", 50)
    put(store, block(range(3)))
    store.maintain(D0 + 5 * DAY)
    for step_s in (3600, 7200, 1800, 900, 600, 3600):
        sums = store.fleet_series(PROFILE, ENERGY, D0, D0 + 3 * DAY, step_s)
        assert len(sums.times) == 3 * DAY // max(step_s, PERIOD)
        assert sum(map(len, store._sums._remembered.values())) <= 50


def test_sealed_days_are_not_removed_because_their_database_went(
    tmp_path: Path, store: DuckDbStore
) -> None:
    put(store, block(range(2)))
    store.maintain(D0 + 3 * DAY)
    store.close()
    for path in tmp_path.glob("readings.duckdb*"):
        path.unlink()
    with pytest.raises(StoreUnavailable, match="older than its sealed days"):
        DuckDbStore(tmp_path / "readings.duckdb", EAGER)
    assert len(files(tmp_path)) == 2


def test_damage_is_an_alert_that_names_file_and_days(tmp_path: Path, store: DuckDbStore) -> None:
    engine = open_engine(f"sqlite:///{tmp_path / 'hesper.db'}")
    make_tables(engine)
    put(store, block(range(2)))
    store.maintain(D0 + 5 * DAY)
    path = min((tmp_path / "readings.sealed").glob("*.parquet"))
    path.write_bytes(path.read_bytes()[:-1])
    for hours in (1, 2):
        tend(store, Alerts(engine), datetime.fromtimestamp(D0 + 5 * DAY + hours * 3600, UTC))
    with reading(engine) as session:
        (alert,) = session.scalars(select(Alert))
        assert (alert.severity, path.name in alert.text) == ("critical", True)
        assert "2026-09-01 to 2026-09-01" in alert.text
        assert alert.state != "cleared"
    put(store, block(range(2)), sequence=2)  # read again from the meters
    assert tend(store, Alerts(engine), datetime.fromtimestamp(D0 + 6 * DAY, UTC)) == []
    with reading(engine) as session:
        assert session.scalars(select(Alert.state)).all() == ["cleared"]
    engine.dispose()


def test_readers_keep_the_files_that_they_read(tmp_path: Path, store: DuckDbStore) -> None:
    put(store, block(range(1)))
    store.maintain(D0 + 3 * DAY)
    rows = store.export(0, 2**33)
    first = next(rows)
    put(store, some([(0, D0 + 1, 1)]), sequence=2)
    store.maintain(D0 + 9 * DAY)
    assert len(list((tmp_path / "readings.sealed").glob("*.parquet"))) == 2
    assert len([first, *rows]) == 24 * METERS
    store.maintain(D0 + 9 * DAY)
    assert len(list((tmp_path / "readings.sealed").glob("*.parquet"))) == 1
    assert len(found(store)) == 24 * METERS + 1


FORKS = """
import os, signal, sys
from pathlib import Path
from hesper_cloud.stores import duckdb_sealed
from hesper_cloud.stores.duckdb import DuckDbStore
from hesper_cloud.stores.duckdb_sealing import Retention

def deadly(function):
    def stepping(*arguments, **named):
        answer = function(*arguments, **named)
        steps[0] += 1
        if steps[0] == wanted:
            os.kill(os.getpid(), signal.SIGKILL)
        return answer
    return stepping

class Connection:
    def __init__(self, real):
        self._real = real

    def __getattr__(self, name):
        found = getattr(self._real, name)
        return deadly(found) if name in {"execute", "commit", "begin"} else found

for line in sys.stdin:
    wanted, steps = int(line), [0]
    if not (child := os.fork()):
        store = DuckDbStore(Path(sys.argv[1]), Retention(seal_rows=1, turn_s=600))
        for owner, name in (
            (duckdb_sealed, "_digest"), (duckdb_sealed, "synchronise"), (Path, "rename"),
            (Path, "unlink"), (duckdb_sealed.Folder, "supersede"),
        ):
            setattr(owner, name, deadly(getattr(owner, name)))
        store._file.connection = Connection(store._file.connection)
        store.maintain(int(sys.argv[2]))
        os._exit(0)
    print(os.WIFSIGNALED(os.waitpid(child, 0)[1]), flush=True)
"""


@pytest.mark.integration
def test_killed_at_any_step_sealing_loses_and_doubles_nothing(tmp_path: Path) -> None:
    """SIGKILL after every step of a turn: seal a day, fold late rows in, merge a month."""
    path = tmp_path / "readings.duckdb"
    store = DuckDbStore(path, EAGER)
    put(store, block(range(2)))
    store.maintain(D0 + 3 * DAY)
    put(store, some([(0, D0 + 1, 1), (2, D0 + DAY + 1, 2)]), sequence=2)
    put(store, block(range(2, 3)), sequence=3)
    span = (D0, D0 + 4 * DAY, DAY)
    before, sums = found(store), store.fleet_increase(PROFILE, ENERGY, *span)
    store.close()
    arguments = [sys.executable, "-c", FORKS, path, str(D0 + 40 * DAY)]
    with subprocess.Popen(
        arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as forks:
        assert forks.stdin is not None
        assert forks.stdout is not None
        step, killed = 0, True
        while killed:
            step += 1
            print(step, file=forks.stdin, flush=True)
            killed = forks.stdout.readline() == "True\n"
            store = DuckDbStore(path, EAGER)
            assert found(store) == before, step
            assert store.fleet_increase(PROFILE, ENERGY, *span) == sums, step
            store.close()
        forks.stdin.close()
    assert step > 10
    assert files(tmp_path) == ["2026-09-01_2026-09-03"]
