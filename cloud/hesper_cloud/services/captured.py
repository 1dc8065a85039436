"""Capture times of the last day, from memory where all that is stored is known there."""

from collections.abc import Mapping, Sequence

from hesper_cloud.db.engines import batched
from hesper_cloud.quantities import LOAD_PROFILE
from hesper_cloud.services.sources import Sources
from hesper_cloud.stores.port import Integers

_DAY_S = 86_400
_METERS_AT_ONCE = 2500


def captured_lately(sources: Sources, meters: Sequence[str], now: int) -> Mapping[str, Integers]:
    """Returns these meters' captures of the load profile in the 24 hours before.

    The store is asked for those alone that are not known, some thousand at a time: after a start,
    until the gap ledger has read them.
    """
    found: dict[str, Integers] = {}
    for part in batched(meters, _METERS_AT_ONCE):
        found |= _of(sources, part, now)
    return found


def _of(sources: Sources, meters: Sequence[str], now: int) -> Mapping[str, Integers]:
    start = now - _DAY_S
    if sources.captures is not None:
        known = sources.captures.known(LOAD_PROFILE, meters, start, now)
        if known is not None:
            return known
    return sources.store.captured(LOAD_PROFILE, start, now, meters)
