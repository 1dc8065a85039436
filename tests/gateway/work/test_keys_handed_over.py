"""A change of keys that one gateway left open is settled by the one that takes its place."""

import asyncio
import json
import sqlite3
from pathlib import Path
from typing import Any

import pytest
from hesper_contracts import jsonbody, results
from hesper_contracts.signing import Keyring, Signer
from hesper_gateway import meter_keys
from hesper_gateway.alarms import Alarms
from hesper_gateway.database import Database
from hesper_gateway.errors import ConfigError
from hesper_gateway.key_news import KeyNews
from hesper_gateway.key_store import KeyStore
from hesper_gateway.meter_keys import MeterKeys
from hesper_gateway.outbox import Outbox

OLD, NEW = "a1" * 16, "b2" * 16
FILE: dict[str, Any] = {
    "encryption_key": OLD,
    "master_key": "c3" * 16,
    "pending": {"command": "c-1", "encryption_key": NEW, "master_key": "c3" * 16},
}


def keys_file(folder: Path, document: dict[str, Any]) -> MeterKeys:
    path = folder / "M1.json"
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    path.write_text(json.dumps(document))
    return meter_keys.load(path)


async def test_both_sets_count_until_one_is_proven_and_then_it_alone(tmp_path):
    store, given = KeyStore(tmp_path / "state"), keys_file(tmp_path, FILE)
    held = store.held("M1", given)
    assert held.current.encryption_key == bytes.fromhex(OLD)
    assert held.pending is not None
    assert (held.pending.command_id, held.pending.keys.encryption_key.hex()) == ("c-1", NEW)
    await held.take()
    again = store.held("M1", given)
    assert (again.current.encryption_key.hex(), again.pending) == (NEW, None)


async def test_keys_that_were_not_taken_do_not_come_back_with_a_restart(tmp_path):
    store, given = KeyStore(tmp_path / "state"), keys_file(tmp_path, FILE)
    await store.held("M1", given).drop()
    again = store.held("M1", given)
    assert (again.current.encryption_key.hex(), again.pending) == (OLD, None)


@pytest.mark.parametrize(
    "pending",
    [
        {"encryption_key": NEW},
        {"command": 7, "encryption_key": NEW},
        {"command": "c-1", "password": "x"},
        {"command": "c-1", "encryption_key": "b2"},
        [NEW],
    ],
)
def test_a_keys_file_that_holds_something_else_is_refused_without_a_key_in_the_text(
    tmp_path, pending
):
    with pytest.raises(ConfigError) as refused:
        keys_file(tmp_path, FILE | {"pending": pending})
    assert "b2" not in str(refused.value)


def journalled(database: Database, command_id: str, state: str) -> Any:
    row = (command_id, 1, b"", b"{}", state, b"{}")

    def insert(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO commands VALUES (?, ?, ?, ?, ?, ?)", row)

    return database.write(insert)


@pytest.mark.parametrize(("is_new", "state"), [(True, "confirmed"), (False, "failed")])
@pytest.mark.parametrize("known", [None, "unknown"])
async def test_what_is_settled_late_goes_up_signed_as_the_result_of_its_command(
    database: Database, is_new: bool, state: str, known: str | None
):
    key = Signer.generate()
    outbox = Outbox(database, key, 10**7)
    if known:
        await journalled(database, "c-1", known)
    await journalled(database, "c-2", "executing")
    news = KeyNews("gw-1", database, outbox, Alarms(outbox))
    told = asyncio.Event()
    outbox.appended = told.set
    work = asyncio.create_task(news.run())
    news.settled("M1", "c-2", is_new)  # reports by itself
    news.settled("M1", "c-1", is_new)
    async with asyncio.timeout(60):
        await told.wait()
    work.cancel()
    (sequence,) = (
        row[0] for row in database.read(lambda c: c.execute("SELECT sequence FROM batches"))
    )
    batch = outbox.load(sequence)
    assert batch is not None
    result = results.from_payload(batch.payload, Keyring.of(key.public_key), "gw-1")
    assert (result.command_id, result.state) == ("c-1", state)
    assert jsonbody.encode(result.findings) == jsonbody.encode(
        results.Findings(keys="new" if is_new else "old")
    )
