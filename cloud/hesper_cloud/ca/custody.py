"""Where the authority's key and certificates lie: ``ca.key`` and ``ca.pem`` among the keys.

``ca.pem`` holds the issuing certificate first and the root, where there is another one, last. The
key never leaves this folder; with a root elsewhere only a signing request does. Without ``ca.pem``
there is no authority yet, and gateways come by password.
"""

from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from hesper_contracts import durable

from hesper_cloud.ca import profile
from hesper_cloud.ca.profile import CertificateRefused, Issuer, Revoked

KEY, CERTIFICATES = "ca.key", "ca.pem"


def load(folder: Path) -> Issuer | None:
    """Returns the authority that signs; None where there is none.

    Raises:
        CertificateRefused: its files do not fit together.
    """
    chain = load_chain(folder)
    if not chain:
        return None
    key = _load_key(folder)
    if chain[0].public_key() != key.public_key():
        raise CertificateRefused(f"{folder / CERTIFICATES} is not of the key in {KEY}")
    return Issuer(chain[0], key)


def load_chain(folder: Path) -> tuple[x509.Certificate, ...]:
    """Returns the authority's certificates, issuing one first; they are no secret."""
    path = folder / CERTIFICATES
    return tuple(x509.load_pem_x509_certificates(path.read_bytes())) if path.exists() else ()


def create(folder: Path) -> ec.EllipticCurvePrivateKey:
    """Returns the authority's key, made where there is none."""
    if not (folder / KEY).exists():
        durable.write_new(folder / KEY, private_pem(profile.fresh_key()))
    return _load_key(folder)


def install(folder: Path, chain: tuple[x509.Certificate, ...]) -> None:
    """Puts the authority's certificates in place: issuing one first, root last.

    Raises:
        CertificateRefused: not of this authority's key, no authority, or the chain does not hold.
    """
    if not chain or chain[0].public_key() != _load_key(folder).public_key():
        raise CertificateRefused("the first certificate is not of this authority's key")
    for each in chain:
        try:
            constraints = each.extensions.get_extension_for_class(x509.BasicConstraints).value
        except x509.ExtensionNotFound:
            constraints = x509.BasicConstraints(ca=False, path_length=None)
        if not constraints.ca:
            raise CertificateRefused(f"{each.subject.rfc4514_string()} may not sign certificates")
    for each, issuer in zip(chain, (*chain[1:], chain[-1]), strict=True):
        try:
            each.verify_directly_issued_by(issuer)
        except (InvalidSignature, ValueError, TypeError):
            raise CertificateRefused(
                f"{each.subject.rfc4514_string()} is not signed by the next certificate; "
                "put the issuing one first and the root last"
            ) from None
    durable.put(folder / CERTIFICATES, pem(*chain), 0o644)


def pem(*certificates: x509.Certificate) -> bytes:
    """Returns certificates as text, in this order."""
    return b"".join(each.public_bytes(Encoding.PEM) for each in certificates)


def list_pem(revocations: x509.CertificateRevocationList) -> bytes:
    """Returns a revocation list as text."""
    return revocations.public_bytes(Encoding.PEM)


def read_list(octets: bytes, issuer: Issuer) -> tuple[int, list[Revoked]]:
    """Returns number and lines of a revocation list that this authority has signed.

    Raises:
        CertificateRefused: it is none, or of another authority.
    """
    try:
        found = x509.load_pem_x509_crl(octets)
        number = found.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
        is_ours = found.is_signature_valid(issuer.public_key)
    except (ValueError, TypeError, UnsupportedAlgorithm, x509.ExtensionNotFound):
        raise CertificateRefused("that is no revocation list") from None
    if not is_ours:
        raise CertificateRefused("the revocation list is of another authority")
    return number, [Revoked(each.serial_number, each.revocation_date_utc) for each in found]


def private_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Returns a private key as text (PKCS#8), unencrypted: its file's mode protects it."""
    none = serialization.NoEncryption()
    return key.private_bytes(Encoding.PEM, serialization.PrivateFormat.PKCS8, none)


def _load_key(folder: Path) -> ec.EllipticCurvePrivateKey:
    path = folder / KEY
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), None)
    except (OSError, ValueError, TypeError) as error:
        raise CertificateRefused(f"{path}: no private key: {error}") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise CertificateRefused(f"{path}: the key is not on an elliptic curve")
    return key
