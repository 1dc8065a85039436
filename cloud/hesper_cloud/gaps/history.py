"""Capture times of meters whose open gaps are older than what the fleet is looked at over.

They are read again when the meter has been heard from, and every ten minutes.
"""

from datetime import datetime
from typing import NamedTuple

from hesper_cloud.gaps.meters import FleetMeter
from hesper_cloud.stores.port import Integers, ReadingStore

_READ_AGAIN_S = 600


class _Known(NamedTuple):
    heard_at: datetime | None
    start: int
    read_at: int
    times: Integers


class History:
    """Remembers what was read of each meter and profile."""

    def __init__(self, store: ReadingStore) -> None:
        self._store = store
        self._known: dict[tuple[str, str], _Known] = {}
        self._used: set[tuple[str, str]] = set()

    def of(self, meter: FleetMeter, profile: str, start: int, end: int) -> Integers:
        """Returns the capture times with ``start <= capture < end``, ascending."""
        key = (meter.id, profile)
        self._used.add(key)
        known = self._known.get(key)
        if (
            known is None
            or known.heard_at != meter.last_contact_at
            or known.start > start
            or end - known.read_at >= _READ_AGAIN_S
        ):
            times = self._store.captured_times(meter.id, profile, start, end)
            known = self._known[key] = _Known(meter.last_contact_at, start, end, times)
        return known.times

    def forget_unused(self) -> None:
        """Forgets what nobody asked for since the last time."""
        self._known = {key: known for key, known in self._known.items() if key in self._used}
        self._used.clear()
