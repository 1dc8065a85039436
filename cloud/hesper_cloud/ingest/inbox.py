"""What was received and not taken up yet: bounded in octets, whatever the messages are.

Their number is bounded by the receive maximum, but a thousand messages may be some megabytes or
some gigabytes. What finds no room is not taken: it has no receipt, so whoever sent it has it still,
and sends it again.
"""

import contextlib
import queue
import threading

from hesper_cloud.ingest.message import Message

MOST_OCTETS = 256 * 1024 * 1024


class Inbox:
    """A queue of messages, for any number of threads."""

    def __init__(self, most_octets: int = MOST_OCTETS) -> None:
        self._most_octets = most_octets
        self._waiting: queue.SimpleQueue[Message] = queue.SimpleQueue()
        self._lock = threading.Lock()
        self._octets_in = 0
        self._octets_out = 0

    def has_room(self, octets: int) -> bool:
        """Says whether a message of so many octets may be put; one alone may always be."""
        held = self._octets_in - self._octets_out
        return not held or held + octets <= self._most_octets

    def put(self, message: Message) -> None:
        """Puts a message behind the others."""
        with self._lock:
            self._octets_in += len(message.payload)
        self._waiting.put(message)

    def get(self, block: bool = True, timeout: float | None = None) -> Message:
        """Returns the first message, and waits for it if asked to.

        Raises:
            queue.Empty: there is none.
        """
        message = self._waiting.get(block, timeout)
        with self._lock:
            self._octets_out += len(message.payload)
        return message

    def drained(self) -> list[Message]:
        """Returns what waits now, in its order, and leaves nothing."""
        messages: list[Message] = []
        with contextlib.suppress(queue.Empty):
            messages.extend(self.get(block=False) for _ in range(self.qsize()))
        return messages

    def qsize(self) -> int:
        """Returns how many messages wait."""
        return self._waiting.qsize()
