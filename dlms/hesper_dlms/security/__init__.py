"""Ciphering and authentication of DLMS/COSEM (Green Book, 9.2; IEC 62056-5-3, clause 5)."""

from hesper_dlms.security.context import Opened, SecurityContext
from hesper_dlms.security.hls import (
    LONGEST_CHALLENGE,
    Handshake,
    HlsFunction,
    check_challenge,
    new_challenge,
    prove,
    same_secret,
    shortest_challenge,
    usual_challenge,
    verify,
)
from hesper_dlms.security.key_pairs import Authority, PeerKeys, PrivateKey, PublicKey
from hesper_dlms.security.protection import Form, KeyEstablishment, Protection, Signature
from hesper_dlms.security.received import TRANSACTION_NAMES, ReceivedCounters
from hesper_dlms.security.settings import (
    AUTHENTICATED,
    AUTHENTICATED_ENCRYPTION,
    ENCRYPTED,
    SecuritySettings,
)

__all__ = [
    "AUTHENTICATED",
    "AUTHENTICATED_ENCRYPTION",
    "ENCRYPTED",
    "LONGEST_CHALLENGE",
    "TRANSACTION_NAMES",
    "Authority",
    "Form",
    "Handshake",
    "HlsFunction",
    "KeyEstablishment",
    "Opened",
    "PeerKeys",
    "PrivateKey",
    "Protection",
    "PublicKey",
    "ReceivedCounters",
    "SecurityContext",
    "SecuritySettings",
    "Signature",
    "check_challenge",
    "new_challenge",
    "prove",
    "same_secret",
    "shortest_challenge",
    "usual_challenge",
    "verify",
]
