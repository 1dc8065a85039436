"""Gateways as witnesses of the audit log: what the authority tells them, what they tell back.

Theory of operation. The audit log is a chain of hashes. From time to time the authority signs how
long it is and the hash of its newest row (`Checkpoint`), and publishes that retained to every
gateway. A gateway keeps the octets as they came, and publishes the newest it holds, retained
(`Testimony`). Whoever later cuts rows off, puts an old database in the place of the present one or
writes the chain anew is contradicted by every gateway that was told before. The signature makes a
checkpoint what it is, so a testimony needs none: it can be withheld, and not invented.
"""

from typing import Annotated

import msgspec

from hesper_contracts import jsonbody
from hesper_contracts.frame import HEADER_LENGTH, Encoding, Kind, expect, header
from hesper_contracts.jsonbody import UtcTime
from hesper_contracts.signing import Keyring, Signer

MOST_TOLD = 32
"""Checkpoints in one testimony."""
_LONGEST = 1024


class Checkpoint(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the audit log stood: its newest row's number and hash (SHA-256, hex)."""

    sequence: Annotated[int, msgspec.Meta(ge=1, le=2**63 - 1)]
    head: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}$")]
    at: UtcTime


class Testimony(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The newest checkpoints that a gateway holds, as they came, oldest first; base64 in JSON."""

    gateway: str
    checkpoints: Annotated[
        tuple[Annotated[bytes, msgspec.Meta(max_length=_LONGEST)], ...],
        msgspec.Meta(max_length=MOST_TOLD),
    ]


def to_payload(checkpoint: Checkpoint, signer: Signer) -> bytes:
    """Return the signed payload for ``down/witness``, the same for every gateway."""
    return signer.sign(header(Kind.WITNESS, Encoding.SIGNED_JSON), jsonbody.encode(checkpoint))


def from_payload(payload: bytes, keys: Keyring) -> Checkpoint:
    """Return a checkpoint whose signature holds.

    Raises:
        Refused: another kind or version, or a malformed body.
        Forged: not signed by a trusted command key.
    """
    expect(payload, Kind.WITNESS, Encoding.SIGNED_JSON)
    return jsonbody.decode(
        keys.verify(payload[:HEADER_LENGTH], payload[HEADER_LENGTH:]), Checkpoint
    )


def testimony_to_payload(testimony: Testimony) -> bytes:
    """Return the payload for ``up/witness``."""
    return header(Kind.WITNESS, Encoding.JSON) + jsonbody.encode(testimony)


def testimony_from_payload(payload: bytes, gateway: str) -> Testimony:
    """Return what this gateway holds; whether its checkpoints are any is still to be checked.

    Raises:
        Refused: another kind or version, a malformed body, or another gateway's name.
    """
    expect(payload, Kind.WITNESS, Encoding.JSON)
    return jsonbody.addressed_to(jsonbody.decode(payload[HEADER_LENGTH:], Testimony), gateway)
