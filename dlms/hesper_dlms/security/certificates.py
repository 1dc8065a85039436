"""X.509 certificates of DLMS/COSEM: whose key is it, and who vouches (Green Book, 9.2.6.4).

An end entity's certificate binds one public key to a system title: as 16 hex digits in the common
name (or serialNumber) of its subject, or as hwSerialNum in its subjectAltName (RFC 4108), where the
subject may be empty. keyUsage says whether the key signs or agrees; some meters use one for both.
Every key is on P-256 or P-384. A chain ends at a trust anchor, which the user installed.

The x509 part of `cryptography` is imported at first use.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntFlag
from typing import TYPE_CHECKING

from hesper_dlms.errors import DecodeError, SecurityError
from hesper_dlms.security.key_pairs import PeerKeys, PublicKey, public_key_of

if TYPE_CHECKING:
    from cryptography import x509

_TITLE_OCTETS = 8
_LONGEST_CHAIN = 4
_HARDWARE_MODULE_NAME = "1.3.6.1.5.5.7.8.4"
_HW_SERIAL_NUM = b"\x04\x08"
"""DER of an OCTET STRING of eight."""

Clock = Callable[[], datetime]
"""Returns the time, aware."""


class KeyUsage(IntFlag):
    """What the key of a certificate is for."""

    DIGITAL_SIGNATURE = 1
    KEY_AGREEMENT = 2
    CERTIFICATE_SIGNING = 4


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate taken apart; nothing is verified yet.

    `system_title` is None in those of certification authorities; `path_length` says how many of
    them there may be below an authority, None any number.
    """

    der: bytes = field(repr=False)
    system_title: bytes | None
    public_key: PublicKey = field(repr=False)
    usage: KeyUsage
    serial_number: int
    issuer: str
    subject: str
    not_before: datetime
    not_after: datetime
    path_length: int | None = None

    @classmethod
    def from_octets(cls, octets: bytes) -> Certificate:
        """Read DER or PEM.

        Raises:
            DecodeError: It is no certificate with a key of ours, or has a critical extension that
                is not heeded here (RFC 5280, 4.2): names of an authority, a key for TLS.
        """
        try:
            certificate = _load(octets)
            _check_extensions(certificate)
            return cls(
                _der(certificate),
                _system_title(certificate),
                _public_key(certificate),
                _usage(certificate),
                certificate.serial_number,
                certificate.issuer.rfc4514_string(),
                certificate.subject.rfc4514_string(),
                certificate.not_valid_before_utc,
                certificate.not_valid_after_utc,
                _path_length(certificate),
            )
        except _malformed() as error:
            raise DecodeError(f"no X.509 certificate that can be read: {error}") from None

    def to_pem(self) -> bytes:
        """Return the certificate as PEM."""
        from cryptography.hazmat.primitives.serialization import Encoding

        return _load(self.der).public_bytes(Encoding.PEM)

    def is_valid_at(self, time: datetime) -> bool:
        """Whether `time`, aware, is within its validity."""
        return self.not_before <= time <= self.not_after

    def is_issued_by(self, issuer: Certificate) -> bool:
        """Whether `issuer` signed it: a certification authority of that name, with its key."""
        from cryptography.exceptions import InvalidSignature

        if not issuer.usage & KeyUsage.CERTIFICATE_SIGNING:
            return False
        refusals: tuple[type[Exception], ...] = (InvalidSignature, *_malformed())
        try:
            _load(self.der).verify_directly_issued_by(_load(issuer.der))
        except refusals:
            return False
        return True


class TrustedCertificates:
    """The certificates that one side has, and the anchors of its trust: an `Authority`.

    Args:
        anchors: Of certification authorities that are trusted as they are.
        clock: Tells the time, for validity.
        known: Certificates of peers and of authorities in between.
    """

    def __init__(
        self, anchors: Iterable[Certificate], clock: Clock, known: Iterable[Certificate] = ()
    ) -> None:
        self._anchors = tuple(anchors)
        self._clock = clock
        self._known: list[Certificate] = list(known)

    def __iter__(self) -> Iterator[Certificate]:
        return iter(self._known)

    def add(self, certificate: Certificate) -> None:
        """Take a certificate in, in place of those for the same title and use.

        Raises:
            SecurityError: It does not lead to a trust anchor, or is not valid now.
        """
        self.check(certificate)
        if certificate.system_title is not None:
            same = certificate.system_title, certificate.usage
            self._known = [each for each in self._known if (each.system_title, each.usage) != same]
        self._known.append(certificate)

    def remove(self, certificate: Certificate) -> None:
        """Forget a certificate."""
        self._known = [each for each in self._known if each.der != certificate.der]

    def check(self, certificate: Certificate) -> None:
        """Raise SecurityError unless a chain of valid certificates leads to a trust anchor."""
        now = self._clock()
        for below in range(_LONGEST_CHAIN):
            if not certificate.is_valid_at(now):
                raise SecurityError("a certificate is not valid at this time")
            if any(anchor.der == certificate.der for anchor in self._anchors):
                return
            issuers = (each for each in (*self._anchors, *self._known) if each.is_valid_at(now))
            issuer = next((each for each in issuers if certificate.is_issued_by(each)), None)
            if issuer is None:
                raise SecurityError("no trusted authority has issued a certificate")
            if issuer.path_length is not None and below > issuer.path_length:
                raise SecurityError("an authority may not have so many authorities below it")
            certificate = issuer
        raise SecurityError("a chain of certificates is too long, or a circle")

    def keys_of(self, system_title: bytes, certificate: bytes | None) -> PeerKeys:
        """Return the keys of `system_title`; see `Authority`."""
        if certificate is not None:
            sent = Certificate.from_octets(certificate)
            if sent.system_title != system_title:
                raise SecurityError("a certificate is for another system title")
            if not sent.usage & KeyUsage.DIGITAL_SIGNATURE:
                raise SecurityError("the key of a certificate is not for signatures")
            self.check(sent)
            return PeerKeys(sent.public_key, self._key(system_title, KeyUsage.KEY_AGREEMENT))
        return PeerKeys(
            self._key(system_title, KeyUsage.DIGITAL_SIGNATURE),
            self._key(system_title, KeyUsage.KEY_AGREEMENT),
        )

    def _key(self, system_title: bytes, usage: KeyUsage) -> PublicKey | None:
        for each in reversed(self._known):
            if each.system_title == system_title and each.usage & usage:
                self.check(each)
                return each.public_key
        return None


def _load(octets: bytes) -> x509.Certificate:
    from cryptography import x509

    if octets.lstrip()[:10] == b"-----BEGIN":
        return x509.load_pem_x509_certificate(octets)
    return x509.load_der_x509_certificate(octets)


def _malformed() -> tuple[type[Exception], ...]:
    """Return what `cryptography` raises for octets that are not quite a certificate."""
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm

    return (
        ValueError,
        TypeError,
        UnsupportedAlgorithm,
        x509.DuplicateExtension,
        x509.InvalidVersion,
        x509.UnsupportedGeneralNameType,
    )


def _der(certificate: x509.Certificate) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding

    return certificate.public_bytes(Encoding.DER)


def _public_key(certificate: x509.Certificate) -> PublicKey:
    from cryptography.hazmat.primitives.asymmetric import ec

    key = certificate.public_key()
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise DecodeError("the certificate's key is not one of an elliptic curve")
    try:
        return public_key_of(key)
    except SecurityError as error:
        raise DecodeError(str(error)) from None


def _check_extensions(certificate: x509.Certificate) -> None:
    from cryptography import x509

    heeded = x509.KeyUsage, x509.BasicConstraints, x509.SubjectAlternativeName
    for extension in certificate.extensions:
        # Policies too, as any of them will do.
        known = isinstance(extension.value, (*heeded, x509.CertificatePolicies))
        if extension.critical and not known:
            name = extension.oid.dotted_string
            raise DecodeError(f"a certificate has a critical extension {name} that is not heeded")


def _path_length(certificate: x509.Certificate) -> int | None:
    from cryptography import x509

    try:
        found = certificate.extensions.get_extension_for_class(x509.BasicConstraints)
    except x509.ExtensionNotFound:
        return None
    return found.value.path_length


def _usage(certificate: x509.Certificate) -> KeyUsage:
    from cryptography import x509

    try:
        extensions = certificate.extensions
        bits = extensions.get_extension_for_class(x509.KeyUsage).value
        usage = KeyUsage(0)
        usage |= KeyUsage.DIGITAL_SIGNATURE if bits.digital_signature else 0
        usage |= KeyUsage.KEY_AGREEMENT if bits.key_agreement else 0
        basic = extensions.get_extension_for_class(x509.BasicConstraints).value
        usage |= KeyUsage.CERTIFICATE_SIGNING if bits.key_cert_sign and basic.ca else 0
    except x509.ExtensionNotFound as missing:
        if missing.oid == x509.KeyUsage.oid:
            raise DecodeError("the certificate does not say what its key is for") from None
    return usage


def _system_title(certificate: x509.Certificate) -> bytes | None:
    from cryptography import x509

    try:
        for oid in (x509.NameOID.COMMON_NAME, x509.NameOID.SERIAL_NUMBER):
            for attribute in certificate.subject.get_attributes_for_oid(oid):
                title = _title_of(attribute.value)
                if title is not None:
                    return title
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return None
    for name in names.get_values_for_type(x509.OtherName):
        octets = name.value[-_TITLE_OCTETS - len(_HW_SERIAL_NUM) :]
        known = name.type_id.dotted_string == _HARDWARE_MODULE_NAME
        if known and octets.startswith(_HW_SERIAL_NUM):
            return octets[len(_HW_SERIAL_NUM) :]
    return None


def _title_of(text: str | bytes) -> bytes | None:
    if not isinstance(text, str) or len(text) != 2 * _TITLE_OCTETS:
        return None
    try:
        return bytes.fromhex(text)
    except ValueError:
        return None
