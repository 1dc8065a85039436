"""Cells become values: each by its column, each problem told."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from hesper_cloud.csv_lines import plain
from hesper_cloud.imports.amounts import Habits
from hesper_cloud.imports.columns import COLUMNS, Column, ImportKind
from hesper_cloud.imports.problems import Bad, Problem
from hesper_cloud.imports.sheets import SheetRow

_LONGEST_CELL = 1000
_KEPT_AS_TEXT = '="'  # how some write a number that a spreadsheet is to leave alone


@dataclass(slots=True)
class Row:
    """One row that was read; ``values`` are by title, None where the cell is empty."""

    number: int
    cells: list[str]  # as they came
    values: dict[str, Any] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)

    def complain(self, column: str, code: str, advice: str) -> None:
        """Adds a problem of one column."""
        value = self.values.get(column)
        shown = "" if value is None else str(value)
        self.problems.append(Problem(self.number, column, code, shown, advice))


def read_row(kind: ImportKind, row: SheetRow, habits: Habits) -> Row:
    """Reads every cell of a row, also behind one that is wrong."""
    found = Row(row.number, row.cells)
    for column, cell in zip(COLUMNS[kind], row.cells, strict=True):
        _read_cell(found, column, cell, habits)
    if row.beyond:
        advice = "there is more in the row than columns; quote a cell that holds the separator"
        found.problems.append(Problem(row.number, "", "too_many_cells", row.beyond, advice))
    return found


def _read_cell(row: Row, column: Column, cell: str, habits: Habits) -> None:
    row.values[column.title] = None
    if not cell and not column.required:
        return
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
    if cell.isalnum() and len(cell) <= _LONGEST_CELL:
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
