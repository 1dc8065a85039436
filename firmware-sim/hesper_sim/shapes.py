"""How powers run over four weeks in homes, shops and on roofs: one watt value per quarter hour.

Drawn once from a seed, then shared. Households differ in when people are at home and how many they
are; what hangs on a home besides (appliances, a car, a heat pump, cooling) is a shape of its own.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Final

DAYS: Final = 28
SLOTS_PER_DAY: Final = 96
Chance = random.Random

_ROUTINES: Final = (
    # morning h, noon W, evening h, evening W: families, workers, retired, night shift, students
    (6.8, 200, 18.8, 900),
    (6.2, 60, 19.5, 800),
    (8.2, 480, 18.0, 520),
    (14.5, 120, 21.5, 420),
    (9.4, 180, 21.8, 600),
)


def _bell(slot: int, centre_h: float, width_h: float) -> float:
    return math.exp(-(((slot / 4 - centre_h) / width_h) ** 2))


def household(chance: Chance, number: int) -> list[int]:
    """Return what people, lights and the refrigerator of a home draw."""
    base = chance.randint(90, 220)
    morning, noon_w, evening, evening_w = _ROUTINES[number % len(_ROUTINES)]
    morning, evening = morning + chance.uniform(-0.6, 0.6), evening + chance.uniform(-0.7, 0.7)
    size = chance.uniform(0.75, 1.35)
    away = chance.randrange(DAYS) if chance.random() < 0.4 else DAYS
    powers = []
    for day in range(DAYS):
        weekend, at_home = day % 7 >= 5, 0.12 if away <= day < away + 4 else size
        shift = 1.8 if weekend else 0.0
        for slot in range(SLOTS_PER_DAY):
            people = 420 * _bell(slot, morning + shift, 1.0) + evening_w * _bell(slot, evening, 1.9)
            people += (520 if weekend else noon_w) * _bell(slot, 13.0, 2.2)
            fridge = 70 if (slot + day) % 3 == 0 else 15
            powers.append(int(base + fridge + at_home * people * chance.uniform(0.7, 1.3)))
        if at_home >= 0.5:
            _appliances(powers, chance)
    return powers


def _appliances(powers: list[int], chance: Chance) -> None:
    """Add what a household switches on now and then to the last day of `powers`."""
    first = len(powers) - SLOTS_PER_DAY
    for _ in range(chance.randint(2, 5)):
        start = first + int(chance.triangular(24, 92, 74))
        power, slots = chance.choice(((2100, 1), (1800, 3), (900, 6), (2600, 2)))
        for slot in range(start, min(start + slots, len(powers))):
            powers[slot] += power


def shop(chance: Chance, number: int) -> list[int]:
    """Return what a shop, a bakery or an office draws."""
    base, trading = chance.randint(350, 800), chance.randint(1500, 3800)
    opens, closes = ((8, 20), (4, 13), (7, 18), (9, 19))[number % 4]
    sunday = number % 3 == 0
    powers = []
    for day in range(DAYS):
        weekday = day % 7
        open_today = weekday < 5 or (weekday == 5 and number % 4 != 2) or (weekday == 6 and sunday)
        for slot in range(SLOTS_PER_DAY):
            is_open = open_today and opens * 4 <= slot < closes * 4
            busy = trading * chance.uniform(0.85, 1.1) if is_open else 0
            powers.append(int(base * chance.uniform(0.9, 1.1) + busy))
    return powers


def roof(chance: Chance, number: int) -> list[int]:
    """Return what panels deliver; they look to the east, the south or the west."""
    peak = chance.randint(2800, 7500)
    noon = (12.75, 11.4, 14.2)[number % 3]
    powers = []
    for _ in range(DAYS):
        sky = chance.choice((0.25, 0.45, 0.7, 0.9, 1.0))
        for slot in range(SLOTS_PER_DAY):
            height = math.sin(math.pi * (slot / 4 - noon + 6.25) / 12.5)
            inside = abs(slot / 4 - noon) < 6.25
            cloud = chance.uniform(1.2 * sky - 0.25, 1.0) if sky < 1 else 1.0
            powers.append(int(peak * sky * max(height, 0.0) ** 1.4 * cloud) if inside else 0)
    return powers


def car(chance: Chance, number: int) -> list[int]:
    """Return how an electric car is charged at home: after work, or in the cheap hours."""
    powers = [0] * (DAYS * SLOTS_PER_DAY)
    starts_h = 18.0 if number % 2 else 22.5
    for day in range(DAYS):
        if chance.random() < 0.35:
            continue
        start = day * SLOTS_PER_DAY + int((starts_h + chance.uniform(-0.7, 1.2)) * 4)
        for slot in range(start, min(start + chance.randint(5, 15), len(powers))):
            powers[slot] = chance.randint(3350, 3680)
    return powers


def heat_pump(chance: Chance, number: int) -> list[int]:
    """Return what a heat pump draws in the middle of winter."""
    rated = 1300 + 250 * (number % 4)
    powers = []
    for _ in range(DAYS):
        cold = chance.uniform(0.45, 1.0)
        for slot in range(SLOTS_PER_DAY):
            demand = cold * (0.75 + 0.35 * _bell(slot, 5.5, 2.5) + 0.2 * _bell(slot, 21.0, 2.5))
            runs = (slot + number) % 4 < round(4 * min(demand, 1.0))
            powers.append(int(rated * chance.uniform(0.92, 1.05)) if runs else 12)
    return powers


def kitchen(chance: Chance, number: int) -> list[int]:
    """Return cooking, washing and drying: a few peaks a day, at hours of the home's own."""
    powers = [0] * (DAYS * SLOTS_PER_DAY)
    hours = [(7.5 + number % 5, 1), (12.0 + number % 3, 2), (17.5 + number % 4 * 0.7, 3)]
    for day in range(DAYS):
        for hour, slots in hours:
            if chance.random() < 0.3:
                continue
            start = day * SLOTS_PER_DAY + int((hour + chance.uniform(-0.8, 0.8)) * 4)
            for slot in range(start, min(start + slots, len(powers))):
                powers[slot] += chance.randint(700, 1900)
    return powers


def cooling(chance: Chance, number: int) -> list[int]:
    """Return the refrigeration of a shop: a compressor that works harder in the afternoon."""
    rated = 700 + 300 * (number % 4)
    powers = []
    for _ in range(DAYS):
        warm = chance.uniform(0.4, 0.9)
        for slot in range(SLOTS_PER_DAY):
            share = 0.45 + warm * 0.4 * _bell(slot, 15.0, 4.0)
            powers.append(int(rated * share * chance.uniform(0.85, 1.15)))
    return powers


Shape = Callable[[Chance, int], list[int]]
HOME_EXTRAS: Final[tuple[Shape, ...]] = (
    *(kitchen,) * 3,
    car,
    kitchen,
    heat_pump,
    kitchen,
    car,
    kitchen,
    kitchen,
    heat_pump,
    *(kitchen,) * 5,
)
"""What hangs on homes besides; a home takes the one with its number."""
SHOP_EXTRAS: Final[tuple[Shape, ...]] = (cooling,) * 8
