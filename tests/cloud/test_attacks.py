"""Attacks with what an insider or a thief may hold, and that the table of attacks is true."""

import re
import shutil
import sqlite3
from pathlib import Path

import pytest
from hesper_cloud import provision
from hesper_cloud.authority.hours import EVER
from hesper_cloud.authority.policy import Policy
from hesper_cloud.db.engines import writing
from hesper_cloud.db.registry import Gateway
from hesper_contracts import results
from hesper_contracts.results import CommandResult, RelayReading
from hesper_contracts.signing import Signer

ROOT = Path(__file__).parents[2]
METER, GATEWAY = "HES12642984", "gw-1"
NAMED = sorted(
    set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", (ROOT / "docs/attacks.md").read_text()))
)


@pytest.mark.parametrize(("file", "name"), NAMED)
def test_what_the_table_names_is_there(file: str, name: str):
    assert re.search(rf"def {name}\(", (ROOT / file).read_text())


def test_a_stolen_operator_password_asks_and_cuts_nothing(head_end, clock):
    command = head_end.ask_disconnect(who="ann").outcome["command"]
    stolen = "asking-politely-1"
    for who in ("ann", "ben"):
        assert head_end.approve(command, who=who, password=stolen).state == "refused"
    assert head_end.ask("ann", "command.release", command=command, password=stolen).state == (
        "refused"
    )
    clock.advance(3600)
    head_end.authority.turn()
    assert head_end.published() == []
    assert head_end.command(command).state == "expired"


def test_a_stolen_gateway_settles_nobody_elses_command(head_end):
    thief = Signer.generate()
    provision.add_gateway(head_end.databases, "gw-2", thief.public_key.hex())
    command = head_end.ask_disconnect().outcome["command"]
    head_end.approve(command)
    result = CommandResult(
        command_id=command,
        gateway="gw-2",
        meter=METER,
        state="confirmed",
        at=head_end.clock.now,
        relay_after=RelayReading(output=False, control_state=0, read_at=head_end.clock.now),
    )
    head_end.store_result(command, results.to_payload(result, thief, "ab" * 8, 1))
    assert head_end.command(command).state == "sent"
    [sent] = head_end.published()
    head_end.answer(sent, "confirmed", output=False, signer=thief)
    assert head_end.command(command).state == "sent"


class TestRestored:
    """Somebody puts yesterday's authority.db back."""

    @pytest.fixture
    def file(self, head_end) -> Path:
        document = Policy(hours=EVER).model_dump(mode="json")
        provision.activate_policy(head_end.databases.authority, "test", document)
        return Path(head_end.settings.database.authority_url.removeprefix("sqlite:///"))

    def copy(self, file: Path, copy: Path) -> Path:
        with sqlite3.connect(file) as source, sqlite3.connect(copy) as target:
            source.backup(target)
        source.close()
        target.close()
        return copy

    def restore(self, head_end, file: Path, copy: Path) -> None:
        head_end.databases.authority.dispose()
        for end in ("-wal", "-shm"):
            file.with_name(file.name + end).unlink(missing_ok=True)
        shutil.copy(copy, file)
        head_end.start_authority()

    def test_a_restored_database_sends_no_counter_twice(self, head_end, clock, file, tmp_path):
        old = self.copy(file, tmp_path / "old.db")
        command = head_end.ask_reconnect().outcome["command"]
        [sent] = head_end.published()
        head_end.answer(sent, "confirmed", output=True)
        with writing(head_end.databases.registry) as session:
            session.get_one(Gateway, GATEWAY).command_counter = sent.counter
        self.restore(head_end, file, old)
        assert head_end.commands() == []
        clock.advance(60)
        again = head_end.ask_reconnect().outcome["command"]
        assert again != command
        assert head_end.published()[-1].counter > sent.counter

    def test_a_restored_database_moves_no_relay_twice(self, head_end, clock, file, tmp_path):
        head_end.outbox.connected = False
        waiting = head_end.ask_disconnect().outcome["command"]
        old = self.copy(file, tmp_path / "old.db")
        head_end.outbox.connected = True
        head_end.approve(waiting)
        [sent] = head_end.published()
        with writing(head_end.databases.registry) as session:
            session.get_one(Gateway, GATEWAY).command_counter = sent.counter
        self.restore(head_end, file, old)
        assert head_end.command(waiting).state == "awaiting_approval"
        head_end.approve(waiting)
        again = head_end.published()[-1]
        # The gateway knows the id: under it, it obeys no other envelope (test_commands there).
        assert (again.id, again.counter > sent.counter) == (sent.id, True)
