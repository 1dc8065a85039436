"""Energy balance of an element: what flowed in, what customers took, and the rest, its losses.

Inflow meters of the element count by import minus export; so do the customers at it and at all
elements below, each with what it counted while it stood there: of a meter that was exchanged in a
month the half-hours before count, and of the one after it the half-hours since. How many meters
have energy known, and how much rests on estimates, is said beside it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from hesper_cloud.aggregates import calendar
from hesper_cloud.aggregates.book import EnergyBook
from hesper_cloud.aggregates.topology import Place, Topology
from hesper_cloud.stores.port import Flags, Integers

IMPORT, EXPORT = "1.0.1.8.0.255", "1.0.2.8.0.255"
WH_SCALER, WH_UNIT = -3, 30
_HALF_HOUR_S = 1800
_BUCKETS = """
    SELECT meter, logical_name, starts_at + (place - 1) * step_s AS at,
           sums[place] AS energy, counts[place] AS known, estimated[place] AS estimated, scaler
    FROM (SELECT *, unnest(range(1, len(sums) + 1)) AS place FROM days
          WHERE day >= $first AND day <= $last AND unit = 30
            AND logical_name IN ('1.0.1.8.0.255', '1.0.2.8.0.255')
            AND meter IN (SELECT unnest($meters)))"""


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
    below = topology.below(element)
    places = [
        place
        for place in topology.places
        if (place.role == "inflow" and place.element == element)
        or (place.role == "customer" and place.element in below)
    ]
    found = book.columns(
        _BUCKETS,
        meters=sorted({place.meter for place in places}),
        first=calendar.day_of(edges[0] - 86_400, zone),
        last=calendar.day_of(edges[-1] + 86_400, zone),
    )
    return [
        _balance(places, found, edges[place], edges[place + 1]) for place in range(len(edges) - 1)
    ]


def _balance(places: Sequence[Place], found: dict[str, Integers], start: int, end: int) -> Balance:
    since, until = datetime.fromtimestamp(start, UTC), datetime.fromtimestamp(end, UTC)
    standing = [place for place in places if place.touches(since, until)]
    within = np.flatnonzero((found["at"] >= start) & (found["at"] < end) & (found["known"] > 0))
    meters, at = found["meter"][within], found["at"][within]
    sign = np.where(found["logical_name"][within] == IMPORT, 1, -1)
    energy = sign * _in_mwh(found["energy"][within], found["scaler"][within])
    flows_in, takes = (
        _of([place for place in standing if place.role == role], meters, at, (since, until))
        for role in ("inflow", "customer")
    )
    counted = flows_in | takes
    return Balance(
        start,
        end,
        int(energy[flows_in].sum()),
        int(energy[takes].sum()),
        len({place.meter for place in standing}),
        len(set(meters[counted].tolist())),
        int(found["estimated"][within][counted].sum()),
    )


def _of(
    places: Sequence[Place],
    meters: npt.NDArray[Any],
    at: Integers,
    span: tuple[datetime, datetime],
) -> Flags:
    """Returns which half-hours count for places: those that begin while the meter stands there."""
    through = sorted({place.meter for place in places if place.holds(*span)})
    found: Flags = np.isin(meters, through) if through else np.zeros(len(meters), bool)
    some = [place for place in places if not place.holds(*span)]
    if not some:
        return found
    rows = np.flatnonzero(np.isin(meters, sorted({place.meter for place in some})))
    for place in some:
        begins = place.from_at.timestamp()
        ends = math.inf if place.to_at is None else place.to_at.timestamp()
        stands = (meters[rows] == place.meter) & (at[rows] >= begins) & (at[rows] < ends)
        found[rows[stands]] = True
    return found


def _in_mwh(energies: Integers, scalers: Integers) -> Integers:
    """Returns steps of a scaler as thousandths of a watt-hour, rounded down."""
    exponents = scalers.astype(np.int64) - WH_SCALER
    coarser, finer = np.power(10, np.maximum(exponents, 0)), np.power(10, np.maximum(-exponents, 0))
    found: Integers = energies * coarser // finer
    return found
