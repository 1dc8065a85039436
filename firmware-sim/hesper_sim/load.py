"""What homes, shops and roofs draw and deliver: shared load curves, pure functions of time.

A curve is four weeks of mean powers, one per quarter hour, repeated for ever, with running totals
beside it. So the energy since an anchor long ago is one look-up and one multiplication, whatever
the distance in time; nothing is accumulated and no state is kept per meter. Many meters share one
curve, each scaled by a factor of its own.

Energies are joules (watt seconds), powers watts, all integers.
"""

from __future__ import annotations

import math
import random
from array import array
from collections.abc import Callable
from itertools import accumulate
from typing import Final, NamedTuple

from hesper_sim.fleet import Kind

ANCHOR: Final = 1_704_063_600
"""2024-01-01 00:00 Central European Time, a Monday, in epoch seconds."""
SLOT_S: Final = 900
SLOTS_PER_DAY: Final = 96
DAYS: Final = 28
SLOTS: Final = DAYS * SLOTS_PER_DAY
CYCLE_S: Final = SLOTS * SLOT_S
CURVES_PER_KIND: Final = 8
RIPPLE_S: Final = 10
_RIPPLE_PERMILLE: Final = 60


class Power(NamedTuple):
    """Watts, watts, var, VA; import and export are never both above zero."""

    active_import: int
    active_export: int
    reactive: int
    apparent: int


class Energy(NamedTuple):
    """The same four as energy: joules here, watt hours (varh, VAh) in a meter's registers."""

    active_import: int
    active_export: int
    reactive: int
    apparent: int


class LoadCurve:
    """Four weeks of quarter hours; see the module's docstring."""

    __slots__ = ("_powers", "_totals")

    def __init__(self, net_w: list[int], reactive_var: list[int]) -> None:
        """Build from net active power (negative: delivered) and reactive power per slot."""
        apparent = [math.isqrt(p * p + q * q) for p, q in zip(net_w, reactive_var, strict=True)]
        columns = ([max(p, 0) for p in net_w], [max(-p, 0) for p in net_w], reactive_var, apparent)
        self._powers = tuple(array("i", column) for column in columns)
        self._totals = tuple(
            array("q", accumulate((power * SLOT_S for power in column), initial=0))
            for column in columns
        )

    def energy_j(self, at: int, scale_permille: int) -> Energy:
        """Return the energy from the anchor to `at` (epoch seconds)."""
        cycles, rest = divmod(at - ANCHOR, CYCLE_S)
        slot, part_s = divmod(rest, SLOT_S)
        (t0, t1, t2, t3), (p0, p1, p2, p3) = self._totals, self._powers
        return Energy(
            (cycles * t0[SLOTS] + t0[slot] + p0[slot] * part_s) * scale_permille // 1000,
            (cycles * t1[SLOTS] + t1[slot] + p1[slot] * part_s) * scale_permille // 1000,
            (cycles * t2[SLOTS] + t2[slot] + p2[slot] * part_s) * scale_permille // 1000,
            (cycles * t3[SLOTS] + t3[slot] + p3[slot] * part_s) * scale_permille // 1000,
        )

    def power_w(self, at: int, scale_permille: int) -> Power:
        """Return the power at `at`: the slot's mean with a ripple, so that displays live."""
        slot = (at - ANCHOR) % CYCLE_S // SLOT_S
        factor = scale_permille * (1000 + _ripple(at // RIPPLE_S, scale_permille))
        return Power(*(powers[slot] * factor // 1_000_000 for powers in self._powers))


class LoadModel:
    """The curves of a whole fleet, a few per kind."""

    __slots__ = ("_curves", "_seed")

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._curves: dict[tuple[Kind, int], LoadCurve] = {}

    def curve(self, kind: Kind, index: int) -> LoadCurve:
        """Return the curve of the meter with this index, drawn when it is first asked for."""
        number = index % CURVES_PER_KIND
        curve = self._curves.get((kind, number))
        if curve is None:
            curve = self._curves[kind, number] = _curve(kind, self._seed, number)
        return curve


def scale_of(index: int) -> int:
    """Return the size of the home with this index, in permille of its curve (750 … 1249)."""
    return 750 + index * 137 % 500


def _ripple(step: int, salt: int) -> int:
    """Return -60 … 60, the same for the same arguments in every process."""
    mixed = (step * 2_654_435_761 + salt * 40_503) & 0xFFFFFFFF
    mixed ^= mixed >> 15
    return mixed * 2_246_822_519 % 4_294_967_291 % (2 * _RIPPLE_PERMILLE + 1) - _RIPPLE_PERMILLE


def _curve(kind: Kind, seed: int, number: int) -> LoadCurve:
    chance = random.Random(f"{seed}/{kind}/{number}")  # noqa: S311 - a simulation, no secret
    draw: Callable[[random.Random], list[int]] = _shop_w if kind is Kind.SHOP else _household_w
    drawn = draw(chance)
    reactive = [power * chance.randint(180, 330) // 1000 for power in drawn]
    if kind is Kind.SOLAR:
        delivered = _roof_w(chance)
        drawn = [power - sun for power, sun in zip(drawn, delivered, strict=True)]
    return LoadCurve(drawn, reactive)


def _bell(slot: int, centre_h: float, width_h: float) -> float:
    return math.exp(-(((slot / 4 - centre_h) / width_h) ** 2))


def _household_w(chance: random.Random) -> list[int]:
    base = chance.randint(90, 220)
    morning, evening = chance.uniform(6.2, 7.8), chance.uniform(18.0, 20.5)
    powers = []
    for day in range(DAYS):
        weekend = day % 7 >= 5
        shift = 1.8 if weekend else 0.0
        for slot in range(SLOTS_PER_DAY):
            people = 420 * _bell(slot, morning + shift, 1.0) + 900 * _bell(slot, evening, 1.9)
            people += (520 if weekend else 180) * _bell(slot, 13.0, 2.2)
            fridge = 70 if (slot + day) % 3 == 0 else 15
            powers.append(int(base + fridge + people * chance.uniform(0.7, 1.3)))
        _appliances(powers, chance)
    return powers


def _appliances(powers: list[int], chance: random.Random) -> None:
    """Add what a household switches on now and then to the last day of `powers`."""
    first = len(powers) - SLOTS_PER_DAY
    for _ in range(chance.randint(2, 5)):
        start = first + int(chance.triangular(24, 92, 74))
        power, slots = chance.choice(((2100, 1), (1800, 3), (900, 6), (2600, 2)))
        for slot in range(start, min(start + slots, len(powers))):
            powers[slot] += power


def _shop_w(chance: random.Random) -> list[int]:
    base, trading = chance.randint(350, 800), chance.randint(1500, 3800)
    opens, closes = chance.choice((7, 8, 9)) * 4, chance.choice((18, 19, 20)) * 4
    powers = []
    for day in range(DAYS):
        for slot in range(SLOTS_PER_DAY):
            is_open = day % 7 < 6 and opens <= slot < closes
            busy = trading * chance.uniform(0.85, 1.1) if is_open else 0
            powers.append(int(base * chance.uniform(0.9, 1.1) + busy))
    return powers


def _roof_w(chance: random.Random) -> list[int]:
    peak = chance.randint(2800, 7500)
    powers = []
    for _ in range(DAYS):
        sky = chance.choice((0.25, 0.45, 0.7, 0.9, 1.0))
        for slot in range(SLOTS_PER_DAY):
            height = math.sin(math.pi * (slot / 4 - 6.5) / 12.5)
            cloud = chance.uniform(1.2 * sky - 0.25, 1.0) if sky < 1 else 1.0
            powers.append(int(peak * sky * max(height, 0.0) ** 1.4 * cloud))
    return powers
