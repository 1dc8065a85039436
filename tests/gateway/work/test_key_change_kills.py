"""A gateway killed at any step of a change of keys opens its meter afterwards, and says how."""

import asyncio
import json
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hesper_contracts import commands, new_keys
from hesper_contracts.new_keys import NewKeys, Recipient
from hesper_sim import key_change
from hesper_sim.nonvolatile import Keys

pytestmark = pytest.mark.integration

PROGRAM = Path(__file__).with_name("killable_key_change.py")
NEW = NewKeys(encryption_key=b"e" * 16, authentication_key=b"a" * 16, master_key=b"m" * 16)


def folder_of(works: Any) -> Path:
    """Where the gateway that is killed keeps its state."""
    folder: Path = works.folder / "killed"
    return folder


def prepare(works: Any) -> None:
    """Lay out the gateway's folder, with the command that changes the keys."""
    folder_of(works).mkdir()
    works.authority.save(folder_of(works) / "authority.key")
    works.key.save(folder_of(works) / "gateway.key")
    keys = folder_of(works) / "meter.json"
    keys.touch(mode=0o600)
    names = ("encryption_key", "authentication_key", "master_key")
    keys.write_text(json.dumps({name: getattr(works.keys, name).hex() for name in names}))
    box = new_keys.seal(NEW, Recipient("gw-1", works.serial, "c-1"), works.key.public_key)
    command = works.command("keys.change", parameters={"sealed": box})
    payload = commands.to_payload(command, works.authority)
    (folder_of(works) / "command").write_bytes(payload)
    order = {"port": works.port, "meter": works.config().model_dump(exclude_none=True)}
    (folder_of(works) / "order.json").write_text(json.dumps(order))


async def run(works: Any, stop: str = "none") -> str:
    """Run the gateway until it has said a word, then kill it; return the word."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(PROGRAM), str(folder_of(works)), stop, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    async with asyncio.timeout(20):
        word = (await process.stdout.readline()).decode().strip()
        with suppress(ProcessLookupError):
            process.send_signal(signal.SIGKILL)
        await process.wait()
    return word


def encryption_key(works: Any) -> bytes:
    found = key_change.keys_of(works.district, works.meter).encryption
    assert found is not None
    return found


def kept(works: Any) -> dict[str, Any]:
    path = folder_of(works) / "keys" / f"{works.serial}.json"
    return dict(json.loads(path.read_text())) if path.exists() else {}


def assert_consistent(works: Any, state: str) -> None:
    document, present = kept(works), encryption_key(works)
    assert "pending" not in document
    known = document.get("keys", {"encryption_key": works.plan.encryption_key.hex()})
    assert known["encryption_key"] == present.hex()
    assert state == ("confirmed" if present == NEW.encryption_key else "failed")
    used = (folder_of(works) / "counters").read_text().splitlines()
    assert len(set(used)) == len(used)


@pytest.mark.parametrize(
    ("stop", "state"),
    [
        ("before-begin", "failed"),
        ("torn-begin", "failed"),
        ("after-begin", "failed"),
        ("after-transfer", "confirmed"),
        ("before-take", "confirmed"),
        ("torn-take", "confirmed"),
        ("after-take", "confirmed"),
    ],
)
async def test_killed_at_a_step(works: Any, stop: str, state: str) -> None:
    async with works.line():
        prepare(works)
        assert await run(works, stop) == stop
        assert await run(works) == state
        assert_consistent(works, state)


@pytest.mark.parametrize("stop", ["before-drop", "torn-drop", "after-drop"])
async def test_killed_when_the_meter_has_declined(works: Any, stop: str) -> None:
    works.district.change_keys(works.meter, Keys(master=bytes(16)))
    async with works.line():
        prepare(works)
        assert await run(works, stop) == stop
        assert await run(works) == "failed"
        assert_consistent(works, "failed")


async def test_killed_again_and_again_while_it_finds_out(works: Any) -> None:
    async with works.line():
        prepare(works)
        for stop in ("after-transfer", "before-take", "torn-take"):
            assert await run(works, stop) == stop
        assert await run(works) == "confirmed"
        assert_consistent(works, "confirmed")
