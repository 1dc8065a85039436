"""Stored batch ids in InfluxDB: one point per batch, its time in nanoseconds the sequence.

After an outage every batch comes several times, as its gateway sent it again and again meanwhile.
So the newest ones are in memory, too: those copies cost no query.
"""

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Any

from hesper_contracts.batch import BatchId

from hesper_cloud.stores.influx_lines import BATCHES, batch_lines
from hesper_cloud.stores.influx_ql import quoted, select
from hesper_cloud.stores.influx_server import InfluxServer

_NONE = -1
_REMEMBERED = 50_000
_OUTBOXES = 200_000  # one may come with each message: who names no batch has a new one each time


class Batches:
    """Knows which batches are stored; sequences beyond the newest stored one cost no query."""

    def __init__(self, server: InfluxServer, *, sole_writer: bool) -> None:
        self._server = server
        self._sole_writer = sole_writer
        self._newest: dict[tuple[str, str], int] = {}
        self._recent: dict[BatchId, str] = {}

    def add(self, batches: Mapping[BatchId, str], stored_at: int, commit: bytes) -> None:
        """Writes batch ids together with the line that ends their commit.

        The readings must be written before.
        """
        ids = [batch_lines(batches, stored_at).encode()] if batches else []
        self._server.write(b"\n".join([commit, *ids]), "ns")
        for batch, digest in batches.items():
            outbox = (batch.gateway, batch.epoch)
            if outbox in self._newest:  # else the server may hold a later one
                self._newest[outbox] = max(batch.sequence, self._newest[outbox])
            self._recent[batch] = digest
        self._forget_oldest()

    def _forget_oldest(self) -> None:
        """Forgets what the server is asked for again, should it be wanted."""
        _keep_last(self._recent, _REMEMBERED)
        _keep_last(self._newest, _OUTBOXES)

    def known(self, batches: Sequence[BatchId]) -> dict[BatchId, str]:
        """Returns the digests of those batches that are stored."""
        found = {batch: self._recent[batch] for batch in batches if batch in self._recent}
        wanted: dict[tuple[str, str], set[int]] = {}
        for batch in batches:
            if batch not in found:
                wanted.setdefault((batch.gateway, batch.epoch), set()).add(batch.sequence)
        for outbox, sequences in wanted.items():
            likely = {each for each in sequences if each <= self._newest_of(outbox)}
            if likely:
                found |= self._digests(outbox, likely)
        return found

    def _newest_of(self, outbox: tuple[str, str]) -> int:
        if outbox not in self._newest or not self._sole_writer:
            newest = _NONE
            query = select("last(digest)", BATCHES, _of(outbox))
            for table in self._server.query(query, "ns"):
                newest = int(table.rows[0][0])
            self._newest[outbox] = newest
            _keep_last(self._newest, _OUTBOXES)
        return self._newest[outbox]

    def _digests(self, outbox: tuple[str, str], sequences: set[int]) -> dict[BatchId, str]:
        span = f"time >= {min(sequences)} AND time <= {max(sequences)}"
        query = select("digest", BATCHES, f"{_of(outbox)} AND {span}")
        return {
            BatchId(*outbox, sequence): digest
            for table in self._server.query(query, "ns")
            for sequence, digest in table.rows
            if sequence in sequences
        }


def _keep_last(known: dict[Any, Any], most: int) -> None:
    for each in list(islice(known, max(0, len(known) - most))):
        del known[each]


def _of(outbox: tuple[str, str]) -> str:
    return f"gateway = {quoted(outbox[0])} AND epoch = {quoted(outbox[1])}"
