"""Engines and transactions for both databases.

SQLite connections run in WAL with ``synchronous=FULL`` (a row that was answered for survives a
power cut), a busy timeout and foreign keys. Transactions begin explicitly: `reading` takes a
snapshot, `writing` takes the write lock at once, so that a read that turns into a write never
fails half-way because another process wrote in between. PostgreSQL promises the same: `reading` is
REPEATABLE READ, and `writing` first takes an advisory lock that all of Hesper's writers of one
database share, so that two authorities decide one after the other.
"""

import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event, func, make_url, select, text
from sqlalchemy.orm import Session

BUSY_TIMEOUT_MS = 10_000
_LOOK_AGAIN_S = 0.01
PER_QUERY = 5_000  # SQLite takes 32 766 parameters in a statement, PostgreSQL 65 535
_BEGIN = "hesper_begin"
BEFORE_WRITING = "hesper_before_writing"
"""Option of an engine: what is called with a connection that holds PostgreSQL's write lock."""
_WRITE_LOCK = 0x48455350  # of pg_advisory_xact_lock; each database has its own
_OTHERS = (
    "SELECT count(*) FROM pg_stat_activity "
    "WHERE datname = current_database() AND pid <> pg_backend_pid() "
    "AND backend_type = 'client backend'"  # not the server's own, as the one that vacuums
)

T = TypeVar("T")


def open_engine(url: str, *, read_only: bool = False) -> Engine:
    """Opens an engine on ``url``; with ``read_only`` the database refuses every write.

    The web process opens the authority's database read-only: only the authority writes it. Errors
    never repeat parameters, among which are password hashes.
    """
    if make_url(url).get_backend_name() != "sqlite":
        options = {"postgresql_readonly": True} if read_only else {}
        return create_engine(
            url, hide_parameters=True, pool_pre_ping=True, execution_options=options
        )
    address = _sqlite_url(url, read_only=read_only)
    engine = create_engine(address, hide_parameters=True, pool_size=8, max_overflow=24)

    @event.listens_for(engine, "connect")
    def set_pragmas(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # BEGIN is ours to say
        connection.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS:d}")
        connection.execute("PRAGMA foreign_keys=ON")
        if read_only:
            connection.execute("PRAGMA query_only=ON")
            return
        _keep_log(connection)
        connection.execute("PRAGMA synchronous=FULL")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        mode = connection.get_execution_options().get(_BEGIN, "DEFERRED")
        connection.exec_driver_sql(f"BEGIN {mode}")

    return engine


def _keep_log(connection: sqlite3.Connection) -> None:
    """Puts a new file in WAL; where several make it at once SQLite waits for nobody, so this does.

    Raises:
        sqlite3.OperationalError: one that is not in WAL stays locked beyond the busy timeout.
    """
    deadline = time.monotonic() + BUSY_TIMEOUT_MS / 1000
    while True:
        try:
            connection.execute("PRAGMA journal_mode=WAL")
        except sqlite3.OperationalError as error:
            if not is_locked(error) or time.monotonic() >= deadline:
                raise
            time.sleep(_LOOK_AGAIN_S)
        else:
            return


def is_locked(error: BaseException | None) -> bool:
    """Says whether SQLite refused because another connection holds the database."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY


def _sqlite_url(url: str, *, read_only: bool) -> str:
    """Rewrites a SQLite URL to SQLite's own URI form, read-only where asked."""
    path = make_url(url).database
    if not path or path == ":memory:":
        raise ValueError("the database must be a file: several threads and processes share it")
    if path.startswith("file:"):
        return url
    mode = "ro" if read_only else "rwc"
    return f"sqlite:///file:{path}?mode={mode}&uri=true"


def is_open_elsewhere(url: str) -> bool:
    """Says whether anybody has a database open; to be asked before oneself has it open.

    Head end and authority keep connections as long as they run.
    """
    address = make_url(url)
    if address.get_backend_name() == "sqlite":
        return Path(str(address.database)).exists() and _is_held(str(address.database))
    engine = open_engine(url)
    try:
        with engine.connect() as connection:
            return bool(connection.scalar(text(_OTHERS)))
    finally:
        engine.dispose()


def _is_held(file: str) -> bool:
    """Says whether another connection is open: in WAL each keeps a lock that shuts out this one."""
    with closing(sqlite3.connect(file, timeout=1.0)) as alone:
        alone.execute("PRAGMA locking_mode=EXCLUSIVE")
        try:
            alone.execute("BEGIN EXCLUSIVE")
        except sqlite3.OperationalError as error:
            if is_locked(error):
                return True
            raise
        alone.rollback()
        return False


def leave_readable(engine: Engine) -> None:
    """Disposes of an engine; who may only read its database can open it without anybody else.

    Who closes a file in WAL last takes its log and its index away, and makes them again when it
    opens it. A reader that may not write beside the file cannot: it needs them there, if empty.
    """
    engine.dispose()
    if engine.dialect.name != "sqlite":
        return
    file = Path(str(engine.url.database).removeprefix("file:"))
    if file.exists():
        for end in ("-wal", "-shm"):
            file.with_name(file.name + end).touch(mode=0o600)


@contextmanager
def reading(engine: Engine) -> Iterator[Session]:
    """Yields a session on one consistent snapshot; nothing is written."""
    if engine.dialect.name == "postgresql":
        engine = engine.execution_options(isolation_level="REPEATABLE READ")
    with Session(engine, expire_on_commit=False) as session:
        yield session


@contextmanager
def writing(engine: Engine) -> Iterator[Session]:
    """Yields a session that holds the write lock; commits at the end, rolls back on an error."""
    with connected_to_write(engine) as connection:
        with Session(connection, expire_on_commit=False) as session, session.begin():
            take_write_lock(connection)
            yield session
        if connection.in_transaction():
            connection.commit()


def connected_to_write(engine: Engine) -> Connection:
    """Returns a connection whose transactions begin with SQLite's write lock."""
    return engine.connect().execution_options(**{_BEGIN: "IMMEDIATE"})


def take_write_lock(connection: Connection) -> None:
    """Takes the write lock of PostgreSQL until the transaction ends; SQLite's is held by then."""
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(_WRITE_LOCK)))
        if (check := connection.get_execution_options().get(BEFORE_WRITING)) is not None:
            check(connection)


def batched(keys: Sequence[T], size: int = PER_QUERY) -> Iterator[Sequence[T]]:
    """Yields keys, as many at a time as a query may ask for."""
    for start in range(0, len(keys), size):
        yield keys[start : start + size]
