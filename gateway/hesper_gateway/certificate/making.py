"""Keys, requests (PKCS#10, RFC 2986) and certificates (X.509, RFC 5280) of this device; no network.

Keys are ECDSA on P-256. `Wanted` is a key with its request, `Worn` what may be shown of a file that
holds key and certificate.
"""

from dataclasses import dataclass, field
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from hesper_gateway.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Wanted:
    """A fresh key, PEM, and the request for its certificate, DER; the key never shows."""

    request: bytes
    key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Worn:
    """What a certificate says of itself.

    Attributes:
        name: Its common name: our account on the broker.
        begins: Its first moment (aware, UTC).
        ends: Its last.
    """

    name: str
    begins: datetime
    ends: datetime

    @property
    def renews_at(self) -> datetime:
        """When two thirds of its life are over."""
        return self.ends - (self.ends - self.begins) / 3

    @property
    def overdue_at(self) -> datetime:
        """When a renewal has failed for so long that a person must know."""
        return self.ends - (self.ends - self.begins) / 6


def born(gateway: str) -> Wanted:
    """Return a fresh key with a request in this gateway's name."""
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(
        Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return Wanted(_request(key, gateway), pem)


def wear(wanted: Wanted, certificate: bytes) -> bytes:
    """Return the file that holds a key and its certificate with the chain behind it.

    Raises:
        ValueError: the certificate is none, or not of this key.
    """
    pem = wanted.key + certificate
    read(pem)
    return pem


def fitted(pem: bytes, gateway: str, now: datetime) -> Worn:
    """Return what such a file says, if it is in this gateway's name and good now.

    Raises:
        ConfigError: it does not fit; where the clock may be wrong, that is said.
    """
    try:
        worn = read(pem)
    except ValueError as error:
        raise ConfigError(f"the certificate for the broker cannot be used: {error}") from None
    if worn.name != gateway:
        raise ConfigError(f"the certificate for the broker is of {worn.name!r}, not of {gateway}")
    if not worn.begins <= now < worn.ends:
        raise ConfigError(
            f"the certificate for the broker is good from {worn.begins:%F %R} to {worn.ends:%F %R} "
            f"UTC, and this device's clock says {now:%F %R}: set the clock (timedatectl) and repeat"
        )
    return worn


def read(pem: bytes) -> Worn:
    """Return what a file with key and certificate says.

    Raises:
        ValueError: something is missing or does not belong together.
    """
    try:
        key = serialization.load_pem_private_key(pem, None)
    except TypeError:
        raise ValueError("its key is encrypted") from None
    certificate = x509.load_pem_x509_certificates(pem)[0]
    if key.public_key() != certificate.public_key():
        raise ValueError("it is not of the key beside it")
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    if len(names) != 1:
        raise ValueError("it has not one common name")
    return Worn(
        str(names[0].value), certificate.not_valid_before_utc, certificate.not_valid_after_utc
    )


def request_for(key: bytes, gateway: str) -> Wanted:
    """Return a request for a key that is there already.

    Raises:
        ValueError: it is no private key on an elliptic curve.
    """
    loaded = serialization.load_pem_private_key(key, None)
    if not isinstance(loaded, ec.EllipticCurvePrivateKey):
        raise ValueError("it is not on an elliptic curve")  # noqa: TRY004 - what a file holds
    return Wanted(_request(loaded, gateway), key)


def requested_name(request: bytes) -> str:
    """Return the gateway that a request of ours is for.

    Raises:
        ValueError: it is none.
    """
    subject = x509.load_der_x509_csr(request).subject
    return str(subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)


def _request(key: ec.EllipticCurvePrivateKey, gateway: str) -> bytes:
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, gateway)])
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.DER)
