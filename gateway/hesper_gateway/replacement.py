"""A database in the place of a damaged one, so that a gateway whose card has decayed goes on alone.

Theory of operation
-------------------
The damaged files are moved into a folder of their own beside them, with the reason, for a person to
look at; the two newest such folders are kept. The new database remembers that it had a predecessor
(`Database.lost`), which makes the others careful about what cannot be known any more:

- readings: the marks are gone, so every meter's buffers are read again from their beginning;
- invocation counters: read from the meters and skipped far ahead, see `counters`;
- commands: none is carried out that was issued before the journal began, see `journal`.

The order of the steps stands a power cut: what was found is written down first, so that the next
start moves what is left, a log without its database included, and opens nothing of it. Until the
new database is committed, the file that says that there was one before makes it taken for lost.

A gateway that takes the place of another device begins in the same way: its predecessor's database
is as lost as a damaged one.
"""

import logging
import re
import shutil
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from hesper_contracts.durable import synchronise

from hesper_gateway.database import Database, DatabaseDamaged, damaged_mark

log = logging.getLogger(__name__)

EVIDENCE = "damaged"
"""Folder beside the database."""
KEPT = 2
_NAME = re.compile(r"[0-9]+-[0-9]{8}T[0-9]{6}Z")


@dataclass(frozen=True, slots=True)
class Opened:
    """The database, and why it is a new one in the place of another; else an empty text."""

    database: Database
    replaced: str = ""


def open_database(path: Path, ballast_octets: int) -> Opened:
    """Opens the gateway's database; moves a damaged one aside and makes a new one.

    Raises:
        DatabaseError: of another release, in use, or the folder cannot be written.
    """
    mark = damaged_mark(path)
    reason = mark.read_text(encoding="utf-8", errors="replace") if mark.exists() else ""
    if not reason:
        try:
            return Opened(Database(path, ballast_octets))
        except DatabaseDamaged as damaged:
            reason = str(damaged)
            _write_mark(path, reason)
    folder = _move_aside(path, reason)
    log.error("%s; moved aside to %s", reason, folder)
    database = Database(path, ballast_octets, lost=reason)
    mark.unlink(missing_ok=True)
    return Opened(database, f"{reason}; moved aside to {folder}")


def succeed(path: Path, ballast_octets: int, reason: str) -> None:
    """Makes a database that remembers a predecessor which another device had.

    What lies there, a copy of the predecessor's own perhaps, is moved aside, for its counters are
    behind the meters'. Where it was made for the same reason already, nothing is done.

    Raises:
        DatabaseError: of another release, in use, or the folder cannot be written.
    """
    if not any(file.exists() for file in (*_files(path), damaged_mark(path))):
        Database(path, ballast_octets, lost=reason).close()
        return
    if path.exists() and not damaged_mark(path).exists():
        try:
            found = Database(path, ballast_octets)
        except DatabaseDamaged:
            log.warning("%s: what lies there is damaged as well", path)
        else:
            found.close()
            if found.lost == reason:
                return
    _write_mark(path, reason)
    open_database(path, ballast_octets).database.close()


def _write_mark(path: Path, reason: str) -> None:
    mark = damaged_mark(path)
    mark.write_text(reason, encoding="utf-8")
    synchronise(mark)
    synchronise(path.parent)


def _move_aside(path: Path, reason: str) -> Path:
    evidence = path.parent / EVIDENCE
    evidence.mkdir(exist_ok=True)
    earlier = sorted(filter(_is_ours, evidence.iterdir()), key=_number)
    files = _files(path)
    if earlier and not any(file.exists() for file in files):
        return earlier[-1]  # the power was cut before the new one was made
    for old in earlier[: 1 - KEPT]:
        shutil.rmtree(old)
    number = _number(earlier[-1]) + 1 if earlier else 1
    folder = evidence / f"{number}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    folder.mkdir()
    (folder / "reason.txt").write_text(f"{reason}\n", encoding="utf-8")
    for file in files:
        if file.exists():
            file.rename(folder / file.name)
    for each in (folder, evidence, path.parent):
        synchronise(each)
    return folder


def _files(path: Path) -> list[Path]:
    return [path.with_name(path.name + suffix) for suffix in ("", "-wal", "-shm")]


def _is_ours(folder: Path) -> bool:
    """Say whether a folder is one of evidence: a person may lay others, and archives, beside it."""
    return folder.is_dir() and _NAME.fullmatch(folder.name) is not None


def _number(folder: Path) -> int:
    """Returns which one it is; the clock may have been wrong."""
    return int(folder.name.partition("-")[0])
