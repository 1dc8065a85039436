"""Invocation counters: never twice, whatever happens to the process."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hesper_gateway.cli import app
from hesper_gateway.counters import (
    ALARM_FROM,
    LAST,
    MOST_SKIPPED,
    RESERVED_AHEAD,
    SKIPPED_AFTER_LOSS,
    CounterExhausted,
    Counters,
)
from hesper_gateway.database import DATABASE_NAME, Database
from typer.testing import CliRunner

USER = """
import sys
from pathlib import Path
from hesper_gateway.counters import Counters
from hesper_gateway.database import Database

counter = Counters(Database(Path(sys.argv[1]))).reserve("M1", "guek")
while True:
    print(counter(), flush=True)
"""


def start_at(database: Database, counter: int) -> None:
    database.submit(
        lambda c: c.execute("INSERT INTO counters VALUES ('M1', 'guek', ?)", (counter,))
    ).result()


def test_counts_up_across_reservations(database: Database) -> None:
    counter = Counters(database).reserve("M1", "guek")
    drawn = [counter() for _ in range(3 * RESERVED_AHEAD)]
    assert drawn == list(range(1, 3 * RESERVED_AHEAD + 1))


def test_every_key_has_its_own(database: Database) -> None:
    counters = Counters(database)
    assert counters.reserve("M1", "guek") is counters.reserve("M1", "guek")
    assert counters.reserve("M1", "guek")() == counters.reserve("M1", "dedicated")() == 1


def test_meters_that_share_a_key_never_share_a_counter(database: Database) -> None:
    counters = Counters(database)
    meters = [counters.reserve(meter, "guek") for meter in ("M1", "M2", "renamed")]
    drawn: list[list[int]] = [[], [], []]
    for turn in range(5 * RESERVED_AHEAD):
        drawn[turn % 3].append(meters[turn % 3]())
        if turn == RESERVED_AHEAD:
            meters[0].advance(4321)
    everything = [counter for each in drawn for counter in each]
    assert len(everything) == len(set(everything))
    assert drawn == [sorted(each) for each in drawn]


def test_a_restart_skips_what_was_reserved(database: Database) -> None:
    used = Counters(database).reserve("M1", "guek")()
    assert Counters(database).reserve("M1", "guek")() == used + RESERVED_AHEAD


def test_never_twice_over_kills(tmp_path: Path) -> None:
    path = tmp_path / "gateway.db"
    drawn: list[int] = []
    for kill_after in (1, 900, 1500):
        with subprocess.Popen(
            [sys.executable, "-c", USER, str(path)], stdout=subprocess.PIPE, text=True
        ) as user:
            assert user.stdout is not None
            drawn += [int(user.stdout.readline()) for _ in range(kill_after)]
            user.send_signal(signal.SIGKILL)
            drawn += [int(line) for line in user.stdout.read().split("\n")[:-1]]
    assert len(drawn) == len(set(drawn))
    assert drawn == sorted(drawn)


def test_half_way_it_alarms_once(database: Database) -> None:
    told: list[tuple[str, str, int]] = []
    start_at(database, ALARM_FROM - 1)
    counter = Counters(database, lambda *what: told.append(what)).reserve("M1", "guek")
    assert [counter(), counter(), counter()] == [ALARM_FROM - 1, ALARM_FROM, ALARM_FROM + 1]
    assert told == [("M1", "guek", ALARM_FROM)]


def test_the_last_one_is_never_used(database: Database) -> None:
    start_at(database, LAST - 1)
    counter = Counters(database).reserve("M1", "guek")
    assert counter() == LAST - 1
    for _ in range(2):
        with pytest.raises(CounterExhausted):
            counter()


def test_skips_ahead_to_what_the_meter_expects(database: Database) -> None:
    start_at(database, SKIPPED_AFTER_LOSS)
    expected = SKIPPED_AFTER_LOSS + 5000
    counter = Counters(database).reserve("M1", "guek")
    counter.advance(expected)
    assert counter() == expected
    counter.advance(20)
    assert counter() == expected + 1
    assert Counters(database).reserve("M1", "guek")() > expected + 1


def test_what_a_dead_gateway_sent_and_the_meter_never_got_is_skipped_once(
    database: Database,
) -> None:
    Counters(database).reserve("M1", "guek")()
    counter = Counters(database).reserve("M1", "guek")
    counter.advance(5000)
    assert counter() == 5000 + SKIPPED_AFTER_LOSS
    counter.advance(9000 + SKIPPED_AFTER_LOSS)
    assert counter() == 9000 + SKIPPED_AFTER_LOSS


def test_one_unauthenticated_word_cannot_use_up_a_key(database: Database) -> None:
    counter = Counters(database).reserve("M1", "guek")
    with pytest.raises(CounterExhausted):
        counter.advance(ALARM_FROM + MOST_SKIPPED)
    assert counter() == 1


def test_status_shows_the_counter_of_every_key_of_a_meter(tmp_path: Path) -> None:
    path = tmp_path / "gateway.toml"
    path.write_text('gateway = "gw-1"\nstate = "."\n[broker]\nhost = "localhost"\n')
    database = Database(tmp_path / DATABASE_NAME, ballast_octets=0)
    first = Counters(database).reserve("M1", "key-b")
    for _ in range(RESERVED_AHEAD):
        first()
    Counters(database).reserve("M1", "key-a")
    database.close()
    shown = CliRunner().invoke(app, ["status", "-c", str(path)]).stdout
    assert "counter 1001 of key-a, counter 2001 of key-b" in shown
    told = json.loads(CliRunner().invoke(app, ["status", "--json", "-c", str(path)]).stdout)
    assert told["meters"]["M1"]["counters_reserved"] == {"key-a": 1001, "key-b": 2001}


def test_the_status_of_an_agent_that_never_ran_says_so(tmp_path: Path) -> None:
    missing = CliRunner().invoke(app, ["status", "-c", str(tmp_path / "gateway.toml")])
    assert missing.exit_code == 2
    assert "another one is named by --config" in missing.stderr
    path = tmp_path / "gateway.toml"
    path.write_text('gateway = "gw-1"\nstate = "."\n[broker]\nhost = "localhost"\n')
    shown = CliRunner().invoke(app, ["status", "-c", str(path)])
    assert shown.exit_code == 1
    assert "`hesper-gateway run` makes it" in shown.stderr
