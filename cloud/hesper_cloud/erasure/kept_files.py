"""Files of imports and reports that name what is erased go as a whole: they can be made again.

A file that was brought and waits to be applied would bring a person back; a report tells what a
household used. Rows are not cut out of them: a file's SHA-256 says what it was. What tells of the
file, who brought or made it and when, stays.
"""

import re
import shutil
from collections.abc import Callable, Iterable
from datetime import datetime
from pathlib import Path

import orjson
from sqlalchemy import Engine, delete, update

from hesper_cloud.db.assets import Customer
from hesper_cloud.db.engines import batched, writing
from hesper_cloud.db.registry import ImportFile, ImportReject, Report
from hesper_cloud.imports import folders as imports
from hesper_cloud.reports import folders as reports


def remove(registry: Engine, state: Path, names: Iterable[str], at: datetime) -> dict[str, int]:
    """Removes files in which one of these names stands as a word; returns how many of each.

    Killed half-way it is done again: the files go last.
    """
    named = _naming(names)
    files = [each for each in imports.ids(state) if named(imports.Folder(state, each).path)]
    jobs = [each for each in reports.ids(state) if named(reports.folder_of(state, each))]
    if files or jobs:
        with writing(registry) as session:
            for some in batched(files):
                brought = update(ImportFile).where(ImportFile.id.in_(some))
                session.execute(brought.values(removed_at=at))
                session.execute(delete(ImportReject).where(ImportReject.import_id.in_(some)))
            for numbers in batched(jobs):
                made = update(Report).where(Report.job_id.in_(numbers))
                session.execute(made.values(removed_at=at))
    for folder in (
        *(imports.Folder(state, each).path for each in files),
        *(reports.folder_of(state, each) for each in jobs),
    ):
        shutil.rmtree(folder, ignore_errors=True)
    return {"files of imports": len(files), "reports": len(jobs)}


def names_of(customer: Customer | None) -> list[str]:
    """Returns the words by which files know a customer."""
    if customer is None or customer.deleted_at is not None:
        return []
    return [each for each in (customer.account_number, customer.name, customer.email) if each]


def _naming(names: Iterable[str]) -> Callable[[Path], bool]:
    """Returns what tells whether a folder's rows name somebody; as JSON and CSV write it."""
    words = {form for name in names for form in _forms(name) if form}
    pattern = re.compile(rb"(?<![0-9A-Za-z])(?:%s)(?![0-9A-Za-z])" % b"|".join(sorted(words)))

    def named(folder: Path) -> bool:
        paths = [*folder.glob("*.ndjson"), *folder.glob("*.csv")]
        return bool(words) and any(_found(pattern, path) for path in paths)

    return named


def _forms(name: str) -> tuple[bytes, bytes]:
    as_json = orjson.dumps(name.strip())[1:-1]
    return re.escape(as_json), re.escape(name.strip().replace('"', '""').encode())


def _found(pattern: re.Pattern[bytes], path: Path) -> bool:
    try:
        with path.open("rb") as lines:
            return any(pattern.search(line) for line in lines)
    except FileNotFoundError:  # the clean-up took it meanwhile
        return False
