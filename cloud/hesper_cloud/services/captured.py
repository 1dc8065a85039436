"""Capture times of the last day, from memory where all that is stored is known there."""

from collections.abc import Mapping, Sequence

from hesper_cloud.quantities import LOAD_PROFILE
from hesper_cloud.services.sources import Sources
from hesper_cloud.stores.port import Integers

_DAY_S = 86_400


def captured_lately(sources: Sources, meters: Sequence[str], now: int) -> Mapping[str, Integers]:
    """Returns the captures of the load profile in the 24 hours before, of these meters at least."""
    start = now - _DAY_S
    if not meters:
        return {}
    if sources.captures is not None:
        known = sources.captures.known(LOAD_PROFILE, meters, start, now)
        if known is not None:
            return known
    return sources.store.captured(LOAD_PROFILE, start, now)
