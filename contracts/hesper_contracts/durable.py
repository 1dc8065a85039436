"""Files and folders that are there as a whole or not at all, whatever happens to the power."""

import os
import secrets
from pathlib import Path


def write_new(path: Path, octets: bytes) -> None:
    """Make a file that its owner alone may read; one that is there is never replaced.

    Raises:
        FileExistsError: it is there; where several make it at once, one does not get this.
    """
    beside = path.with_name(f"{path.name}.{secrets.token_hex(4)}.new")
    try:
        _write(beside, octets, 0o600)
        os.link(beside, path)
    finally:
        beside.unlink(missing_ok=True)
    synchronise(path.parent)


def put(path: Path, octets: bytes, mode: int = 0o600) -> None:
    """Put a file in the place of another as one step; there is one writer."""
    beside = path.with_name(f"{path.name}.new")
    beside.unlink(missing_ok=True)
    _write(beside, octets, mode)
    beside.replace(path)
    synchronise(path.parent)


def make_folder(path: Path, mode: int = 0o777) -> None:
    """Make a folder that is still there after a power cut, with those above it that are not."""
    if not path.is_dir():
        make_folder(path.parent, mode)
        path.mkdir(mode, exist_ok=True)
        synchronise(path.parent)


def _write(path: Path, octets: bytes, mode: int) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    with os.fdopen(descriptor, "wb") as file:
        file.write(octets)
        file.flush()
        os.fsync(descriptor)


def synchronise(path: Path) -> None:
    """Make durable what a file holds, or the names in a folder: the one does not do the other."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
