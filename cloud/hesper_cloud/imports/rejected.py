"""Rows that were refused, by the dry run or when they were applied, with all their problems."""

import heapq
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import Engine, select

from hesper_cloud import csv_lines
from hesper_cloud.db.engines import reading
from hesper_cloud.db.imports import ImportFile, ImportReject
from hesper_cloud.imports.columns import REASON, titles
from hesper_cloud.imports.folders import Folder


def rejected(registry: Engine, state: Path, file: ImportFile) -> Iterator[dict[str, Any]]:
    """Yields refused rows in the order of the file: ``row``, ``cells`` and ``problems``."""
    query = select(ImportReject).where(ImportReject.import_id == file.id)
    with reading(registry) as session:
        late = [
            {"row": each.row} | each.problems
            for each in session.scalars(query.order_by(ImportReject.row))
        ]
    yield from heapq.merge(_early(Folder(state, file.id).bad), late, key=lambda each: each["row"])


def changed(state: Path, file: ImportFile) -> Iterator[dict[str, Any]]:
    """Yields the good rows that change what is there: ``row``, ``asset`` and ``changes``."""
    yield from _early(Folder(state, file.id).changes)


def _early(path: Path) -> Iterator[dict[str, Any]]:
    if path.exists():
        with path.open("rb") as lines:
            yield from map(orjson.loads, lines)


def document(registry: Engine, state: Path, file: ImportFile) -> Iterator[bytes]:
    """Yields the rejected rows as CSV with their reasons; corrected, the file can be brought."""
    kind: Any = file.kind
    rows = ([*each["cells"], reason(each["problems"])] for each in rejected(registry, state, file))
    yield "\ufeff".encode()
    yield from csv_lines.lines([[*titles(kind), REASON]])
    yield from csv_lines.lines(rows)


def reason(problems: list[dict[str, Any]]) -> str:
    """Returns problems as one sentence for a cell."""
    return "; ".join(
        f"{each['column']}: {each['advice']}" if each["column"] else each["advice"]
        for each in problems
    )
