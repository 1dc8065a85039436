"""Readings that are backed up, and how a backup is restored."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hesper_cloud.backup import restore
from hesper_cloud.settings import Settings
from hesper_cloud.stores.blocks import block_of
from hesper_cloud.stores.duckdb import DuckDbStore
from hesper_cloud.stores.port import LATEST, Group
from hesper_contracts import columns
from hesper_contracts.batch import BatchId
from hesper_contracts.readings import LOAD_PROFILE, MeterRows, Quantity, Section

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
T0 = int(NOW.timestamp()) - 40 * 86_400
ENERGY = Quantity(bytes((1, 0, 1, 8, 0, 255)), 0, 30)


def batch(number: int) -> BatchId:
    return BatchId("gw-1", "ab" * 8, number)


def group(number: int, count: int = 100) -> Group:
    """One batch of readings of its own hours; the first value of each batch differs."""
    at = [T0 + 900 * (number * count + n) for n in range(count)]
    rows = MeterRows(f"M{number % 3}", at, [0] * count, [0] * count, [list(at)])
    section = Section(LOAD_PROFILE, at[-1], (ENERGY,), [rows])
    block = block_of(columns.from_sections([section])[0])
    return Group({batch(number): f"{number:064x}"}, [block], at[-1] * 1000)


def everything(store: DuckDbStore) -> list[Any]:
    return sorted(store.export(0, LATEST), key=lambda row: (row.meter, row.captured_at))


def restored_into(backup: Path, folder: Path) -> Settings:
    settings = Settings(state=folder)
    restore(backup, settings)
    return settings
