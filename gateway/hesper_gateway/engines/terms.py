"""What an engine is told of an association, and which associations it can open."""

from hesper_dlms.association import Authentication
from hesper_dlms.client import AssociationSettings
from hesper_dlms.security import AUTHENTICATED_ENCRYPTION

from hesper_gateway.engines.pipe import Message

MECHANISMS = {
    Authentication.NONE: "none",
    Authentication.LOW: "low",
    Authentication.HIGH_MD5: "high-md5",
    Authentication.HIGH_SHA1: "high-sha1",
    Authentication.HIGH_GMAC: "high-gmac",
    Authentication.HIGH_SHA256: "high-sha256",
}


def terms_of(settings: AssociationSettings, challenge: bytes) -> Message:
    """Return the settings as they cross; the keys go to the engine's process and nowhere else.

    Args:
        settings: What was agreed.
        challenge: Ours, for HLS; empty without.
    """
    security = settings.security
    named = security is not None or settings.authentication.proves_titles
    return {
        "client_address": settings.client_address,
        "server_address": settings.server_address,
        "authentication": MECHANISMS[settings.authentication],
        "password": _hex(settings.password),
        "system_title": _hex(settings.system_title) if named else None,
        "encryption_key": _hex(security.encryption_key) if security is not None else None,
        "authentication_key": _hex(security.authentication_key) if security is not None else None,
        "policy": AUTHENTICATED_ENCRYPTION if security is not None and settings.ciphered else 0,
        "max_pdu": settings.max_pdu,
        "challenge": challenge.hex(),
    }


def counts(settings: AssociationSettings) -> bool:
    """Whether the association's requests carry invocation counters."""
    return settings.security is not None and settings.ciphered


def _hex(octets: bytes | None) -> str | None:
    return None if octets is None else octets.hex()
