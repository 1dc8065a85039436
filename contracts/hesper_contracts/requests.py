"""What a gateway asks of the cloud and the signed answers: for now, what time it is.

A Pi has no battery clock. Until a signed answer to its own nonce has arrived since boot, a gateway
does not know the time well enough to judge a command's window, and refuses relay commands.
"""

import msgspec

from hesper_contracts import jsonbody
from hesper_contracts.frame import HEADER_LENGTH, Encoding, Kind, expect, header
from hesper_contracts.jsonbody import UtcTime
from hesper_contracts.signing import Keyring, Signer


class TimeRequest(msgspec.Struct, frozen=True, tag="time", tag_field="ask"):
    """Asks for the time; ``nonce`` is 16 random octets in hex, fresh for every request."""

    gateway: str
    nonce: str


class TimeAnswer(msgspec.Struct, frozen=True, tag="time", tag_field="answer"):
    """The authority's clock when it answered this nonce."""

    gateway: str
    nonce: str
    time: UtcTime


def request_to_payload(request: TimeRequest) -> bytes:
    """Return the payload for ``up/requests``."""
    return header(Kind.REQUESTS, Encoding.JSON) + jsonbody.encode(request)


def request_from_payload(payload: bytes, gateway: str) -> TimeRequest:
    """Return the request that this gateway sent.

    Raises:
        Refused: another kind or version, a malformed body, or another gateway's name.
    """
    expect(payload, Kind.REQUESTS, Encoding.JSON)
    request = jsonbody.decode(payload[HEADER_LENGTH:], TimeRequest)
    return jsonbody.addressed_to(request, gateway)


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
