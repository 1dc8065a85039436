"""What travels between the stages of ingest."""

from typing import NamedTuple

from hesper_contracts.batch import BatchId
from hesper_contracts.frame import Kind, Refused
from hesper_contracts.receipts import Verdict
from hesper_contracts.trace import TraceContext


class Delivery(NamedTuple):
    """Names a message to the broker: which connection it came over, and its packet id there."""

    connection: int
    packet: int
    qos: int


class Message(NamedTuple):
    """One message as it arrived; `arrived` is monotonic seconds, `received_at` epoch seconds.

    ``unnamed`` is its batch's identity where the payload names none; the broker's have no such.
    ``trace`` is where its sender's trace stands, of the few that are sampled. What is ``retained``
    the broker has kept for nobody knows how long.
    """

    topic: str
    gateway: str
    kind: Kind
    payload: bytes
    delivery: Delivery
    arrived: float
    received_at: float
    unnamed: BatchId | None = None
    trace: TraceContext | None = None
    retained: bool = False


class Settled(NamedTuple):
    """What became of one batch, to be told to its gateway."""

    batch: BatchId
    digest: str
    verdict: Verdict
    reason: str
    arrived: float


MAX_SEQUENCE = 2**63 - 1
_DIGITS = frozenset("0123456789abcdef")


def batch_id(gateway: str, epoch: str, sequence: int) -> BatchId:
    """Returns a batch's identity.

    Raises:
        Refused: the sequence is beyond what stores count, or the epoch is not 16 hex digits.
    """
    if not 0 <= sequence <= MAX_SEQUENCE:
        raise Refused(f"sequence {sequence} is not between 0 and 2**63 - 1")
    if len(epoch) != 16 or not _DIGITS.issuperset(epoch):
        raise Refused(f"epoch {epoch!r} is not 16 lower-case hex digits")
    return BatchId(gateway, epoch, sequence)
