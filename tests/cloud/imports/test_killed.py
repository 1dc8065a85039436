"""A process that applies an import is killed, and another goes on: each row once, none lost."""

import subprocess
import sys
import time
from collections import Counter
from typing import Any

import pytest
from hesper_cloud.db.registry import AssetChange, ImportReject, Meter

ROWS, PORTION = 600, 20
DEADLINE_S = 60.0
APPLIES = """
import os, signal, sys
from datetime import UTC, datetime
from pathlib import Path
from hesper_cloud.db.engines import open_engine
from hesper_cloud.imports.applying import Applying
from hesper_cloud.long_jobs import running
from hesper_cloud.long_jobs.running import Runner

state, portion, dies_after = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
engine = open_engine(f"sqlite:///{state / 'hesper.db'}")
clock = lambda: datetime.now(UTC)
moved, count = running._moved, 0

def deadly(*arguments):
    global count
    moved(*arguments)
    count += 1
    if count == dies_after:  # all of the portion's rows are in the transaction, uncommitted
        os.kill(os.getpid(), signal.SIGKILL)

running._moved = deadly
runner = Runner(engine, [Applying(engine, state, clock, portion)], clock)
while runner.turn():
    print(count, flush=True)
"""


def applying(house: Any, dies_after: int = -1) -> subprocess.Popen[bytes]:
    arguments = [str(house.state), str(PORTION), str(dies_after)]
    return subprocess.Popen([sys.executable, "-c", APPLIES, *arguments], stdout=subprocess.PIPE)


def begun(house: Any) -> int:
    """Begins a file whose every tenth row is refused when it is applied."""
    rows = [[f"M-{number:04d}", *[""] * 10] for number in range(ROWS)]
    import_id, trial = house.tried("meters", rows)
    assert trial.good_count == ROWS
    known, _ = house.tried("meters", rows[::10])
    house.apply(known)
    return int(house.begin(import_id))


def go_on(house: Any) -> None:
    runner = house.runner(PORTION)
    while runner.turn():
        pass


def check_exactly_once(house: Any, job: int) -> None:
    done = house.job(job)
    refused = ROWS // 10
    assert done.state == "done"
    assert done.result == {"entered": ROWS - refused, "rejected": refused}
    assert len([row for row in house.all(Meter) if row.id.startswith("M-")]) == ROWS
    told = Counter(row.asset for row in house.all(AssetChange))
    assert set(told.values()) == {1}
    assert len(told) == ROWS
    assert len(house.all(ImportReject)) == refused


@pytest.mark.parametrize("dies_after", [2, ROWS // PORTION])
def test_killed_before_a_commit_the_portion_is_done_again(house: Any, dies_after: int) -> None:
    job = begun(house)
    child = applying(house, dies_after)
    child.communicate(timeout=DEADLINE_S)
    assert child.returncode == -9
    assert house.job(job).done == (dies_after - 1) * PORTION
    go_on(house)
    check_exactly_once(house, job)


def test_killed_at_any_moment_it_goes_on(house: Any) -> None:
    job = begun(house)
    child = applying(house)
    assert child.stdout is not None
    child.stdout.readline()
    child.kill()
    child.communicate(timeout=DEADLINE_S)
    assert house.job(job).done > 0
    go_on(house)
    check_exactly_once(house, job)


def test_two_runners_at_once_do_nothing_twice(house: Any) -> None:
    job = begun(house)
    children = [applying(house) for _ in range(2)]
    for child in children:
        child.communicate(timeout=DEADLINE_S)
    deadline = time.monotonic() + DEADLINE_S
    while house.job(job).state != "done":  # one may have ended while the other had the last portion
        assert time.monotonic() < deadline
        house.runner(PORTION).turn()
    check_exactly_once(house, job)
