"""Certificates: who is given one, who is not, and what a real broker makes of each that was tried."""

import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID
from hesper_cloud import audit, certificates, keeping
from hesper_cloud.authority.enrolment import NO_TOKEN, Certificates, EnrolmentDesk
from hesper_cloud.authority.evictions import Evictions
from hesper_cloud.authority.renewals import RenewalDesk
from hesper_cloud.authority.revocations import Revocations, to_evict
from hesper_cloud.ca import custody, issuing, profile
from hesper_cloud.ca.issuing import Asking, Issuing
from hesper_cloud.ca.profile import CertificateRefused, Issuer
from hesper_cloud.certificates import Desk
from hesper_cloud.db.authority import AuditRow, BrokerAccount, Certificate, GatewayKey, ShutOut
from hesper_cloud.db.engines import reading, writing
from hesper_cloud.provision import ProvisioningError
from hesper_cloud.settings import BrokerSettings, CertificateSettings, EnrolmentSettings
from hesper_contracts import certificates as renewal
from hesper_contracts.certificates import RenewalRequest
from hesper_contracts.signing import Keyring, Signer
from paho.mqtt import client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
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


@pytest.fixture
def desk(head_end: Any) -> Desk:
    """A head end with an authority of its own."""
    desk = Desk(head_end.settings, head_end.databases, head_end.clock.now)
    certificates.begin(desk, "Hesper", below_root=False)
    return desk


def give(desk: Desk, asked: bytes, gateway: str = GATEWAY, **settings: Any) -> bytes | None:
    keys = desk.settings.keys
    made = Issuing(
        custody.load(keys), custody.load_chain(keys), CertificateSettings(**settings)
    )
    with writing(desk.databases.authority) as session:
        return made.give(session, Asking(gateway, asked, "test", "SN-1"), desk.now)


def actions(desk: Desk) -> list[str]:
    with reading(desk.databases.authority) as session:
        assert audit.verify(session).intact
        return list(session.scalars(select(AuditRow.action).order_by(AuditRow.sequence)))


def test_a_certificate_says_who_may_come_and_nothing_more(desk: Desk) -> None:
    key = profile.fresh_key()
    pem = give(desk, request(GATEWAY, key), list_url="http://hes.example.org/crl")
    assert pem is not None
    found, issuer = leaf(pem), custody.load_chain(desk.settings.keys)[0]
    found.verify_directly_issued_by(issuer)
    assert found.subject.rfc4514_string() == f"2.5.4.5=SN-1,CN={GATEWAY}"
    assert found.public_key() == key.public_key()
    assert found.not_valid_after_utc == desk.now + MONTH
    assert desk.now - found.not_valid_before_utc == timedelta(hours=1)
    extensions = found.extensions
    usage = extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [x509.ExtendedKeyUsageOID.CLIENT_AUTH]
    limits = extensions.get_extension_for_class(x509.BasicConstraints)
    assert (limits.value.ca, limits.critical) == (False, True)
    names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    assert uris == [f"urn:hesper:gateway:{GATEWAY}"]
    own = issuer.extensions.get_extension_for_class(x509.BasicConstraints).value
    assert (own.ca, own.path_length) == (True, 0)
    assert found.serial_number.bit_length() > 100
    assert actions(desk)[-1] == "certificate.issue"


def test_the_same_key_gets_the_same_again(desk: Desk) -> None:
    asked = request(GATEWAY)
    first = give(desk, asked)
    assert give(desk, asked) == first
    assert actions(desk).count("certificate.issue") == 1
    with pytest.raises(CertificateRefused, match="not for gw-2"):
        give(desk, asked, OTHER)


def test_what_is_not_signed(desk: Desk) -> None:
    key = profile.fresh_key()
    forged = bytearray(request(GATEWAY, key))
    forged[-3] ^= 1
    small = ec.generate_private_key(ec.SECP384R1())
    for asked, why in (
        (request("gw-2"), "not for gw-1"),
        (request("hes.authority"), "not for gw-1"),
        (b"no request", "no certificate request"),
        (bytes(forged), "not signed|no certificate request"),
        (request(GATEWAY, small), "P-256"),
        (request(GATEWAY, ed25519.Ed25519PrivateKey.generate()), "P-256"),
    ):
        with pytest.raises(CertificateRefused, match=why):
            give(desk, asked)
    give(desk, request(GATEWAY, key))
    with pytest.raises(CertificateRefused, match="somebody else"):
        give(desk, request(OTHER, key), OTHER)
    certificates.shut_out(desk, GATEWAY, "stolen")
    with pytest.raises(CertificateRefused, match="make a new key"):
        give(desk, request(GATEWAY, key))
    for _ in range(30):
        give(desk, request(OTHER), OTHER)
    with pytest.raises(CertificateRefused, match="today"):
        give(desk, request(OTHER), OTHER)


def test_a_root_elsewhere_signs_the_authority(head_end: Any, tmp_path: Path) -> None:
    desk = Desk(head_end.settings, head_end.databases, head_end.clock.now)
    csr = x509.load_pem_x509_csr(certificates.begin(desk, "Hesper issuing", below_root=True))
    assert custody.load(desk.settings.keys) is None
    root = profile.fresh_key()
    name = profile.common_name("Utility root")
    below = (
        x509.CertificateBuilder(name, csr.subject, csr.public_key(), 7, desk.now, desk.now + MONTH)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(root, hashes.SHA256())
    )
    top = profile.authority_certificate(root, "Utility root", desk.now)
    file = tmp_path / "chain.pem"
    for wrong in ((top, below), (below, below), ()):
        file.write_bytes(custody.pem(*wrong))
        with pytest.raises(ProvisioningError):
            certificates.install(desk, file)
    file.write_bytes(custody.pem(below, top))
    certificates.install(desk, file)
    given = give(desk, request(GATEWAY))
    assert given is not None
    assert len(x509.load_pem_x509_certificates(given)) == 2  # the root is everybody's already
    assert leaf(given).not_valid_after_utc == desk.now + MONTH  # none outlives its issuer


def test_the_keys_of_authority_and_servers_are_for_their_owner_alone(
    desk: Desk, tmp_path: Path
) -> None:
    path = certificates.server(desk, ["broker", "mqtt.example.org", "192.0.2.7"], tmp_path)
    for secret in (desk.settings.keys / "ca.key", tmp_path / "broker.key"):
        assert secret.stat().st_mode & 0o077 == 0
        assert b"PRIVATE" in secret.read_bytes()
    names = leaf(path.read_bytes()).extensions.get_extension_for_class(
        x509.SubjectAlternativeName
    ).value  # fmt: skip
    assert names.get_values_for_type(x509.DNSName) == ["broker", "mqtt.example.org"]
    assert [str(each) for each in names.get_values_for_type(x509.IPAddress)] == ["192.0.2.7"]
    key = (tmp_path / "broker.key").read_bytes()
    certificates.server(desk, ["broker"], tmp_path)
    assert (tmp_path / "broker.key").read_bytes() != key
    issuer = custody.load(desk.settings.keys)
    assert "KEY" not in repr(issuer)
    with pytest.raises(ProvisioningError, match="already"):
        certificates.begin(desk, "again", below_root=False)


def test_an_external_authority_signs_what_people_carry_to_it(
    head_end: Any, tmp_path: Path
) -> None:
    desk = Desk(head_end.settings, head_end.databases, head_end.clock.now)
    with pytest.raises(ProvisioningError, match="waits for no"):
        certificates.request_of(desk, GATEWAY)
    key = profile.fresh_key()
    asked = request(GATEWAY, key)
    assert give(desk, asked, external=True) is None
    carried = x509.load_pem_x509_csr(certificates.request_of(desk, GATEWAY))
    assert carried.public_key() == key.public_key()
    root = profile.fresh_key()
    theirs = Issuer(profile.authority_certificate(root, "Theirs", desk.now), root)
    life = desk.now, desk.now + MONTH
    file = tmp_path / "back.pem"
    for wrong in (
        theirs.for_gateway(profile.fresh_key().public_key(), GATEWAY, "", life),
        theirs.for_gateway(key.public_key(), OTHER, "", life),
        theirs.for_server(key.public_key(), [GATEWAY], desk.now),
        theirs.for_gateway(key.public_key(), GATEWAY, "", (desk.now - MONTH, desk.now)),
    ):
        file.write_bytes(custody.pem(wrong))
        with pytest.raises(ProvisioningError):
            certificates.install_for(desk, GATEWAY, file)
    good = theirs.for_gateway(key.public_key(), GATEWAY, "", life)
    file.write_bytes(custody.pem(good))
    assert certificates.install_for(desk, GATEWAY, file) == desk.now + MONTH
    assert give(desk, asked, external=True) == custody.pem(good)
