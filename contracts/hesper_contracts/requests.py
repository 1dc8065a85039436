"""What a gateway asks of the cloud: what time it is, and blocks of a firmware image.

A Pi has no battery clock. Until a signed answer to its own nonce has arrived since boot, a gateway
does not know the time well enough to judge a command's window, and refuses relay commands. Blocks
come as they are, see `blocks`.
"""

from typing import Annotated

import msgspec

from hesper_contracts import jsonbody
from hesper_contracts.frame import HEADER_LENGTH, Encoding, Kind, expect, header
from hesper_contracts.jsonbody import UtcTime
from hesper_contracts.manifest import ImageHash
from hesper_contracts.signing import Keyring, Signer

MOST_BLOCKS = 64
_LONGEST_NONCE = 64  # characters; what comes back is signed, and nobody chooses much of that


class TimeRequest(msgspec.Struct, frozen=True, tag="time", tag_field="ask"):
    """Asks for the time; ``nonce`` is 16 random octets in hex, fresh for every request."""

    gateway: str
    nonce: Annotated[str, msgspec.Meta(max_length=_LONGEST_NONCE)]


class BlocksRequest(msgspec.Struct, frozen=True, tag="blocks", tag_field="ask"):
    """Asks for ``count`` blocks of an image, from number ``first`` on."""

    gateway: str
    image_hash: ImageHash
    first: Annotated[int, msgspec.Meta(ge=0, lt=2**32)]
    count: Annotated[int, msgspec.Meta(ge=1, le=MOST_BLOCKS)]


Request = TimeRequest | BlocksRequest
_KINDS: dict[str, type[Request]] = {"time": TimeRequest, "blocks": BlocksRequest}


class _Asked(msgspec.Struct):
    """The field that tells requests apart."""

    ask: str


class TimeAnswer(msgspec.Struct, frozen=True, tag="time", tag_field="answer"):
    """The authority's clock when it answered this nonce."""

    gateway: str
    nonce: str
    time: UtcTime


def request_to_payload(request: Request) -> bytes:
    """Return the payload for ``up/requests``."""
    return header(Kind.REQUESTS, Encoding.JSON) + jsonbody.encode(request)


def request_from_payload(payload: bytes, gateway: str) -> Request:
    """Return the request that this gateway sent.

    Raises:
        Refused: another kind or version, a malformed body, or another gateway's name.
    """
    expect(payload, Kind.REQUESTS, Encoding.JSON)
    body = payload[HEADER_LENGTH:]
    asked = _KINDS.get(jsonbody.decode(body, _Asked).ask, TimeRequest)
    return jsonbody.addressed_to(jsonbody.decode(body, asked), gateway)


def answer_to_payload(answer: TimeAnswer, signer: Signer) -> bytes:
    """Return the signed payload for ``down/answers``."""
    return signer.sign(header(Kind.ANSWERS, Encoding.SIGNED_JSON), jsonbody.encode(answer))


def answer_from_payload(payload: bytes, keys: Keyring, gateway: str) -> TimeAnswer:
    """Return an answer whose signature holds and that is meant for this gateway.

    Raises:
        Refused: another kind or version, a malformed body, or another gateway's answer.
        Forged: not signed by a trusted command key.
    """
    expect(payload, Kind.ANSWERS, Encoding.SIGNED_JSON)
    body = keys.verify(payload[:HEADER_LENGTH], payload[HEADER_LENGTH:])
    return jsonbody.addressed_to(jsonbody.decode(body, TimeAnswer), gateway)
