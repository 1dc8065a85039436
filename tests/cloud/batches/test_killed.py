"""A batch over kills of the authority: every row has one command, whatever the moment."""

import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from hesper_cloud import audit
from hesper_cloud.authority.process import now_utc
from hesper_cloud.commissioning import MeterPaper, commission
from hesper_cloud.db.authority import CommandRecord
from hesper_cloud.db.engines import reading
from sqlalchemy import select

METERS = [f"HES3000{number:04}" for number in range(400)]
DEADLINE_S = 60.0


def process(config: Path) -> subprocess.Popen[bytes]:
    program = "from hesper_cloud.cli import main; main()"
    command = [sys.executable, "-c", program, "authority", "-c", str(config)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def commands(town) -> list[CommandRecord]:
    with reading(town.head_end.databases.authority) as session:
        return list(session.scalars(select(CommandRecord)))


def sent(town) -> int:
    return sum(command.sent_at is not None for command in commands(town))


def test_kills_at_any_moment_leave_one_command_for_each_row(town, tmp_path):
    town.clock.now = now_utc()
    papers = [
        MeterPaper(id=name, gateway="gw-1", logical_device_name=f"HSP{name[3:]}000000")
        for name in METERS
    ]
    commission(town.head_end.databases, papers)
    terms = {"canary": 0, "wave_size": 1000, "per_hour": 360_000, "kind": "clock.sync"}
    batch = town.approved(meters=METERS, **terms)
    config = tmp_path / "cloud.toml"  # its broker is not there: what is signed waits to leave
    config.write_text('state = "state"\n[broker]\nhost = "127.0.0.1"\nport = 9\n')
    kills = 0
    while sent(town) < len(METERS):
        running, before = process(config), sent(town)
        deadline = time.monotonic() + DEADLINE_S
        while sent(town) < min(len(METERS), before + 60 + 37 * kills):
            assert running.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        running.kill()
        running.wait()
        kills += 1
    assert kills >= 3
    made = commands(town)
    assert Counter(command.meter for command in made) == Counter(METERS)
    rows = {row.command: row.meter for row in town.rows(batch)}
    assert rows == {command.id: command.meter for command in made}
    assert sorted(command.counter for command in made) == list(range(1, len(METERS) + 1))
    with reading(town.head_end.databases.authority) as session:
        assert audit.verify(session).intact
