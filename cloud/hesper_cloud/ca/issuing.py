"""Certificates for gateways, from our own authority or from an external one; audited first.

A key gets one certificate: who asks again with it gets the same, so a lost answer costs nothing.
Where the authority is an external one, the request is kept for a person to carry there, and what
comes back is given at the next time of asking.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from sqlalchemy import ColumnElement, Select, func, select, update
from sqlalchemy.orm import Session

from hesper_cloud import audit
from hesper_cloud.ca import custody, profile
from hesper_cloud.ca.profile import CertificateRefused, Issuer, Revoked
from hesper_cloud.db.authority import Certificate, CertificateRequest, RevocationList
from hesper_cloud.settings import CertificateSettings

GATEWAY, SERVER = "gateway", "server"
_A_DAY, _MOST_A_DAY = timedelta(days=1), 30


@dataclass(frozen=True, slots=True)
class Asking:
    """Who asks for a certificate: the name that was proven, the device, and who is audited."""

    gateway: str
    request: bytes
    actor: str
    serial: str = ""


class Issuing:
    """Gives gateways their certificates; holds the authority's key where it is our own."""

    def __init__(
        self,
        issuer: Issuer | None,
        chain: Sequence[x509.Certificate],
        settings: CertificateSettings,
    ) -> None:
        self.issuer = issuer
        self.chain = tuple(chain)
        self.settings = settings

    @property
    def is_there(self) -> bool:
        """Whether gateways are given certificates at all."""
        return self.issuer is not None or self.settings.external

    def give(self, session: Session, asking: Asking, now: datetime) -> bytes | None:
        """Returns a certificate as PEM, its chain behind it; None while an external one is awaited.

        Raises:
            CertificateRefused: the request does not fit the name, its key has served before, or
                this gateway has had too many today.
        """
        key = profile.requested_key(asking.request, asking.gateway)
        known = _of_key(session, key)
        if known is not None and (again := self._again(known, asking.gateway, now)):
            return again
        if self.issuer is None:
            _keep(session, asking, now)
            return None
        if _count_since(session, asking.gateway, now - _A_DAY) >= _MOST_A_DAY:
            raise CertificateRefused(f"{asking.gateway} was given {_MOST_A_DAY} certificates today")
        until = self.issuer.until(now, timedelta(seconds=self.settings.life_s))
        made = self.issuer.for_gateway(
            key, asking.gateway, asking.serial, (now, until), self.settings.list_url
        )
        record(session, made, GATEWAY, asking.actor, now)
        return custody.pem(made, *self.chain[:-1])

    def _again(self, known: Certificate, gateway: str, now: datetime) -> bytes | None:
        """Returns what this key was given; None where a clock that was ahead has dated it."""
        if known.name != gateway or known.kind != GATEWAY:
            raise CertificateRefused("the key of the request belongs to somebody else")
        if known.revoked_at is not None or known.not_after <= now:
            raise CertificateRefused("the certificate of this key is over; make a new key")
        if known.issued_at > now:
            return None
        return custody.pem(x509.load_der_x509_certificate(known.octets), *self.chain[:-1])


def accept_external(
    session: Session, gateway: str, certificates: Sequence[x509.Certificate], actor: str,
    now: datetime,
) -> Certificate:  # fmt: skip
    """Puts a certificate on record that an external authority made of a kept request.

    Raises:
        CertificateRefused: nothing was asked for, or it is for another key, name or purpose.
    """
    asked = session.get(CertificateRequest, gateway)
    if asked is None:
        raise CertificateRefused(f"{gateway} has asked for no certificate")
    if not certificates:
        raise CertificateRefused("there is no certificate in the file")
    leaf = certificates[0]
    if public_key_digest(leaf.public_key()) != public_key_digest(
        profile.requested_key(asked.octets, gateway)
    ):
        raise CertificateRefused("the certificate is not for the key that was asked for")
    names = [each.value for each in leaf.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]
    if names != [gateway]:
        raise CertificateRefused(f"its common name must be {gateway}, for that is the account")
    if not _is_for_clients(leaf) or not leaf.not_valid_before_utc <= now < leaf.not_valid_after_utc:
        raise CertificateRefused("the certificate is not for clients, or not good today")
    session.delete(asked)
    return record(session, leaf, GATEWAY, actor, now)


def record(
    session: Session, made: x509.Certificate, kind: str, actor: str, now: datetime
) -> Certificate:
    """Puts a certificate on record, its audit row before it."""
    name = str(made.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)
    serial, until = f"{made.serial_number:x}", made.not_valid_after_utc
    after = f"{serial}, good until {until.isoformat()}"
    audit.append(session, now, audit.Entry(actor, "certificate.issue", name, None, after, kind))
    row = Certificate(
        serial=serial,
        name=name,
        kind=kind,
        public_key=public_key_digest(made.public_key()),
        issued_at=now,
        not_after=until,
        octets=made.public_bytes(Encoding.DER),
    )
    session.add(row)
    return row


def counting(now: datetime) -> Select[Certificate]:
    """Returns a query of the certificates that somebody answers for, the first to end first.

    These are all that are good, and of a name without one the last that was: it was not renewed.
    A name whose last one was revoked is given up.
    """
    last = select(Certificate.kind, Certificate.name, func.max(Certificate.not_after).label("ends"))
    of_name = last.group_by(Certificate.kind, Certificate.name).subquery()
    is_its = (of_name.c.kind == Certificate.kind) & (of_name.c.name == Certificate.name)
    return (
        select(Certificate)
        .join(of_name, is_its)
        .where(Certificate.revoked_at.is_(None))
        .where((Certificate.not_after > now) | (Certificate.not_after == of_name.c.ends))
        .order_by(Certificate.not_after)
    )


def revoke(
    session: Session, which: ColumnElement[bool], why: str, actor: str, now: datetime
) -> list[Certificate]:
    """Ends every certificate that counts and is meant; audited first; the list goes stale."""
    ended = list(session.scalars(counting(now).where(which)))
    for row in ended:
        entry = audit.Entry(actor, "certificate.revoke", row.name, row.serial, "revoked", why)
        audit.append(session, now, entry)
        row.revoked_at, row.revoked_why = now, why
    if ended:
        session.execute(update(RevocationList).values(is_stale=True))
    return ended


def revoked(session: Session, now: datetime) -> list[Revoked]:
    """Returns what the list must name: revoked, and not over by itself."""
    query = select(Certificate).where(
        Certificate.revoked_at.is_not(None) & (Certificate.not_after > now)
    )
    rows = session.scalars(query.order_by(Certificate.revoked_at))
    return [Revoked(int(row.serial, 16), row.revoked_at or now) for row in rows]


def not_over(session: Session, named: Sequence[Revoked], now: datetime) -> list[Revoked]:
    """Returns those that a list must go on naming, whatever is on record of them here."""
    found = []
    for each in named:
        row = session.get(Certificate, f"{each.serial:x}")
        if now < (row.not_after if row else each.at + profile.SERVER_LIFE):
            found.append(each)
    return found


def public_key_digest(key: object) -> str:
    """Returns the SHA-256 of a public key as certificates carry it (SubjectPublicKeyInfo), hex.

    Raises:
        CertificateRefused: the key is not on an elliptic curve.
    """
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise CertificateRefused("the key is not on an elliptic curve")
    octets = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(octets).hexdigest()


def _keep(session: Session, asking: Asking, now: datetime) -> None:
    """Keeps a request for the external authority, in the place of the one before."""
    row = session.get(CertificateRequest, asking.gateway)
    if row is not None and row.octets == asking.request:
        return
    why = "to be signed by the external authority"
    entry = audit.Entry(asking.actor, "certificate.request", asking.gateway, why=why)
    audit.append(session, now, entry)
    request = CertificateRequest(gateway=asking.gateway, octets=asking.request, asked_at=now)
    session.merge(request)


def serial_of(chain: bytes) -> str:
    """Returns the serial number of the first certificate of a PEM, as it is on record."""
    return f"{x509.load_pem_x509_certificate(chain).serial_number:x}"


def _of_key(session: Session, key: ec.EllipticCurvePublicKey) -> Certificate | None:
    query = select(Certificate).where(Certificate.public_key == public_key_digest(key))
    return session.scalars(query.order_by(Certificate.issued_at).limit(1)).first()


def _count_since(session: Session, name: str, since: datetime) -> int:
    query = select(Certificate.serial).where(
        (Certificate.name == name) & (Certificate.issued_at > since)
    )
    return len(session.scalars(query.limit(_MOST_A_DAY)).all())


def _is_for_clients(certificate: x509.Certificate) -> bool:
    try:
        usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except (x509.ExtensionNotFound, ValueError):
        return False
    return ExtendedKeyUsageOID.CLIENT_AUTH in usage
