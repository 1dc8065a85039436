"""The cloud asks for batches that it has receipted already: it was restored from a backup.

Signed by the ingest key, as receipts are. A gateway puts what it still holds of those batches back
into its backlog, octets and identities unchanged; what it does not hold any more comes again from
the meters, through the gap ledger. To ask twice, or for batches that are stored after all, costs
traffic and nothing else: the store takes the second copy as no news.
"""

from typing import Annotated

import msgspec

from hesper_contracts import jsonbody
from hesper_contracts.frame import HEADER_LENGTH, Encoding, Kind, expect, header
from hesper_contracts.signing import Keyring, Signer


class SendAgain(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which batches: all of an outbox epoch from a sequence on; without an epoch the present."""

    gateway: str
    epoch: str | None
    from_sequence: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


def to_payload(wish: SendAgain, signer: Signer) -> bytes:
    """Return the signed payload for ``down/again``."""
    return signer.sign(header(Kind.AGAIN, Encoding.SIGNED_JSON), jsonbody.encode(wish))


def from_payload(payload: bytes, keys: Keyring, gateway: str) -> SendAgain:
    """Return the wish of a payload meant for this gateway.

    Raises:
        Refused: another kind or version, for another gateway, or from a sequence that none has.
        Forged: not signed by a trusted ingest key.
    """
    expect(payload, Kind.AGAIN, Encoding.SIGNED_JSON)
    body = keys.verify(payload[:HEADER_LENGTH], payload[HEADER_LENGTH:])
    return jsonbody.addressed_to(jsonbody.decode(body, SendAgain), gateway)
