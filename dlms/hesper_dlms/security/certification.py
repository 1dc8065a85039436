"""Certificates made: a request by a meter or client, and an authority's answer (PKCS #10, X.509).

`signing_request` is what security setup's generate_certificate_request returns. `issue` plays the
certification authority; a utility has one of its own, tests and simulated fleets have this.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from hesper_dlms.errors import DecodeError, SecurityError
from hesper_dlms.security.certificates import Certificate, KeyUsage
from hesper_dlms.security.key_pairs import PrivateKey, PublicKey, public_key_of

if TYPE_CHECKING:
    from cryptography import x509
    from cryptography.hazmat.primitives.hashes import SHA256, SHA384


@dataclass(frozen=True, slots=True)
class Subject:
    """Whom a certificate is for: `name` is a system title in hex, or an authority's name."""

    name: str
    public_key: PublicKey
    usage: KeyUsage

    @classmethod
    def end_entity(cls, system_title: bytes, public_key: PublicKey, usage: KeyUsage) -> Subject:
        """Return the subject that a meter or a client is."""
        return cls(system_title.hex().upper(), public_key, usage)


@dataclass(frozen=True, slots=True)
class Issuer:
    """A certification authority: its key, and its certificate (None issues that one itself)."""

    name: str
    key: PrivateKey
    certificate: Certificate | None = None


def signing_request(key: PrivateKey, system_title: bytes) -> bytes:
    """Return a certificate signing request (PKCS #10, DER) for `key`, signed with it."""
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding

    builder = x509.CertificateSigningRequestBuilder(_name(system_title.hex().upper()))
    return builder.sign(key.loaded(), _hash(key.suite)).public_bytes(Encoding.DER)


def check_request(octets: bytes, system_title: bytes) -> PublicKey:
    """Return the key of a signing request.

    Raises:
        DecodeError: It is none.
        SecurityError: Who asks does not have the key, or it is for another system title.
    """
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric import ec

    try:
        request = x509.load_der_x509_csr(octets)
        key, valid, subject = request.public_key(), request.is_signature_valid, request.subject
    except (ValueError, TypeError, UnsupportedAlgorithm, x509.InvalidVersion) as error:
        raise DecodeError(f"no certificate signing request: {error}") from None
    if subject != _name(system_title.hex().upper()):
        raise SecurityError("a signing request is for another system title")
    if not valid or not isinstance(key, ec.EllipticCurvePublicKey):
        raise SecurityError("a signing request is not signed with the key that it is for")
    return public_key_of(key)


def issue(
    issuer: Issuer, subject: Subject, serial_number: int, not_before: datetime, not_after: datetime
) -> Certificate:
    """Return a certificate that binds the subject's key to its name, for that time."""
    from cryptography import x509
    from cryptography.hazmat.primitives.serialization import Encoding

    authority = bool(subject.usage & KeyUsage.CERTIFICATE_SIGNING)
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(subject.name))
        .issuer_name(_name(issuer.name))
        .public_key(subject.public_key.loaded())
        .serial_number(serial_number)
        .not_valid_before(not_before)
        .not_valid_after(not_after)
        .add_extension(x509.BasicConstraints(authority, None), critical=True)
        .add_extension(_key_usage(subject.usage), critical=True)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public.loaded()), False
        )
        .add_extension(
            x509.SubjectKeyIdentifier.from_public_key(subject.public_key.loaded()), False
        )
    )
    signed = builder.sign(issuer.key.loaded(), _hash(issuer.key.suite))
    return Certificate.from_octets(signed.public_bytes(Encoding.DER))


def _name(common_name: str) -> x509.Name:
    from cryptography import x509

    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, common_name)])


def _key_usage(usage: KeyUsage) -> x509.KeyUsage:
    from cryptography import x509

    return x509.KeyUsage(
        digital_signature=bool(usage & KeyUsage.DIGITAL_SIGNATURE),
        key_agreement=bool(usage & KeyUsage.KEY_AGREEMENT),
        key_cert_sign=bool(usage & KeyUsage.CERTIFICATE_SIGNING),
        crl_sign=bool(usage & KeyUsage.CERTIFICATE_SIGNING),
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        encipher_only=False,
        decipher_only=False,
    )


def _hash(suite: int) -> SHA256 | SHA384:
    from cryptography.hazmat.primitives import hashes

    return hashes.SHA256() if suite == 1 else hashes.SHA384()
