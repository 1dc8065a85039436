"""The dry run: a file is read once, and each row held against file and registry."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, BinaryIO

import orjson
from sqlalchemy import Engine

from hesper_cloud.db.engines import reading
from hesper_cloud.imports import checks
from hesper_cloud.imports.amounts import Habits
from hesper_cloud.imports.columns import ALWAYS_UPDATES, Existing, ImportKind
from hesper_cloud.imports.encodings import Encoding
from hesper_cloud.imports.folders import Folder
from hesper_cloud.imports.known import Areas, look_up
from hesper_cloud.imports.rows import Change, Row, duplicates, reader
from hesper_cloud.imports.sheets import Separator, Sheet, opened

_AT_ONCE = 2000  # rows that are looked up together


@dataclass(frozen=True, slots=True)
class Brought:
    """One file as it was brought, and what was told about it."""

    kind: ImportKind
    name: str
    octets: bytes = field(repr=False)
    encoding: Encoding | None = None
    separator: Separator | None = None
    habits: Habits = field(default_factory=Habits)
    existing: Existing = "refuse"

    @property
    def updates(self) -> bool:
        """Whether a row changes the asset that is there, instead of being refused."""
        return self.existing == "update" or self.kind in ALWAYS_UPDATES


@dataclass(slots=True)
class Trial:
    """What a dry run found."""

    encoding: str
    separator: str
    row_count: int = 0
    good_count: int = 0
    change_count: int = 0  # of the good ones: they change what is there
    same_count: int = 0  # of the good ones: they say what is there
    problems: Counter[str] = field(default_factory=Counter)  # by "column code"


def try_file(registry: Engine, folder: Folder, brought: Brought, areas: Areas) -> Trial:
    """Reads a file and sorts its rows into good and bad ones; changes nothing in the registry.

    Raises:
        NotASheet: the file as a whole cannot be read.
    """
    sheet = opened(brought.octets, brought.kind, brought.encoding, brought.separator)
    trial = Trial(sheet.encoding, sheet.separator)
    folder.make()
    try:
        folder.original.write_bytes(brought.octets)
        with (
            folder.good.open("wb") as good,
            folder.bad.open("wb") as bad,
            folder.changes.open("wb") as changes,
        ):
            for rows in _checked(registry, sheet, brought, areas):
                _sort(rows, trial, _Files(good, bad, changes))
    except BaseException:
        folder.remove()
        raise
    folder.settle()
    return trial


@dataclass(frozen=True, slots=True)
class _Files:
    """Where the rows go."""

    good: BinaryIO
    bad: BinaryIO
    changes: BinaryIO


def _checked(
    registry: Engine, sheet: Sheet, brought: Brought, areas: Areas
) -> Iterator[Sequence[Row]]:
    """Yields all rows with their problems, some thousand at a time."""
    seen: dict[str, dict[str, int]] = {}
    pending = map(reader(sheet.kind, brought.habits), sheet.rows())
    while rows := list(islice(pending, _AT_ONCE)):
        duplicates(sheet.kind, rows, seen)
        with reading(registry) as session:
            known = look_up(session, sheet.kind, rows, areas, updates=brought.updates)
        checks.check(sheet.kind, rows, known, areas)
        yield rows


def _sort(rows: Sequence[Row], trial: Trial, files: _Files) -> None:
    for row in rows:
        trial.row_count += 1
        document: dict[str, Any] = {"row": row.number, "cells": row.cells}
        if row.problems:
            document["problems"] = [each.record() for each in row.problems]
            trial.problems.update(f"{each.column} {each.code}" for each in row.problems)
            files.bad.write(orjson.dumps(document) + b"\n")
            continue
        trial.good_count += 1
        if row.change is not None:
            document["version"] = row.change.version
            _tell(row.number, row.change, trial, files)
        files.good.write(orjson.dumps(document) + b"\n")


def _tell(number: int, change: Change, trial: Trial, files: _Files) -> None:
    """Writes down what a row would change."""
    if not change.after:
        trial.same_count += 1
        return
    trial.change_count += 1
    changes = [
        {"field": name, "before": change.before.get(name), "after": value}
        for name, value in change.after.items()
    ]
    document = {"row": number, "asset": str(change.asset), "changes": changes}
    files.changes.write(orjson.dumps(document) + b"\n")
