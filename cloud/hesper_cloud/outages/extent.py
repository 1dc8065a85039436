"""Which losses belong together, and to which part of the grid."""

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from hesper_cloud.alerting.extents import Enough, lost
from hesper_cloud.alerting.grid import Grid, Part

TOGETHER = timedelta(minutes=10)
"""Losses of one outage follow each other no further apart."""
MOSTLY = Enough(meters=2, percent=50)
METER = "meter"


class Loss(NamedTuple):
    """One meter that lost power."""

    id: int
    meter: str
    lost_at: datetime
    back_at: datetime | None
    outage: int | None


class Extent(NamedTuple):
    """A part of the grid with the losses that it explains."""

    part: Part
    losses: tuple[Loss, ...]


def clusters(losses: Sequence[Loss]) -> Iterator[list[Loss]]:
    """Yields losses that follow each other closely, oldest first."""
    cluster: list[Loss] = []
    for loss in sorted(losses, key=lambda each: (each.lost_at, each.meter)):
        if cluster and loss.lost_at - cluster[-1].lost_at > TOGETHER:
            yield cluster
            cluster = []
        cluster.append(loss)
    if cluster:
        yield cluster


def extents(grid: Grid, cluster: Sequence[Loss]) -> list[Extent]:
    """Returns the parts of the grid that explain a cluster; every loss is in one of them.

    The largest part that is mostly lost; else the element that several hang on directly; else the
    meter alone.
    """
    by_meter: dict[str, list[Loss]] = defaultdict(list)
    for loss in cluster:
        by_meter[loss.meter].append(loss)

    def of(meters: Collection[str]) -> tuple[Loss, ...]:
        return tuple(loss for meter in sorted(meters) for loss in by_meter[meter])

    parts = lost(grid, by_meter, MOSTLY)
    found = [Extent(each.part, of(each.meters)) for each in parts]
    left = set(by_meter).difference(*(each.meters for each in parts))
    by_element: dict[str, list[str]] = defaultdict(list)
    for meter in sorted(left):
        by_element[grid.element_of.get(meter, "")].append(meter)
    for element, meters in by_element.items():
        if element in grid.parts and len(meters) >= MOSTLY.meters:
            found.append(Extent(grid.parts[element], of(meters)))
        else:
            found += [Extent(Part(METER, each, each, False), of([each])) for each in meters]
    return found
