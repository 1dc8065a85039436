"""Applying an import: one long job over the rows that the dry run had nothing against."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from hesper_cloud.assets.history import By
from hesper_cloud.db.engines import reading
from hesper_cloud.db.imports import ImportFile, ImportReject
from hesper_cloud.db.upserts import insert_several
from hesper_cloud.imports import checks
from hesper_cloud.imports.amounts import Habits
from hesper_cloud.imports.columns import ImportKind
from hesper_cloud.imports.entering import ENTER
from hesper_cloud.imports.folders import Folder
from hesper_cloud.imports.known import LOOK_UP
from hesper_cloud.imports.rows import Row, read_row
from hesper_cloud.imports.sheets import SheetRow
from hesper_cloud.long_jobs.kinds import Effect, JobFailed, Progress, Work

KIND = "import"
PORTION = 1000  # rows; each portion holds the write lock for some tens of milliseconds


@dataclass(frozen=True, slots=True)
class Applying:
    """The kind of long work that applies imports; its cursor is a place in the good rows.

    The job's parameters are the ``import`` and the ``areas`` of who asked.
    """

    registry: Engine
    state: Path
    clock: Callable[[], datetime]
    portion: int = PORTION
    name: str = KIND
    lane: str = "imports"

    def prepare(self, work: Work) -> Effect:
        """Reads the next rows; their effect is to enter those that nothing is against now."""
        with reading(self.registry) as session:
            file = session.get(ImportFile, work.parameters["import"])
        if file is None or file.removed_at is not None:
            raise JobFailed("the file is not there any more; bring it again")
        offset, size = work.cursor.get("offset", 0), 0
        try:
            with Folder(self.state, file.id).good.open("rb") as lines:
                lines.seek(offset)
                some = list(islice(lines, self.portion))
                offset, size = lines.tell(), lines.seek(0, 2)
        except FileNotFoundError:
            raise JobFailed("the file is not there any more; bring it again") from None
        kind: Any = file.kind
        rows = [_row(kind, line, file.reading) for line in some]
        areas = work.parameters.get("areas")
        by = By(work.asked_by, self.clock(), f"import of {file.name}")
        done = work.cursor.get("rows", 0) + len(rows)
        cursor = None if offset >= size else {"offset": offset, "rows": done}

        def effect(session: Session) -> Progress:
            bad = enter(session, kind, rows, None if areas is None else tuple(areas), by)
            insert_several(session, ImportReject, [_reject(file.id, row) for row in bad])
            result = {
                "entered": work.result.get("entered", 0) + len(rows) - len(bad),
                "rejected": work.result.get("rejected", 0) + len(bad),
            }
            return Progress(done, file.good_count, cursor, result)

        return effect


def enter(
    session: Session, kind: ImportKind, rows: Sequence[Row], areas: checks.Areas, by: By
) -> list[Row]:
    """Enters rows that nothing is against; returns the others with their problems."""
    known = LOOK_UP[kind](session, rows)
    checks.check(kind, rows, known, areas)
    good = [row for row in rows if not row.problems]
    ENTER[kind](session, good, known, by)
    return [row for row in rows if row.problems]


def habits_of(told: Mapping[str, Any]) -> Habits:
    """Returns how a file writes dates and numbers, as its row of the registry keeps it."""
    return Habits(told.get("dates"), told.get("decimal"))


def _row(kind: ImportKind, line: bytes, told: Mapping[str, Any]) -> Row:
    document = orjson.loads(line)
    return read_row(kind, SheetRow(document["row"], document["cells"], ""), habits_of(told))


def _reject(import_id: str, row: Row) -> dict[str, Any]:
    problems = {"cells": row.cells, "problems": [each.record() for each in row.problems]}
    return {"import_id": import_id, "row": row.number, "problems": problems}
