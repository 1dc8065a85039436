"""The replay window over command counters: 1024 wide, as in IPsec's anti-replay (RFC 4303, 3.4.3).

A counter is fresh when it lies above the highest seen, or within the window below it and not seen
yet. So reordered commands pass, repeated and very old ones do not.
"""

from dataclasses import dataclass

WIDTH = 1024
_OCTETS = WIDTH // 8


@dataclass(frozen=True, slots=True)
class ReplayWindow:
    """Which counters were seen; bit i of ``seen`` stands for ``highest - i``."""

    highest: int = 0
    seen: int = 1

    def fresh(self, counter: int) -> bool:
        """Whether this counter was never marked and is not too old to know."""
        if counter > self.highest:
            return True
        age = self.highest - counter
        return age < WIDTH and not self.seen >> age & 1

    def marked(self, counter: int) -> "ReplayWindow":
        """Returns the window in which this counter has been seen."""
        if counter <= self.highest:
            return ReplayWindow(self.highest, self.seen | 1 << (self.highest - counter))
        shift = min(counter - self.highest, WIDTH)
        return ReplayWindow(counter, (self.seen << shift | 1) & ((1 << WIDTH) - 1))

    def to_octets(self) -> bytes:
        """Returns highest counter (8, big-endian) and bitmap (128)."""
        return self.highest.to_bytes(8, "big") + self.seen.to_bytes(_OCTETS, "big")

    @classmethod
    def from_octets(cls, octets: bytes) -> "ReplayWindow":
        """Returns what `to_octets` wrote."""
        return cls(int.from_bytes(octets[:8], "big"), int.from_bytes(octets[8:], "big"))
