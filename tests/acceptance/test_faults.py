"""Everything that can be killed is killed in the middle of the run; then every value is counted.

SIGKILL, one after another: broker, head end, authority, two gateways with commands in flight, then
authority, broker and gateway at random moments with commands at any stage, the simulator, and once
more the broker, whose stored state is wiped. The push gateway is left alone: a push that nobody
listens to is not repeated, so it could not be expected in the store. Before all that the store
itself loses rows, which nobody but the gap ledger can bring back, and then the whole head end is
lost and restored from a backup.
"""

import math
import random
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
from hesper_cloud.stores.duckdb import DuckDbStore

pytestmark = [pytest.mark.acceptance, pytest.mark.timeout(300)]
LAN, RS485 = "gw-lan", "gw-rs485"
SLOW_PATIENCE_S = 100.0
UNDATED_QUIET_S = (1.0, 5.0)
LOAD_PROFILE = "1.0.99.1.0.255"
ACTIVE_ENERGY = "1.0.1.8.0.255"
CLOCK_RIGHT_MS = 2_000
KILLED_WITHIN_S = 1.5
SETTLED_S = 150.0
HESPER_CLOUD = Path(sys.executable).parent / "hesper-cloud"
IMPATIENT = "[backfill]\nafter_s = 0\nsettle_s = 1\n[rules]\ngap_grace_s = 3"


def all_captured(hesper: Any) -> dict[str, set[int]]:
    """When the stored load profile of each meter was captured."""
    found: dict[str, set[int]] = defaultdict(set)
    for row in hesper.operator.export():
        if row.profile == LOAD_PROFILE:
            found[row.meter].add(row.captured_at)
    return found


def captured(hesper: Any, meter: str) -> set[int]:
    """When a meter's stored load profile was captured."""
    return all_captured(hesper)[meter]


def expected_from(hesper: Any, meter: str) -> float:
    """Since when captures of a meter's load profile are missed if they are not there."""
    rows = hesper.operator.get(f"/meters/{meter}/profiles")
    since = next((row["expected_from"] for row in rows if row["profile"] == LOAD_PROFILE), None)
    return math.inf if since is None else datetime.fromisoformat(since).timestamp()


@contextmanager
def impatient(hesper: Any) -> Iterator[None]:
    """What starts meanwhile asks for gaps at once."""
    toml = hesper.site.cloud / "cloud.toml"
    patient = toml.read_text()
    toml.write_text(patient.replace("[rules]", IMPATIENT))
    try:
        yield
    finally:
        toml.write_text(patient)


def test_rows_that_the_store_lost_come_again_from_the_meter(hesper: Any) -> None:
    """They were receipted, and the gateway's mark is past them: nobody sends them by himself.

    Since when captures are expected is on record once ingest has stored some, and not only once
    the gap ledger has looked.
    """
    meter = hesper.meters_of(LAN)[3]
    lost = captured(hesper, meter)
    hesper.eventually(lambda: expected_from(hesper, meter) <= min(lost), "ingest notes the first")
    hesper.processes.children["cloud"].kill()
    store = DuckDbStore(hesper.site.cloud / "state" / "readings.duckdb")
    assert store.erase(meter) >= len(lost) > 0
    store.close()
    with impatient(hesper):
        hesper.processes.restart("cloud")
        hesper.wait_until_well()
    hesper.eventually(lambda: captured(hesper, meter) >= lost, "the rows are stored again")
    wanted = {"meter": meter, "profile": LOAD_PROFILE, "state": "closed"}
    gap = hesper.eventually(
        lambda: next(
            (each for each in hesper.operator.get("/gaps", **wanted) if "command" in each["proof"]),
            None,
        ),
        "the gap closes by what was asked for",
    )
    assert gap["proof"]["captures"] == gap["expected_count"] > 0
    assert len(gap["proof"]["sha256"]) == 64
    command = hesper.operator.get(f"/commands/{gap['proof']['command']}")
    assert (command["kind"], command["state"]) == ("read.profile", "confirmed")


def hesper_cloud(hesper: Any, *words: str | Path) -> None:
    subprocess.run([HESPER_CLOUD, *words, "-c", hesper.site.cloud / "cloud.toml"], check=True)


def forget_what_was_receipted(database: Path) -> None:
    """As the quota makes an outbox forget its oldest batches."""
    gone = (
        "sequence IN (SELECT sequence FROM released) AND sequence < (SELECT max(sequence) FROM {})"
    )
    with closing(sqlite3.connect(database)) as connection, connection:
        assert connection.execute(f"DELETE FROM batches WHERE {gone.format('batches')}").rowcount
        connection.execute(
            "DELETE FROM released WHERE sequence NOT IN (SELECT sequence FROM batches)"
        )


def test_a_head_end_that_is_lost_comes_back_from_its_backup(hesper: Any, tmp_path: Path) -> None:
    """Of what came since, one gateway sends its batches again; another has let go of them.

    What the second had read its meters are asked for once more. A relay that was commanded in
    between is found where it stands, and obeys the authority that was restored.
    """
    children, state = hesper.processes.children, hesper.site.cloud / "state"
    meter = hesper.meters_of(LAN)[3]
    hesper_cloud(hesper, "backup", tmp_path / "backups")
    (backup,) = (tmp_path / "backups").iterdir()
    assert hesper.outcome(hesper.ask(meter, "disconnect")) == "confirmed"
    hesper.wait_until_flowing()
    stored = all_captured(hesper)
    for name in ("cloud", "authority", RS485):
        children[name].kill()
    forget_what_was_receipted(hesper.site.gateways / RS485 / "state" / "gateway.db")
    shutil.move(state, tmp_path / "lost")
    shutil.copytree(tmp_path / "lost" / "keys", state / "keys")
    hesper_cloud(hesper, "restore", backup)
    with impatient(hesper):
        for name in ("authority", "cloud", RS485):
            hesper.processes.restart(name)
        hesper.wait_until_well()

    def is_whole() -> bool:
        found = all_captured(hesper)
        return all(found[each] >= times for each, times in stored.items())

    hesper.eventually(is_whole, "every reading is stored again")
    assert hesper.outcome(hesper.ask(meter, "reconnect")) == "confirmed"
    assert hesper.movements(meter) == [False, True]


def test_killed_broker(hesper: Any) -> None:
    hesper.processes.children["broker"].kill()
    hesper.wait_for_latches()
    hesper.processes.restart("broker")
    hesper.wait_until_flowing()


def test_killed_head_end(hesper: Any) -> None:
    hesper.processes.children["cloud"].kill()
    hesper.wait_for_latches()
    hesper.processes.restart("cloud")
    hesper.wait_until_well()
    hesper.wait_until_flowing()


def test_killed_authority_commands_again(hesper: Any) -> None:
    meter = hesper.meters_of(LAN)[0]
    hesper.processes.children["authority"].kill()
    hesper.processes.restart("authority")
    for action in ("disconnect", "reconnect"):
        assert hesper.outcome(hesper.ask(meter, action)) == "confirmed"
    assert hesper.movements(meter)[-2:] == [False, True]


def test_registers_are_read_and_a_clock_is_set_on_request(hesper: Any) -> None:
    meter = hesper.meters_of(LAN)[2]
    names = [ACTIVE_ENERGY, "1.0.200.8.0.255"]
    for kind, parameters in (
        ("read.registers", {"logical_names": names}),
        ("clock.sync", {"max_step_s": 30}),
    ):
        command = hesper.operator.request(kind, meter, parameters, "a complaint")
        assert hesper.outcome(command) == "confirmed"
        row = hesper.operator.get(f"/commands/{command}")
        assert (row["kind"], row["parameters"], row["approver"]) == (kind, parameters, None)
        if kind == "read.registers":
            assert row["findings"]["registers"][ACTIVE_ENERGY]["value"] > 0
            assert row["findings"]["missing"] == names[1:]
        else:
            assert abs(row["findings"]["clock_after"]["drift_ms"]) <= CLOCK_RIGHT_MS


def test_command_in_flight_before_the_write_never_acts(hesper: Any) -> None:
    """The gateway is killed while it waits for a meter that has not been told anything."""
    meter = hesper.meters_of(LAN)[1]
    command = hesper.ask(meter, "disconnect", but_first="silent")
    hesper.eventually(
        lambda: hesper.operator.command_state(command) == "executing", "the command is under way"
    )
    hesper.processes.children[LAN].kill()
    hesper.mend(meter, "silent")
    hesper.processes.restart(LAN)
    assert hesper.outcome(command) == "failed"
    assert hesper.movements(meter) == []
    assert hesper.relay_output(meter)


def test_command_in_flight_after_the_write_never_acts_twice(hesper: Any) -> None:
    """Two gateways are killed after the relay moved and before the slow meter said so."""
    waiting = {hesper.meters_of(LAN)[2]: LAN, hesper.meters_of(RS485)[0]: RS485}
    commands = {meter: hesper.ask(meter, "disconnect", but_first="slow") for meter in waiting}
    while waiting:
        meter = hesper.eventually(
            lambda: next((each for each in waiting if hesper.movements(each)), None),
            "a slow meter moves its relay",
            SLOW_PATIENCE_S,
        )
        hesper.processes.children[waiting.pop(meter)].kill()
    for meter in commands:
        hesper.mend(meter, "slow")
    for gateway in (LAN, RS485):
        hesper.processes.restart(gateway)
    for meter, command in commands.items():
        assert hesper.outcome(command) == "confirmed"
        assert hesper.movements(meter) == [False]
        assert not hesper.relay_output(meter)
    hesper.wait_until_flowing()


def test_killed_at_random_moments_every_command_ends_as_its_relay_stands(
    hesper: Any, record_property: Any
) -> None:
    """Authority, broker and gateway go down, one of them twice, with commands at any stage.

    A command is asked for, approved, signed, on its way, executing or answered when that happens.
    """
    seed = random.SystemRandom().randrange(2**32)
    record_property("seed", seed)
    chance = random.Random(seed)
    victims = ["authority", "broker", LAN]
    victims.append(chance.choice(victims))
    chance.shuffle(victims)
    free = iter(hesper.meters_of(LAN)[4:])
    rows = [list(islice(free, 3)) for _ in victims]
    asked: dict[str, str] = {}
    for victim, meters in zip(victims, rows, strict=True):
        death = threading.Timer(chance.uniform(0.0, KILLED_WITHIN_S), hesper.kill_once, (victim,))
        death.start()
        for meter in meters:
            asked[meter] = hesper.ask_through_faults(meter, "disconnect")
        death.join()
    ended = {meter: hesper.outcome(command, SETTLED_S) for meter, command in asked.items()}
    assert "confirmed" in ended.values(), f"seed {seed}: {ended}"
    for meter, state in ended.items():
        moved = [False] if state == "confirmed" else []
        assert hesper.movements(meter) == moved, f"seed {seed}: {meter} is {state}"
        is_on = hesper.relay_output(meter)
        assert is_on == (not moved)
        hesper.eventually(lambda name=meter, on=is_on: hesper.shown_output(name) is on, "shown")


def test_killed_simulator(hesper: Any) -> None:
    """What meters did not latch while they were without power is not expected of anyone."""

    def undated_push_is_settled() -> bool:
        ages = [
            time.time() - each["sent_at"]
            for each in hesper.records("push")
            if each["captured_at"] is None
        ]
        return UNDATED_QUIET_S[0] < min(ages, default=0) < UNDATED_QUIET_S[1]

    hesper.eventually(undated_push_is_settled, "no undated push is on its way")
    hesper.processes.children["sim"].kill()
    hesper.processes.restart("sim")
    hesper.wait_until_flowing()


def test_killed_broker_that_forgot_everything(hesper: Any) -> None:
    hesper.processes.children["broker"].kill()
    shutil.rmtree(hesper.site.broker / "data")
    (hesper.site.broker / "data").mkdir()
    hesper.wait_for_latches()
    hesper.processes.restart("broker")
    hesper.wait_until_flowing()
    meter = hesper.meters_of(RS485)[1]
    assert hesper.outcome(hesper.ask(meter, "disconnect")) == "confirmed"


def test_then_nothing_is_lost_doubled_altered_or_invented(hesper: Any) -> None:
    hesper.wait_until_well()
    hesper.reconcile()
