"""What the service of imports returns."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from hesper_cloud.services.jobs import JobRow


@dataclass(frozen=True, slots=True)
class ProblemCount:
    """How many rows have one kind of problem."""

    column: str
    code: str
    count: int


@dataclass(frozen=True, slots=True)
class ImportView:
    """One file: how it was read, what the dry run found, and the job that applies it."""

    id: str
    kind: str  # customers | meters | simcards | simuse
    name: str
    brought_by: str
    brought_at: datetime
    sha256: str
    octets: int
    encoding: str
    separator: str
    row_count: int
    existing: str  # refuse | update: what becomes of rows whose asset is there
    good_count: int
    change_count: int  # of the good ones: they change what is there
    same_count: int  # of the good ones: they say what is there
    bad_count: int
    problems: tuple[ProblemCount, ...]  # most frequent first
    job: JobRow | None
    removed: bool  # the clean-up took its files; the row stays


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One field that a row changes."""

    field: str
    before: Any
    after: Any


@dataclass(frozen=True, slots=True)
class ChangedRow:
    """One good row that changes an asset which is there, and how."""

    row: int
    asset: str  # its id
    changes: tuple[FieldChange, ...]


@dataclass(frozen=True, slots=True)
class RejectedRow:
    """One refused row: its number as a spreadsheet counts, its cells, and all its problems."""

    row: int
    cells: list[str]
    problems: list[dict[str, Any]]  # column, code, value, advice
    reason: str
