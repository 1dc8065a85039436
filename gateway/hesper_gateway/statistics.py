"""What a gateway's database holds, read beside a running agent and never changed."""

import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from hesper_gateway import batches, journal

_PER_LINE = (
    "SELECT meter, sum(octets_sent), sum(octets_received), sum(call_s), sum(calls), sum(messages) "
    "FROM line_use GROUP BY meter"
)


def opened(path: Path) -> "closing[sqlite3.Connection]":
    """Returns the database for reading only, to be closed by ``with``."""
    return closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True))


def queue(connection: sqlite3.Connection) -> dict[str, str | int | None]:
    """Returns what waits for receipts and what became of commands."""
    backlog_batches, backlog_octets = batches.backlog(connection)
    last_sequence, stored_octets = batches.stored(connection)
    (epoch,) = connection.execute("SELECT value FROM settings WHERE name = 'epoch'").fetchone() or (
        None,
    )
    (oldest,) = connection.execute("SELECT min(appended_at) FROM backlog").fetchone()
    (executing,) = connection.execute(
        "SELECT count(*) FROM commands WHERE state = 'executing'"
    ).fetchone()
    return {
        "epoch": epoch,
        "last_sequence": last_sequence,
        "backlog_batches": backlog_batches,
        "backlog_octets": backlog_octets,
        "oldest_unreceipted_at": oldest and datetime.fromtimestamp(oldest, UTC).isoformat(),
        "stored_octets": stored_octets,
        "command_counter": journal.replay_window(connection).highest,
        "commands_executing": executing,
    }


def storage(connection: sqlite3.Connection) -> dict[str, str | int]:
    """Returns the schema's version and whether the file is sound."""
    (schema,) = connection.execute("PRAGMA user_version").fetchone()
    (sound,) = connection.execute("PRAGMA quick_check(1)").fetchone()
    return {"schema_version": schema, "quick_check": sound}


def meters(connection: sqlite3.Connection) -> dict[str, dict[str, Any]]:
    """Returns by meter: its newest stored capture, counters by key, and what its line used."""
    found: dict[str, dict[str, Any]] = {}
    for meter, newest in connection.execute(
        "SELECT meter, max(captured_at) FROM progress GROUP BY meter"
    ):
        moment = datetime.fromtimestamp(newest, UTC).isoformat()
        found.setdefault(meter, {})["newest_capture"] = moment
    for meter, key, reserved in connection.execute(
        "SELECT meter, key_name, reserved FROM counters"
    ):
        found.setdefault(meter, {}).setdefault("counters_reserved", {})[key] = reserved
    (has_use,) = connection.execute(
        "SELECT count(*) FROM sqlite_master WHERE name = 'line_use'"
    ).fetchone()
    for meter, *use in connection.execute(_PER_LINE) if has_use else ():
        names = ("octets_sent", "octets_received", "call_s", "calls", "messages")
        found.setdefault(meter, {}).update(zip(names, use, strict=True))
    return found
