"""Which part of the grid is concerned when many meters are: the largest that is mostly lost.

A part counts as lost when enough of its meters are concerned, in number and as a share of those
that hang on it. Of elements that stand above each other and are lost, the highest is named, unless
nearly all that is concerned there hangs on one part of it: a feeder and not its forty transformers,
and not the area of which that feeder is half. Meters that no element explains are looked at by
gateway, and what is left by area. Pure.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from hesper_cloud.alerting.grid import AREA, GATEWAY, Grid, Part

_NAMED = 20  # parts below one that are listed
_NEARLY_ALL = 0.9


class Enough(NamedTuple):
    """From how many meters on, and from which share of a part, it counts as lost."""

    meters: int
    percent: float

    def are(self, concerned: int, of: int) -> bool:
        """Says whether so many of a part's meters are enough."""
        return concerned >= self.meters and concerned * 100 >= self.percent * of

    @property
    def half(self) -> "Enough":
        """What still holds once it began: half of both, so that an extent does not flicker."""
        return Enough(max(1, self.meters // 2), self.percent / 2)


@dataclass(frozen=True, slots=True)
class Lost:
    """A part that is lost, and the meters that show it."""

    part: Part
    meters: frozenset[str]
    of: int
    below: tuple[tuple[str, int], ...] = ()  # (kind and name, meters) of the parts it is made of


def lost(grid: Grid, meters: Collection[str], enough: Enough) -> list[Lost]:
    """Returns the parts that are lost; a meter is in one of them at most."""
    found = list(_elements(grid, meters, enough))
    left = set(meters).difference(*(each.meters for each in found))
    for kind, places, sizes in (
        (GATEWAY, grid.gateway_of, grid.gateway_sizes),
        (AREA, grid.area_of, grid.area_sizes),
    ):
        here = list(_plain(kind, places, sizes, (left, enough)))
        left.difference_update(*(each.meters for each in here))
        found.extend(here)
    return found


def still(grid: Grid, part: Part, meters: Collection[str], enough: Enough) -> Lost | None:
    """Returns a part that was lost as it is now; None when too little of it is left."""
    of = grid.size(part)
    if not meters or not enough.are(len(meters), of):
        return None
    by_element = _by_element(grid, meters) if grid.branches(part) else {}
    return Lost(part, frozenset(meters), of, _below(grid, part.id, by_element))


def _elements(grid: Grid, meters: Collection[str], enough: Enough) -> Iterator[Lost]:
    by_element = _by_element(grid, meters)
    beaten = {e: m for e, m in by_element.items() if enough.are(len(m), grid.sizes[e])}
    for highest in sorted(beaten):
        if not any(each in beaten for each in list(grid.chain(highest))[1:]):
            element = _narrowed(grid, highest, beaten)
            yield Lost(
                grid.parts[element],
                frozenset(beaten[element]),
                grid.sizes[element],
                _below(grid, element, by_element),
            )


def _narrowed(grid: Grid, element: str, beaten: Mapping[str, set[str]]) -> str:
    """Returns the part of a lost element on which nearly all that is concerned hangs."""
    wanted = _NEARLY_ALL * len(beaten[element])
    inside = (
        each
        for each in beaten
        if grid.parents.get(each) == element and each != element and len(beaten[each]) >= wanted
    )
    below = next(inside, None)
    return element if below is None else _narrowed(grid, below, beaten)


def _by_element(grid: Grid, meters: Collection[str]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = defaultdict(set)
    for meter in meters:
        for element in grid.chain(grid.element_of.get(meter, "")):
            found[element].add(meter)
    return found


def _below(
    grid: Grid, element: str, concerned: Mapping[str, set[str]]
) -> tuple[tuple[str, int], ...]:
    """Returns the parts that an element is made of, the most concerned first."""
    parts = [each for each in concerned if grid.parents.get(each) == element]
    ordered = sorted(parts, key=lambda each: (-len(concerned[each]), each))
    return tuple(
        (f"{grid.parts[each].kind} {grid.parts[each].name}", len(concerned[each]))
        for each in ordered[:_NAMED]
    )


def _plain(
    kind: str,
    places: Mapping[str, str],
    sizes: Mapping[str, int],
    asked: tuple[Collection[str], Enough],
) -> Iterator[Lost]:
    meters, enough = asked
    by_place: dict[str, set[str]] = defaultdict(set)
    for meter in meters:
        if meter in places:
            by_place[places[meter]].add(meter)
    for place in sorted(by_place):
        here, of = by_place[place], sizes.get(place, 0)
        if enough.are(len(here), of):
            yield Lost(Part(kind, place, place, False), frozenset(here), of)
