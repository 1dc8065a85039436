"""What the operator of the machine does about certificates: the authority, servers, revocations.

Like `provision`, these run as the owner of the authority's key and database, and leave their audit
row before they take effect. The authority process does the rest: it signs the revocation list,
hands it to the broker and ends live sessions.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from hesper_contracts import durable
from hesper_contracts.frame import Refused
from hesper_contracts.topics import gateway_id
from sqlalchemy import delete, select

from hesper_cloud.authority import broker_files, revocations
from hesper_cloud.ca import custody, issuing, profile
from hesper_cloud.ca.issuing import Issuing
from hesper_cloud.ca.profile import CertificateRefused
from hesper_cloud.db.authority import (
    BrokerAccount,
    Certificate,
    CertificateRequest,
    EnrolmentToken,
    GatewayKey,
    ShutOut,
)
from hesper_cloud.db.engines import reading, writing
from hesper_cloud.provision import (
    Databases,
    ProvisioningError,
    note,
    operator,
    require_gateways,
)
from hesper_cloud.settings import Settings


@dataclass(frozen=True, slots=True)
class Desk:
    """The operator's desk: where everything is, and the time."""

    settings: Settings
    databases: Databases
    now: datetime

    @classmethod
    def open(cls, settings: Settings) -> "Desk":
        """Opens the databases; it is now."""
        return cls(settings, Databases.open(settings), datetime.now(UTC))

    def issuing(self) -> Issuing:
        """Returns what signs, or what is there of it."""
        keys = self.settings.keys
        return Issuing(custody.load(keys), custody.load_chain(keys), self.settings.certificates)


def begin(desk: Desk, name: str, below_root: bool) -> bytes:
    """Makes the authority, or a request for a root elsewhere; returns what may be shown, as PEM.

    Raises:
        ProvisioningError: there is an authority already.
    """
    keys = desk.settings.keys
    if custody.load_chain(keys):
        raise ProvisioningError(f"there is an authority already: {keys / custody.CERTIFICATES}")
    keys.mkdir(mode=0o700, parents=True, exist_ok=True)
    with writing(desk.databases.authority) as session:
        note(session, "ca.init", name, None, "below a root elsewhere" if below_root else "alone")
    key = custody.create(keys)
    if below_root:
        return profile.authority_request(key, name).public_bytes(Encoding.PEM)
    certificate = profile.authority_certificate(key, name, desk.now)
    custody.install(keys, (certificate,))
    write_list(desk)
    return custody.pem(certificate)


def install(desk: Desk, file: Path) -> None:
    """Puts the certificates in place that a root elsewhere signed.

    Raises:
        ProvisioningError: they are not of this authority's key, or the chain does not hold.
    """
    chain = _certificates(file)
    with writing(desk.databases.authority) as session:
        subject = chain[0].subject.rfc4514_string()
        note(session, "ca.install", subject, None, f"{chain[0].serial_number:x}")
    try:
        custody.install(desk.settings.keys, chain)
    except CertificateRefused as refusal:
        raise ProvisioningError(str(refusal)) from None
    write_list(desk)


def server(desk: Desk, names: Sequence[str], folder: Path) -> Path:
    """Makes key and certificate of a server, ``NAME.key`` and ``NAME.pem``; returns the latter.

    Files that are there are replaced, the certificate last.

    Raises:
        ProvisioningError: there is no authority of our own.
    """
    issuer = desk.issuing().issuer
    if issuer is None:
        raise ProvisioningError("there is no authority here; first: hesper-cloud ca init")
    key = profile.fresh_key()
    try:
        made = issuer.for_server(key.public_key(), names, desk.now)
    except ValueError as error:
        raise ProvisioningError(str(error)) from None
    with writing(desk.databases.authority) as session:
        issuing.record(session, made, issuing.SERVER, operator(), desk.now)
    folder.mkdir(parents=True, exist_ok=True)
    durable.put(folder / f"{names[0]}.key", custody.private_pem(key))
    path = folder / f"{names[0]}.pem"
    broker_files.replace(path, custody.pem(made, *desk.issuing().chain[:-1]))
    return path


def show(desk: Desk) -> list[Certificate]:
    """Returns every certificate that counts, see `issuing.counting`; the first to end first."""
    is_in = Certificate.name.not_in(select(ShutOut.gateway))
    with reading(desk.databases.authority) as session:
        return list(session.scalars(issuing.counting(desk.now).where(is_in)))


def revoke(desk: Desk, serial: str, why: str) -> str:
    """Ends one certificate by its serial number; returns whose it was.

    Raises:
        ProvisioningError: there is none of that number that counts.
    """
    with writing(desk.databases.authority) as session:
        which = Certificate.serial == serial.lower().replace(":", "").lstrip("0")
        ended = issuing.revoke(session, which, why, operator(), desk.now)
        if not ended:
            raise ProvisioningError(f"no certificate with serial number {serial} counts")
        return ended[0].name


def shut_out(desk: Desk, gateway: str, why: str) -> int:
    """Shuts a gateway out: certificates, broker password, key and tokens end; returns how many.

    Raises:
        ProvisioningError: no such gateway, or no reason.
    """
    _check(gateway, why)
    require_gateways(desk.databases, gateway)
    with writing(desk.databases.authority) as session:
        known = session.get(GatewayKey, gateway)
        note(session, "gateway.revoke", gateway, known.public_key if known else None, why)
        whose = (Certificate.name == gateway) & (Certificate.kind == issuing.GATEWAY)
        ended = issuing.revoke(session, whose, why, operator(), desk.now)
        session.merge(ShutOut(gateway=gateway, at=desk.now, by=operator(), why=why))
        session.merge(BrokerAccount(gateway=gateway, password_hash="", is_written=False))
        session.execute(delete(EnrolmentToken).where(EnrolmentToken.gateway == gateway))
        session.execute(delete(CertificateRequest).where(CertificateRequest.gateway == gateway))
        if known is not None:
            session.delete(known)
        return len(ended)


def write_list(desk: Desk) -> bytes:
    """Returns the revocation list as PEM, signed anew if it must be, and gives it to the broker.

    Raises:
        ProvisioningError: there is no authority of our own.
    """
    try:
        with writing(desk.databases.authority) as session:
            octets = revocations.current_list(session, desk.issuing(), desk.now).octets
    except CertificateRefused as refusal:
        raise ProvisioningError(str(refusal)) from None
    file = desk.settings.certificates.list_file
    if file is not None and not file.exists():
        broker_files.replace(file, octets)
    return octets


def request_of(desk: Desk, gateway: str) -> bytes:
    """Returns what a gateway asks an external authority to sign, as PEM (PKCS#10).

    Raises:
        ProvisioningError: it has asked for nothing.
    """
    with reading(desk.databases.authority) as session:
        row = session.get(CertificateRequest, gateway)
    if row is None:
        raise ProvisioningError(f"{gateway} waits for no certificate")
    return x509.load_der_x509_csr(row.octets).public_bytes(Encoding.PEM)


def install_for(desk: Desk, gateway: str, file: Path) -> datetime:
    """Takes a certificate that an external authority made; returns until when it is good.

    Raises:
        ProvisioningError: it does not fit what the gateway asked for.
    """
    chain = _certificates(file)
    try:
        with writing(desk.databases.authority) as session:
            row = issuing.accept_external(session, gateway, chain, operator(), desk.now)
            return row.not_after
    except CertificateRefused as refusal:
        raise ProvisioningError(str(refusal)) from None


def _certificates(file: Path) -> tuple[x509.Certificate, ...]:
    try:
        return tuple(x509.load_pem_x509_certificates(file.read_bytes()))
    except (OSError, ValueError) as error:
        raise ProvisioningError(f"{file}: no certificates: {error}") from None


def _check(gateway: str, why: str) -> None:
    try:
        gateway_id(gateway)
    except Refused as error:
        raise ProvisioningError(str(error)) from None
    if not why.strip():
        raise ProvisioningError("a reason is required")
