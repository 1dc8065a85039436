"""Receipts: the consumer's signed word that batches are durably stored, or refused for good.

A broker's PUBACK is no receipt. A gateway releases a batch only for a receipt whose signature holds
and whose digest equals that of the octets it sent.

One reason of a rejection is more than words: that the identity is taken by other octets. A gateway
that hears it of a batch of its own knows that its outbox went back in time.
"""

from typing import Literal

import msgspec

from hesper_contracts import jsonbody
from hesper_contracts.batch import BatchId
from hesper_contracts.frame import HEADER_LENGTH, Encoding, Kind, expect, header
from hesper_contracts.signing import Keyring, Signer

Verdict = Literal["stored", "rejected"]
OTHER_DIGEST = "is stored with another digest"
"""How the reason ends where a batch's identity is taken by other octets; never reworded."""


def contradiction(identity: BatchId) -> str:
    """Returns the reason of a rejection: a batch's identity is taken by other octets."""
    return f"batch {identity.epoch}/{identity.sequence} {OTHER_DIGEST}"


class Receipt(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The fate of one batch: its sequence, the digest of its octets, verdict and reason."""

    sequence: int
    digest: str
    verdict: Verdict = "stored"
    reason: str = ""

    @property
    def is_contradiction(self) -> bool:
        """Whether the cloud has other octets under the batch's identity."""
        return self.verdict == "rejected" and self.reason.endswith(OTHER_DIGEST)


class ReceiptList(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Receipts for batches of one outbox epoch of one gateway, named one by one."""

    gateway: str
    epoch: str
    receipts: tuple[Receipt, ...]


def to_payload(receipts: ReceiptList, signer: Signer) -> bytes:
    """Return the signed payload for ``down/receipts``."""
    return signer.sign(header(Kind.RECEIPTS, Encoding.SIGNED_JSON), jsonbody.encode(receipts))


def from_payload(payload: bytes, keys: Keyring, gateway: str) -> ReceiptList:
    """Return the receipts of a payload meant for this gateway.

    Raises:
        Refused: another kind or version, or receipts for another gateway.
        Forged: not signed by a trusted ingest key.
    """
    expect(payload, Kind.RECEIPTS, Encoding.SIGNED_JSON)
    body = keys.verify(payload[:HEADER_LENGTH], payload[HEADER_LENGTH:])
    receipts = jsonbody.decode(body, ReceiptList)
    return jsonbody.addressed_to(receipts, gateway)
