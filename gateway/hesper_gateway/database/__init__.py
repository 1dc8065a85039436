"""The gateway's one SQLite file: outbox, progress, invocation counters and command journal.

Theory of operation
-------------------
A gateway loses power without warning, on an SD card that wears out and may be full. So:

- Write-ahead log with ``synchronous=FULL``: a write that was acknowledged survives a power cut.
  WAL with NORMAL, and a rollback journal with FULL, were both seen to lose acknowledged rows.
  SQLite silently ignores a pragma that it cannot apply, so each is read back on every connection.
- One writer thread. It takes everything that is waiting, runs each job in a savepoint of its own
  and commits them together (group commit): one synchronisation of the card for many appends.
  A job's result is delivered only after that commit. A job that fails rolls back alone.
- A damaged file is not repaired. What SQLite calls malformed, at the start or later, is noted in a
  file beside it and ends the process; `replacement` moves it aside at the next start.
- A card that turns read-only, or answers writes with errors, keeps nothing more: a job then ends as
  on a full disk, `Database.failing` says so, and what is there can still be read and sent.
- A ballast file. On a full disk SQLite cannot even delete. The ballast is then removed and the
  group tried once more, so that the outbox can still drain and a command can still be journalled.

Jobs are plain functions of a connection; they must not commit, and may run twice. A job says no by
raising a `JobRefused`; anything else it raises is our bug and ends the writer, and so the process.
"""

from hesper_gateway.database.errors import (
    DatabaseDamaged,
    DatabaseError,
    DatabaseInUse,
    JobRefused,
    StorageFull,
)
from hesper_gateway.database.file import (
    CONNECTION_SETTINGS,
    DATABASE_NAME,
    SCHEMA_VERSION,
    connect,
    damaged_mark,
    held,
    made_mark,
)
from hesper_gateway.database.writer import Database, Job

__all__ = [
    "CONNECTION_SETTINGS",
    "DATABASE_NAME",
    "SCHEMA_VERSION",
    "Database",
    "DatabaseDamaged",
    "DatabaseError",
    "DatabaseInUse",
    "Job",
    "JobRefused",
    "StorageFull",
    "connect",
    "damaged_mark",
    "held",
    "made_mark",
]
