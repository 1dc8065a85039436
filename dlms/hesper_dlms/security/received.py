"""Numbers taken from a peer, so that nothing recorded is accepted again.

A series is the invocation counters of one system title with one key, or the transaction-ids where
those take the counters' place. Its numbers only ever grow, across associations: whoever gives the
same mapping to all of them has that.
"""

from __future__ import annotations

from collections.abc import MutableMapping

from hesper_dlms.errors import SecurityError
from hesper_dlms.security.gcm import GcmKey

ReceivedCounters = MutableMapping[bytes, int]
"""System title and key fingerprint → the last invocation counter accepted."""

TRANSACTION_NAMES = b"transaction:"
"""How names begin that stand for transaction-ids, where those take the counter's place."""


class Received:
    """The series of one association; `counters` outlives it."""

    __slots__ = ("_counters",)

    def __init__(self, counters: ReceivedCounters | None) -> None:
        self._counters: ReceivedCounters = {} if counters is None else counters

    def take_counter(self, title: bytes, key: GcmKey, counter: int, verified: bool) -> None:
        """Take an invocation counter; SecurityError unless it is higher than those before."""
        # What nobody could verify must not raise the bar for what can be.
        name = title + key.fingerprint
        self.take(name if verified else name + b"?", counter)

    def last_counter(self, title: bytes, key: GcmKey) -> int:
        """Return the last verified counter of this title with this key; -1 for none."""
        return self._counters.get(title + key.fingerprint, -1)

    def take(self, name: bytes, number: int) -> None:
        """Take the next number of a series; SecurityError unless it is higher."""
        if number <= self._counters.get(name, -1):
            raise SecurityError(f"invocation counter {number} was seen before (replay)")
        self._counters[name] = number

    def note(self, name: bytes, number: int) -> None:
        """Take a number that is known to be fresh; only higher ones are taken after it."""
        self._counters[name] = max(number, self._counters.get(name, -1))
