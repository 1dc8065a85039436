"""Sums kept beside sealed days give the same answers as every row, whatever becomes of the days."""

import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hesper_cloud.stores import duckdb_summing, duckdb_sums
from hesper_cloud.stores.duckdb import DuckDbStore
from hesper_cloud.stores.duckdb_sealing import Retention
from hesper_cloud.stores.port import Block, FleetSeries, Group, Quantity

PROFILE, ENERGY, POWER = "1.0.99.1.0.255", "1.0.1.8.0.255", "1.0.1.7.0.255"
DAY = 86_400
D0 = 20_697 * DAY  # 2026-09-01
DAYS = 4
STEPS = (900, 3600, 7200, DAY)
Value = tuple[int, int, int]  # meter, captured_at, value


@pytest.fixture
def store(tmp_path: Path) -> Iterator[DuckDbStore]:
    made = DuckDbStore(tmp_path / "readings.duckdb", Retention(seal_rows=1, turn_s=600))
    yield made
    made.close()


def put(
    store: DuckDbStore, rows: list[Value], scaler: int = 0, unit: int = 30, at: int = D0
) -> None:
    """Stores values of energy; every third row has no power."""
    meter, captured, value = (np.array(each) for each in zip(*rows, strict=True))
    none = np.zeros(len(rows), np.int64)
    missing = np.stack([np.arange(len(rows)) % 3 == 0, none == 1])
    quantities = (Quantity(POWER, 0, 27), Quantity(ENERGY, scaler, unit))
    names = tuple(f"M{n}" for n in range(int(meter.max()) + 1))
    block = Block(
        PROFILE, quantities, names, meter, captured, none, none, int(captured.max()) + 5,
        np.stack([value % 977, value]), missing,
    )  # fmt: skip
    assert store.write(Group({}, [block], at * 1000)).new == len(rows)


def fleet(meters: range, chance: random.Random, days: int = DAYS) -> list[Value]:
    """Registers that mostly rise, at quarter hours of which one in ten is missing."""
    return [
        (meter, at, at // 60 * (meter + 1) + chance.randrange(-2000, 2000))
        for meter in meters
        for at in range(D0, D0 + days * DAY, 900)
        if chance.random() < 0.9
    ]


def sums(store: DuckDbStore) -> list[FleetSeries]:
    spans = ((D0 - DAY, D0 + 9 * DAY), (D0 + 1800, D0 + 3 * DAY + 5400))
    return [
        ask(PROFILE, name, *span, step)
        for name in (ENERGY, POWER)
        for ask in (store.fleet_series, store.fleet_increase)
        for span in spans
        for step in STEPS
    ]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[object]:
    """Which parts of sums were answered by looking at rows."""
    found: list[object] = []
    ask = duckdb_sums._ask

    def noted(*told: object) -> object:
        found.append(told[2])
        return ask(*told)  # type: ignore[arg-type]

    monkeypatch.setattr(duckdb_sums, "_ask", noted)
    return found


def test_kept_sums_are_those_of_every_row(
    store: DuckDbStore, monkeypatch: pytest.MonkeyPatch, asked: list[object]
) -> None:
    monkeypatch.setattr(duckdb_summing, "_ROWS_AT_ONCE", 1000)  # so meters come in parts
    chance = random.Random(5)
    put(store, fleet(range(12), chance))
    put(store, fleet(range(12, 15), chance), scaler=-2)
    put(store, fleet(range(15, 17), chance), unit=27)  # fewer have this unit: not in the sum
    before = sums(store)
    store.maintain(D0 + 8 * DAY)
    asked.clear()
    assert sums(store) == before
    asked.clear()
    for step in (900, 1800, 3600, DAY):  # the days before and after these have no rows
        store.fleet_series(PROFILE, ENERGY, D0, D0 + DAYS * DAY, step)
        store.fleet_increase(PROFILE, POWER, D0, D0 + DAYS * DAY, step)
    assert asked == []


def test_a_restart_still_has_them(store: DuckDbStore, tmp_path: Path, asked: list[object]) -> None:
    put(store, fleet(range(3), random.Random(1)))
    before = sums(store)
    store.maintain(D0 + 8 * DAY)
    store.close()
    again = DuckDbStore(tmp_path / "readings.duckdb", Retention(seal_rows=1, turn_s=600))
    asked.clear()
    again.fleet_series(PROFILE, ENERGY, D0, D0 + DAYS * DAY, DAY)
    assert asked == []
    assert sums(again) == before
    again.close()


def test_quantities_that_cannot_be_kept_are_summed_from_rows(store: DuckDbStore) -> None:
    """One meter says energy in two scalers on one day, another has a register near 2**63."""
    put(store, fleet(range(3), random.Random(2)))
    put(store, [(1, D0 + 450, 5_000)], scaler=1)
    put(store, [(2, D0 + 2 * DAY + 450, 2**63 - 7)])
    before = sums(store)
    store.maintain(D0 + 8 * DAY)
    assert sums(store) == before


def test_late_rows_corrections_merging_and_erasure_keep_them_true(store: DuckDbStore) -> None:
    chance = random.Random(3)
    put(store, fleet(range(5), chance))
    store.maintain(D0 + 8 * DAY)
    put(store, [(2, D0 + DAY - 450, 7_000_000), (9, D0 + DAY, 1)], at=D0 + 8 * DAY)
    with_late = sums(store)  # from rows of the days that were touched
    store.maintain(D0 + 12 * DAY)
    assert duckdb_summing._waiting(store._file) == []
    assert sums(store) == with_late
    store.maintain(D0 + 40 * DAY)  # the month is one file now
    assert len(store._file.sealed) == 1
    assert duckdb_summing._waiting(store._file) == []
    assert sums(store) == with_late
    store.erase("M2")
    erased = sums(store)
    assert erased != with_late
    store.maintain(D0 + 40 * DAY)
    assert sums(store) == erased
    store.expire(D0 + 2 * DAY)
    expired = sums(store)
    assert expired[0].times[:1] != erased[0].times[:1]
    store.maintain(D0 + 40 * DAY)
    assert sums(store) == expired


def test_a_late_row_that_comes_while_a_day_is_summed_up_is_in_no_kept_sum(
    store: DuckDbStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(store, fleet(range(3), random.Random(6)))
    waiting = duckdb_summing._waiting
    monkeypatch.setattr(duckdb_summing, "_waiting", lambda _: [])
    store.maintain(D0 + 8 * DAY)
    found = waiting(store._file)
    put(store, [(7, D0 + 450, 1)], at=D0 + 8 * DAY)
    monkeypatch.setattr(duckdb_summing, "_waiting", lambda _: found)
    store.maintain(D0 + 8 * DAY)
    kept = store._file.connection.execute("SELECT DISTINCT day, growth FROM day_sums").fetchall()
    assert (D0 // DAY, False) not in kept
    assert (D0 // DAY + 1, True) not in kept
    assert (D0 // DAY + 1, False) in kept


def test_sums_go_with_a_damaged_file(store: DuckDbStore, tmp_path: Path) -> None:
    put(store, fleet(range(3), random.Random(4)))
    store.maintain(D0 + 8 * DAY)
    (path,) = (tmp_path / "readings.sealed").glob("2026-09-02-*.parquet")
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    store.maintain(D0 + 9 * DAY)
    from_rows = [store.fleet_increase(PROFILE, ENERGY, D0, D0 + DAYS * DAY, step) for step in STEPS]
    kept = store._file.connection.execute("SELECT count(*) FROM day_sums WHERE day = ?", [20_698])
    assert kept.fetchall() == [(0,)]
    store._file.connection.execute("DELETE FROM day_sums")
    assert from_rows == [
        store.fleet_increase(PROFILE, ENERGY, D0, D0 + DAYS * DAY, step) for step in STEPS
    ]
