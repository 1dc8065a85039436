"""Opening and closing an association from the client's side (IEC 62056-5-3, 6.2-6.3).

    AARQ -> AARE                                 no authentication, LLS
    AARQ -> AARE(challenge), reply_to_HLS both   HLS with GMAC

Whatever the meter leaves out that was agreed on is a downgrade and refused: the ciphered
InitiateResponse, its challenge, its own proof.
"""

from __future__ import annotations

from typing import NamedTuple

from hesper_dlms import apdu, axdr
from hesper_dlms.apdu import aare
from hesper_dlms.association import (
    ASSOCIATION_CLASS,
    CURRENT_ASSOCIATION,
    REPLY_TO_HLS,
    Authentication,
)
from hesper_dlms.client.channel import Channel
from hesper_dlms.client.short_names import reply_to_hls_by_short_name
from hesper_dlms.errors import AssociationRejected, DecodeError, SecurityError, ServiceError
from hesper_dlms.exchange import Exchange
from hesper_dlms.security import check_challenge, new_challenge, prove, verify

_HLS = apdu.CosemMethod(ASSOCIATION_CLASS, CURRENT_ASSOCIATION, REPLY_TO_HLS)
_INVOKE = 0xC1


class Associated(NamedTuple):
    """What the meter granted; its title is None where it gave none."""

    conformance: apdu.Conformance
    max_pdu: int
    system_title: bytes | None


def associate(channel: Channel) -> Exchange[Associated]:
    """Open the association.

    Raises:
        AssociationRejected: The meter refused us, or our proof.
        SecurityError: The meter's answer is not protected as agreed, or its proof is wrong.
        ServiceError: The meter answered with an exception (a bad invocation counter among them).
    """
    settings = channel.settings
    channel.security = None
    if settings.security is not None and settings.ciphered:
        channel.begin_security(settings.meter_system_title)
    challenge = new_challenge() if settings.authentication is Authentication.HIGH_GMAC else b""
    answer = yield from channel.ask_plainly(_request(channel, challenge))
    if not isinstance(answer, apdu.Aare):
        raise DecodeError(f"the meter answered an AARQ with {type(answer).__name__}")
    answer.check()
    title = _meter_title(channel, answer)
    granted = _granted(channel, answer)
    channel.meter_max_pdu = granted.max_receive_pdu_size
    if settings.authentication is Authentication.HIGH_GMAC:
        yield from _challenge(channel, challenge, answer, title)
    return Associated(granted.conformance, granted.max_receive_pdu_size, title)


def released(channel: Channel) -> Exchange[apdu.Apdu]:
    """Send RLRQ and return the answer."""
    proof = None
    if channel.security is not None:
        proof = channel.protect(_initiate(channel).to_octets())
    return (yield from channel.ask_plainly(apdu.Rlrq(user_information=proof).to_octets()))


def _initiate(channel: Channel) -> apdu.InitiateRequest:
    settings = channel.settings
    key = settings.security.dedicated_key if settings.security and settings.ciphered else None
    return apdu.InitiateRequest(settings.proposed, settings.max_pdu, key)


def _request(channel: Channel, challenge: bytes) -> bytes:
    settings = channel.settings
    ciphered = channel.security is not None
    value = settings.password if settings.authentication is Authentication.LOW else challenge
    return apdu.Aarq(
        apdu.ApplicationContext.of(settings.referencing, ciphered),
        channel.protect(_initiate(channel).to_octets()),
        settings.authentication,
        value if settings.authentication is not Authentication.NONE else None,
        settings.system_title if settings.security is not None else None,
    ).to_octets()


def _meter_title(channel: Channel, answer: apdu.Aare) -> bytes | None:
    """Return the meter's system title, once it is the one that was expected."""
    expected = channel.settings.meter_system_title
    title = answer.system_title if answer.system_title is not None else expected
    if expected is not None and title != expected:
        raise SecurityError("the meter's system title is not the expected one")
    if channel.security is not None:
        if title is None:
            raise SecurityError("the meter did not give its system title")
        channel.security.peer_system_title = title
    return title


def _granted(channel: Channel, answer: apdu.Aare) -> apdu.InitiateResponse:
    octets = answer.user_information
    if octets is None:
        raise DecodeError("the AARE accepts without an InitiateResponse")
    if channel.security is not None:
        octets = channel.security.unprotect(octets)
    response = apdu.parse(octets)
    if isinstance(response, apdu.ConfirmedServiceError):
        raise response.error()
    if not isinstance(response, apdu.InitiateResponse):
        raise DecodeError("the AARE carries no InitiateResponse")
    return response


def _challenge(
    channel: Channel, ours: bytes, answer: apdu.Aare, title: bytes | None
) -> Exchange[None]:
    settings = channel.settings
    if settings.security is None or settings.system_title is None or title is None:
        raise SecurityError("the meter did not give its system title")
    theirs = check_challenge(ours, answer.authentication_value)
    proof = prove(settings.security, settings.system_title, channel.next_counter(), theirs)
    octets = axdr.encode(axdr.octet_string(proof))
    try:
        returned = yield from _reply_to_hls(channel, octets)
    except ServiceError as error:
        if error.kind == "exception-response" and error.code == apdu.error.INVOCATION_COUNTER_ERROR:
            raise
        raise AssociationRejected(aare.REJECTED_PERMANENT, aare.AUTHENTICATION_FAILURE) from error
    if not isinstance(returned, bytes):
        raise SecurityError("the meter did not prove that it has the keys")
    verify(settings.security, title, axdr.decode(returned).as_octets(), ours)


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
