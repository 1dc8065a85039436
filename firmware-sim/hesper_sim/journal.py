"""The journal: what the whole fleet must remember, one JSON object per line, fsynced.

It is the meters' non-volatile memory. A value that anyone can read, a relay movement that was
acknowledged and an event that was logged are on the disk before; after SIGKILL the meters are
rebuilt from here. A torn last line is what a crash leaves behind and is cut off when the journal
is opened again; nobody can have seen its content.

Lines, by `k`:

    born    at, seed, capture_period_s, history_s: the first line; the past is computed
    latch   meter, profile, captured_at, status, values: one row of the load profile
    relay   meter, at (ms), output, cause, invocation, result: an attempt to move the relay
    flow    meter, at, flow, joules: from here on the registers count this way
    counter meter, reserved: invocation counters below this may have been used
    event   meter, at, code: one row of the event log
    set     meter, at, attribute, octets: somebody wrote to an attribute that is kept
    keys    meter, at, keys: all keys that took the place of planned ones, until the next
    image   meter, at, step (initiate, block, status) and what belongs to it
    firmware meter, at, version: what runs from now on
    executed meter, at, schedule, due: a single action was executed
    push    meter, profile, captured_at, status, values, sent_at: a captured push was replayed
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterable, Iterator
from io import BufferedRandom
from pathlib import Path
from typing import Any, Protocol

from hesper_sim.errors import JournalError

Record = dict[str, Any]


class Recorder(Protocol):
    """What remembers records durably."""

    def append(self, records: Iterable[Record]) -> None:
        """Return when the records cannot be lost any more."""
        ...

    def close(self) -> None:
        """Take no more records."""
        ...


class Forgetful:
    """A recorder for meters that only answer what is computed."""

    def append(self, records: Iterable[Record]) -> None:
        """Forget them."""

    def close(self) -> None:
        """Nothing is open."""


class Journal:
    """An open journal; one process at a time."""

    def __init__(self, path: Path) -> None:
        """Open or create; a torn last line is removed.

        Raises:
            JournalError: Another process has it open.
        """
        self.path = path
        self._file: BufferedRandom = path.open("a+b")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.close()
            raise JournalError(f"{path} is in use by another process") from None
        self._cut_torn_line()

    def read(self) -> Iterator[Record]:
        """Yield every record from the first; JournalError for a damaged line."""
        return read(self.path)

    def append(self, records: Iterable[Record]) -> None:
        """Write records durably; when this returns they survive a power cut."""
        lines = [json.dumps(record, separators=(",", ":")) + "\n" for record in records]
        if not lines:
            return
        self._file.write("".join(lines).encode())
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Close the file; nothing is pending ever."""
        self._file.close()

    def _cut_torn_line(self) -> None:
        size = self._file.seek(0, os.SEEK_END)
        end = size
        while end and self._byte_before(end) != b"\n":
            end -= 1
        if end != size:
            self._file.truncate(end)
            os.fsync(self._file.fileno())

    def _byte_before(self, position: int) -> bytes:
        self._file.seek(position - 1)
        return self._file.read(1)


def read(path: Path) -> Iterator[Record]:
    """Yield the records of a journal; a torn last line is left out."""
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.endswith(b"\n"):
                return
            try:
                record = json.loads(line)
            except ValueError as error:
                raise JournalError(f"{path}: line {number} is damaged: {error}") from error
            if not isinstance(record, dict) or "k" not in record:
                raise JournalError(f"{path}: line {number} is no journal record")
            yield record
