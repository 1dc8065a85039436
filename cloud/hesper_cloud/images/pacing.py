"""How fast image blocks leave: below a limit for each gateway, and for each radio cell.

Gateways that share a cell share its air: a campaign must leave room there for readings and
commands. Which gateways do is told by configuration; one of which nothing is told is alone.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(slots=True)
class Lane:
    """Spreads octets over time; never ahead of the clock by more than one block."""

    octets_per_s: int
    free_at_s: float = 0.0

    def take(self, octets: int, now_s: float) -> float:
        """Return when so many octets may leave, and count them."""
        begins_at_s = max(now_s, self.free_at_s)
        self.free_at_s = begins_at_s + octets / self.octets_per_s
        return begins_at_s


@dataclass(slots=True)
class Pacing:
    """The lanes of all gateways and cells.

    Args:
        gateway_octets_per_s: What leaves for one gateway.
        cell_octets_per_s: What leaves for all gateways of one cell.
        cell_of: Cell by gateway, where one is known.
    """

    gateway_octets_per_s: int
    cell_octets_per_s: int
    cell_of: Mapping[str, str] = field(default_factory=dict)
    _gateways: dict[str, Lane] = field(default_factory=dict)
    _cells: dict[str, Lane] = field(default_factory=dict)

    def take(self, gateway: str, octets: int, now_s: float) -> float:
        """Return when so many octets may leave for a gateway, by the clock of ``now_s``."""
        lane = self._gateways.setdefault(gateway, Lane(self.gateway_octets_per_s))
        begins_at_s = lane.take(octets, now_s)
        cell = self.cell_of.get(gateway)
        if cell is None:
            return begins_at_s
        shared = self._cells.setdefault(cell, Lane(self.cell_octets_per_s))
        return max(begins_at_s, shared.take(octets, begins_at_s))
