"""Copies of PostgreSQL databases, by the server's own pg_dump and pg_restore.

One transaction is the snapshot of the dump and of the counts and digests beside it, so that what is
restored can be held against it row by row. Passwords reach the programs by their environment, which
nobody else reads, and not by their arguments.
"""

import hashlib
import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import URL, Connection, create_engine, make_url, text
from sqlalchemy.exc import SQLAlchemyError

from hesper_cloud.backup.manifest import BackupError, Tables

ENDING = ".dump"
_SCRATCH = "hesper_rehearsal_"
_LEFT = """
    SELECT datname FROM pg_database WHERE starts_with(datname, :own)
        AND datname NOT IN (SELECT datname FROM pg_stat_activity WHERE datname IS NOT NULL)"""
_NO_MORE_ROWS = r"\."
_TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = current_schema() ORDER BY tablename"


class PostgresDatabase:
    """One database on a PostgreSQL server."""

    ending = ENDING

    def __init__(self, url: str) -> None:
        self._url = make_url(url)

    def copy(self, target: Path) -> Tables:
        """Dumps the database; returns row count and digest of each table.

        Raises:
            BackupError: the server or its program is not there, or refuses.
        """
        with self._connection("REPEATABLE READ") as connection:
            snapshot = connection.execute(text("SELECT pg_export_snapshot()")).scalar_one()
            target.touch(mode=0o600)
            self._run("pg_dump", "--format=custom", f"--snapshot={snapshot}", f"--file={target}")
            return _measured(connection)

    def refuse_to_overwrite(self) -> None:
        """Raises BackupError where there is any table."""
        with self._connection() as connection:
            found = connection.execute(text(_TABLES)).scalars().first()
        if found is not None:
            name = self._url.database
            raise BackupError(f"the database {name} has a table {found}: restore into an empty one")

    def revision(self, source: Path) -> str | None:
        """Returns what the dump says, without any server; None where it is of no migration.

        Raises:
            BackupError: the program is not there, or the file is no dump.
        """
        only = ("--data-only", "--table=alembic_version", "--file=-")
        lines = self._output("pg_restore", *only, str(source)).splitlines()
        rows = [at + 1 for at, line in enumerate(lines) if line.startswith("COPY ")]
        return lines[rows[0]] if rows and lines[rows[0]] != _NO_MORE_ROWS else None

    def restore(self, source: Path) -> Tables:
        """Puts a dump into the empty database, all of it or nothing; returns what is there then.

        Raises:
            BackupError: the server or its program is not there, or refuses.
        """
        one = ("--exit-on-error", "--single-transaction")
        self._run("pg_restore", *one, "--no-owner", "--no-privileges", str(source))
        with self._connection("REPEATABLE READ") as connection:
            return _measured(connection)

    def remove(self) -> None:
        """Removes every table, of a restore that failed."""
        with self._connection() as connection:
            for table in connection.execute(text(_TABLES)).scalars().all():
                connection.execute(text(f"DROP TABLE {_quoted(table)} CASCADE"))
            connection.commit()

    @contextmanager
    def scratch(self) -> Iterator[str]:
        """Yields the URL of an empty database beside this one, which is dropped afterwards.

        One that a killed rehearsal left, full of people's data, is dropped before.

        Raises:
            BackupError: the account may not make one.
        """
        own = f"{_SCRATCH}{hashlib.sha256(str(self._url.database).encode()).hexdigest()[:8]}_"
        name = own + secrets.token_hex(4)
        try:
            with self._connection("AUTOCOMMIT") as connection:
                for left in connection.execute(text(_LEFT), {"own": own}).scalars().all():
                    connection.execute(text(f"DROP DATABASE IF EXISTS {_quoted(left)}"))
                connection.execute(text(f"CREATE DATABASE {name} TEMPLATE template0"))
        except BackupError as error:
            raise BackupError(
                f"a rehearsal needs a database of its own (ALTER ROLE … CREATEDB): {error}"
            ) from error
        try:
            yield self._url.set(database=name).render_as_string(hide_password=False)
        finally:
            with self._connection("AUTOCOMMIT") as connection:
                connection.execute(text(f"DROP DATABASE IF EXISTS {name}"))

    @contextmanager
    def _connection(self, isolation: Any = "READ COMMITTED") -> Iterator[Connection]:
        engine = create_engine(self._url, hide_parameters=True, isolation_level=isolation)
        try:
            with engine.connect() as connection:
                connection.execute(text("SET TIME ZONE 'UTC'"))
                yield connection
        except SQLAlchemyError as error:
            raise BackupError(f"{self._url!r}: {error}") from error
        finally:
            engine.dispose()

    def _run(self, program: str, *arguments: str) -> None:
        self._output(program, "--no-password", f"--dbname={_address(self._url)}", *arguments)

    def _output(self, program: str, *arguments: str) -> str:
        path = shutil.which(program)
        if path is None:
            raise BackupError(
                f"{program} is not on this machine, and a database of PostgreSQL needs it:"
                " install the client programs of its version, for example postgresql-client"
            )
        environment = dict(os.environ)
        if self._url.password is not None:
            environment["PGPASSWORD"] = str(self._url.password)
        done = subprocess.run([path, *arguments], env=environment, capture_output=True, check=False)
        if done.returncode:
            told = done.stderr.decode(errors="replace").strip()
            raise BackupError(f"{program} failed on {self._url!r}: {told[-500:]}")
        return done.stdout.decode(errors="replace")


def _address(url: URL) -> str:
    plain = URL.create(
        "postgresql", url.username, None, url.host, url.port, url.database, url.query
    )
    return plain.render_as_string()


def _measured(connection: Connection) -> Tables:
    tables = connection.execute(text(_TABLES)).scalars().all()
    return {table: _measured_table(connection, table) for table in tables}


def _measured_table(connection: Connection, table: str) -> dict[str, Any]:
    """Counts rows and adds up their digests, as text in an order that no index decides."""
    found, count = hashlib.sha256(), 0
    rows = f'SELECT t::text FROM {_quoted(table)} AS t ORDER BY t::text COLLATE "C"'  # noqa: S608 - the server's own names
    driver: Any = connection.connection  # psycopg's: COPY is not SQLAlchemy's
    with driver.cursor() as cursor, cursor.copy(f"COPY ({rows}) TO STDOUT") as parts:
        for part in parts:
            found.update(part)
            count += bytes(part).count(b"\n")  # those within a value are written as \\n
    return {"rows": count, "digest": found.hexdigest()}


def _quoted(name: str) -> str:
    doubled = name.replace('"', '""')
    return f'"{doubled}"'
