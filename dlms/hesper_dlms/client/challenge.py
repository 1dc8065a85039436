"""HLS from the client's side: challenges, and the proofs of both (Green Book, 9.2.2.2.2.4).

    AARQ(CtoS) -> AARE(StoC), then reply_to_HLS: f(StoC) -> f(CtoS)

The association is not to be used before the meter's own proof was checked.
"""

from __future__ import annotations

from hesper_dlms import apdu, axdr
from hesper_dlms.apdu import aare
from hesper_dlms.association import (
    ASSOCIATION_CLASS,
    CURRENT_ASSOCIATION,
    REPLY_TO_HLS,
    Authentication,
)
from hesper_dlms.client.channel import Channel
from hesper_dlms.client.settings import AssociationSettings
from hesper_dlms.client.short_names import reply_to_hls_by_short_name
from hesper_dlms.errors import AssociationRejected, DecodeError, SecurityError, ServiceError
from hesper_dlms.exchange import Exchange
from hesper_dlms.security import (
    Handshake,
    PeerKeys,
    check_challenge,
    new_challenge,
    shortest_challenge,
    usual_challenge,
)

_HLS = apdu.CosemMethod(ASSOCIATION_CLASS, CURRENT_ASSOCIATION, REPLY_TO_HLS)
_INVOKE = 0xC1
_REQUESTS = frozenset((0x05, 0x06, 0x16, 0xC0, 0xC1, 0xC3, 0xD9))
"""Tags of what a meter carries out: read, write, unconfirmed write, GET, SET, ACTION, ACCESS."""


def our_challenge(settings: AssociationSettings) -> bytes:
    """Return a challenge for the AARQ; empty where the mechanism has none."""
    if not settings.authentication.is_high:
        return b""
    return new_challenge(settings.challenge_octets or usual_challenge(settings.authentication))


def exchange_proofs(
    channel: Channel, ours: bytes, answer: apdu.Aare, title: bytes | None, peer: PeerKeys
) -> Exchange[None]:
    """Prove who we are, and let the meter prove who it is.

    Raises:
        AssociationRejected: The meter refuses our proof.
        SecurityError: The meter's challenge or its proof is missing, reflected or wrong.
    """
    handshake = handshake_of(channel.settings, ours, answer, title, peer)
    proof = axdr.encode(axdr.octet_string(handshake.prove(channel.next_counter)))
    try:
        returned = yield from _reply_to_hls(channel, proof)
    except ServiceError as error:
        if error.kind == "exception-response" and error.code == apdu.error.INVOCATION_COUNTER_ERROR:
            raise
        raise AssociationRejected(aare.REJECTED_PERMANENT, aare.AUTHENTICATION_FAILURE) from error
    if not isinstance(returned, bytes):
        raise SecurityError("the meter did not prove that it has the keys")
    handshake.check(axdr.decode(returned).as_octets())


def handshake_of(
    settings: AssociationSettings,
    ours: bytes,
    answer: apdu.Aare,
    title: bytes | None,
    peer: PeerKeys,
) -> Handshake:
    """Return what proves and checks, once the meter's challenge is one that may be answered.

    Raises:
        SecurityError: It is missing, reflected, too short or a request; or another mechanism.
    """
    if answer.mechanism not in (apdu.Mechanism.LOWEST, settings.authentication):
        raise SecurityError("the meter answered with another mechanism (downgrade)")
    if title is None and settings.authentication.proves_titles:
        raise SecurityError("the meter did not give its system title")
    shortest = settings.shortest_challenge or shortest_challenge(settings.authentication)
    theirs = check_challenge(ours, answer.authentication_value, shortest)
    if settings.authentication is Authentication.HIGH_GMAC:
        refuse_request(theirs)
    return Handshake(
        settings.authentication,
        settings.system_title or b"",
        title or b"",
        ours,
        theirs,
        settings.password or b"",
        settings.security,
        peer.signing,
        settings.hls_function,
    )


def refuse_request(challenge: bytes) -> None:
    """Raise SecurityError for a challenge that is a plain request.

    GMAC's proof of it would be the tag of that request, authenticated and not encrypted, which a
    meter whose policy asks for no more carries out. By chance a challenge of random octets is one
    less than once in a million associations.
    """
    try:
        content = apdu.parse(challenge)
    except DecodeError:
        return
    if isinstance(content, apdu.GeneralBlockTransfer):
        refuse_request(content.octets)
    elif challenge[0] in _REQUESTS:
        raise SecurityError("the meter's challenge is a request that our proof would authenticate")


def _reply_to_hls(channel: Channel, octets: bytes) -> Exchange[bytes | int | None]:
    """Invoke reply_to_HLS with our proof; return the octets of the meter's, where it gave one."""
    if channel.settings.short_names:
        return (yield from reply_to_hls_by_short_name(channel, octets))
    reply = yield from channel.ask(apdu.ActionRequestNormal(_INVOKE, _HLS, octets).to_octets())
    if not isinstance(reply, apdu.ActionResponseNormal):
        raise DecodeError(f"the meter answered reply_to_HLS with {type(reply).__name__}")
    if reply.result != apdu.ActionResult.SUCCESS:
        raise apdu.action_error(reply.result)
    return reply.returned
