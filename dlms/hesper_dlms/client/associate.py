"""Opening and closing an association from the client's side (IEC 62056-5-3, 6.2-6.3).

    AARQ -> AARE                                 no authentication, LLS
    AARQ -> AARE(challenge), reply_to_HLS both   HLS

Whatever the meter leaves out that was agreed on is a downgrade and refused: the ciphered
InitiateResponse, its challenge, its own proof.
"""

from __future__ import annotations

from typing import NamedTuple

from hesper_dlms import apdu
from hesper_dlms.association import SYSTEM_TITLE_OCTETS, Authentication
from hesper_dlms.client.challenge import exchange_proofs, our_challenge
from hesper_dlms.client.channel import Channel
from hesper_dlms.errors import DecodeError, SecurityError
from hesper_dlms.exchange import Exchange
from hesper_dlms.security import PeerKeys


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
    challenge = our_challenge(settings)
    answer = yield from channel.ask_plainly(_request(channel, challenge))
    accepted = accept(channel, answer)
    if settings.authentication.is_high:
        yield from exchange_proofs(
            channel, challenge, accepted.answer, accepted.title, accepted.peer
        )
    granted = accepted.granted
    return Associated(granted.conformance, granted.max_receive_pdu_size, accepted.title)


class Accepted(NamedTuple):
    """An AARE after every check but that of the meter's proof."""

    answer: apdu.Aare
    title: bytes | None
    peer: PeerKeys
    granted: apdu.InitiateResponse


def accept(channel: Channel, answer: apdu.Apdu) -> Accepted:
    """Check what the meter answered to an AARQ, whoever wrote that; the channel learns its title.

    Raises:
        AssociationRejected, SecurityError, DecodeError, ServiceError: See `associate`.
    """
    if not isinstance(answer, apdu.Aare):
        raise DecodeError(f"the meter answered an AARQ with {type(answer).__name__}")
    answer.check()
    title = _meter_title(channel, answer)
    peer = _peer_keys(channel, answer, title)
    granted = _granted(channel, answer)
    channel.meter_max_pdu = granted.max_receive_pdu_size
    return Accepted(answer, title, peer, granted)


def released(channel: Channel) -> Exchange[apdu.Apdu]:
    """Send RLRQ and return the answer."""
    proof = None
    if channel.security is not None:
        proof = channel.protect(_initiate(channel).to_octets())
    return (yield from channel.ask_plainly(apdu.Rlrq(user_information=proof).to_octets()))


def _initiate(channel: Channel) -> apdu.InitiateRequest:
    settings = channel.settings
    key = settings.security.dedicated_key if settings.security and settings.ciphered else None
    proposed = settings.proposed
    if settings.security is not None and settings.ciphered:
        proposed |= apdu.Conformance.GENERAL_PROTECTION
    return apdu.InitiateRequest(proposed, settings.max_pdu, key)


def _request(channel: Channel, challenge: bytes) -> bytes:
    settings = channel.settings
    ciphered = channel.security is not None
    value = settings.password if settings.authentication is Authentication.LOW else challenge
    named = settings.security is not None or settings.authentication.proves_titles
    return apdu.Aarq(
        apdu.ApplicationContext.of(settings.referencing, ciphered),
        channel.protect(_initiate(channel).to_octets()),
        settings.authentication,
        value if settings.authentication is not Authentication.NONE else None,
        settings.system_title if named else None,
        settings.user_id,
        settings.security.certificate if settings.security is not None else None,
    ).to_octets()


def _meter_title(channel: Channel, answer: apdu.Aare) -> bytes | None:
    """Return the meter's system title, once it is the one that was expected."""
    expected = channel.settings.meter_system_title
    title = answer.system_title or expected
    if expected is not None and title != expected:
        raise SecurityError("the meter's system title is not the expected one")
    if title and (channel.security is not None or channel.settings.authentication.proves_titles):
        _check_title(title, channel.settings.system_title)
    if channel.security is not None:
        if title is None:
            raise SecurityError("the meter did not give its system title")
        channel.security.peer_system_title = title
    return title


def _check_title(title: bytes, ours: bytes | None) -> None:
    if len(title) != SYSTEM_TITLE_OCTETS:
        raise SecurityError(f"the meter's system title has {len(title)} and not 8 octets")
    if title == ours:
        # What we prove or cipher in one association would be believed of the meter in another.
        raise SecurityError("the meter gave our own system title as its own (reflection)")


def _peer_keys(channel: Channel, answer: apdu.Aare, title: bytes | None) -> PeerKeys:
    """Return the meter's public keys: those of the settings, or those an authority vouches for."""
    settings = channel.settings
    if settings.authority is None or title is None:
        return settings.security.peer if settings.security is not None else PeerKeys()
    peer = settings.authority.keys_of(title, answer.certificate)
    if channel.security is not None:
        channel.security.learn(peer)
    return peer


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
