"""Certificates: who is given one, who is not, and what ends one."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from hesper_cloud import certificates, provision
from hesper_cloud.authority.broker_accounts import BrokerAccounts
from hesper_cloud.authority.renewals import RenewalDesk
from hesper_cloud.authority.revocations import Revocations, to_evict
from hesper_cloud.ca import custody, profile
from hesper_cloud.ca.issuing import Issuing
from hesper_cloud.ca.profile import CertificateRefused, Issuer
from hesper_cloud.certificates import Desk
from hesper_cloud.db.authority import (
    BrokerAccount,
    Certificate,
    GatewayKey,
    RevocationList,
    ShutOut,
)
from hesper_cloud.db.engines import reading, writing
from hesper_cloud.db.registry import Alert
from hesper_cloud.provision import ProvisioningError, add_gateway
from hesper_cloud.rules.alerts import Alerts
from hesper_cloud.rules.certificates import CertificateRule
from hesper_cloud.settings import CertificateSettings, EnrolmentSettings
from hesper_contracts import certificates as renewal
from hesper_contracts.certificates import RenewalRequest
from hesper_contracts.signing import Signer
from prometheus_client import REGISTRY
from signing import GATEWAY, MONTH, OTHER, actions, give, leaf, request
from sqlalchemy import delete, select, update


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
    with pytest.raises(ProvisioningError, match=r"no gateway broker; on record: gw-1$"):
        provision.require_gateways(desk.databases, "broker")
    assert (tmp_path / "broker.key").read_bytes() != key
    issuer = custody.load(desk.settings.keys)
    assert "KEY" not in repr(issuer)
    with pytest.raises(ProvisioningError, match="already"):
        certificates.begin(desk, "again", below_root=False)


def test_an_external_authority_signs_what_people_carry_to_it(head_end: Any, tmp_path: Path) -> None:
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


class Renewing:
    """The desk that renews, and what it answers."""

    def __init__(self, head_end: Any, desk: Desk) -> None:
        self.head_end, self.desk, self.answers = head_end, desk, []
        keys = desk.settings.keys
        chain = custody.load_chain(keys)
        made = Issuing(custody.load(keys), chain, CertificateSettings())
        signer = Signer.load(keys / "commands.key")
        self.renewals = RenewalDesk(made, signer, lambda *told: self.answers.append(told))
        self.revocations = Revocations(made, (), lambda _: None)

    def ask(self, signer: Signer, request: RenewalRequest, sender: str = GATEWAY) -> Any:
        """What comes back of a request, an answer that was checked as the gateway checks it."""
        self.answers.clear()
        self.renewals.take(sender, renewal.request_to_payload(request, signer))
        self.renewals.settle(self.desk.databases.authority, self.head_end.clock.now)
        if not self.answers:
            return None
        ((gateway, payload),) = self.answers
        assert gateway == sender
        return renewal.answer_from_payload(payload, self.head_end.command_keys, sender)


@pytest.fixture
def renewing(head_end: Any, desk: Desk) -> Renewing:
    return Renewing(head_end, desk)


def test_a_renewal_needs_the_key_on_record(renewing: Renewing) -> None:
    gateway, desk = renewing.head_end.gateway, renewing.desk
    asked = RenewalRequest(GATEWAY, request(GATEWAY))
    answer = renewing.ask(gateway, asked)
    assert answer.request == asked.digest
    assert leaf(answer.certificate).subject == profile.common_name(GATEWAY)
    assert renewing.ask(gateway, asked) == answer  # the answer was lost
    stolen = RenewalRequest(GATEWAY, request(OTHER))
    for signer, what, sender in (
        (Signer.generate(), asked, GATEWAY),
        (gateway, RenewalRequest(OTHER, request(OTHER)), GATEWAY),
        (gateway, RenewalRequest(OTHER, request(OTHER)), OTHER),
        (gateway, stolen, GATEWAY),
    ):
        assert renewing.ask(signer, what, sender) is None
    assert actions(desk).count("certificate.issue") == 1
    assert actions(desk).count("certificate.refused") == 1  # of each gateway, in ten minutes
    for invented in range(3):
        assert renewing.ask(gateway, asked, f"invented-{invented}") is None
    assert actions(desk).count("certificate.refused") == 1
    certificates.shut_out(desk, GATEWAY, "stolen")
    assert renewing.ask(gateway, RenewalRequest(GATEWAY, request(GATEWAY))) is None


def test_requests_and_answers_are_told_from_those_for_the_time(renewing: Renewing) -> None:
    signer = Signer.generate()
    asked = renewal.request_to_payload(RenewalRequest(GATEWAY, b"x"), signer)
    assert renewal.is_request(asked)
    assert not renewal.is_request(b'HQ1j{"ask":"time"}')
    answer = renewal.RenewalAnswer(GATEWAY, "00", b"x")
    assert renewal.is_answer(renewal.answer_to_payload(answer, signer))
    for other in (b"", b"HA1s", b"HA1s\xff", signer.sign(b"HA1s", b'{"answer":"time"}')):
        assert not renewal.is_answer(other)


def test_shutting_out_ends_everything_that_a_gateway_has(
    renewing: Renewing, tmp_path: Path
) -> None:
    desk = renewing.desk
    give(desk, request(GATEWAY))
    give(desk, request(OTHER), OTHER)
    assert certificates.shut_out(desk, GATEWAY, "stolen") == 1
    assert [row.name for row in certificates.show(desk)] == [OTHER]
    with reading(desk.databases.authority) as session:
        assert session.get(GatewayKey, GATEWAY) is None
        assert session.get_one(BrokerAccount, GATEWAY).password_hash == ""
        assert session.get_one(ShutOut, GATEWAY).why == "stolen"
        assert to_evict(session, desk.now) == [GATEWAY]
        assert to_evict(session, desk.now + timedelta(minutes=5)) == []
    with pytest.raises(ProvisioningError, match="reason"):
        certificates.shut_out(desk, GATEWAY, " ")
    with pytest.raises(ProvisioningError, match=f"no gateway gw-77; on record: .*{OTHER}"):
        certificates.shut_out(desk, "gw-77", "stolen")
    file = tmp_path / "passwords"
    file.write_text(f"hes.ingest:x\n{GATEWAY}:y\n")
    accounts = BrokerAccounts(EnrolmentSettings(password_file=file))
    assert accounts.settle(desk.databases.authority) == 1
    assert file.read_text() == "hes.ingest:x\n"
    (row,) = certificates.show(desk)
    assert certificates.revoke(desk, row.serial.upper(), "lost") == OTHER
    with pytest.raises(ProvisioningError, match="no certificate"):
        certificates.revoke(desk, row.serial, "lost")
    with reading(desk.databases.authority) as session:
        assert to_evict(session, desk.now + timedelta(minutes=2)) == [GATEWAY, OTHER]
    key = Signer.generate().public_key.hex()
    with pytest.raises(ProvisioningError, match=r"shut out \(stolen\)"):
        provision.add_gateway(desk.databases, GATEWAY, key)
    provision.add_gateway(desk.databases, GATEWAY, key, replace=True)
    with reading(desk.databases.authority) as session:
        assert session.get(ShutOut, GATEWAY) is None
    assert actions(desk)[-4:-1] == ["gateway.revoke", "certificate.revoke", "certificate.revoke"]


def numbers(file: Path) -> tuple[int, int]:
    """The number of a revocation list, and how many certificates it names."""
    found = x509.load_pem_x509_crl(file.read_bytes())
    number = found.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
    return number, len(list(found))


def test_the_list_is_signed_anew_when_it_must_be(desk: Desk, tmp_path: Path) -> None:
    file, told, keys = tmp_path / "revoked.pem", tmp_path / "told", desk.settings.keys
    made = Issuing(
        custody.load(keys), custody.load_chain(keys), CertificateSettings(list_file=file)
    )
    revocations = Revocations(made, ("touch", str(told)), lambda _: None)
    authority = desk.databases.authority
    revocations.settle(authority, desk.now)
    assert (numbers(file), told.exists()) == ((1, 0), True)
    revocations.settle(authority, desk.now)
    assert numbers(file) == (1, 0)
    give(desk, request(GATEWAY))
    certificates.shut_out(desk, GATEWAY, "stolen")
    revocations.settle(authority, desk.now)
    assert numbers(file) == (2, 1)
    revocations.settle(authority, desk.now + timedelta(days=1))
    assert numbers(file) == (3, 1)
    revocations.settle(authority, desk.now + timedelta(days=31))  # over by itself
    assert numbers(file) == (4, 0)
    file.unlink()
    file.mkdir()
    add_gateway(desk.databases, OTHER, "1a" * 32)
    certificates.shut_out(desk, OTHER, "no certificate: the list stays")
    revocations.settle(authority, desk.now + timedelta(days=40))  # cannot be written: put off


def test_a_clock_that_was_far_ahead_leaves_nothing_behind(
    renewing: Renewing, tmp_path: Path
) -> None:
    desk, file = renewing.desk, tmp_path / "revoked.pem"
    keys, authority = desk.settings.keys, desk.databases.authority
    chain, settings = custody.load_chain(keys), CertificateSettings(list_file=file)
    revocations = Revocations(Issuing(custody.load(keys), chain, settings), (), lambda _: None)
    ahead = Desk(desk.settings, desk.databases, desk.now + timedelta(days=2000))
    asked = request(GATEWAY)
    give(ahead, asked)
    give(ahead, request(OTHER), OTHER)
    certificates.shut_out(ahead, OTHER, "stolen")
    revocations.settle(authority, ahead.now)
    assert x509.load_pem_x509_crl(file.read_bytes()).last_update_utc > desk.now
    revocations.settle(authority, desk.now)
    found = x509.load_pem_x509_crl(file.read_bytes())
    assert found.last_update_utc < desk.now  # or no gateway is let in for 2000 days
    assert len(list(found)) == 1
    with reading(authority) as session:
        assert to_evict(session, desk.now) == []
    again = give(desk, asked)
    assert again is not None
    assert leaf(again).not_valid_before_utc < desk.now


def test_whoever_came_in_before_the_broker_had_the_list_is_ended_after_it(
    desk: Desk, tmp_path: Path
) -> None:
    file, authority = tmp_path / "away" / "revoked.pem", desk.databases.authority
    keys, ended = desk.settings.keys, []
    made = Issuing(
        custody.load(keys), custody.load_chain(keys), CertificateSettings(list_file=file)
    )
    for gateway in (GATEWAY, OTHER):
        give(desk, request(gateway), gateway)
    certificates.shut_out(desk, GATEWAY, "stolen, while the authority stood still")
    later = desk.now + timedelta(hours=1)
    Revocations(made, (), ended.append).settle(authority, later)  # the folder is not there
    assert ended == [[GATEWAY]]
    file.parent.mkdir()
    Revocations(made, (), ended.append).settle(authority, later)
    assert numbers(file) == (2, 1)
    assert ended == [[GATEWAY]] * 2
    Revocations(made, (), ended.append).settle(authority, later)  # the broker has had it
    assert ended == [[GATEWAY]] * 2


def test_an_old_database_that_was_put_back_lets_nobody_in_again(desk: Desk, tmp_path: Path) -> None:
    file, authority = tmp_path / "revoked.pem", desk.databases.authority
    keys = desk.settings.keys
    chain, settings = custody.load_chain(keys), CertificateSettings(list_file=file)
    revocations = Revocations(Issuing(custody.load(keys), chain, settings), (), lambda _: None)
    give(desk, request(GATEWAY))
    revocations.settle(authority, desk.now)
    with reading(authority) as session:
        before = session.get_one(RevocationList, 1)
    give(desk, request(OTHER), OTHER)
    for gateway in (GATEWAY, OTHER):
        certificates.shut_out(desk, gateway, "stolen")
        revocations.settle(authority, desk.now)
    assert numbers(file) == (3, 2)
    with writing(authority) as session:  # as it was when only the first was issued
        session.execute(delete(Certificate).where(Certificate.name == OTHER))
        session.execute(update(Certificate).values(revoked_at=None))
        session.merge(before)
    for days, wanted in ((1, (4, 2)), (31, (5, 1)), (400, (6, 0))):
        revocations.settle(authority, desk.now + timedelta(days=days))
        assert numbers(file) == wanted
    stranger = profile.fresh_key()
    theirs = Issuer(profile.authority_certificate(stranger, "Hesper", desk.now), stranger)
    forged = theirs.revocation_list([profile.Revoked(7, desk.now)], 99, desk.now)
    file.write_bytes(custody.list_pem(forged))
    revocations.settle(authority, desk.now + timedelta(days=401))
    assert numbers(file) == (7, 0)


def test_an_alert_says_whose_renewal_fails(desk: Desk, head_end: Any) -> None:
    clock, registry = head_end.clock, desk.databases.registry
    rule = CertificateRule(desk.settings, desk.databases.authority, Alerts(registry), clock)

    def told() -> dict[tuple[str, str | None], str]:
        rule.check()
        with reading(registry) as session:
            rows = session.scalars(select(Alert).where(Alert.state != "cleared"))
            return {(row.rule, row.gateway): row.severity for row in rows}

    give(desk, request(GATEWAY))
    give(desk, request(OTHER), OTHER)
    assert told() == {}
    clock.advance(26 * 86400)
    renewed = Desk(desk.settings, desk.databases, clock.now)
    give(renewed, request(OTHER), OTHER)
    assert told() == {("certificate-renewal", GATEWAY): "warning"}
    left_s = REGISTRY.get_sample_value("hesper_certificate_expires_seconds", {"kind": "gateway"})
    assert left_s == 4 * 86400
    give(renewed, request(GATEWAY))
    assert told() == {}
    clock.advance(40 * 86400)
    certificates.shut_out(Desk(desk.settings, desk.databases, clock.now), OTHER, "gone for good")
    assert told() == {("certificate-ended", GATEWAY): "critical"}


@pytest.mark.parametrize("is_started_anew", [False, True])
def test_a_certificate_that_ended_is_no_longer_said_to_end(
    desk: Desk, head_end: Any, is_started_anew: bool
) -> None:
    clock, registry = head_end.clock, desk.databases.registry

    def start() -> CertificateRule:
        return CertificateRule(desk.settings, desk.databases.authority, Alerts(registry), clock)

    rule = start()

    def told() -> list[tuple[str, str, bool]]:
        nonlocal rule
        rule = start() if is_started_anew else rule
        rule.check()
        with reading(registry) as session:
            rows = session.scalars(select(Alert).where(Alert.state != "cleared"))
            return [(row.rule, row.severity, " ended at " in row.text) for row in rows]

    give(desk, request(GATEWAY))
    clock.advance(26 * 86400)
    assert told() == [("certificate-renewal", "warning", False)]
    clock.advance(10 * 86400)
    assert told() == [("certificate-ended", "critical", True)]
    give(Desk(desk.settings, desk.databases, clock.now), request(GATEWAY))
    assert told() == []
