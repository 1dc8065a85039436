"""Signed receipts, one list per gateway and outbox epoch."""

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable

from hesper_contracts import receipts
from hesper_contracts.frame import Kind
from hesper_contracts.receipts import Receipt, ReceiptList, Verdict
from hesper_contracts.signing import Signer

from hesper_cloud import metrics
from hesper_cloud.ingest.message import Settled

Publish = Callable[[str, Kind, bytes], None]


class Receipts:
    """Tells gateways what became of their batches; called only after the durable commit."""

    def __init__(self, signer: Signer, publish: Publish) -> None:
        self._signer = signer
        self._publish = publish

    def give(self, settled: Iterable[Settled]) -> None:
        """Signs and publishes receipts."""
        lists: dict[tuple[str, str], dict[int, Receipt]] = defaultdict(dict)
        verdicts: Counter[Verdict] = Counter()
        now = time.monotonic()
        for (gateway, epoch, sequence), digest, verdict, reason, arrived in settled:
            lists[gateway, epoch][sequence] = Receipt(sequence, digest, verdict, reason)
            verdicts[verdict] += 1
            metrics.RECEIPT_SECONDS.observe(now - arrived)
        for verdict, count in verdicts.items():
            metrics.RECEIPTS.labels(verdict).inc(count)
        for (gateway, epoch), named in lists.items():
            payload = receipts.to_payload(
                ReceiptList(gateway, epoch, tuple(named.values())), self._signer
            )
            self._publish(gateway, Kind.RECEIPTS, payload)
