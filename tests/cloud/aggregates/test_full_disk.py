"""The energy book on a disk that is full: the cause is told, nothing is half there."""

from datetime import UTC, date, datetime
from pathlib import Path

import pyarrow as pa
import pytest
from full_disk import room_for
from hesper_cloud.aggregates.book import EnergyBook
from hesper_cloud.stores.port import StoreUnavailable

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
DAY = date(2026, 5, 31)


def worked(meters: range) -> pa.Table:
    names = pa.array([f"M{n}" for n in meters])
    return pa.table({"meter": names, "day": pa.array([DAY] * len(meters))})


def test_a_day_that_finds_no_room_says_so_and_finds_it_later(tmp_path: Path) -> None:
    book = EnergyBook(tmp_path / "energy.duckdb")
    book.replace(worked(range(10)), {}, NOON)
    with room_for(40_000), pytest.raises(StoreUnavailable, match="Could not write file"):
        book.replace(worked(range(20_000)), {}, NOON)
    assert len(book.workings(0, 2**62, 30_000)) == 10
    book.replace(worked(range(20_000)), {}, NOON)
    assert len(book.workings(0, 2**62, 30_000)) == 20_000
    book.close()
