"""The gateway: full cycles beside a peer, firmware images, the agent with many meters."""

from __future__ import annotations

from typing import Final

from hesper_lab.bench import gateway_agent, gateway_cycles, gateway_images, gateway_often
from hesper_lab.bench.rows import Row

CYCLES_S: Final = 3.0
IMAGE_OCTETS: Final = 128 * 1024
IDLE_S: Final = 20.0
OFTEN_S: Final = 60.0


def run() -> list[Row]:
    """Measure everything, about four minutes with the peers."""
    return [
        *gateway_cycles.run(CYCLES_S),
        *gateway_images.run(IMAGE_OCTETS),
        *gateway_agent.run(gateway_agent.METERS, IDLE_S),
        *gateway_often.run(gateway_often.METERS, OFTEN_S),
    ]
