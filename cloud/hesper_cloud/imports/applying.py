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
from hesper_cloud.imports.changing import change
from hesper_cloud.imports.columns import ImportKind
from hesper_cloud.imports.entering import ENTER
from hesper_cloud.imports.folders import Folder
from hesper_cloud.imports.known import Areas, look_up
from hesper_cloud.imports.present import IDENTITY
from hesper_cloud.imports.rows import Row, reader
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
        updates = file.existing == "update"
        tried = [orjson.loads(line) for line in some]
        read = reader(kind, habits_of(file.reading))
        rows = [read(SheetRow(each["row"], each["cells"], "")) for each in tried]
        versions = [each.get("version") for each in tried] if updates else None
        areas = work.parameters.get("areas")
        by = By(work.asked_by, self.clock(), f"import of {file.name}")
        done = work.cursor.get("rows", 0) + len(rows)
        cursor = None if offset >= size else {"offset": offset, "rows": done}

        def effect(session: Session) -> Progress:
            named = None if areas is None else tuple(areas)
            counts, bad = enter(session, kind, (rows, versions), named, by)
            insert_several(session, ImportReject, [_reject(file.id, row) for row in bad])
            result = {name: work.result.get(name, 0) + count for name, count in counts.items()}
            return Progress(done, file.good_count, cursor, result)

        return effect


def enter(
    session: Session,
    kind: ImportKind,
    tried: tuple[Sequence[Row], Sequence[int | None] | None],
    areas: Areas,
    by: By,
) -> tuple[dict[str, int], list[Row]]:
    """Enters rows that nothing is against, and makes the changes of those that may change.

    Args:
        session: In a writing transaction.
        kind: What the rows are of.
        tried: The rows; and of those that may change what is there, the version of it that the dry
            run compared them with, None where there was nothing.
        areas: Of who brought the file; None: all.
        by: In whose name.

    Returns:
        How many rows had which end, and those that were refused, with their problems.
    """
    rows, versions = tried
    known = look_up(session, kind, rows, areas, updates=versions is not None)
    checks.check(kind, rows, known, areas)
    if versions is not None:
        _refuse_changed(kind, rows, versions)
    good = [row for row in rows if not row.problems]
    new = [row for row in good if row.change is None]
    if new:
        ENTER[kind](session, new, known, by)
    bad = [row for row in rows if row.problems]
    counts = {"entered": len(new), "rejected": len(bad)}
    if versions is not None:
        changed = change(session, kind, good, known, by)
        counts |= {"changed": changed, "same": len(good) - len(new) - changed}
    return counts, bad


def _refuse_changed(kind: ImportKind, rows: Sequence[Row], versions: Sequence[int | None]) -> None:
    """Refuses rows whose asset is not what the dry run has shown any more."""
    for row, version in zip(rows, versions, strict=True):
        if (row.change.version if row.change else None) != version:
            advice = (
                "it was changed since the dry run; bring the row again to see what would change"
            )
            row.complain(IDENTITY[kind], "changed_meanwhile", advice)


def habits_of(told: Mapping[str, Any]) -> Habits:
    """Returns how a file writes dates and numbers, as its row of the registry keeps it."""
    return Habits(told.get("dates"), told.get("decimal"))


def _reject(import_id: str, row: Row) -> dict[str, Any]:
    problems = {"cells": row.cells, "problems": [each.record() for each in row.problems]}
    return {"import_id": import_id, "row": row.number, "problems": problems}
