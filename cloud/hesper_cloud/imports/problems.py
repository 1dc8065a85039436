"""What is wrong with a cell, and what to do about it."""

from dataclasses import dataclass
from typing import Any

_SHOWN = 80


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem of one row; an empty column means the whole row, row 0 the whole file."""

    row: int  # as a spreadsheet counts: the header is 1
    column: str
    code: str
    value: str
    advice: str  # what to do

    def record(self) -> dict[str, Any]:
        """Returns the problem as JSON has it, without its row."""
        return {
            "column": self.column,
            "code": self.code,
            "value": self.value[:_SHOWN],
            "advice": self.advice,
        }


class Bad(Exception):
    """A cell is not what its column holds."""

    def __init__(self, code: str, advice: str) -> None:
        super().__init__(code)
        self.code = code
        self.advice = advice


class NotASheet(Exception):
    """The file as a whole cannot be read; the text says what to do."""
