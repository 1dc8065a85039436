"""Certificates: chains, titles, uses and times; requests; keys that a certificate brings."""

from __future__ import annotations

import datetime
from dataclasses import replace
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from hesper_dlms.association import Authentication
from hesper_dlms.errors import AssociationRejected, DecodeError, LocalError, SecurityError
from hesper_dlms.security import PeerKeys, PrivateKey, PublicKey
from hesper_dlms.security.certificates import Certificate, KeyUsage, TrustedCertificates
from hesper_dlms.security.certification import (
    Issuer,
    Subject,
    check_request,
    issue,
    signing_request,
)
from hesper_dlms.server import ClientRole

UTC = datetime.UTC
BEGIN = datetime.datetime(2026, 1, 1, tzinfo=UTC)
END = datetime.datetime(2036, 1, 1, tzinfo=UTC)
NOON = datetime.datetime(2026, 6, 1, 12, tzinfo=UTC)
TITLE = b"HSP\x00\x01\x02\x03\x04"


class Utility:
    """A root, an authority below it, and what they issue."""

    def __init__(self, suite: int) -> None:
        self.suite = suite
        root_key, sub_key = PrivateKey.generate(2), PrivateKey.generate(suite)
        authority = KeyUsage.CERTIFICATE_SIGNING
        self.root = Issuer("Root", root_key)
        subject = Subject("Root", root_key.public, authority)
        self.root_certificate = issue(self.root, subject, 1, BEGIN, END)
        subject = Subject("Meters", sub_key.public, authority)
        self.between = issue(self.root, subject, 2, BEGIN, END)
        self.issuer = Issuer("Meters", sub_key, self.between)
        self.serial = 100
        self.now = NOON

    def certify(
        self,
        key: PublicKey,
        usage: KeyUsage = KeyUsage.DIGITAL_SIGNATURE,
        title: bytes = TITLE,
        until: datetime.datetime = END,
    ) -> Certificate:
        self.serial += 1
        subject = Subject.end_entity(title, key, usage)
        return issue(self.issuer, subject, self.serial, BEGIN, until)

    def trust(self, *known: Certificate) -> TrustedCertificates:
        return TrustedCertificates(
            [self.root_certificate], lambda: self.now, [self.between, *known]
        )


@pytest.fixture(scope="module", params=[1, 2])
def utility(request: pytest.FixtureRequest) -> Utility:
    return Utility(int(request.param))


@pytest.fixture(autouse=True)
def _noon(utility: Utility) -> None:
    utility.now = NOON


def test_a_certificate_taken_apart(utility: Utility) -> None:
    key = PrivateKey.generate(utility.suite)
    both = KeyUsage.DIGITAL_SIGNATURE | KeyUsage.KEY_AGREEMENT
    made = utility.certify(key.public, both)
    for octets in (made.der, made.to_pem()):
        read = Certificate.from_octets(octets)
        assert read == made
        assert (read.system_title, read.usage, read.public_key) == (TITLE, both, key.public)
        assert (read.issuer, read.not_before, read.not_after) == ("CN=Meters", BEGIN, END)
    assert utility.between.system_title is None
    for octets in (b"", b"\x30\x00", made.der[:-5], b"-----BEGIN CERTIFICATE-----\n"):
        with pytest.raises(DecodeError):
            Certificate.from_octets(octets)


def test_a_chain_to_the_anchor(utility: Utility) -> None:
    certificate = utility.certify(PrivateKey.generate(utility.suite).public)
    utility.trust().check(certificate)
    alone = TrustedCertificates([utility.root_certificate], lambda: NOON)
    with pytest.raises(SecurityError, match="no trusted authority"):
        alone.check(certificate)
    with pytest.raises(SecurityError, match="no trusted authority"):
        TrustedCertificates([], lambda: NOON).check(utility.root_certificate)
    stranger = Utility(utility.suite)
    with pytest.raises(SecurityError, match="no trusted authority"):
        utility.trust().check(stranger.certify(certificate.public_key))


@pytest.mark.filterwarnings("ignore")  # cryptography warns of what it will refuse one day
def test_an_altered_certificate(utility: Utility) -> None:
    certificate = utility.certify(PrivateKey.generate(utility.suite).public)
    trust = utility.trust()
    for place in range(4, len(certificate.der), 11):
        octets = bytearray(certificate.der)
        octets[place] ^= 1
        with pytest.raises((SecurityError, DecodeError)):
            trust.check(Certificate.from_octets(bytes(octets)))


def test_an_end_entity_certifies_nobody(utility: Utility) -> None:
    key = PrivateKey.generate(utility.suite)
    certificate = utility.certify(key.public)
    pretender = Issuer(certificate.subject.removeprefix("CN="), key, certificate)
    subject = Subject.end_entity(b"VICTIM00", key.public, KeyUsage.DIGITAL_SIGNATURE)
    forged = issue(pretender, subject, 7, BEGIN, END)
    with pytest.raises(SecurityError, match="no trusted authority"):
        utility.trust(certificate).check(forged)


@pytest.mark.parametrize("now", [BEGIN - datetime.timedelta(1), END + datetime.timedelta(1)])
def test_out_of_its_time(utility: Utility, now: datetime.datetime) -> None:
    utility.now = now
    with pytest.raises(SecurityError, match="not valid at this time"):
        utility.trust().check(utility.certify(PrivateKey.generate(utility.suite).public))


def test_a_circle_ends(utility: Utility) -> None:
    keys = [PrivateKey.generate(utility.suite) for _ in range(2)]
    names = ["One", "Two"]
    circle = [
        issue(
            Issuer(names[1 - at], keys[1 - at]),
            Subject(names[at], keys[at].public, KeyUsage.CERTIFICATE_SIGNING),
            at + 1,
            BEGIN,
            END,
        )
        for at in range(2)
    ]
    with pytest.raises(SecurityError, match="circle"):
        utility.trust(*circle).check(circle[0])


def test_keys_of_a_title(utility: Utility) -> None:
    signing, agreement = (PrivateKey.generate(utility.suite).public for _ in range(2))
    first = utility.certify(signing)
    second = utility.certify(agreement, KeyUsage.KEY_AGREEMENT)
    trust = utility.trust(second)
    assert trust.keys_of(TITLE, None) == PeerKeys(None, agreement)
    assert trust.keys_of(TITLE, first.der) == PeerKeys(signing, agreement)
    trust.add(first)
    assert trust.keys_of(TITLE, None) == PeerKeys(signing, agreement)
    newer = utility.certify(PrivateKey.generate(utility.suite).public)
    trust.add(newer)
    assert trust.keys_of(TITLE, None).signing == newer.public_key
    assert len(list(trust)) == 3
    trust.remove(newer)
    assert trust.keys_of(TITLE, None).signing is None
    with pytest.raises(SecurityError, match="another system title"):
        trust.keys_of(b"OTHER000", first.der)
    with pytest.raises(SecurityError, match="not for signatures"):
        trust.keys_of(TITLE, second.der)
    with pytest.raises(DecodeError):
        trust.keys_of(TITLE, b"nonsense")


def test_a_title_in_the_hardware_module_name(utility: Utility) -> None:
    """As in the certificates of Great Britain's devices, whose subject is empty."""
    key = PrivateKey.generate(utility.suite)
    other = b"\x30\x12\x06\x06\x2a\x03\x04\x05\x06\x07\x04\x08" + TITLE
    name = x509.OtherName(x509.ObjectIdentifier("1.3.6.1.5.5.7.8.4"), other)
    usage = x509.KeyUsage(True, False, False, False, False, False, False, False, False)
    signed = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Meters")]))
        .public_key(key.public.loaded())
        .serial_number(5)
        .not_valid_before(BEGIN)
        .not_valid_after(END)
        .add_extension(usage, critical=True)
        .add_extension(x509.SubjectAlternativeName([name]), critical=True)
        .sign(utility.issuer.key.loaded(), hashes.SHA256())
    )
    read = Certificate.from_octets(signed.public_bytes(serialization.Encoding.DER))
    assert (read.system_title, read.usage) == (TITLE, KeyUsage.DIGITAL_SIGNATURE)
    utility.trust().check(read)


def test_keys_of_other_kinds_are_refused(utility: Utility) -> None:
    key = rsa.generate_private_key(65537, 1024)
    name = x509.Name([])
    base = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .serial_number(5)
        .not_valid_before(BEGIN)
        .not_valid_after(END)
    )
    signed = base.public_key(key.public_key()).sign(key, hashes.SHA256())
    with pytest.raises(DecodeError, match="elliptic curve"):
        Certificate.from_octets(signed.public_bytes(serialization.Encoding.DER))
    ours = PrivateKey.generate(utility.suite).loaded()
    signed = base.public_key(ours.public_key()).sign(ours, hashes.SHA256())
    with pytest.raises(DecodeError, match="what its key is for"):
        Certificate.from_octets(signed.public_bytes(serialization.Encoding.DER))
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    with pytest.raises(LocalError, match="elliptic curve"):
        PrivateKey.from_pem(pem)


def test_signing_requests(utility: Utility) -> None:
    key = PrivateKey.generate(utility.suite)
    request = signing_request(key, TITLE)
    assert check_request(request, TITLE) == key.public
    with pytest.raises(SecurityError, match="another system title"):
        check_request(request, b"OTHER000")
    altered = request[:-1] + bytes((request[-1] ^ 1,))
    with pytest.raises(SecurityError, match="not signed"):
        check_request(altered, TITLE)
    with pytest.raises(DecodeError):
        check_request(b"\x30\x00", TITLE)


def test_private_keys_in_files(utility: Utility) -> None:
    key = PrivateKey.generate(utility.suite)
    assert PrivateKey.from_pem(key.to_pem()).public == key.public
    sealed = key.to_pem(b"a password")
    assert b"ENCRYPTED" in sealed
    assert PrivateKey.from_pem(sealed, b"a password").public == key.public
    for pem, password in ((sealed, b"wrong"), (sealed, None), (b"", None), (key.to_pem(), b"x")):
        with pytest.raises(LocalError):
            PrivateKey.from_pem(pem, password)
    size = 32 if utility.suite == 1 else 48
    for octets in (bytes(size), b"\xff" * size, bytes(size - 1)):
        with pytest.raises(LocalError):
            PrivateKey.from_scalar(utility.suite, octets)
    for octets in (bytes(2 * size - 1), b""):
        with pytest.raises(SecurityError):
            PublicKey(utility.suite, octets)
    with pytest.raises(SecurityError, match="not a point"):
        key.agree(PublicKey(utility.suite, bytes(2 * size)))
    with pytest.raises(SecurityError, match="different"):
        key.agree(PrivateKey.generate(3 - utility.suite).public)
    with pytest.raises(LocalError):
        PrivateKey.generate(0)


def test_an_association_by_certificates(bench: Any, security: Any, utility: Utility) -> None:
    keys = security.Keys(utility.suite)
    trust = utility.trust(
        utility.certify(
            keys.client.agreement_key.public, KeyUsage.KEY_AGREEMENT, bench.CLIENT_TITLE
        )
    )
    of_client = utility.certify(keys.client.signing_key.public, title=bench.CLIENT_TITLE)
    of_meter = utility.certify(keys.meter.signing_key.public, title=bench.METER_TITLE)
    keys.meter = replace(keys.meter, peer=PeerKeys(), certificate=of_meter.der)
    keys.client = replace(keys.client, peer=PeerKeys(), certificate=of_client.der)
    role = ClientRole(Authentication.HIGH_ECDSA, ciphered=True, authority=trust)
    pair = security.Pair(bench, keys, role, authority=trust)
    pair.run(pair.client.connect())
    assert pair.run(pair.client.get(bench.ENERGY)).value == 1234567
    pair.run(pair.client.release())
    utility.now = END + datetime.timedelta(1)
    with pytest.raises(AssociationRejected):
        pair.run(pair.client.connect())
    utility.now = NOON
    strangers = Utility(utility.suite).trust()
    pair = security.Pair(bench, keys, role, authority=strangers)
    with pytest.raises(SecurityError, match="no trusted authority"):
        pair.run(pair.client.connect())


def authority(
    utility: Utility, name: str, key: PrivateKey, *more: tuple[x509.ExtensionType, bool]
) -> Issuer:
    """An authority below `utility.issuer` with these extensions."""
    usage = x509.KeyUsage(False, False, False, False, False, True, True, False, False)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Meters")]))
        .public_key(key.public.loaded())
        .serial_number(9)
        .not_valid_before(BEGIN)
        .not_valid_after(END)
        .add_extension(usage, critical=True)
    )
    for extension, critical in more:
        builder = builder.add_extension(extension, critical)
    signed = builder.sign(utility.issuer.key.loaded(), hashes.SHA256())
    return Issuer(
        name, key, Certificate.from_octets(signed.public_bytes(serialization.Encoding.DER))
    )


def test_an_authority_below_one_that_may_have_none(utility: Utility) -> None:
    keys = [PrivateKey.generate(utility.suite) for _ in range(3)]
    lowest = x509.BasicConstraints(ca=True, path_length=0), True
    upper = authority(utility, "Upper", keys[0], lowest)
    subject = Subject("Lower", keys[1].public, KeyUsage.CERTIFICATE_SIGNING)
    lower = Issuer("Lower", keys[1], issue(upper, subject, 3, BEGIN, END))
    assert upper.certificate is not None
    assert lower.certificate is not None
    leaf = Subject.end_entity(TITLE, keys[2].public, KeyUsage.DIGITAL_SIGNATURE)
    between = upper.certificate, lower.certificate
    trust = TrustedCertificates([utility.between], lambda: NOON, between)
    trust.check(issue(upper, leaf, 4, BEGIN, END))
    with pytest.raises(SecurityError, match="so many authorities"):
        trust.check(issue(lower, leaf, 5, BEGIN, END))


def test_a_critical_extension_that_nobody_heeds(utility: Utility) -> None:
    """Such as names that an authority may not go beyond, or a key for TLS alone."""
    key = PrivateKey.generate(utility.suite)
    ca = x509.BasicConstraints(ca=True, path_length=None), True
    names = x509.NameConstraints([x509.DNSName("example.com")], None)
    authority(utility, "Named", key, ca, (names, False))
    tls = x509.ExtendedKeyUsage([x509.ExtendedKeyUsageOID.SERVER_AUTH])
    for extension in (names, tls):
        with pytest.raises(DecodeError, match="critical"):
            authority(utility, "Named", key, ca, (extension, True))


def test_an_authority_whose_certificate_was_renewed(utility: Utility) -> None:
    """Same name, same key, another time: the old one does not stand in the new one's way."""
    certificate = utility.certify(PrivateKey.generate(utility.suite).public)
    subject = Subject("Meters", utility.issuer.key.public, KeyUsage.CERTIFICATE_SIGNING)
    old = issue(utility.root, subject, 8, BEGIN, BEGIN + datetime.timedelta(1))
    for known in ([old, utility.between], [utility.between, old]):
        TrustedCertificates([utility.root_certificate], lambda: NOON, known).check(certificate)
    with pytest.raises(SecurityError, match="no trusted authority"):
        TrustedCertificates([utility.root_certificate], lambda: NOON, [old]).check(certificate)
