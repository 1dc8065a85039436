"""Sealed days on disk: Parquet files, each known with its length and SHA-256.

Theory of operation. A sealed file never changes: what is added to its days or taken from them makes
a new file, and the table ``sealed`` in the database says, in the same transaction that moves the
rows, which files count. A file is written under a passing name, synced and renamed before that
transaction; so after a crash the folder may hold files that the table does not name, which are
removed at start, and never the other way round. Before a process first reads a file, and whenever
its time or length changed, its digest is compared: a damaged file is never read, it is moved into
the folder ``aside`` and named.
"""

import hashlib
import secrets
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from hesper_contracts.durable import synchronise

from hesper_cloud.stores.duckdb_row_groups import RowGroups

DAY_S = 86_400
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_SUFFIX = ".parquet"
_PASSING = ".part"


class Damaged(Exception):
    """A sealed file is not what was written; it has to be set aside."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(f"{name}: {why}")
        self.name, self.why = name, why


class SealedFile(NamedTuple):
    """One row of the table ``sealed``; days count from 1970-01-01 and both belong to the file."""

    name: str
    first_day: int
    last_day: int
    row_count: int
    octets: int
    sha256: str
    last_commit: int
    aside: str | None = None

    @property
    def start(self) -> int:
        """First instant of the file's days, epoch seconds."""
        return self.first_day * DAY_S

    @property
    def end(self) -> int:
        """End of the file's days, half-open."""
        return (self.last_day + 1) * DAY_S


class Folder:
    """The folder of sealed files, and which of them are still being read."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.row_groups = RowGroups(path)
        self._aside = path / "aside"
        self._lock = threading.Lock()
        self._sound: dict[str, tuple[int, int]] = {}  # name → time and length when it was sound
        self._readers: set[int] = set()
        self._clock = 0
        self._superseded: list[tuple[int, str]] = []

    def unnamed(self, files: Iterable[SealedFile]) -> list[Path]:
        """Returns finished files that no transaction names."""
        known = {file.name for file in files}
        return [path for path in self.path.glob(f"*{_SUFFIX}") if path.name not in known]

    def clear_up(self, files: Iterable[SealedFile]) -> None:
        """Removes what no transaction names, and finishes setting aside."""
        self.path.mkdir(parents=True, exist_ok=True)
        known = {file.name: file for file in files}
        for path in self.path.iterdir():
            file = known.get(path.name)
            if path.is_dir():
                continue
            if file is None:
                path.unlink()
            elif file.aside is not None:
                self.set_aside(file.name)

    @contextmanager
    def reading(self) -> Iterator[None]:
        """Keeps files that are superseded from now on until the reader is done."""
        with self._lock:
            self._clock += 1
            token = self._clock
            self._readers.add(token)
        try:
            yield
        finally:
            with self._lock:
                self._readers.discard(token)

    def supersede(self, names: Iterable[str]) -> None:
        """Gives files up for removal once their readers are done."""
        with self._lock:
            self._superseded += [(self._clock, name) for name in names]

    def remove_superseded(self) -> None:
        """Removes given-up files that nobody reads any more."""
        with self._lock:
            oldest = min(self._readers, default=self._clock + 1)
            gone = [name for at, name in self._superseded if at < oldest]
            self._superseded = [each for each in self._superseded if each[0] >= oldest]
        for name in gone:
            self.row_groups.forget(name)
            (self.path / name).unlink(missing_ok=True)

    def passing_name(self, first_day: int, last_day: int) -> Path:
        """Returns a new path for days; `keep` gives the file its own name."""
        text = f"{_date(first_day):%Y-%m-%d}"
        if last_day > first_day:
            text += f"_{_date(last_day):%Y-%m-%d}"
        return self.path / f"{text}-{secrets.token_hex(4)}{_SUFFIX}{_PASSING}"

    def keep(self, passing: Path) -> tuple[str, int, str]:
        """Makes a written file durable under its own name; returns name, octets and SHA-256."""
        digest, octets = _digest(passing), passing.stat().st_size
        synchronise(passing)
        kept = passing.with_name(passing.name.removesuffix(_PASSING))
        passing.rename(kept)
        synchronise(self.path)
        self._remember(kept)
        return kept.name, octets, digest

    def check(self, files: Sequence[SealedFile], *, anew: bool = False) -> None:
        """Compares files with their digests, each once unless it was touched; ``anew``: again.

        Raises:
            Damaged: one of them is not what was written.
        """
        for file in files:
            path = self.path / file.name
            try:
                found = path.stat()
                known = self._sound.get(file.name) == (found.st_mtime_ns, found.st_size)
                if known and not anew:
                    continue
                if found.st_size != file.octets:
                    raise Damaged(file.name, f"has {found.st_size} octets instead of {file.octets}")
                if _digest(path) != file.sha256:
                    raise Damaged(file.name, "is not what was written (SHA-256)")
            except OSError as error:
                raise Damaged(file.name, f"cannot be read: {error.strerror}") from error
            self._remember(path)

    def check_lengths(self, files: Sequence[SealedFile]) -> list[Damaged]:
        """Says at a glance which files are missing or cut off."""
        found = []
        for file in files:
            try:
                octets = (self.path / file.name).stat().st_size
            except OSError as error:
                found.append(Damaged(file.name, f"cannot be read: {error.strerror}"))
                continue
            if octets != file.octets:
                found.append(Damaged(file.name, f"has {octets} octets instead of {file.octets}"))
        return found

    def _remember(self, path: Path) -> None:
        found = path.stat()
        self._sound[path.name] = (found.st_mtime_ns, found.st_size)

    def set_aside(self, name: str) -> None:
        """Moves a damaged file out of the way, as evidence."""
        self.row_groups.forget(name)
        self._aside.mkdir(exist_ok=True)
        if (self.path / name).exists():
            (self.path / name).rename(self._aside / name)
        self._sound.pop(name, None)


def _date(day: int) -> datetime:
    return _EPOCH + timedelta(days=day)


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
