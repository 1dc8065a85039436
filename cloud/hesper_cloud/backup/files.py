"""Files of the state folder in a backup: firmware images, what was imported, reports.

They are copied after the registry, whose rows name them: what its copy speaks of is here, unless it
was removed in between, as after its days. A report in the making goes on where the registry's copy
says it stood, for its rows only ever grow. What is half-written (`.part`) is no file yet.
"""

import hashlib
import shutil
from collections.abc import Iterator
from pathlib import Path

from hesper_cloud.backup.manifest import BackupError, Tables, digest

PART = "files"
FOLDERS = ("images", "imports", "reports")
_PARTIAL = ".part"


def copy(state: Path, folder: Path) -> Tables:
    """Copies the files into a folder that is not there yet; returns count and digest by kind.

    Raises:
        OSError: one could not be read or written.
    """
    for name in FOLDERS:
        _copy_below(state / name, folder / name)
    return measured(folder)


def refuse_to_overwrite(state: Path) -> None:
    """Raises BackupError where such files, or remains of them, are there already."""
    for name in FOLDERS:
        if any(_below(state / name)):
            raise BackupError(f"{state / name} is not empty; restore into an empty folder")


def restore(folder: Path, state: Path) -> Tables:
    """Puts the files in place; returns count and digest by kind, for comparison."""
    for name in FOLDERS:
        _copy_below(folder / name, state / name)
    return measured(state)


def remove(state: Path) -> None:
    """Removes what a restore has made."""
    for name in FOLDERS:
        shutil.rmtree(state / name, ignore_errors=True)


def measured(folder: Path) -> Tables:
    """Returns how many files there are of each kind, and the digest of their names and octets."""
    return {name: _measured(folder / name) for name in FOLDERS}


def _measured(folder: Path) -> dict[str, object]:
    found, count = hashlib.sha256(), 0
    for path in _below(folder):
        found.update(f"{path.relative_to(folder)}\0{digest(path)}\n".encode())
        count += 1
    return {"rows": count, "digest": found.hexdigest()}


def _copy_below(source: Path, target: Path) -> None:
    for path in _below(source):
        copied = target / path.relative_to(source)
        copied.parent.mkdir(parents=True, exist_ok=True)
        try:
            shutil.copymode(path.parent, copied.parent)  # who may read them may read them again
            shutil.copy2(path, copied)
        except FileNotFoundError:
            if path.exists():
                raise
            copied.unlink(missing_ok=True)  # it was removed just now, as after its days


def _below(folder: Path) -> Iterator[Path]:
    """Yields the whole files of a folder and its subfolders, sorted."""
    yield from sorted(
        path for path in folder.rglob("*") if path.is_file() and path.suffix != _PARTIAL
    )
