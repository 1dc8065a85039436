"""Groups messages by number, size and time, so that one commit serves many batches.

A commit costs about the same for a hundred readings as for a hundred thousand, so small messages
are gathered by the hundred; large ones are stopped by their octets, which bounds memory. JSON says
in sixteen octets what columns say in one.
"""

import queue
import time

from hesper_contracts.readings_json import FIRST_OCTET

from hesper_cloud.ingest.inbox import Inbox
from hesper_cloud.ingest.message import Message

_IDLE_S = 0.1
_JSON_LENGTH = 16


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
        self._linger_s = linger_s

    def next_group(self) -> list[Message]:
        """Waits a little for a first message and returns its group; empty when none came."""
        try:
            group = [self._messages.get(timeout=_IDLE_S)]
        except queue.Empty:
            return []
        flush_at = group[0].arrived + self._linger_s
        octets = _weight(group[0])
        while len(group) < self._max_messages and octets < self._max_octets:
            remaining = flush_at - time.monotonic()
            try:
                group.append(self._messages.get(block=remaining > 0, timeout=max(remaining, 0)))
            except queue.Empty:
                break
            octets += _weight(group[-1])
        return group


def _weight(message: Message) -> int:
    return len(message.payload) // (_JSON_LENGTH if message.payload[:1] == FIRST_OCTET else 1)
