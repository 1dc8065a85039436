"""Energy balance of an element: what flowed in, what customers took, and the rest, its losses.

Inflow meters of the element count by import minus export; so do the customers at it and at all
elements below, each with what it counted while it stood there: of a meter that was exchanged in a
month the half-hours before count, and of the one after it the half-hours since. How many meters
have energy known, and how much rests on estimates, is said beside it.
"""

import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from zoneinfo import ZoneInfo

import numpy as np

from hesper_cloud.aggregates import calendar
from hesper_cloud.aggregates.book import EnergyBook, Row
from hesper_cloud.aggregates.topology import Place, Topology
from hesper_cloud.stores.port import Flags, Integers

IMPORT, EXPORT = "1.0.1.8.0.255", "1.0.2.8.0.255"
WH_SCALER, WH_UNIT = -3, 30
_AT_ONCE = 20_000
"""How many days of single registers are held in memory at once."""
_KNOWN = f"""
    day >= $first AND day <= $last AND unit = {WH_UNIT:d}
    AND logical_name IN ('{IMPORT}', '{EXPORT}')"""
_ROWS = f"""
    SELECT meter, count(*) FROM days
    WHERE {_KNOWN} AND meter IN (SELECT unnest($meters)) GROUP BY meter ORDER BY meter"""  # noqa: S608 - our own words
_BUCKETS = f"""
    SELECT number, begins_at, logical_name = '{IMPORT}' AS is_import, sums[place] AS energy,
           estimated[place] AS estimated, scaler
    FROM (SELECT *, starts_at + (place - 1) * step_s AS begins_at
          FROM (SELECT *, unnest(range(1, len(sums) + 1)) AS place FROM days
                JOIN (SELECT unnest($meters) AS meter, unnest(range(len($meters))) AS number)
                USING (meter) WHERE {_KNOWN}))
    WHERE counts[place] > 0 AND begins_at >= $start AND begins_at < $end
    ORDER BY number, begins_at"""  # noqa: S608 - our own words


@dataclass(frozen=True, slots=True)
class Balance:
    """One element from ``starts_at`` to ``ends_at`` (epoch seconds); energy in mWh.

    ``meters`` is how many stood there, ``reporting`` how many have energy known in it.
    """

    starts_at: int
    ends_at: int
    inflow_mwh: int
    customers_mwh: int
    meters: int
    reporting: int
    estimated: int

    @property
    def losses_mwh(self) -> int:
        """Inflow minus customers: technical losses, theft, and what no meter reported."""
        return self.inflow_mwh - self.customers_mwh

    @property
    def losses_percent(self) -> float | None:
        """Losses as a share of the inflow."""
        if not self.inflow_mwh:
            return None
        return round(100 * self.losses_mwh / self.inflow_mwh, 3)


def balances(
    book: EnergyBook,
    topology: Topology,
    element: str,
    edges: Sequence[int],
    zone: ZoneInfo,
) -> list[Balance]:
    """Returns the balance between each two edges (epoch seconds, ascending, at half-hours)."""
    places = _counting(topology, element)
    days = {
        "first": calendar.day_of(edges[0] - 86_400, zone),
        "last": calendar.day_of(edges[-1] + 86_400, zone),
    }
    rows = book.rows(_ROWS, meters=sorted({place.meter for place in places}), **days)
    sums = _Sums(edges)
    for meters in _portions(rows):
        found = book.columns(_BUCKETS, meters=meters, start=edges[0], end=edges[-1], **days)
        numbers = {meter: number for number, meter in enumerate(meters)}
        sums.add(found, numbers, [place for place in places if place.meter in numbers])
    steps = zip(pairwise(edges), *sums.columns(), _standing(places, edges), strict=True)
    return [
        Balance(start, end, inflow, customers, meters, reporting, estimated)
        for (start, end), inflow, customers, reporting, estimated, meters in steps
    ]


def _counting(topology: Topology, element: str) -> list[Place]:
    below = topology.below(element)
    return [
        place
        for place in topology.places
        if (place.role == "inflow" and place.element == element)
        or (place.role == "customer" and place.element in below)
    ]


def _portions(rows: Iterable[Row]) -> Iterator[list[str]]:
    """Yields meters, as many at a time as are held in memory at once; each with its count."""
    meters, held = list[str](), 0
    for meter, count in rows:
        if meters and held + count > _AT_ONCE:
            yield meters
            meters, held = [], 0
        meters.append(meter)
        held += count
    if meters:
        yield meters


class _Sums:
    """What is added up of each step, some meters after the other."""

    def __init__(self, edges: Sequence[int]) -> None:
        self._edges = np.array(edges)
        self._inflow, self._customers, self._reporting, self._estimated = np.zeros(
            (4, len(edges) - 1), np.int64
        )

    def add(
        self, found: dict[str, Integers], numbers: Mapping[str, int], places: Iterable[Place]
    ) -> None:
        """Adds the half-hours of some meters, ascending by their numbers and in time."""
        number, at = found["number"], found["begins_at"]
        step = np.searchsorted(self._edges, at, side="right") - 1
        energy = np.where(found["is_import"], 1, -1) * _in_mwh(found["energy"], found["scaler"])
        begins = np.searchsorted(number, np.arange(len(numbers) + 1))
        flags = {"inflow": np.zeros(len(at), bool), "customer": np.zeros(len(at), bool)}
        for place in places:
            mine = slice(*begins[numbers[place.meter] : numbers[place.meter] + 2])
            flags[place.role][mine] |= _stands(place, at[mine])
        counted = flags["inflow"] | flags["customer"]
        for total, which, what in (
            (self._inflow, flags["inflow"], energy),
            (self._customers, flags["customer"], energy),
            (self._estimated, counted, found["estimated"]),
        ):
            np.add.at(total, step[which], what[which])
        self._reporting += _reporting(number[counted], step[counted], len(self._reporting))

    def columns(self) -> Iterator[list[int]]:
        """Yields inflow, customers (mWh), how many meters reported, how much is estimated."""
        for total in (self._inflow, self._customers, self._reporting, self._estimated):
            yield total.tolist()


def _stands(place: Place, at: Integers) -> Flags:
    """Returns which half-hours count for a place: those that begin while the meter stands there."""
    ends = math.inf if place.to_at is None else place.to_at.timestamp()
    found: Flags = (at >= place.from_at.timestamp()) & (at < ends)
    return found


def _reporting(number: Integers, step: Integers, steps: int) -> Integers:
    """Returns of how many meters there are half-hours in each step; ascending by meter and step."""
    is_first = np.ones(len(step), bool)
    is_first[1:] = (number[1:] != number[:-1]) | (step[1:] != step[:-1])
    return np.bincount(step[is_first], minlength=steps)


def _standing(places: Iterable[Place], edges: Sequence[int]) -> list[int]:
    """Returns how many meters stand somewhere during some of each step."""
    changes = np.zeros(len(edges), np.int64)
    counted = dict[str, int]()  # by meter, until which step
    for place in sorted(places, key=lambda each: each.from_at):
        first = max(bisect_right(edges, place.from_at.timestamp()) - 1, counted.get(place.meter, 0))
        ends = math.inf if place.to_at is None else place.to_at.timestamp()
        stop = bisect_left(edges, ends, hi=len(edges) - 1)
        if first < stop:
            changes[first] += 1
            changes[stop] -= 1
            counted[place.meter] = stop
    found: list[int] = np.cumsum(changes)[:-1].tolist()
    return found


def _in_mwh(energies: Integers, scalers: Integers) -> Integers:
    """Returns steps of a scaler as thousandths of a watt-hour, rounded down."""
    exponents = scalers.astype(np.int64) - WH_SCALER
    coarser, finer = np.power(10, np.maximum(exponents, 0)), np.power(10, np.maximum(-exponents, 0))
    found: Integers = energies * coarser // finer
    return found
