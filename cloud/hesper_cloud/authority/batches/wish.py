"""What is asked for as a batch, and the terms under which it leaves."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hesper_cloud.authority.rules import Denied
from hesper_cloud.worded import worded

_MOST_WAVES = 9
_LONGEST_SOAK_S = 30 * 86_400


@dataclass(frozen=True, slots=True)
class Terms:
    """How a batch leaves once it is approved.

    Attributes:
        canary: How many rows go first and must have finished well; 0: none.
        wave_size: How many rows may be under way at once.
        per_hour: How many leave in an hour.
        stop_percent: The batch stops when a greater share of its finished rows failed.
        waves: Percent of the rows in each wave but the last, which has the rest; the first wave is
            the canary then. None: a canary and all others.
        soak_s: When a wave is over, how long until the next begins by itself; None: a person lets
            it begin.
    """

    canary: int = 5
    wave_size: int = 100
    per_hour: int = 3_600
    stop_percent: int = 10
    waves: tuple[int, ...] = ()
    soak_s: int | None = None

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
                raise Denied(
                    worded(
                        "the {name} must be a whole number from {least} to {most}",
                        name=name,
                        least=least,
                        most=most,
                    )
                )
        self._check_waves()

    def _check_waves(self) -> None:
        if not isinstance(self.waves, tuple) or not all(map(_is_share, self.waves)):
            raise Denied("waves are a list of whole percentages of the rows, from 1 to 100")
        if len(self.waves) > _MOST_WAVES or sum(self.waves) > 100:
            raise Denied(
                worded(
                    "there are up to {most_waves} waves, which come to 100 percent at most",
                    most_waves=_MOST_WAVES,
                )
            )
        if self.soak_s is not None and not (self.waves and _is_soak(self.soak_s)):
            raise Denied("a soak time is a whole number of seconds, 30 days at most, between waves")


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


def _is_share(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 100


def _is_soak(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int):
        return False
    return 0 <= value <= _LONGEST_SOAK_S
