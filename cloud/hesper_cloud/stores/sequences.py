"""Which batch sequences are stored, as intervals: small, because outboxes count without holes."""

from bisect import bisect_right
from collections.abc import Iterable

from hesper_contracts.batch import BatchId

MOST_INTERVALS = 1000
"""Of one gateway. One that invents outboxes, or sends batches without a name, fills no memory."""


class _Intervals:
    """The stored sequences of one outbox."""

    def __init__(self) -> None:
        self.starts: list[int] = []
        self.ends: list[int] = []

    def __contains__(self, sequence: int) -> bool:
        place = bisect_right(self.starts, sequence) - 1
        return place >= 0 and sequence <= self.ends[place]

    def put(self, first: int, last: int) -> int:
        """Adds an interval that touches none, or grows a neighbour; returns how many more."""
        place = bisect_right(self.starts, first)
        follows = place > 0 and self.ends[place - 1] == first - 1
        precedes = place < len(self.starts) and self.starts[place] == last + 1
        if follows and precedes:
            self.ends[place - 1] = self.ends.pop(place)
            self.starts.pop(place)
        elif follows:
            self.ends[place - 1] = last
        elif precedes:
            self.starts[place] = first
        else:
            self.starts.insert(place, first)
            self.ends.insert(place, last)
        return 1 - follows - precedes

    def forget_first(self) -> None:
        del self.starts[0], self.ends[0]


class StoredSequences:
    """Remembers stored sequences per gateway and outbox epoch.

    A healthy gateway fills one interval, so memory grows with gateways and not with batches. Of one
    with very many the oldest are forgotten: such a batch, sent again, is told by its readings.
    """

    def __init__(self, intervals: Iterable[tuple[str, str, int, int]] = ()) -> None:
        """Takes intervals as gateway, epoch, first and last sequence, those added last at last."""
        self._of: dict[str, dict[str, _Intervals]] = {}
        self._counts: dict[str, int] = {}
        for gateway, epoch, first, last in intervals:
            self._put(gateway, epoch, first, last)

    def __contains__(self, batch: BatchId) -> bool:
        outbox = self._of.get(batch.gateway, {}).get(batch.epoch)
        return outbox is not None and batch.sequence in outbox

    def add(self, batch: BatchId) -> None:
        """Adds one sequence; neighbouring intervals grow together."""
        if batch not in self:
            self._put(batch.gateway, batch.epoch, batch.sequence, batch.sequence)

    def _put(self, gateway: str, epoch: str, first: int, last: int) -> None:
        outboxes = self._of.setdefault(gateway, {})
        outboxes[epoch] = outbox = outboxes.pop(epoch, None) or _Intervals()  # the last one now
        count = self._counts.get(gateway, 0) + outbox.put(first, last)
        if count > MOST_INTERVALS:
            oldest = next(iter(outboxes))
            outboxes[oldest].forget_first()
            if not outboxes[oldest].starts:
                del outboxes[oldest]
            count -= 1
        self._counts[gateway] = count
