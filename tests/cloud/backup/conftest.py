"""A store with a dozen batches of readings."""

from collections.abc import Iterator
from typing import Any

import pytest
from backed_up import group
from hesper_cloud.stores.duckdb import DuckDbStore
from hesper_cloud.stores.duckdb_sealing import Retention


@pytest.fixture
def store(head_end: Any) -> Iterator[DuckDbStore]:
    made = DuckDbStore(head_end.settings.readings_file, Retention(seal_rows=1))
    for number in range(12):
        made.write(group(number))
    yield made
    made.close()
