"""A gateway's certificate for the broker is renewed over the broker itself.

The request (``up/requests``, `HQ1s`) carries a certificate signing request (PKCS#10, RFC 2986) for
a fresh key and is signed with the gateway's own Ed25519 key, so that neither the broker nor a
stolen certificate suffices to be given another. The answer (``down/answers``, `HA1s`) is signed
with the command key and names the request by its digest; who asks the same again gets the same.
"""

import hashlib
from typing import Annotated

import msgspec

from hesper_contracts import jsonbody
from hesper_contracts.frame import HEADER_LENGTH, Encoding, Kind, expect, header
from hesper_contracts.signing import Keyring, Signer

MOST_OCTETS = 16 * 1024
_SIGNATURE_OCTETS = 64
_REQUEST = header(Kind.REQUESTS, Encoding.SIGNED_JSON)
_ANSWER = header(Kind.ANSWERS, Encoding.SIGNED_JSON)


class RenewalRequest(msgspec.Struct, frozen=True, tag="certificate", tag_field="ask"):
    """Asks for a certificate; ``certificate_request`` is PKCS#10 in DER."""

    gateway: str
    certificate_request: Annotated[bytes, msgspec.Meta(min_length=1, max_length=2048)]

    @property
    def digest(self) -> str:
        """What the answer names this request by: SHA-256 of the signing request, hex."""
        return hashlib.sha256(self.certificate_request).hexdigest()


class RenewalAnswer(msgspec.Struct, frozen=True, tag="certificate", tag_field="answer"):
    """A certificate in PEM with its chain behind it, for the request of this digest."""

    gateway: str
    request: str
    certificate: bytes


class _Answered(msgspec.Struct):
    """The field that tells answers apart."""

    answer: str


def is_request(payload: bytes) -> bool:
    """Say whether a payload of ``up/requests`` is a signed one, as only these are."""
    return payload.startswith(_REQUEST) and len(payload) <= MOST_OCTETS


def is_answer(payload: bytes) -> bool:
    """Say whether a payload of ``down/answers`` claims to bring a certificate; proves nothing."""
    id_octets = payload[HEADER_LENGTH : HEADER_LENGTH + 1]
    start = HEADER_LENGTH + 1 + (id_octets[0] if id_octets else 0) + _SIGNATURE_OCTETS
    try:
        return msgspec.json.decode(payload[start:], type=_Answered).answer == "certificate"
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False


def request_to_payload(request: RenewalRequest, gateway: Signer) -> bytes:
    """Return the payload for ``up/requests``, signed with the gateway's own key."""
    return gateway.sign(_REQUEST, jsonbody.encode(request))


def request_from_payload(payload: bytes, keys: Keyring, gateway: str) -> RenewalRequest:
    """Return a request that is signed with the key on record of the gateway that sent it.

    Raises:
        Refused: another kind or version, a malformed body, or another gateway's name.
        Forged: signed with another key.
    """
    expect(payload, Kind.REQUESTS, Encoding.SIGNED_JSON)
    body = keys.verify(payload[:HEADER_LENGTH], payload[HEADER_LENGTH:])
    return jsonbody.addressed_to(jsonbody.decode(body, RenewalRequest), gateway)


def answer_to_payload(answer: RenewalAnswer, head_end: Signer) -> bytes:
    """Return the payload for ``down/answers``, signed with the command key."""
    return head_end.sign(_ANSWER, jsonbody.encode(answer))


def answer_from_payload(payload: bytes, keys: Keyring, gateway: str) -> RenewalAnswer:
    """Return an answer whose signature holds and that is meant for this gateway.

    Raises:
        Refused: another kind or version, a malformed body, or another gateway's answer.
        Forged: not signed by a trusted command key.
    """
    expect(payload, Kind.ANSWERS, Encoding.SIGNED_JSON)
    body = keys.verify(payload[:HEADER_LENGTH], payload[HEADER_LENGTH:])
    return jsonbody.addressed_to(jsonbody.decode(body, RenewalAnswer), gateway)
