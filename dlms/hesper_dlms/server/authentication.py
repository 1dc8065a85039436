"""Who a client is: what a meter checks of an AARQ before it grants anything (Green Book, 9.2.2).

The role of the client's address says what must come: application context, mechanism, system title,
and with them ciphering and signatures. Nothing else is accepted instead, neither less nor more.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from hesper_dlms import apdu
from hesper_dlms.apdu import aare
from hesper_dlms.association import SYSTEM_TITLE_OCTETS, Authentication
from hesper_dlms.errors import SecurityError
from hesper_dlms.security import (
    Handshake,
    PeerKeys,
    SecuritySettings,
    check_challenge,
    new_challenge,
    same_secret,
    shortest_challenge,
    usual_challenge,
)
from hesper_dlms.server.ciphering import ServerCiphering
from hesper_dlms.server.model import ClientRole, LogicalServer

_WITH_KEYS = (Authentication.HIGH_GMAC, Authentication.HIGH_ECDSA)
_NOBODY = PeerKeys()


class Rejected(Exception):
    """The AARQ cannot be accepted; `diagnostic` says why."""

    def __init__(self, diagnostic: int) -> None:
        super().__init__(diagnostic)
        self.diagnostic = diagnostic


class Client(NamedTuple):
    """A client whose AARQ fits its role.

    ciphering: None in an association without ciphering.
    handshake: The challenges to be answered; None without HLS.
    """

    role: ClientRole
    ciphering: ServerCiphering | None
    handshake: Handshake | None


def authenticate(server: LogicalServer, client_address: int, request: apdu.Aarq) -> Client:
    """Check an AARQ but for its user-information.

    Raises:
        Rejected: It does not fit the role of the client's address.
    """
    role = server.objects.clients.get(client_address)
    if role is None:
        raise Rejected(aare.NO_REASON_GIVEN)
    if request.application_context != apdu.ApplicationContext.of(role.referencing, role.ciphered):
        raise Rejected(aare.CONTEXT_NOT_SUPPORTED)
    if request.mechanism != role.authentication:
        none = request.mechanism == Authentication.NONE
        raise Rejected(aare.MECHANISM_REQUIRED if none else aare.MECHANISM_NOT_RECOGNISED)
    value = request.authentication_value or b""
    if role.authentication is Authentication.LOW and not same_secret(role.password, value):
        raise Rejected(aare.AUTHENTICATION_FAILURE)
    if role.needs_titles and not _is_title_of_another(server, request.system_title):
        raise Rejected(aare.NO_REASON_GIVEN)
    settings = _settings(server, role, request)
    ciphering = None
    if role.ciphered and settings is not None:
        ciphering = ServerCiphering(server, settings, request.system_title or b"")
    return Client(role, ciphering, _handshake(server, role, request, settings))


def _is_title_of_another(server: LogicalServer, title: bytes | None) -> bool:
    """Whether nonces of this title can never be those of the meter."""
    return len(title or b"") == SYSTEM_TITLE_OCTETS and title != server.objects.system_title


def _settings(
    server: LogicalServer, role: ClientRole, request: apdu.Aarq
) -> SecuritySettings | None:
    """Return the meter's keys as they hold for this client; None where none are needed."""
    if not role.ciphered and role.authentication not in _WITH_KEYS:
        return None
    settings = server.objects.security
    if settings is None:
        raise Rejected(aare.NO_REASON_GIVEN)
    peer = settings.peer if role.peer == _NOBODY else role.peer
    if role.authority is not None:
        try:
            peer = role.authority.keys_of(request.system_title or b"", request.certificate)
        except SecurityError:
            raise Rejected(aare.AUTHENTICATION_FAILURE) from None
    policy = settings.policy if role.policy is None else role.policy
    signed = settings.signed or role.signed
    if (peer, policy, signed) == (settings.peer, settings.policy, settings.signed):
        return settings
    return replace(settings, peer=peer, policy=policy, signed=signed)


def _handshake(
    server: LogicalServer,
    role: ClientRole,
    request: apdu.Aarq,
    settings: SecuritySettings | None,
) -> Handshake | None:
    mechanism = role.authentication
    if not mechanism.is_high:
        return None
    ours = new_challenge(usual_challenge(mechanism))
    shortest = role.shortest_challenge or shortest_challenge(mechanism)
    try:
        theirs = check_challenge(ours, request.authentication_value, shortest)
    except SecurityError:
        raise Rejected(aare.AUTHENTICATION_FAILURE) from None
    return Handshake(
        mechanism,
        server.objects.system_title,
        request.system_title or b"",
        ours,
        theirs,
        role.password,
        settings,
        None if settings is None else settings.peer.signing,
        role.hls_function,
    )
