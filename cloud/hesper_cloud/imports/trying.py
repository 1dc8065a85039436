"""The dry run: a file is read once, and each row held against file and registry."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import BinaryIO

import orjson
from sqlalchemy import Engine

from hesper_cloud.db.engines import reading
from hesper_cloud.imports import checks
from hesper_cloud.imports.amounts import Habits
from hesper_cloud.imports.columns import ImportKind
from hesper_cloud.imports.encodings import Encoding
from hesper_cloud.imports.folders import Folder
from hesper_cloud.imports.known import LOOK_UP
from hesper_cloud.imports.rows import Row, duplicates, read_row
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


@dataclass(slots=True)
class Trial:
    """What a dry run found."""

    encoding: str
    separator: str
    row_count: int = 0
    good_count: int = 0
    problems: Counter[str] = field(default_factory=Counter)  # by "column code"


def try_file(registry: Engine, folder: Folder, brought: Brought, areas: checks.Areas) -> Trial:
    """Reads a file and sorts its rows into good and bad ones; changes nothing in the registry.

    Raises:
        NotASheet: the file as a whole cannot be read.
    """
    sheet = opened(brought.octets, brought.kind, brought.encoding, brought.separator)
    trial = Trial(sheet.encoding, sheet.separator)
    folder.make()
    try:
        folder.original.write_bytes(brought.octets)
        with folder.good.open("wb") as good, folder.bad.open("wb") as bad:
            for rows in _checked(registry, sheet, brought.habits, areas):
                _sort(rows, trial, good, bad)
    except BaseException:
        folder.remove()
        raise
    folder.settle()
    return trial


def _checked(
    registry: Engine, sheet: Sheet, habits: Habits, areas: checks.Areas
) -> Iterator[Sequence[Row]]:
    """Yields all rows with their problems, some thousand at a time."""
    seen: dict[str, dict[str, int]] = {}
    pending = (read_row(sheet.kind, row, habits) for row in sheet.rows())
    while rows := list(islice(pending, _AT_ONCE)):
        duplicates(sheet.kind, rows, seen)
        with reading(registry) as session:
            known = LOOK_UP[sheet.kind](session, rows)
        checks.check(sheet.kind, rows, known, areas)
        yield rows


def _sort(rows: Sequence[Row], trial: Trial, good: BinaryIO, bad: BinaryIO) -> None:
    for row in rows:
        trial.row_count += 1
        document = {"row": row.number, "cells": row.cells}
        if row.problems:
            document["problems"] = [each.record() for each in row.problems]
            trial.problems.update(f"{each.column} {each.code}" for each in row.problems)
            bad.write(orjson.dumps(document) + b"\n")
        else:
            trial.good_count += 1
            good.write(orjson.dumps(document) + b"\n")
