"""One meter's rows of sealed files, without unpacking anybody else's.

Theory of operation. A sealed file is sorted by meter and cut into small row groups; its footer says
which meters each of them holds. Footers are read once and kept, so a meter's rows cost one small
row group of each file (two where it lies on a cut), however large the fleet is; of that, columns
that hold one value are not read at all. DuckDB would ask the statistics of every row group in every
query, which is why it is not asked here.
"""

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from hesper_cloud.stores.port import Integers

DAY_ROWS = 16_384
MONTH_ROWS = 65_536  # a meter has thirty times the rows in it, and the footer stays small
_MOST_GROUPS = 8_192  # of kept footers; some 15 kB each
_METER = "meter"
_OFTEN_ALIKE = frozenset(
    ("profile", "clock_status", "quality", "layout", "received_at", "stored_at_ms")
)
"""Columns of one leaf without nulls, most row groups of which hold one value."""


class _Opened(NamedTuple):
    """An open file and, for each of its row groups, the first and last meter in it."""

    reader: pq.ParquetFile
    lock: threading.Lock
    firsts: Integers
    lasts: Integers

    def rows_of(self, meter: int, columns: Sequence[str]) -> Iterator[pa.Table]:
        """Yields the meter's rows, a row group at a time."""
        for group in np.flatnonzero((self.firsts <= meter) & (meter <= self.lasts)).tolist():
            alike = self._alike(group, columns)
            wanted = [name for name in columns if name not in alike]
            with self.lock:
                found = self.reader.read_row_group(group, wanted, use_threads=False)
            start, end = np.searchsorted(found.column(_METER).to_numpy(), [meter, meter + 1])
            rows = found.slice(start, end - start)
            for name, value in alike.items():
                rows = rows.append_column(name, pa.repeat(value, len(rows)))
            yield rows.select(columns)

    def _alike(self, group: int, columns: Sequence[str]) -> dict[str, pa.Scalar]:
        """Returns the value of columns that a row group has only one of: nothing is unpacked."""
        schema, told = self.reader.schema_arrow, self.reader.metadata.row_group(group)
        alike = {}
        for name in _OFTEN_ALIKE.intersection(columns):
            found = told.column(schema.get_field_index(name)).statistics
            if found is not None and found.has_min_max and found.min == found.max:
                alike[name] = pa.scalar(found.min, schema.field(name).type)
        return alike


class RowGroups:
    """Keeps the files of a folder open that were read last; any thread may ask."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._lock = threading.Lock()
        self._opened: dict[str, _Opened] = {}  # the one used last stands last
        self._group_count = 0

    def rows_of(self, names: Sequence[str], meter: int, columns: Sequence[str]) -> pa.Table | None:
        """Returns one meter's rows of some files; None where it has none.

        Args:
            names: Files of the folder, sound ones.
            meter: The meter's key.
            columns: What is read, the meter's key among it.

        Raises:
            OSError: a file cannot be read.
            pyarrow.ArrowException: it is no Parquet file.
        """
        parts = [
            rows for name in names for rows in self._open(name).rows_of(meter, columns) if len(rows)
        ]
        if not parts:
            return None
        return pa.concat_tables(parts, promote_options="default").combine_chunks()

    def forget(self, name: str) -> None:
        """Closes a file that goes away."""
        with self._lock:
            self._close(name)

    def _open(self, name: str) -> _Opened:
        with self._lock:
            found = self._opened.pop(name, None)
            if found is not None:
                self._opened[name] = found
                return found
        opened = _opened(self._folder / name)
        with self._lock:
            self._close(name)
            self._opened[name] = opened
            self._group_count += len(opened.firsts)
            while self._group_count > _MOST_GROUPS and len(self._opened) > 1:
                self._close(next(iter(self._opened)))
        return opened

    def _close(self, name: str) -> None:
        """Gives a file up; whoever is still reading it closes it by letting go of it."""
        gone = self._opened.pop(name, None)
        if gone is not None:
            self._group_count -= len(gone.firsts)


def _opened(path: Path) -> _Opened:
    """Opens a file; not as a memory map, in which a failing disk would end the process."""
    reader = pq.ParquetFile(path, memory_map=False, pre_buffer=False)
    place = reader.schema_arrow.get_field_index(_METER)
    groups = range(reader.metadata.num_row_groups)
    found = [reader.metadata.row_group(group).column(place).statistics for group in groups]
    bounds = np.array([(each.min, each.max) for each in found], np.int64).reshape(-1, 2)
    return _Opened(reader, threading.Lock(), bounds[:, 0], bounds[:, 1])
