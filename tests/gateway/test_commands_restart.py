"""A gateway killed in the middle of a command never acts twice, and says how it ended."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hesper_contracts import results
from hesper_contracts.frame import Kind
from hesper_contracts.signing import Keyring, Signer
from hesper_gateway.database import Database
from hesper_gateway.outbox import Outbox

PROGRAM = Path(__file__).with_name("killable_executor.py")


def start(folder: Path, *how: str) -> "subprocess.Popen[str]":
    command = [sys.executable, str(PROGRAM), str(folder), *how]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def until(process: "subprocess.Popen[str]", word: str) -> None:
    assert process.stdout is not None
    for line in process.stdout:
        if line.strip() == word:
            return
    raise AssertionError(f"ended before {word!r}")


def outcomes(folder: Path) -> list[str]:
    database = Database(folder / "gateway.db")
    key = Signer.load(folder / "gateway.key")
    outbox = Outbox(database, key)
    batches = [outbox.load(sequence) for sequence in outbox.urgent()]
    states = [
        results.from_payload(each.payload, Keyring.of(key.public_key), "gw-1").state
        for each in batches
        if each is not None and each.kind is Kind.RESULTS
    ]
    database.close()
    return list(states)


@pytest.mark.parametrize(
    ("kill_at", "moves", "end"), [("before-move", 0, "failed"), ("after-move", 1, "confirmed")]
)
def test_killed_while_executing(tmp_path: Path, kill_at: str, moves: int, end: str) -> None:
    Signer.generate().save(tmp_path / "gateway.key")
    Signer.generate().save(tmp_path / "authority.key")
    with start(tmp_path, kill_at) as first:
        until(first, kill_at)
        first.send_signal(signal.SIGKILL)
    with start(tmp_path, "resume") as second:
        until(second, "settled")
    relay = tmp_path / "relay"
    assert len(relay.read_text().splitlines() if relay.exists() else []) == moves
    assert outcomes(tmp_path) == ["executing", end]
    with start(tmp_path, "redeliver") as third:
        until(third, "settled")
    assert len(relay.read_text().splitlines() if relay.exists() else []) == moves
    assert outcomes(tmp_path) == ["executing", end, end]
