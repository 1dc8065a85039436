"""One process alone works on a database: a second is turned away before it does anything.

Beside a SQLite file lies another that is locked; at PostgreSQL a transaction of its own, which
stays open, holds an advisory lock. Either ends with the process, however that ends, and nothing is
left to clear away. Where a machine loses its power PostgreSQL takes half a minute to notice.

A process that loses its connection there keeps nobody out from then on. So each of its transactions
that writes asks the server, once it holds the write lock that all writers share, whether the lock
is still held: whoever took it since writes only when that transaction has ended.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

from sqlalchemy import (
    Connection,
    Engine,
    Integer,
    Row,
    bindparam,
    create_engine,
    func,
    select,
    text,
)
from sqlalchemy.exc import OperationalError
from sqlalchemy.pool import NullPool

from hesper_cloud.db.engines import BEFORE_WRITING

_SOLE = 0x48455353  # of pg_advisory_xact_lock; each database has its own
_SETTINGS = {
    "lock_timeout": "5s",  # who was killed just now may be there for a moment
    "idle_in_transaction_session_timeout": "0",
    "tcp_keepalives_idle": "10s",
    "tcp_keepalives_interval": "5s",
    "tcp_keepalives_count": "3",
}
_HELD = "55P03"  # lock_not_available
_HOLDS = text(
    "SELECT pid, virtualtransaction FROM pg_locks WHERE locktype = 'advisory' AND granted"
    " AND objid = :sole AND pid = coalesce(:pid, pg_backend_pid())"
).bindparams(bindparam("pid", None, Integer), sole=_SOLE)


class InUse(Exception):
    """Another process works on the database: it goes on, and this one must not begin."""


class Lost(Exception):
    """The lock went with its connection: another may work on the database, so this one must end."""


@contextmanager
def sole(engine: Engine, who: str) -> Iterator[None]:
    """Keeps every other process out that asks for the same.

    Args:
        engine: The database; at a server `writing` raises `Lost` once the lock is.
        who: What it is that works on it alone.

    Raises:
        InUse: another does; nothing was done.
    """
    at_server = engine.dialect.name == "postgresql"
    with _at_server(engine, who) if at_server else _beside(engine, who):
        yield


@contextmanager
def _beside(engine: Engine, who: str) -> Iterator[None]:
    file = str(engine.url.database).removeprefix("file:")
    with open(f"{file}.lock", "ab", opener=_of_its_own) as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise _in_use(who, file) from None
        yield


def _of_its_own(path: str, flags: int) -> int:
    """Opens a file that no other account can open, and so lock."""
    return os.open(path, flags, mode=0o600)


@contextmanager
def _at_server(engine: Engine, who: str) -> Iterator[None]:
    with create_engine(engine.url, poolclass=NullPool).connect() as connection:
        for name, value in _SETTINGS.items():
            connection.execute(text(f"SET LOCAL {name} = '{value}'"))
        try:
            connection.execute(select(func.pg_advisory_xact_lock(_SOLE)))
        except OperationalError as error:
            if getattr(error.orig, "sqlstate", None) != _HELD:
                raise
            raise _in_use(who, engine.url.render_as_string(hide_password=True)) from None
        own = connection.execute(_HOLDS).one()
        engine.update_execution_options(**{BEFORE_WRITING: partial(_require, own, who)})
        try:
            yield
        finally:
            engine.update_execution_options(**{BEFORE_WRITING: None})
            connection.invalidate()  # it may be gone long ago, and then cannot be rolled back


def _require(own: Row[tuple[int, str]], who: str, connection: Connection) -> None:
    """Passes while the lock is held by the very transaction that took it."""
    if connection.execute(_HOLDS, {"pid": own.pid}).one_or_none() != own:
        raise Lost(
            f"the {who} has lost its connection to the database, and its lock with it: another may "
            "decide by now; start it again"
        )


def _in_use(who: str, where: str) -> InUse:
    return InUse(f"another {who} works on {where}: stop that one first, only one may run")
