"""What Hesper's certificates and revocation lists look like (RFC 5280); pure, no files.

=============  ======================================  =====================  ==================
whose          subject, alternative name               key usage              life
=============  ======================================  =====================  ==================
the authority  CN as chosen                            certSign, cRLSign;     10 years
               basicConstraints CA, path length 0      critical
a gateway      CN = its name = its account on the      digitalSignature;      30 days
               broker; serialNumber of the device;     clientAuth
               URI urn:hesper:gateway:NAME
a server       CN and DNS or IP names                  digitalSignature;      397 days
                                                       serverAuth
=============  ======================================  =====================  ==================

Every key is ECDSA on P-256, which every TLS library of the last ten years has. Serial numbers have
159 random bits. A certificate begins a little before it is issued, a 720th of its life (an hour of
30 days), for clocks that are a little behind.
"""

import ipaddress
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

AUTHORITY_LIFE = timedelta(days=3650)
SERVER_LIFE = timedelta(days=397)
LIST_LIFE = timedelta(days=30)
_EARLIER = 720
_CURVE = ec.SECP256R1
_PRINTABLE = re.compile(r"[A-Za-z0-9 '()+,./:=?-]+")
"""A PrintableString (X.680, 41.4): a subject's serialNumber must be one (X.520, 6.2.9)."""


class CertificateRefused(ValueError):
    """A request or a file that no certificate is made of; the text says why."""


@dataclass(frozen=True, slots=True)
class Revoked:
    """One line of a revocation list."""

    serial: int
    at: datetime


def fresh_key() -> ec.EllipticCurvePrivateKey:
    """Returns a new private key on P-256."""
    return ec.generate_private_key(_CURVE())


def requested_key(request: bytes, name: str) -> ec.EllipticCurvePublicKey:
    """Returns the public key of a signing request (PKCS#10, DER) that asks for this very name.

    The request's signature proves that whoever made it holds the private half (RFC 2986, 4.2).

    Raises:
        CertificateRefused: no request, another name, another kind of key, or not signed by it.
    """
    try:
        read = x509.load_der_x509_csr(request)
        holds, key = read.is_signature_valid, read.public_key()
        names = [each.value for each in read.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    except (ValueError, TypeError, UnsupportedAlgorithm, x509.InvalidVersion):
        raise CertificateRefused("that is no certificate request") from None
    if not holds:
        raise CertificateRefused("the request is not signed with the key that it shows")
    if names != [name]:
        raise CertificateRefused(f"the request is for {ascii(names)[:100]}, not for {name}")
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, _CURVE):
        raise CertificateRefused("the request's key is not on P-256")
    return key


def common_name(name: str) -> x509.Name:
    """Returns a subject of one common name."""
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def authority_certificate(
    key: ec.EllipticCurvePrivateKey, name: str, now: datetime
) -> x509.Certificate:
    """Returns a certificate by which an authority vouches for itself."""
    subject = common_name(name)
    builder = _begun(key.public_key(), subject, subject, now, now + AUTHORITY_LIFE)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_usage(signs_certificates=True), critical=True)
    return builder.sign(key, hashes.SHA256())


def authority_request(key: ec.EllipticCurvePrivateKey, name: str) -> x509.CertificateSigningRequest:
    """Returns what a root elsewhere signs to put this authority below itself."""
    constraints = x509.BasicConstraints(ca=True, path_length=0)
    builder = x509.CertificateSigningRequestBuilder().subject_name(common_name(name))
    builder = builder.add_extension(constraints, critical=True)
    builder = builder.add_extension(_usage(signs_certificates=True), critical=True)
    return builder.sign(key, hashes.SHA256())


@dataclass(frozen=True, slots=True)
class Issuer:
    """An authority that signs; of the private key nothing shows."""

    certificate: x509.Certificate
    _key: ec.EllipticCurvePrivateKey

    def __repr__(self) -> str:
        return f"Issuer({self.certificate.subject.rfc4514_string()!r})"

    @property
    def public_key(self) -> ec.EllipticCurvePublicKey:
        """What its signatures are checked with."""
        return self._key.public_key()

    def for_gateway(
        self,
        key: ec.EllipticCurvePublicKey,
        gateway: str,
        serial: str,
        life: tuple[datetime, datetime],
        list_url: str = "",
    ) -> x509.Certificate:
        """Returns a gateway's certificate. ``serial`` is the device's own number, or empty.

        Args:
            key: Its public key.
            gateway: Its name, which becomes its account on the broker.
            serial: Of the device; one that a certificate cannot hold stays out of it.
            life: Now, and its last moment.
            list_url: Where brokers find the revocation list, if they fetch it (EMQX does).
        """
        attributes = [x509.NameAttribute(NameOID.COMMON_NAME, gateway)]
        if _PRINTABLE.fullmatch(serial):
            attributes.append(x509.NameAttribute(NameOID.SERIAL_NUMBER, serial))
        uri = x509.UniformResourceIdentifier(f"urn:hesper:gateway:{gateway}")
        builder = self._leaf(key, x509.Name(attributes), life, [uri])
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])
        builder = builder.add_extension(usage, critical=False)
        if list_url:
            at = [x509.UniformResourceIdentifier(list_url)]
            point = x509.DistributionPoint(at, None, None, None)
            builder = builder.add_extension(x509.CRLDistributionPoints([point]), critical=False)
        return builder.sign(self._key, hashes.SHA256())

    def for_server(
        self, key: ec.EllipticCurvePublicKey, names: Sequence[str], now: datetime
    ) -> x509.Certificate:
        """Returns the certificate of a server under all its names; addresses may be among them."""
        life = now, self.until(now, SERVER_LIFE)
        builder = self._leaf(key, common_name(names[0][:64]), life, map(_general_name, names))
        usage = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])
        return builder.add_extension(usage, critical=False).sign(self._key, hashes.SHA256())

    def revocation_list(
        self, revoked: Iterable[Revoked], number: int, now: datetime
    ) -> x509.CertificateRevocationList:
        """Returns the list of what does not count any more (RFC 5280, 5)."""
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self.certificate.subject)
            .last_update(now - LIST_LIFE / _EARLIER)
            .next_update(now + LIST_LIFE)
            .add_extension(self._key_identifier(), critical=False)
            .add_extension(x509.CRLNumber(number), critical=False)
            .add_extension(_SCOPE, critical=True)
        )
        for each in revoked:
            line = x509.RevokedCertificateBuilder().serial_number(each.serial)
            builder = builder.add_revoked_certificate(line.revocation_date(each.at).build())
        return builder.sign(self._key, hashes.SHA256())

    def until(self, now: datetime, life: timedelta) -> datetime:
        """Returns the last moment of a certificate: none outlives its issuer.

        Raises:
            CertificateRefused: the issuer's own time is over, or has not come.
        """
        ours = self.certificate
        if not ours.not_valid_before_utc <= now < ours.not_valid_after_utc:
            raise CertificateRefused(
                f"the authority's certificate is good from {ours.not_valid_before_utc:%F %R} to "
                f"{ours.not_valid_after_utc:%F %R} UTC; it is {now.astimezone(UTC):%F %R}"
            )
        return min(now + life, ours.not_valid_after_utc)

    def _leaf(
        self,
        key: ec.EllipticCurvePublicKey,
        subject: x509.Name,
        life: tuple[datetime, datetime],
        names: Iterable[x509.GeneralName],
    ) -> x509.CertificateBuilder:
        builder = _begun(key, subject, self.certificate.subject, *life)
        nobody = x509.BasicConstraints(ca=False, path_length=None)
        return (
            builder.add_extension(nobody, critical=True)
            .add_extension(_usage(signs_certificates=False), critical=True)
            .add_extension(x509.SubjectAlternativeName(list(names)), critical=False)
            .add_extension(self._key_identifier(), critical=False)
        )

    def _key_identifier(self) -> x509.AuthorityKeyIdentifier:
        return x509.AuthorityKeyIdentifier.from_issuer_public_key(self.public_key)


_SCOPE = x509.IssuingDistributionPoint(
    full_name=None,
    relative_name=None,
    only_contains_user_certs=True,
    only_contains_ca_certs=False,
    only_some_reasons=None,
    indirect_crl=False,
    only_contains_attribute_certs=False,
)
"""EMQX enforces only lists that carry it."""


def _begun(
    key: ec.EllipticCurvePublicKey,
    subject: x509.Name,
    issuer: x509.Name,
    now: datetime,
    until: datetime,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - (until - now) / _EARLIER)
        .not_valid_after(until)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _usage(signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
