"""Ciphering and authentication of DLMS/COSEM (Green Book, 9.2; IEC 62056-5-3, clause 5)."""

from hesper_dlms.security.context import Opened, ReceivedCounters, SecurityContext
from hesper_dlms.security.hls import check_challenge, new_challenge, prove, verify
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
    "Opened",
    "ReceivedCounters",
    "SecurityContext",
    "SecuritySettings",
    "check_challenge",
    "new_challenge",
    "prove",
    "verify",
]
