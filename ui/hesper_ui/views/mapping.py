"""The map in numbers: what a view of it asks for, and what its clusters and spots say."""

from collections.abc import Mapping, Sequence
from typing import Any

from hesper_ui.services import Branch, Cluster, Invalid, MeterQuery, MeterRow, Spot
from hesper_ui.views import meter_list
from hesper_ui.views.looks import gateway_state, meter_state
from hesper_ui.words import say

MOST_LISTED = 60
_LEAST_ACROSS, _MOST_ACROSS = 4, 40


def asked(parameters: Mapping[str, str]) -> tuple[MeterQuery, float]:
    """Reads what a view asks for: the meters in its box, and how wide a cell is, in degrees.

    Raises:
        Invalid: the box is none.
    """
    within = meter_list.box(parameters.get("box", ""))
    if within is None:
        raise Invalid(say("A box is four numbers: south, west, north, east."))
    south, west, north, east = within
    if not (-90 <= south <= north <= 90 and -180 <= west <= east <= 180):
        raise Invalid(say("A box lies between 90 degrees south and north, 180 west and east."))
    wanted = parameters.get("across", "")
    cells = int(wanted) if wanted.isdecimal() and len(wanted) < 4 else _LEAST_ACROSS
    across = min(_MOST_ACROSS, max(_LEAST_ACROSS, cells))
    query = MeterQuery(
        box=within,
        feeder=parameters.get("feeder") or None,
        limit=MOST_LISTED,
    )
    return query, max((east - west) / across, 1e-5)


def cluster(each: Cluster) -> dict[str, Any]:
    """Returns one cluster as the map's script reads it."""
    return {
        "at": [each.latitude, each.longitude],
        "count": each.count,
        "critical": each.critical,
        "warning": each.warning,
        "silent": each.silent,
        "meter": each.meter,
    }


def spot(each: Spot) -> dict[str, Any]:
    """Returns one gateway as the map's script reads it."""
    look, at = gateway_state(each), [each.latitude, each.longitude]
    return {"id": each.id, "at": at, "mark": look.mark, "word": say(look.word)}


def listed(row: MeterRow, *, is_anybody_heard: bool) -> dict[str, Any]:
    """Returns one meter of the list beside the map."""
    look = meter_state(row, is_anybody_heard=is_anybody_heard)
    where = row.address or row.customer or row.gateway or ""
    return {"id": row.id, "mark": look.mark, "word": say(look.word), "note": where}


def tree(branches: Sequence[Branch]) -> list[tuple[int, Branch]]:
    """Returns the branches in the order of the tree, each with how deep it lies."""
    below: dict[str | None, list[Branch]] = {}
    names = {each.id for each in branches}
    for each in branches:
        below.setdefault(each.parent if each.parent in names else None, []).append(each)
    found: list[tuple[int, Branch]] = []
    waiting = [(0, each) for each in reversed(below.get(None, []))]
    while waiting:
        depth, each = waiting.pop()
        found.append((depth, each))
        waiting += [(depth + 1, child) for child in reversed(below.pop(each.id, []))]
    return found
