"""What senders hear of their batches once they are durable, and the broker of their messages."""

from collections.abc import Sequence

from hesper_cloud.ingest.consumer import Consumer
from hesper_cloud.ingest.door import Door
from hesper_cloud.ingest.message import Message, Settled
from hesper_cloud.ingest.receipts import Receipts
from hesper_cloud.ingest.stages import stage


class Answers:
    """Gives receipts, answers at the door, and messages back to the broker."""

    def __init__(self, receipts: Receipts, door: Door, consumer: Consumer) -> None:
        self._receipts = receipts
        self._door = door
        self._consumer = consumer

    def give(self, group: Sequence[Message], settled: Sequence[Settled]) -> None:
        """Tells what became of a group's batches, and frees its places in the window."""
        with stage("receipts"):
            self._receipts.give(self._door.told(settled))
        with stage("acknowledge"):
            self._consumer.acknowledge([message.delivery for message in group])
