"""The agent as it is installed, with meters of the simulator: its memory and what it costs idle.

Meters, broker and agent are processes of their own; receipts come from here. The agent first reads
every meter's whole load profile until all is sent and receipted; then it is started again, visits
every meter once, and is measured over a stretch in which no visit is due.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Final

from hesper_contracts.signing import Signer
from hesper_sim import fleet

from hesper_lab.bench.gateway_receipts import giving
from hesper_lab.bench.gateway_site import agent, await_readings, broker, configure
from hesper_lab.bench.rows import Row, row
from hesper_lab.bench.sim import cpu_s, rss_mb_of, serving

METERS: Final = 100
TARGET_RSS_MB: Final = 80.0
TARGET_IDLE_PERCENT: Final = 1.0
_RESTARTED_S: Final = 15.0
"""Long enough for every meter to be visited once, jitter included."""
_PERCENT: Final = 100


def run(meters: int, seconds: float) -> list[Row]:
    """Measure an agent with so many meters, idle for so many seconds."""
    settings = fleet.FleetSettings(
        tcp=meters, shared=0, dial_in=0, rs485=0, push=False, replay_s=10
    )
    plan = fleet.plan(settings)
    with tempfile.TemporaryDirectory() as name, serving(settings, Path(name)) as ready:
        folder = Path(name)
        ingest = Signer.generate()
        with broker(folder) as port, giving(port, ingest):
            configure(folder, plan, ready["listeners"], port, ingest)
            with agent(folder) as pid:
                await_readings(folder, meters)
                after_first = rss_mb_of(pid)
            with agent(folder) as pid:
                time.sleep(_RESTARTED_S)
                await_readings(folder, meters)
                before_s, begun = cpu_s(pid), time.monotonic()
                time.sleep(seconds)
                spent_s = cpu_s(pid) - before_s
                idle = _PERCENT * spent_s / (time.monotonic() - begun)
                resident = rss_mb_of(pid)
    return [
        row("gateway.rss_mb", resident, "MB", TARGET_RSS_MB),
        row("gateway.rss_mb.first_reading", after_first, "MB", TARGET_RSS_MB),
        row("gateway.idle_cpu", idle, "% of a core", TARGET_IDLE_PERCENT),
    ]
