"""What is asked for as a batch, and the terms under which it leaves."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hesper_cloud.authority.rules import Denied


@dataclass(frozen=True, slots=True)
class Terms:
    """How a batch leaves once it is approved.

    Attributes:
        canary: How many rows go first and must have finished well; 0: none.
        wave_size: How many rows may be under way at once.
        per_hour: How many leave in an hour.
        stop_percent: The batch stops when a greater share of its finished rows failed.
    """

    canary: int = 5
    wave_size: int = 100
    per_hour: int = 3_600
    stop_percent: int = 10

    def check(self) -> None:
        """Checks that each is within its bounds.

        Raises:
            Denied: one is not.
        """
        bounds = (
            ("canary", self.canary, 0, 10_000),
            ("wave size", self.wave_size, 1, 100_000),
            ("rate per hour", self.per_hour, 1, 10_000_000),
            ("share at which it stops, in percent,", self.stop_percent, 0, 100),
        )
        for name, value, least, most in bounds:
            if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
                raise Denied(f"the {name} must be a whole number from {least} to {most}")


@dataclass(frozen=True, slots=True)
class BatchWish:
    """One kind of command with its parameters for these meters, in this order."""

    kind: str
    meters: tuple[str, ...]
    reason: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    terms: Terms = Terms()
    unfit: Mapping[str, str] = field(default_factory=dict)
    """What is known to rule some of them out, by meter or gateway."""
