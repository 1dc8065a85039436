"""Reading what the authority has decided, from where it cannot be written."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hesper_cloud.db.engines import leave_readable, open_engine
from sqlalchemy import Engine

READER = """
import sys
from hesper_cloud.db.engines import open_engine
from hesper_cloud.db.watch import Watch
url = sys.argv[1]
engine, watch = open_engine(url, read_only=True), Watch(url)
for statement in sys.stdin:
    try:
        with engine.connect() as connection:
            print(watch.changed(), connection.exec_driver_sql(statement).scalar(), flush=True)
    except Exception as error:
        print(getattr(error, "orig", error), flush=True)
"""
COUNT = "SELECT count(*) FROM approval"


@pytest.fixture
def url(tmp_path) -> str:
    """Where the authority's database lies."""
    return f"sqlite:///{tmp_path / 'authority.db'}"


@pytest.fixture
def authority(url) -> Iterator[Engine]:
    """The authority's own side; what it was closed with is there for readers."""
    engine = open_engine(url)
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE approval (id INTEGER)")
    yield engine
    engine.dispose()


class Reader:
    """A process that asks the database from behind the wall."""

    def __init__(self, words: list[str], url: str) -> None:
        command = [*words, sys.executable, "-c", READER, url]
        pipe = subprocess.PIPE
        self.process = subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True)

    def ask(self, statement: str = COUNT) -> str:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{statement}\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()


@pytest.fixture
def reader(wall, url, tmp_path, authority) -> Iterator[Reader]:
    reader = Reader(wall(tmp_path), url)
    yield reader
    reader.process.kill()
    reader.process.communicate()


def approve(authority: Engine) -> None:
    with authority.begin() as connection:
        connection.exec_driver_sql("INSERT INTO approval VALUES (1)")


def test_who_reads_sees_each_commit_and_enters_nothing(reader, authority):
    assert reader.ask() == "True 0"
    assert reader.ask() == "False 0"
    approve(authority)
    assert reader.ask() == "True 1"
    assert reader.ask("INSERT INTO approval VALUES (2)") == "attempt to write a readonly database"
    assert reader.ask() == "False 1"


def test_who_reads_needs_nobody_else_there(reader, authority, tmp_path):
    leave_readable(authority)
    assert reader.ask() == "True 0"
    approve(authority)
    assert reader.ask() == "True 1"


def test_who_reads_outlasts_the_authority(reader, authority, tmp_path):
    assert reader.ask() == "True 0"
    authority.dispose()
    assert reader.ask().endswith(" 0")
    approve(authority)
    assert reader.ask() == "True 1"


def test_a_database_that_was_removed_leaves_nothing_behind(authority, tmp_path: Path):
    authority.dispose()
    (tmp_path / "authority.db").unlink()
    leave_readable(authority)
    assert list(tmp_path.iterdir()) == []
