"""Groups messages by number and time, so that one commit serves many batches."""

import queue
import time

from hesper_cloud.ingest.message import Message

_IDLE_S = 0.1


class Grouping:
    """Collects a group: whatever waits already, then what comes within the linger time."""

    def __init__(
        self, messages: "queue.Queue[Message]", max_messages: int, linger_s: float
    ) -> None:
        self._messages = messages
        self._max_messages = max_messages
        self._linger_s = linger_s

    def next_group(self) -> list[Message]:
        """Waits a little for a first message and returns its group; empty when none came."""
        try:
            group = [self._messages.get(timeout=_IDLE_S)]
        except queue.Empty:
            return []
        flush_at = group[0].arrived + self._linger_s
        while len(group) < self._max_messages:
            remaining = flush_at - time.monotonic()
            try:
                group.append(self._messages.get(block=remaining > 0, timeout=max(remaining, 0)))
            except queue.Empty:
                break
        return group
