"""Which batch sequences are stored, as intervals: small, because outboxes count without holes."""

from bisect import bisect_right
from collections.abc import Iterable

from hesper_contracts.batch import BatchId


class StoredSequences:
    """Remembers stored sequences per gateway and outbox epoch.

    A healthy gateway fills one interval, so memory grows with gateways and not with batches.
    """

    def __init__(self, intervals: Iterable[tuple[str, str, int, int]] = ()) -> None:
        self._starts: dict[tuple[str, str], list[int]] = {}
        self._ends: dict[tuple[str, str], list[int]] = {}
        for gateway, epoch, first, last in sorted(intervals):
            self._starts.setdefault((gateway, epoch), []).append(first)
            self._ends.setdefault((gateway, epoch), []).append(last)

    def __contains__(self, batch: BatchId) -> bool:
        key = (batch.gateway, batch.epoch)
        place = bisect_right(self._starts.get(key, ()), batch.sequence) - 1
        return place >= 0 and batch.sequence <= self._ends[key][place]

    def add(self, batch: BatchId) -> None:
        """Adds one sequence; neighbouring intervals grow together."""
        if batch in self:
            return
        starts = self._starts.setdefault((batch.gateway, batch.epoch), [])
        ends = self._ends.setdefault((batch.gateway, batch.epoch), [])
        place = bisect_right(starts, batch.sequence)
        follows = place > 0 and ends[place - 1] == batch.sequence - 1
        precedes = place < len(starts) and starts[place] == batch.sequence + 1
        if follows and precedes:
            ends[place - 1] = ends.pop(place)
            starts.pop(place)
        elif follows:
            ends[place - 1] = batch.sequence
        elif precedes:
            starts[place] = batch.sequence
        else:
            starts.insert(place, batch.sequence)
            ends.insert(place, batch.sequence)
