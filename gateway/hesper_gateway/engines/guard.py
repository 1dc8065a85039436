"""What our side checks of an association whose APDUs an engine writes: both ways, each APDU.

Theory of operation
-------------------
::

    engine ──APDU──→ leaving ──→ link ──→ meter ──→ link ──→ coming ──whole, verified──→ engine

Leaving: the APDU must be the service that was asked for (a GET, or reply_to_HLS), protected as the
settings say, and must carry the one invocation counter that was reserved for it: an engine can
neither use a counter twice nor write anything to a meter. Coming: link frames are checked and put
together by our links, then tag, policy, sender and received counter by the same code as for our own
client (see `hesper_dlms.security.context`), and the meter's proof by our own handshake. Only then
does the engine see it.
"""

from contextlib import suppress

from hesper_dlms import apdu, axdr
from hesper_dlms.apdu import CosemMethod, aare
from hesper_dlms.association import ASSOCIATION_CLASS, CURRENT_ASSOCIATION, REPLY_TO_HLS
from hesper_dlms.client import AssociationSettings
from hesper_dlms.client.associate import Accepted, accept
from hesper_dlms.client.challenge import handshake_of
from hesper_dlms.client.channel import Channel
from hesper_dlms.errors import (
    AssociationRejected,
    DecodeError,
    LocalError,
    RemoteError,
    SecurityError,
)
from hesper_dlms.exchange import ClientLink, Exchange
from hesper_dlms.security import Handshake, SecurityContext

_GETS = (b"\xc0\x01", b"\xc0\x02")
"""get-request-normal and -next."""
_TITLE_OCTETS = 8
_HLS = CosemMethod(ASSOCIATION_CLASS, CURRENT_ASSOCIATION, REPLY_TO_HLS)


class Guard:
    """Carries an engine's APDUs to a meter and back; LocalError when the engine is at fault.

    Args:
        link: The way to the meter.
        settings: What was agreed; the engine was told the same.
        challenge: Ours, for HLS; it must be fresh, so no engine chooses it.
    """

    def __init__(self, link: ClientLink, settings: AssociationSettings, challenge: bytes) -> None:
        self._channel = Channel(link, settings)
        self._settings = settings
        self._challenge = challenge
        self._ear: SecurityContext | None = None
        self._handshake: Handshake | None = None

    def associate(self, aarq: bytes, counter: int | None) -> Exchange[bytes]:
        """Open the link, carry the AARQ, return the AARE as it came.

        Raises:
            AssociationRejected, SecurityError, DecodeError, ServiceError: As our own client's.
        """
        self._check_aarq(aarq, counter)
        yield from self._channel.link.connect()
        octets = yield from self._channel.carry_plainly(aarq)
        answer = apdu.parse(octets)
        if isinstance(answer, apdu.ExceptionResponse | apdu.ConfirmedServiceError):
            raise answer.error()
        accepted = accept(self._channel, answer)
        if self._settings.authentication.is_high:
            self._handshake = self._hands(accepted)
        return octets

    def _hands(self, accepted: Accepted) -> Handshake:
        answer, title, peer = accepted.answer, accepted.title, accepted.peer
        return handshake_of(self._settings, self._challenge, answer, title, peer)

    def prove(
        self, request: bytes, proof_counter: int | None, counter: int | None
    ) -> Exchange[bytes]:
        """Carry reply_to_HLS, return the answer as it came once the meter's proof is right.

        Raises:
            AssociationRejected: the meter does not take the proof.
            SecurityError: the meter's own is missing or wrong.
        """
        if self._handshake is None:
            raise LocalError("the engine proves itself before it was challenged")
        asked = _parsed(self._leaving(request, counter))
        if not isinstance(asked, apdu.ActionRequestNormal) or asked.method != _HLS:
            raise LocalError("the engine wrote another request than reply_to_HLS")
        if proof_counter is not None:
            _check_proof(asked.parameters or b"", proof_counter)
        octets, plain = yield from self._channel.carry(request)
        answer = apdu.parse(plain)
        if not isinstance(answer, apdu.ActionResponseNormal):
            raise DecodeError(f"the meter answered reply_to_HLS with {type(answer).__name__}")
        if answer.result != apdu.ActionResult.SUCCESS:
            raise AssociationRejected(aare.REJECTED_PERMANENT, aare.AUTHENTICATION_FAILURE)
        if not isinstance(answer.returned, bytes):
            raise SecurityError("the meter did not prove that it has the keys")
        self._handshake.check(axdr.decode(answer.returned).as_octets())
        return octets

    def get(self, request: bytes, counter: int | None) -> Exchange[bytes]:
        """Carry a GET, or one for the next block; return the answer as it came."""
        plain = self._leaving(request, counter)
        if plain[:2] not in _GETS:
            raise LocalError("the engine wrote another request than a GET")
        octets, _ = yield from self._channel.carry(request)
        return octets

    def release(self) -> Exchange[None]:
        """Close association and link; what the meter answers does not matter any more."""
        link = self._channel.link
        with suppress(RemoteError):
            yield from link.request(apdu.Rlrq().to_octets())
        yield from link.disconnect()

    def unasked_count(self) -> int:
        """Return how many notifications the meter has sent meanwhile, and forget them."""
        return len(self._channel.take_notifications())

    def _check_aarq(self, octets: bytes, counter: int | None) -> None:
        """Refuse an AARQ that asks for something else than the engine was told to."""
        settings, request = self._settings, _parsed(octets)
        if not isinstance(request, apdu.Aarq):
            raise LocalError("the engine wrote another APDU than an AARQ")
        ciphered = settings.security is not None and settings.ciphered
        if request.ciphered != ciphered or request.mechanism != settings.authentication:
            raise LocalError("the engine asked for another association than it was told")
        expected = self._challenge if settings.authentication.is_high else settings.password
        if request.authentication_value not in (None, expected):
            raise LocalError("the engine chose a challenge or password of its own")
        if ciphered:
            if settings.security is None or request.system_title != settings.system_title:
                raise LocalError("the engine gave another system title than ours")
            self._channel.begin_security(settings.meter_system_title)
            self._ear = SecurityContext(
                settings.security, bytes(_TITLE_OCTETS), settings.system_title
            )
            self._leaving(request.user_information, counter)

    def _leaving(self, octets: bytes, counter: int | None) -> bytes:
        """Return the plain APDU of one that may leave: as the meter would hear it."""
        if self._ear is None:
            return octets
        try:
            opened = self._ear.open(octets)
        except (SecurityError, DecodeError) as error:
            raise LocalError(f"what the engine wrote is not protected: {error}") from error
        if opened.invocation_counter != counter or not opened.tag_verified:
            raise LocalError("the engine used an invocation counter that is not its own")
        return opened.apdu


def _parsed(octets: bytes) -> apdu.Apdu:
    try:
        return apdu.parse(octets)
    except DecodeError as error:
        raise LocalError(f"the engine wrote no APDU: {error}") from error


def _check_proof(parameters: bytes, counter: int) -> None:
    """Refuse f(StoC) of GMAC (security control, counter, tag) with another counter."""
    try:
        proof = axdr.decode(parameters).as_octets()
    except DecodeError as error:
        raise LocalError(f"the engine's proof is none: {error}") from error
    if proof[1:5] != counter.to_bytes(4, "big"):
        raise LocalError("the engine used an invocation counter that is not its own")
