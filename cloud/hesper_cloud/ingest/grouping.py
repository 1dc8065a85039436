"""Groups messages by number, size and time, so that one commit serves many batches.

A commit costs about the same for a hundred readings as for a hundred thousand, so small messages
are gathered by the hundred; large ones are stopped by their octets, which bounds memory. JSON says
in sixteen octets what columns say in one.

How many octets that are goes by how fast the store is: a gateway sends again what was not receipted
in four seconds, and a message may wait for a group before its own is stored. A slow server gets
small groups for this, and no store waits more often than it must for what is done between two. A
group of copies, which says that a store is fast, counts for little beside one that took long; an
outage of hours counts no more than a few times what was usual.
"""

import queue
import time
from collections.abc import Iterable

from hesper_contracts.readings_json import FIRST_OCTET

from hesper_cloud.ingest.inbox import Inbox
from hesper_cloud.ingest.message import Message

_IDLE_S = 0.1
_JSON_LENGTH = 16
_FIRST_OCTETS, _LEAST_OCTETS = 512 * 1024, 32 * 1024
_STORED_WITHIN_S = 1.2
_NEWS, _WORST = 0.2, 5  # a store takes half or double from group to group


class Grouping:
    """Collects a group: whatever waits already, then what comes within the linger time."""

    def __init__(
        self,
        messages: Inbox,
        max_messages: int,
        linger_s: float,
        max_octets: int = 1 << 62,
    ) -> None:
        self._messages = messages
        self._max_messages = max_messages
        self._max_octets = max_octets
        self._s_per_octet = _STORED_WITHIN_S / _FIRST_OCTETS
        self._linger_s = linger_s

    def next_group(self) -> list[Message]:
        """Waits a little for a first message and returns its group; empty when none came."""
        try:
            group = [self._messages.get(timeout=_IDLE_S)]
        except queue.Empty:
            return []
        flush_at = group[0].arrived + self._linger_s
        octets = _weight(group[0])
        while len(group) < self._max_messages and octets < self._fitting:
            remaining = flush_at - time.monotonic()
            try:
                group.append(self._messages.get(block=remaining > 0, timeout=max(remaining, 0)))
            except queue.Empty:
                break
            octets += _weight(group[-1])
        return group

    def settled(self, group: Iterable[Message], took_s: float) -> None:
        """Learns from a group how fast the store is, where it was large enough to say that."""
        octets = sum(map(_weight, group))
        if 2 * octets >= self._fitting:
            took = min(took_s / octets, self._s_per_octet * _WORST)
            self._s_per_octet += (took - self._s_per_octet) * _NEWS

    @property
    def _fitting(self) -> float:
        """How many octets the store takes in time."""
        return min(max(_STORED_WITHIN_S / self._s_per_octet, _LEAST_OCTETS), self._max_octets)


def _weight(message: Message) -> int:
    return len(message.payload) // (_JSON_LENGTH if message.payload[:1] == FIRST_OCTET else 1)
