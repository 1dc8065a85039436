"""Sealed days read back without unpacking them: one meter's rows by row group."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hesper_cloud.stores import duckdb_rewriting, duckdb_row_groups
from hesper_cloud.stores.duckdb import DuckDbStore
from hesper_cloud.stores.duckdb_schema import COLUMNS
from hesper_cloud.stores.duckdb_sealing import Retention
from hesper_cloud.stores.port import Block, Group, Quantity, Reading, Series

PROFILE, ENERGY, POWER = "1.0.99.1.0.255", "1.0.1.8.0.255", "1.0.1.7.0.255"
QUANTITIES = (Quantity(POWER, 0, 27), Quantity(ENERGY, 0, 30))
DAY = 86_400
D0 = 20_697 * DAY  # 2026-09-01
HOUR = 3600


@pytest.fixture
def store(tmp_path: Path) -> Iterator[DuckDbStore]:
    made = DuckDbStore(tmp_path / "readings.duckdb", Retention(seal_rows=1, turn_s=600))
    yield made
    made.close()


def hours(days: range, meters: int, *, without: int | None = None) -> Block:
    """Hourly rows of some meters over days, counted from D0; one of them without its power."""
    times = np.arange(D0 + days.start * DAY, D0 + days.stop * DAY, HOUR)
    index = np.repeat(np.arange(meters), len(times))
    captured = np.tile(times, meters)
    none = np.zeros(len(captured), np.int64)
    missing = np.stack([index == without, none == 1])
    return Block(
        PROFILE, QUANTITIES, tuple(f"M{n}" for n in range(meters)), index, captured, none, none,
        int(times[-1]) + 5, np.stack([index, captured // 60 + index]), missing,
    )  # fmt: skip


def put(store: DuckDbStore, block: Block) -> None:
    assert store.write(Group({}, [block], D0 * 1000)).new == block.row_count


def of_meter(store: DuckDbStore, number: int) -> tuple[Series, Series, list[int], list[Reading]]:
    span = (D0, D0 + 60 * DAY)
    return (
        store.series(f"M{number}", PROFILE, ENERGY, *span, None),
        store.series(f"M{number}", PROFILE, POWER, *span, DAY),
        store.captured_times(f"M{number}", PROFILE, *span).tolist(),
        store.readings(f"M{number}", None, *span, 100),
    )


def test_each_meter_is_found_in_its_row_groups(
    store: DuckDbStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(duckdb_rewriting, "DAY_ROWS", 2048)
    monkeypatch.setattr(duckdb_row_groups, "_MOST_GROUPS", 4)  # so files are closed on the way
    put(store, hours(range(3), 300, without=7))
    asked = (0, 7, 84, 85, 86, 170, 171, 299)  # some at the ends of groups, some across a cut
    before = [of_meter(store, number) for number in asked]
    store.maintain(D0 + 4 * DAY)
    assert [of_meter(store, number) for number in asked] == before
    groups = [len(each.firsts) for each in store._file.folder.row_groups._opened.values()]
    assert groups == [4]


def test_files_with_and_without_missing_values_are_read_together(store: DuckDbStore) -> None:
    put(store, hours(range(1), 5))
    put(store, hours(range(1, 2), 5, without=2))
    before = of_meter(store, 2)
    store.maintain(D0 + 4 * DAY)
    assert of_meter(store, 2) == before


def test_what_is_alike_in_a_row_group_is_not_unpacked_and_what_is_not_is(
    store: DuckDbStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(duckdb_rewriting, "DAY_ROWS", 2048)
    block = hours(range(1), 171)  # the third row group of three has other qualities and statuses
    odd = (block.meter_index == 170) & (block.captured_at % (2 * HOUR) == 0)
    put(store, replace(block, quality=odd * 4, clock_status=odd * 128))
    before = of_meter(store, 0), of_meter(store, 170)
    store.maintain(D0 + 4 * DAY)
    assert (of_meter(store, 0), of_meter(store, 170)) == before
    opened = store._file.folder.row_groups._opened.values()
    alike = [set(each._alike(group, COLUMNS)) for each in opened for group in (0, 2)]
    both = {"profile", "layout", "received_at", "stored_at_ms"}
    assert alike == [both | {"quality", "clock_status"}, both]


def test_rows_that_moved_into_a_file_are_passed_over_by_no_reader(store: DuckDbStore) -> None:
    put(store, hours(range(3), 300))
    store.maintain(D0 + 4 * DAY)
    kept = store._file.connection.execute("SELECT count(*) FROM pragma_storage_info('readings')")
    assert kept.fetchall() == [(0,)]


def test_a_day_that_is_sealed_anew_is_read_anew(store: DuckDbStore) -> None:
    put(store, hours(range(1), 5))
    store.maintain(D0 + 4 * DAY)
    assert len(of_meter(store, 1)[2]) == 24
    late = hours(range(1), 5)
    none = late.captured_at * 0
    put(
        store,
        Block(
            PROFILE, QUANTITIES, late.meters, late.meter_index, late.captured_at + 60, none, none,
            D0, late.values, None,
        ),
    )  # fmt: skip
    store.maintain(D0 + 9 * DAY)
    assert [each.meter for each in of_meter(store, 1)[3]] == ["M1"] * 48
    store.erase("M1")
    assert of_meter(store, 1)[3] == []
    store.maintain(D0 + 9 * DAY)
    assert len(store._file.folder.row_groups._opened) == 1  # what was replaced is closed
