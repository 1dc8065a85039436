"""Options to keys and policy: what an association of the command line proves and insists on."""

from __future__ import annotations

import secrets
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key
from hesper_dlms.association import Authentication
from hesper_dlms.errors import LocalError
from hesper_dlms.security import (
    AUTHENTICATED,
    AUTHENTICATED_ENCRYPTION,
    ENCRYPTED,
    Form,
    KeyEstablishment,
    PeerKeys,
    PrivateKey,
    Protection,
    PublicKey,
    SecuritySettings,
    Signature,
)
from hesper_dlms.security.key_pairs import public_key_of

from hesper_gateway.desk.keys import from_file, hex_octets
from hesper_gateway.desk.options import Connection, Establishment, Policy, Signing

_POLICIES = {
    Policy.BOTH: AUTHENTICATED_ENCRYPTION,
    Policy.AUTHENTICATED: AUTHENTICATED,
    Policy.ENCRYPTED: ENCRYPTED,
}
_ESTABLISHMENTS = {
    Establishment.IDENTIFIED: KeyEstablishment.IDENTIFIED,
    Establishment.WRAPPED: KeyEstablishment.WRAPPED,
    Establishment.ONE_PASS: KeyEstablishment.ONE_PASS,
    Establishment.STATIC: KeyEstablishment.STATIC,
}
_SIGNATURES = {
    Signing.NONE: Signature.NONE,
    Signing.INSIDE: Signature.INSIDE,
    Signing.OUTSIDE: Signature.OUTSIDE,
}
_WITH_KEYS = (Authentication.HIGH_GMAC, Authentication.HIGH_ECDSA)
_RANDOM = "random"
_KEY_OCTETS = {0: 16, 1: 16, 2: 32}


def security_of(connection: Connection) -> SecuritySettings | None:
    """Return keys and policy; None where neither HLS nor ciphering needs any.

    Raises:
        LocalError: Something is missing or does not fit; no message shows a secret.
    """
    if connection.mechanism not in _WITH_KEYS and not _ciphers(connection):
        return None
    encryption = _key(connection, "encryption_key")
    if encryption is None:
        if connection.mechanism is not Authentication.HIGH_ECDSA or _ciphers(connection):
            raise LocalError(
                "gmac and ciphering need an encryption_key and an authentication_key: in "
                "--keys-file, by option or from the environment"
            )
        encryption = secrets.token_bytes(_KEY_OCTETS.get(connection.suite, 16))
    return SecuritySettings(
        connection.suite,
        encryption,
        _key(connection, "authentication_key"),
        dedicated_key=_dedicated(connection),
        policy=_POLICIES[connection.policy],
        general=connection.general,
        master_key=_key(connection, "master_key"),
        signing_key=_private(connection, "signing_key"),
        agreement_key=_private(connection, "agreement_key"),
        peer=PeerKeys(
            _public(connection, "meter_signing_key"), _public(connection, "meter_agreement_key")
        ),
        protection=_protection(connection),
    )


def is_ciphered(connection: Connection) -> bool:
    """Return whether APDUs are ciphered: as said, else with gmac alone."""
    if connection.ciphered is None:
        return connection.mechanism is Authentication.HIGH_GMAC or _special(connection)
    return connection.ciphered


def _ciphers(connection: Connection) -> bool:
    return bool(connection.ciphered) or _special(connection)


def _special(connection: Connection) -> bool:
    """Return whether an option was given that makes sense with ciphering alone."""
    given = (connection.general, connection.general_ciphering, connection.dedicated_key)
    return any(given) or connection.sign is not Signing.NONE


def _key(connection: Connection, name: str) -> bytes | None:
    text = connection.secret(name)
    return None if text is None else hex_octets(text, f"the {name.replace('_', ' ')}")


def _dedicated(connection: Connection) -> bytes | None:
    if connection.secret("dedicated_key") == _RANDOM:
        return secrets.token_bytes(_KEY_OCTETS.get(connection.suite, 16))
    return _key(connection, "dedicated_key")


def _protection(connection: Connection) -> Protection | None:
    kind, signature = connection.general_ciphering, _SIGNATURES[connection.sign]
    if kind is None and signature is Signature.NONE:
        return None
    form = Form.GENERAL if connection.general else Form.SERVICE_SPECIFIC
    dedicated = connection.dedicated_key is not None
    if kind is not None:
        form, dedicated = Form.GENERAL_CIPHERING, False
    establishment = _ESTABLISHMENTS[kind or Establishment.IDENTIFIED]
    return Protection(form, dedicated, key=establishment, signature=signature)


def _private(connection: Connection, name: str) -> PrivateKey | None:
    """Return a private key: of the PEM file of its option, or in hex from the keys file."""
    file: Path | None = getattr(connection, name)
    if file is not None:
        return PrivateKey.from_pem(_read(file))
    text = from_file(connection.keys_file, name)
    if text is None:
        return None
    return PrivateKey.from_scalar(connection.suite, hex_octets(text, f"the {name}"))


def _public(connection: Connection, name: str) -> PublicKey | None:
    """Return a public key: of the PEM file of its option, or x and y in hex of the keys file."""
    file: Path | None = getattr(connection, name)
    if file is None:
        text = from_file(connection.keys_file, name)
        if text is None:
            return None
        return PublicKey(connection.suite, hex_octets(text, f"the {name}"))
    pem = _read(file)
    key: object
    try:
        if b"CERTIFICATE" in pem:
            key = x509.load_pem_x509_certificate(pem).public_key()
        else:
            key = load_pem_public_key(pem)
    except (ValueError, UnsupportedAlgorithm):
        raise LocalError(f"{file} holds no public key and no certificate") from None
    if not isinstance(key, EllipticCurvePublicKey):
        raise LocalError(f"the key in {file} is not one of an elliptic curve")
    return public_key_of(key)


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise LocalError(f"{file} cannot be read: {error.strerror}") from None
