"""What a backup holds, written last: a folder without its manifest is no backup."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

Tables = dict[str, dict[str, Any]]
"""Of each table its row count and digest."""

FORMAT = 1
NAME = "manifest.json"
_CHUNK = 1 << 20


class BackupError(Exception):
    """A backup cannot be made, or is not what its manifest says; the text says what to do."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """Everything about one backup.

    Attributes:
        made_at: RFC 3339, UTC.
        version: Of Hesper.
        files: Path in the folder → SHA-256.
        contents: Part → table → row count and digest.
        keys: Name of a key → its id; the keys themselves are kept elsewhere.
        elsewhere: Parts that are not here, and how they are saved.
    """

    made_at: str
    version: str
    files: dict[str, str]
    contents: dict[str, Tables]
    keys: dict[str, str]
    elsewhere: dict[str, str]
    format: int = FORMAT

    def write(self, folder: Path) -> None:
        """Writes the manifest into the backup's folder."""
        text = json.dumps(asdict(self), indent=1, sort_keys=True)
        (folder / NAME).write_text(text + "\n", encoding="utf-8")

    @classmethod
    def read(cls, folder: Path) -> "Manifest":
        """Reads a backup's manifest.

        Raises:
            BackupError: there is none, or of a format that this version does not know.
        """
        try:
            values = json.loads((folder / NAME).read_text(encoding="utf-8"))
            found = cls(**values)
        except (OSError, ValueError, TypeError) as error:
            raise BackupError(f"{folder} is no backup: {error}") from error
        if found.format != FORMAT:
            raise BackupError(f"{folder} has format {found.format}; this version reads {FORMAT}")
        return found

    def check(self, folder: Path) -> None:
        """Compares every file with its SHA-256.

        Raises:
            BackupError: a file is missing, was changed or was added.
        """
        added = {str(path.relative_to(folder)) for path in files_of(folder)} - self.files.keys()
        if added:
            raise BackupError(f"{folder / min(added)} is not in its manifest")
        for name, wanted in self.files.items():
            path = folder / name
            if not path.resolve().is_relative_to(folder.resolve()):
                raise BackupError(f"{path} is outside of the backup")
            if not path.is_file():
                raise BackupError(f"{path} is missing from the backup")
            if digest(path) != wanted:
                raise BackupError(f"{path} is damaged: it is not what was backed up")

    def row_count(self) -> int:
        """Returns how many rows the backup holds in all."""
        tables = (table for part in self.contents.values() for table in part.values())
        return sum(int(table["rows"]) for table in tables)


def files_of(folder: Path) -> Iterator[Path]:
    """Yields the files of a folder and its subfolders, sorted."""
    yield from sorted(path for path in folder.rglob("*") if path.is_file() and path.name != NAME)


def digest(path: Path) -> str:
    """Returns a file's SHA-256 in hex."""
    found = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            found.update(chunk)
    return found.hexdigest()
