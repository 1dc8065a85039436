"""The rows of a report while it is made: JSON, a row each line."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path

import orjson
from hesper_contracts.durable import make_folder, synchronise

from hesper_cloud.reports.tables import Row


def append(path: Path, length: int, rows: Iterable[Row]) -> int:
    """Puts rows behind the first ``length`` octets, in the place of whatever is there.

    Returns how long the file is now; it outlives a power cut.
    """
    make_folder(path.parent, 0o700)
    with path.open("r+b" if path.exists() else "w+b") as file:
        file.truncate(length)
        file.seek(length)
        file.writelines(orjson.dumps(row) + b"\n" for row in rows)
        file.flush()
        os.fsync(file.fileno())
        synchronise(path.parent)
        return file.tell()


def rows_of(path: Path) -> Iterator[Row]:
    """Yields the rows."""
    with path.open("rb") as file:
        for line in file:
            row: Row = orjson.loads(line)
            yield row
