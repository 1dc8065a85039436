"""Receipts: the consumer's signed word that batches are durably stored, or refused for good.

A broker's PUBACK is no receipt. A gateway releases a batch only for a receipt whose signature holds
and whose digest equals that of the octets it sent.
"""

from typing import Literal

import msgspec

from hesper_contracts import jsonbody
from hesper_contracts.frame import HEADER_LENGTH, Encoding, Kind, expect, header
from hesper_contracts.signing import Keyring, Signer

Verdict = Literal["stored", "rejected"]


class Receipt(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The fate of one batch: its sequence, the digest of its octets, verdict and reason."""

    sequence: int
    digest: str
    verdict: Verdict = "stored"
    reason: str = ""


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
