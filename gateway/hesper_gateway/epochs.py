"""What receipts do to the outbox: batches leave it, or it begins a new epoch.

Theory of operation
-------------------
A database that was put back from an older copy (a card restored from its image) goes on where the
copy ended: under identities that the cloud has stored with other octets, and refuses. The first
receipt that says so of a batch that waits here begins a new epoch. In one transaction with the
event that tells a person, all that waits, and what was refused for that reason before, belongs to
the new epoch and goes again; sequences go on. What had been stored under the old epoch all the same
comes twice: the cloud knows its rows and events by themselves, and the authority takes no second
result of a command that has ended. What else went back with it is for the outbox to see to.

No batch is written anew for that, however many wait: one that was sealed under an earlier epoch is
given the present one whenever it is looked at (`under`), with the same octets every time.

Receipts are signed, and an outbox cannot go back while its file is open: so whoever holds the
outbox lets it begin anew once in a process. A cloud that contradicts everything has batches set
aside after that, and cannot have them sent for ever.
"""

import logging
import sqlite3
from dataclasses import dataclass
from datetime import datetime

from hesper_contracts import batch, events, signing
from hesper_contracts.frame import HEADER_LENGTH, Kind
from hesper_contracts.receipts import OTHER_DIGEST, Receipt, ReceiptList
from hesper_contracts.signing import Forged, Signer

from hesper_gateway import batches
from hesper_gateway.batches import NewBatch

log = logging.getLogger(__name__)

WENT_BACK = "gateway.outbox_went_back"


@dataclass(frozen=True, slots=True)
class Anew:
    """A new epoch, what waits again besides what waited, and the event that tells of it.

    Attributes:
        epoch: 16 hex digits.
        batches: How many that had been set aside wait again.
        octets: Theirs.
        told: Sequence and octets of the batch with the event.
    """

    epoch: str
    batches: int
    octets: int
    told: tuple[int, int]


def under(epoch: str, kind: Kind, payload: bytes, signer: Signer) -> bytes:
    """Returns a batch as it travels under an epoch; the signature of a result covers that, too."""
    if batch.identity(payload)[0] == epoch:
        return payload
    sequence = payload[HEADER_LENGTH + batch.EPOCH_LENGTH : batch.BODY]
    prefix = payload[:HEADER_LENGTH] + bytes.fromhex(epoch) + sequence
    if kind is Kind.RESULTS:
        try:
            return signer.sign(prefix, signing.body_of(payload[batch.BODY :]))
        except Forged as error:
            log.warning("a result is damaged, the cloud will refuse it: %s", error)
    return prefix + payload[batch.BODY :]


def settle(
    connection: sqlite3.Connection, receipts: ReceiptList, signer: Signer, begin_at: datetime | None
) -> tuple[list[int | None], Anew | None]:
    """Releases the batches whose digests the receipts repeat, or begins a new epoch for them.

    Args:
        connection: In a transaction.
        receipts: Verified, and of the present epoch.
        signer: The gateway's own key.
        begin_at: Present time (aware), if a new epoch may begin.

    Returns:
        For each receipt the octets of the batch that it released, None where nothing changed.
    """
    outcomes: list[int | None] = []
    is_due = False
    for receipt in receipts.receipts:
        octets = _meant(connection, receipt, receipts.epoch, signer)
        if octets is not None and receipt.is_contradiction and begin_at is not None:
            is_due, octets = True, None
        elif octets is not None:
            batches.release(connection, receipt)
        outcomes.append(octets)
    return outcomes, _begin(connection, begin_at) if is_due and begin_at is not None else None


def _meant(
    connection: sqlite3.Connection, receipt: Receipt, epoch: str, signer: Signer
) -> int | None:
    """Returns the octets of the waiting batch that a receipt means; None where there is none."""
    found = batches.waiting(connection, receipt.sequence)
    if found is None:
        return None
    if batch.digest(under(epoch, found.kind, found.payload, signer)) != receipt.digest:
        log.error("receipt for batch %d has another digest: not released", receipt.sequence)
        return None
    return len(found.payload)


def _begin(connection: sqlite3.Connection, at: datetime) -> Anew:
    batches.forget_epoch(connection)
    epoch = batches.epoch(connection)
    count, octets = batches.put_back(connection, OTHER_DIGEST)
    told = events.EventList((_went_back(epoch, at),))

    def seal(of_epoch: str, sequence: int) -> bytes:
        return events.to_payload(told, of_epoch, sequence)

    new = NewBatch(Kind.EVENTS, int(at.timestamp()), seal)
    return Anew(epoch, count, octets, batches.insert(connection, new, epoch))


def _went_back(epoch: str, at: datetime) -> events.Event:
    return events.Event(
        id=f"{WENT_BACK}/{epoch}",
        code=WENT_BACK,
        occurred_at=at,
        severity="warning",
        text="the outbox went back in time: restored from an older copy? What was refused for that "
        f"goes again, as outbox {epoch}",
    )
