"""The fleet's sums as a person would work them out, reading by reading."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from itertools import pairwise

from hesper_cloud.stores.port import FleetSeries, ReadingStore

LEAST = -10
Curves = dict[str, list[tuple[int, int]]]
Part = tuple[int, str, int]
"""A step's start, a meter, and what it adds in the least scaler."""


def agree(
    store: ReadingStore, profile: str, logical_name: str, span: tuple[int, int], step_s: int
) -> FleetSeries:
    """Compares a store's levels and growth with the sums of its readings; returns the levels."""
    curves = _curves(store, profile, logical_name, span[1])
    for ask, parts in ((store.fleet_increase, _growth), (store.fleet_series, _levels)):
        found = ask(profile, logical_name, *span, step_s)
        factor = 10 ** (found.scaler - LEAST)
        told = zip(found.times, found.values, found.meters, strict=True)
        expected = _summed(parts(curves, step_s, range(*span)))
        assert [(at, total * factor, meters) for at, total, meters in told] == expected
    return found


def _curves(store: ReadingStore, profile: str, logical_name: str, end: int) -> Curves:
    """Returns each meter's values in order: times and values of the least scaler."""
    curves = defaultdict(list)
    for reading in store.export(0, end + 1):
        if reading.revision or reading.profile != profile:
            continue
        for value in reading.values:
            if value.logical_name == logical_name and value.value is not None:
                level = value.value * 10 ** (value.scaler - LEAST)
                curves[reading.meter].append((reading.captured_at, level))
    return {meter: sorted(curve) for meter, curve in curves.items()}


def _levels(curves: Curves, step_s: int, span: range) -> Iterator[Part]:
    for meter, curve in curves.items():
        last = {at - at % step_s: value for at, value in curve if at in span}
        yield from ((step, meter, value) for step, value in last.items())


def _growth(curves: Curves, step_s: int, span: range) -> Iterator[Part]:
    for meter, curve in curves.items():
        for (_, before), (at, value) in pairwise(curve):
            if value >= before and at - 1 in span:
                yield at - 1 - (at - 1) % step_s, meter, value - before


def _summed(parts: Iterator[Part]) -> list[tuple[int, int, int]]:
    """Returns steps: start, total, and of how many meters."""
    totals, meters = Counter(), defaultdict(set)
    for step, meter, value in parts:
        totals[step] += value
        meters[step].add(meter)
    return [(step, totals[step], len(meters[step])) for step in sorted(totals)]
