"""What tests of certificates have in common: requests as gateways make them, and the issuing."""

from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ed25519
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from hesper_cloud import audit
from hesper_cloud.ca import custody, profile
from hesper_cloud.ca.issuing import Asking, Issuing
from hesper_cloud.certificates import Desk
from hesper_cloud.db.authority import AuditRow
from hesper_cloud.db.engines import reading, writing
from hesper_cloud.settings import CertificateSettings
from sqlalchemy import select

GATEWAY, OTHER = "gw-1", "gw-2"
NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
PATIENCE_S, POLL_S = 60.0, 0.02
MONTH = timedelta(days=30)


def request(name: str, key: Any = None) -> bytes:
    """A signing request as a gateway makes it."""
    key = key or profile.fresh_key()
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    algorithm = None if isinstance(key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    builder = x509.CertificateSigningRequestBuilder().subject_name(subject)
    return builder.sign(key, algorithm).public_bytes(Encoding.DER)


def leaf(pem: bytes) -> x509.Certificate:
    return x509.load_pem_x509_certificate(pem)


def give(desk: Desk, asked: bytes, gateway: str = GATEWAY, **settings: Any) -> bytes | None:
    keys = desk.settings.keys
    made = Issuing(custody.load(keys), custody.load_chain(keys), CertificateSettings(**settings))
    with writing(desk.databases.authority) as session:
        return made.give(session, Asking(gateway, asked, "test", "SN-1"), desk.now)


def actions(desk: Desk) -> list[str]:
    with reading(desk.databases.authority) as session:
        assert audit.verify(session).intact
        return list(session.scalars(select(AuditRow.action).order_by(AuditRow.sequence)))
