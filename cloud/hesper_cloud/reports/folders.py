"""Where the files of a report lie: one folder of the state folder for each job that makes one."""

from collections.abc import Iterator
from pathlib import Path

SPOOL = "rows.ndjson"
FORMATS = {"csv": "text/csv; charset=utf-8", "pdf": "application/pdf"}


def root(state: Path) -> Path:
    """Returns the folder of all reports."""
    return state / "reports"


def folder_of(state: Path, job_id: int) -> Path:
    """Returns the folder of the report that a job makes."""
    return root(state) / str(job_id)


def file_of(state: Path, job_id: int, form: str) -> Path:
    """Returns one file of a report."""
    return folder_of(state, job_id) / f"report.{form}"


def ids(state: Path) -> Iterator[int]:
    """Yields the jobs whose folders are there."""
    for path in root(state).glob("*"):
        if path.name.isascii() and path.name.isdigit():
            yield int(path.name)
