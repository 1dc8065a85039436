"""Where an export goes: a file, a folder, or any address that fsspec opens (``s3://…``).

A file appears under its name when it is complete, and not before: on this machine's disks it is
written beside it first, under a name that readers of a folder pass over, and elsewhere it is handed
over as a whole (on S3 one PUT, or an upload in parts that is completed at the end).
"""

import os
import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from fsspec.core import url_to_fs
from fsspec.implementations.local import LocalFileSystem
from fsspec.spec import AbstractBufferedFile
from hesper_contracts.durable import make_folder, synchronise

_WITHOUT_FOLDERS = frozenset({"s3", "s3a", "gs", "gcs", "abfs", "abfss", "az", "memory"})
"""Object stores: a folder is part of a name there, and making one could make a bucket."""
_PART = 16 << 20
"""Octets that are kept in memory: S3 takes a file in up to 10 000 parts, 156 GiB of this size."""
_PASSWORD = re.compile("//[^:@]*:(.+)@", re.DOTALL)
_EXTRAS = {"s3": "hesper[s3]", "s3a": "hesper[s3]"}


class TargetError(Exception):
    """A target cannot be written; the text says why, without passwords of its address."""


def put(url: str, pieces: Iterable[bytes]) -> int:
    """Writes a file; returns how many octets it has.

    Raises:
        TargetError: it cannot be written; what had its name before is left as it was.
    """
    count = 0
    with _told(url):
        files, path = _opened(url)
        local = isinstance(files, LocalFileSystem)
        with _beside(Path(path)) if local else _handed_over(files, path) as file:
            for piece in pieces:
                file.write(piece)
                count += len(piece)
    return count


@contextmanager
def opened(url: str) -> Iterator[Any]:
    """Yields a file to read.

    Raises:
        TargetError: it cannot be read.
    """
    with _told(url):
        files, path = _opened(url)
        with files.open(path, "rb") as file:
            yield file


def remove(url: str) -> None:
    """Removes a file that an earlier export may have left.

    Raises:
        TargetError: it cannot be removed.
    """
    with _told(url):
        files, path = _opened(url)
        if files.exists(path):
            files.rm(path)


def below(url: str) -> list[str]:
    """Returns the files below a folder, sorted, by their paths from there; of none it is empty.

    Raises:
        TargetError: it cannot be listed.
    """
    with _told(url):
        files, path = _opened(url)
        files.invalidate_cache()
        found = files.find(path)
    root = f"{path.rstrip('/')}/"
    return sorted(each.removeprefix(root) for each in found)


def shown(url: str) -> str:
    """Returns an address without the password that it may hold."""
    return _hidden(url, url)


def _hidden(url: str, text: str) -> str:
    """Returns a text without the password of an address, or a part of it that was read as another.

    Addresses may be chained, and a password have signs that end it to who takes them apart.
    """
    found = _PASSWORD.search(url)
    secret = found[1] if found else ""
    for part in (secret, unquote(secret), *secret.split("/")):
        text = text.replace(part, "***") if part else text
    return text


@contextmanager
def _told(url: str) -> Iterator[None]:
    try:
        yield
    except _failures() as error:
        extra = _EXTRAS.get(url.partition(":")[0]) if isinstance(error, ImportError) else None
        reason = f"install {extra}" if extra else str(error) or type(error).__name__
        raise TargetError(_hidden(url, f"{url}: {reason}")) from error


def _failures() -> tuple[type[Exception], ...]:
    """Returns what targets fail with; of S3 not everything is an OSError."""
    botocore = sys.modules.get("botocore.exceptions")
    known = (OSError, ImportError, ValueError, NotImplementedError)
    return known if botocore is None else (*known, botocore.BotoCoreError)


@contextmanager
def _beside(path: Path) -> Iterator[Any]:
    passing = path.with_name(f".{path.name}.part")
    make_folder(path.parent)
    try:
        with passing.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        passing.replace(path)
        with suppress(PermissionError):  # a folder may take files and show none
            synchronise(path.parent)
    except BaseException:
        passing.unlink(missing_ok=True)
        raise


@contextmanager
def _handed_over(files: Any, path: str) -> Iterator[Any]:
    """Gives a file that is there when the block has ended well; else its parts are taken back."""
    if not _WITHOUT_FOLDERS.intersection(_protocols(files)):
        files.makedirs(files._parent(path), exist_ok=True)  # noqa: SLF001 - fsspec has no other
    file = files.open(path, "wb", block_size=_PART, autocommit=False)
    try:
        yield file
        file.close()
        file.commit()
    except BaseException:
        with suppress(*_failures()):
            file.discard()
        if isinstance(file, AbstractBufferedFile):
            file.closed = True  # or else it is uploaded when it is collected
        raise


def _protocols(files: Any) -> tuple[str, ...]:
    return (files.protocol,) if isinstance(files.protocol, str) else tuple(files.protocol)


def _opened(url: str) -> tuple[Any, str]:
    files, path = url_to_fs(url)
    return files, path
