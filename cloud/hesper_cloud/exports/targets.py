"""Where an export goes: a file, a folder, or any address that fsspec opens (``s3://…``).

A file appears under its name only when it is complete: it is written beside it first.
"""

from collections.abc import Iterable
from typing import Any

import fsspec
from fsspec.core import url_to_fs

_PASSING = ".part"


class TargetError(Exception):
    """A target cannot be written; the text says why."""


def put(url: str, pieces: Iterable[bytes]) -> int:
    """Writes a file; returns how many octets it has.

    Raises:
        TargetError: it cannot be written; nothing is left under its name.
    """
    try:
        files, path = _opened(url)
        parent = files._parent(path)  # noqa: SLF001 - fsspec's own way to say it for every system
        files.makedirs(parent, exist_ok=True)
        count = 0
        with files.open(path + _PASSING, "wb") as file:
            for piece in pieces:
                file.write(piece)
                count += len(piece)
        files.mv(path + _PASSING, path)
    except (OSError, ImportError, ValueError) as error:
        raise TargetError(f"{url}: {error}") from error
    return count


def remove(url: str) -> None:
    """Removes a file that an earlier export may have left."""
    files, path = _opened(url)
    if files.exists(path):
        files.rm(path)


def _opened(url: str) -> tuple[Any, str]:
    found: tuple[fsspec.AbstractFileSystem, str] = url_to_fs(url)
    return found
