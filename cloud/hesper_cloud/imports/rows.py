"""Cells become values: each by its column, each problem told."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from hesper_cloud.csv_lines import plain
from hesper_cloud.imports.amounts import Habits
from hesper_cloud.imports.columns import COLUMNS, Column, ImportKind
from hesper_cloud.imports.problems import Bad, Problem
from hesper_cloud.imports.sheets import SheetRow

_LONGEST_CELL = 1000
_REMEMBERED = 512  # cells of a column
_CLEAN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]{0,99}", re.ASCII)
_KEPT_AS_TEXT = '="'  # how some write a number that a spreadsheet is to leave alone


@dataclass(slots=True)
class Change:
    """What a row would change of an asset that is there; fields that stay are in neither."""

    asset: Any  # its key
    version: int  # as it was looked at
    before: dict[str, Any]
    after: dict[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class Row:
    """One row that was read; ``values`` are by title, None where the cell is empty."""

    number: int
    cells: list[str]  # as they came
    values: dict[str, Any] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    change: Change | None = None  # None: the row is of something new

    def complain(self, column: str, code: str, advice: str) -> None:
        """Adds a problem of one column."""
        value = self.values.get(column)
        shown = "" if value is None else str(value)
        self.problems.append(Problem(self.number, column, code, shown, advice))


def reader(kind: ImportKind, habits: Habits) -> Callable[[SheetRow], Row]:
    """Returns what reads every cell of a file's rows, also behind one that is wrong.

    What a cell came to is remembered by column: most columns say the same few things a thousand
    times.
    """
    columns = [(column, _remembered(column)) for column in COLUMNS[kind]]

    def read(row: SheetRow) -> Row:
        found = Row(row.number, row.cells)
        for (column, known), cell in zip(columns, row.cells, strict=True):
            if cell in known:
                found.values[column.title] = known[cell]
                continue
            _read_cell(found, column, cell, habits)
            value = found.values[column.title]
            if value is not None and not column.unique and len(known) < _REMEMBERED:
                known[cell] = value
        if row.beyond:
            advice = "there is more in the row than columns; quote a cell that holds the separator"
            found.problems.append(Problem(row.number, "", "too_many_cells", row.beyond, advice))
        return found

    return read


def _remembered(column: Column) -> dict[str, Any]:
    """Returns what is known of a column's cells before any was read."""
    return {} if column.required else {"": None}


def _read_cell(row: Row, column: Column, cell: str, habits: Habits) -> None:
    row.values[column.title] = None
    try:
        value = cleaned(cell, whole_lines=column.whole_lines)
        if value:
            row.values[column.title] = column.read(value, habits)
        elif column.required:
            raise Bad("missing", "this cell must be filled in")
    except Bad as bad:
        row.problems.append(Problem(row.number, column.title, bad.code, cell.strip(), bad.advice))


def cleaned(cell: str, *, whole_lines: bool = False) -> str:
    """Returns a cell without what spreadsheets put around it; blanks are single spaces.

    Raises:
        Bad: it is far too long, or holds characters that cannot be seen.
    """
    if _CLEAN.fullmatch(cell):
        return cell  # most are, and there are millions
    if len(cell) > _LONGEST_CELL:
        raise Bad("too_long", f"at most {_LONGEST_CELL} characters in a cell")
    if whole_lines and "\n" in cell:
        cell = ", ".join(filter(None, (line.strip(" ,\t\r") for line in cell.split("\n"))))
    text = plain(" ".join(cell.split()))
    if text.startswith(_KEPT_AS_TEXT) and text.endswith('"'):
        text = text[len(_KEPT_AS_TEXT) : -1].strip()
    if not text.isprintable():
        raise Bad("control_character", "there are characters that cannot be seen; type it anew")
    return text


def duplicates(kind: ImportKind, rows: Sequence[Row], seen: dict[str, dict[str, int]]) -> None:
    """Tells of rows that have what an earlier row of the file has; ``seen`` is kept up to date."""
    for column in COLUMNS[kind]:
        if not column.unique:
            continue
        before = seen.setdefault(column.title, {})
        for row in rows:
            value = row.values.get(column.title)
            if value is None:
                continue
            first = before.setdefault(value, row.number)
            if first != row.number:
                row.complain(
                    column.title,
                    "twice_in_file",
                    f"row {first} has it already; keep one of the two",
                )
