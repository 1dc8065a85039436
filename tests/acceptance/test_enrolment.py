"""A dead gateway is replaced over the network: real broker, head end, meters and agents.

Every process is started as its user starts it. From the moment the first device dies, all meters
hang up on any counter that they have seen before, so that one reused counter would stop them.
"""

import re
import signal
import sqlite3
import sys
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hesper_gateway.counters import RESERVED_AHEAD, SKIPPED_AFTER_LOSS
from hesper_lab.reconcile import reconcile
from hesper_sim import ledger

sys.path.insert(0, str(Path(__file__).parent))
from enrolling_town import Town
from patience import eventually

pytestmark = pytest.mark.integration
GATEWAY = "gw-7"


@pytest.fixture
def town(tmp_path: Path, broker_factory: Callable[..., Any]) -> Iterator[Town]:
    town = Town(tmp_path, broker_factory)
    town.start_broker()
    yield town
    town.stop()


def limits(folder: Path) -> dict[tuple[str, str], int]:
    """What a device's database has reserved of each key's counters."""
    with sqlite3.connect(folder / "state" / "gateway.db") as database:
        rows = database.execute("SELECT meter, key_name, reserved FROM counters").fetchall()
    database.close()
    return {(meter, key): reserved for meter, key, reserved in rows}


def taken_off_the_lines(folder: Path) -> Path:
    """Leads an old device's lines to where no meter is: keys it has, and meters hear anybody."""
    path = folder / "gateway.toml"
    nobodys = count(1)  # a port for each line: no two meters are asked at one address
    path.write_text(
        re.sub(
            r'(kind = "tcp"\nhost = .*\nport = )\d+',
            lambda line: f"{line[1]}{next(nobodys)}",
            path.read_text(),
        )
    )
    return folder


@pytest.mark.timeout(400)
def test_a_dead_device_is_replaced_and_shut_out(town: Town) -> None:
    town.start_meters()
    town.start_head_end()
    town.tell("gateway", "keep", GATEWAY, str(town.keep(GATEWAY) / "gateway.toml"))
    first, told = town.enrol(GATEWAY, "first")
    assert "takes the place" not in told
    dying = town.agent(first)
    eventually(lambda: len({meter for meter, _ in town.stored()}) == 2, "both meters are stored")
    assert town.rest is not None
    ask = town.rest.get
    eventually(lambda: [row["has_key"] for row in ask("/gateways")] == [True], "it is believed")
    dying.send_signal(signal.SIGKILL)
    dying.wait()
    for meter in town.meters:
        town.run("hesper-sim", "fault", meter["serial"], "counter_hang_up", "--state", town.sim,
                 "--seconds", 600)  # fmt: skip

    before = limits(first)

    second, told = town.enrol(GATEWAY, "second")
    assert "takes the place of another" in told
    assert (first / "gateway.key").read_text() != (second / "gateway.key").read_text()
    replacing = town.agent(second)
    town.wait_until_all_is_stored()

    returned = town.agent(taken_off_the_lines(first))
    eventually(lambda: "ot authorized" in (first / "log").read_text(), "the old one is refused")
    returned.kill()
    returned.wait()
    town.wait_until_all_is_stored()
    replacing.terminate()
    replacing.wait()

    until = max(at for _, at in town.stored()) - 2
    latched = [r for r in ledger.records(town.sim, "latch") if r["captured_at"] <= until]
    assert town.rest is not None
    account = reconcile(latched, [], town.rest.export())
    assert (account.lost, account.duplicated, account.altered) == (0, 0, 0), account.examples
    after = limits(second)
    assert before.keys() == after.keys()
    assert all(after[key] - RESERVED_AHEAD >= SKIPPED_AFTER_LOSS > before[key] for key in before)
    assert "gone" not in (second / "log").read_text()
    assert town.tell("audit", "verify").startswith("intact")
