"""What homes, shops and roofs draw and deliver: shared load curves, pure functions of time.

A curve is four weeks of mean powers, one per quarter hour, repeated for ever, with running totals
beside it. So the energy since an anchor long ago is one look-up and one multiplication, whatever
the distance in time; nothing is accumulated and no state is kept per meter. Many meters share one
curve, each scaled by a factor of its own, and each with something besides (a kitchen, a car, a heat
pump) from a second, smaller set, at days and hours of its own.

Energies are joules (watt seconds), powers watts, all integers.
"""

from __future__ import annotations

import math
import random
from array import array
from functools import lru_cache
from itertools import accumulate
from typing import Final, NamedTuple

from hesper_sim import shapes
from hesper_sim.fleet import Kind
from hesper_sim.shapes import DAYS, SLOTS_PER_DAY

ANCHOR: Final = 1_704_063_600
"""2024-01-01 00:00 Central European Time, a Monday, in epoch seconds."""
SLOT_S: Final = 900
SLOTS: Final = DAYS * SLOTS_PER_DAY
CYCLE_S: Final = SLOTS * SLOT_S
CURVES_PER_KIND: Final = 8
CYCLES_PER_YEAR: Final = 13
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


def _joules(sums: array[int], cycles: int, slot: int, part_s: int) -> int:
    """Return the energy of so many cycles, slots and seconds."""
    done = sums[slot]
    return (cycles * sums[SLOTS] + done) * SLOT_S + (sums[slot + 1] - done) * part_s


class LoadCurve:
    """Four weeks of quarter hours; see the module's docstring.

    Kept are running sums of power alone, 32 bits a quarter hour: a power is the difference of two,
    an energy one of them times the length of a slot.
    """

    __slots__ = ("_sums",)

    def __init__(self, net_w: list[int], reactive_var: list[int]) -> None:
        """Build from net active power (negative: delivered) and reactive power per slot."""
        apparent = [math.isqrt(p * p + q * q) for p, q in zip(net_w, reactive_var, strict=True)]
        columns = ([max(p, 0) for p in net_w], [max(-p, 0) for p in net_w], reactive_var, apparent)
        self._sums = tuple(array("i", accumulate(column, initial=0)) for column in columns)

    def energy_j(self, at: int, scale_permille: int) -> Energy:
        """Return the energy from the anchor to `at` (epoch seconds)."""
        cycles, rest = divmod(at - ANCHOR, CYCLE_S)
        slot, part_s = divmod(rest, SLOT_S)
        return Energy(
            *[_joules(sums, cycles, slot, part_s) * scale_permille // 1000 for sums in self._sums]
        )

    def import_j(self, at: int, scale_permille: int) -> int:
        """Return the first of them alone, which is what meters are asked for most: 1 µs less."""
        cycles, rest = divmod(at - ANCHOR, CYCLE_S)
        slot, part_s = divmod(rest, SLOT_S)
        return _joules(self._sums[0], cycles, slot, part_s) * scale_permille // 1000

    def power_w(self, at: int, scale_permille: int) -> Power:
        """Return the power at `at`: the slot's mean with a ripple, so that displays live."""
        slot = (at - ANCHOR) % CYCLE_S // SLOT_S
        factor = scale_permille * (1000 + _ripple(at // RIPPLE_S, scale_permille))
        return Power(*[(sums[slot + 1] - sums[slot]) * factor // 1_000_000 for sums in self._sums])


class Extra:
    """What hangs on a place besides: one column of powers, with a phase of its own.

    Args:
        powers_w: Four weeks of quarter hours.
        reactive_permille: Reactive per active power.
        seasons: Permille of it in each of the thirteen four-week cycles of a year.
    """

    __slots__ = ("_apparent", "_reactive", "_season_totals", "_seasons", "_sums")

    def __init__(
        self,
        powers_w: list[int],
        reactive_permille: int,
        seasons: tuple[int, ...] = (1000,) * CYCLES_PER_YEAR,
    ) -> None:
        self._sums = array("i", accumulate(powers_w, initial=0))
        self._reactive = reactive_permille
        self._apparent = math.isqrt(1_000_000 + reactive_permille**2)
        self._seasons = seasons
        self._season_totals = tuple(accumulate(seasons, initial=0))

    def energy_j(self, at: int, scale_permille: int) -> int:
        """Return the active energy from the anchor to `at`."""
        cycles, rest = divmod(at - ANCHOR, CYCLE_S)
        slot, part_s = divmod(rest, SLOT_S)
        years, cycle = divmod(cycles, CYCLES_PER_YEAR)
        whole = years * self._season_totals[CYCLES_PER_YEAR] + self._season_totals[cycle]
        part = _joules(self._sums, 0, slot, part_s)
        total = whole * self._sums[SLOTS] * SLOT_S + self._seasons[cycle] * part
        return total * scale_permille // 1_000_000

    def power_w(self, at: int, scale_permille: int) -> int:
        """Return the active power at `at`."""
        cycles, rest = divmod(at - ANCHOR, CYCLE_S)
        factor = self._seasons[cycles % CYCLES_PER_YEAR] * scale_permille
        slot = rest // SLOT_S
        return (self._sums[slot + 1] - self._sums[slot]) * factor // 1_000_000

    def beside(self, base: tuple[int, int, int, int], active: int) -> tuple[int, int, int, int]:
        """Return import, export, reactive and apparent with so much active import more."""
        used, delivered, reactive, apparent = base
        return (
            used + active,
            delivered,
            reactive + active * self._reactive // 1000,
            apparent + active * self._apparent // 1000,
        )


class PlaceCurve:
    """A shared curve and what hangs on the place besides, at hours that differ from home to home.

    The extra's phase comes from the home's scale, so that one object serves many homes and hardly
    two of them have the same shape.
    """

    __slots__ = ("_base", "_extra")

    def __init__(self, base: LoadCurve, extra: Extra | None) -> None:
        self._base = base
        self._extra = extra

    def energy_j(self, at: int, scale_permille: int) -> Energy:
        """Return the energy from the anchor to `at` (epoch seconds)."""
        size, phase_s = _own(scale_permille)
        if self._extra is None:
            return self._base.energy_j(at + phase_s, scale_permille)
        base = self._base.energy_j(at, scale_permille)
        return Energy(*self._extra.beside(base, self._extra.energy_j(at + phase_s, size)))

    def import_j(self, at: int, scale_permille: int) -> int:
        """Return the first of them alone."""
        size, phase_s = _own(scale_permille)
        if self._extra is None:
            return self._base.import_j(at + phase_s, scale_permille)
        more = self._extra.energy_j(at + phase_s, size)
        return self._base.import_j(at, scale_permille) + more

    def power_w(self, at: int, scale_permille: int) -> Power:
        """Return the power at `at`."""
        size, phase_s = _own(scale_permille)
        if self._extra is None:
            return self._base.power_w(at + phase_s, scale_permille)
        base = self._base.power_w(at, scale_permille)
        return Power(*self._extra.beside(base, self._extra.power_w(at + phase_s, size)))


@lru_cache(maxsize=512)
def _own(scale_permille: int) -> tuple[int, int]:
    """Return a home's own size of its extra, permille, and its phase: days and quarter hours."""
    mixed = scale_permille * 7_919
    return 600 + mixed % 700, (mixed % DAYS) * SLOTS_PER_DAY * SLOT_S + (mixed % 13 - 6) * SLOT_S


class LoadModel:
    """The curves of a whole fleet, a few per kind."""

    __slots__ = ("_curves", "_extras", "_places", "_seed")

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._curves: dict[tuple[Kind, int], LoadCurve] = {}
        self._extras: dict[tuple[bool, int], Extra] = {}
        self._places: dict[tuple[Kind, int, int], PlaceCurve] = {}

    def curve(self, kind: Kind, index: int) -> PlaceCurve:
        """Return the curve of the meter with this index, drawn when it is first asked for."""
        number = index % (2 * CURVES_PER_KIND if kind is Kind.SOLAR else CURVES_PER_KIND)
        other = 0 if kind is Kind.SOLAR else index * 5 // CURVES_PER_KIND % len(shapes.HOME_EXTRAS)
        place = self._places.get((kind, number, other))
        if place is None:
            extra = None if kind is Kind.SOLAR else self._extra(kind is Kind.SHOP, other)
            place = PlaceCurve(self._curve(kind, number), extra)
            self._places[kind, number, other] = place
        return place

    def _curve(self, kind: Kind, number: int) -> LoadCurve:
        curve = self._curves.get((kind, number))
        if curve is None:
            curve = self._curves[kind, number] = _curve(kind, self._seed, number)
        return curve

    def _extra(self, shop: bool, number: int) -> Extra:
        extra = self._extras.get((shop, number))
        if extra is None:
            extra = self._extras[shop, number] = _extra(shop, self._seed, number)
        return extra


_SCALES: Final = tuple(range(750, 1250))
"""One integer for all meters of a size, not one for each."""


def scale_of(index: int) -> int:
    """Return the size of the home with this index, in permille of its curve (750 … 1249)."""
    return _SCALES[index * 137 % len(_SCALES)]


def _ripple(step: int, salt: int) -> int:
    """Return -60 … 60, the same for the same arguments in every process."""
    mixed = (step * 2_654_435_761 + salt * 40_503) & 0xFFFFFFFF
    mixed ^= mixed >> 15
    return mixed * 2_246_822_519 % 4_294_967_291 % (2 * _RIPPLE_PERMILLE + 1) - _RIPPLE_PERMILLE


def _curve(kind: Kind, seed: int, number: int) -> LoadCurve:
    chance = random.Random(f"{seed}/{kind}/{number}")  # noqa: S311 - a simulation, no secret
    drawn = (shapes.shop if kind is Kind.SHOP else shapes.household)(chance, number)
    reactive = [power * chance.randint(180, 330) // 1000 for power in drawn]
    if kind is Kind.SOLAR:
        delivered = shapes.roof(chance, number)
        drawn = [power - sun for power, sun in zip(drawn, delivered, strict=True)]
    return LoadCurve(drawn, reactive)


def _extra(shop: bool, seed: int, number: int) -> Extra:
    chance = random.Random(f"{seed}/extra/{shop}/{number}")  # noqa: S311 - a simulation, no secret
    choices = shapes.SHOP_EXTRAS if shop else shapes.HOME_EXTRAS
    shape = choices[number % len(choices)]
    seasons = _SEASONS.get(shape, (1000,) * CYCLES_PER_YEAR)
    return Extra(shape(chance, number), _REACTIVE_PERMILLE.get(shape, 60), seasons)


_REACTIVE_PERMILLE: Final[dict[shapes.Shape, int]] = {
    shapes.car: 20,
    shapes.heat_pump: 310,
    shapes.cooling: 420,
}
_SEASONS: Final[dict[shapes.Shape, tuple[int, ...]]] = {
    shapes.heat_pump: (1000, 960, 800, 560, 300, 130, 60, 60, 110, 300, 560, 800, 940),
    shapes.cooling: (620, 620, 660, 740, 840, 960, 1000, 1000, 930, 800, 700, 640, 620),
}
"""Permille by four-week cycle, January first."""
