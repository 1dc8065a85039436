"""A device that enrols is given a certificate: what its token must say, and what ends by it."""

import base64
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding
from hesper_cloud import certificates, keeping, keys
from hesper_cloud.authority.enrolment import NO_TOKEN, NOT_YET, Certificates
from hesper_cloud.authority.renewals import RenewalDesk
from hesper_cloud.authority.revocations import Revocations
from hesper_cloud.ca import custody, profile
from hesper_cloud.ca.issuing import Issuing
from hesper_cloud.certificates import Desk
from hesper_cloud.db.authority import AuditRow, EnrolmentToken, ShutOut
from hesper_cloud.db.engines import reading
from hesper_cloud.services.enrolments import WHO
from hesper_cloud.settings import CertificateSettings
from hesper_contracts import enrolment
from hesper_contracts.enrolment import Answer, Ask, Token
from hesper_contracts.signing import Signer
from signing import GATEWAY, OTHER, leaf, request
from sqlalchemy import select

TOML = """\
gateway = "gw-1"
[broker]
host = "broker.example.org"
username = "gw-1"
tls_ca = "ca.pem"
certificate = "broker.pem"
[keys]
commands = {{ {commands} }}
receipts = {{ {receipts} }}
"""


class Device(NamedTuple):
    """A device with its keys and its request."""

    signer: Signer
    sealing: X25519PrivateKey
    request: bytes

    @classmethod
    def born(cls, name: str = GATEWAY) -> "Device":
        return cls(Signer.generate(), X25519PrivateKey.generate(), request(name))


class Enrolling:
    """A head end that signs certificates, and what comes of asks."""

    def __init__(self, head_end: Any, desk: Desk, external: bool = False) -> None:
        self.head_end, self.desk = head_end, desk
        folder = desk.settings.keys
        issuer = None if external else custody.load(folder)
        settings = CertificateSettings(external=external)
        made = Issuing(issuer, () if external else custody.load_chain(folder), settings)
        signer = keys.command_signer(folder)
        head_end.authority._enrolment.certificates = Certificates(
            made,
            RenewalDesk(made, signer, lambda *_: None),
            Revocations(made, (), lambda _: None),
        )

    def keep(self, folder: Path) -> None:
        signers = [
            keys.command_signer(self.desk.settings.keys),
            keys.receipt_signer(self.desk.settings.keys),
        ]
        shown = [f'"{each.key_id}" = "{each.public_key.hex()}"' for each in signers]
        (folder / "ca.pem").write_text("a certificate")
        path = folder / "gateway.toml"
        path.write_text(TOML.format(commands=shown[0], receipts=shown[1]))
        keeping.keep(
            self.desk.settings, self.desk.databases, GATEWAY, path, self.head_end.clock.now
        )

    def token(self, serial: str | None = None) -> Token:
        text = keeping.make_token(
            self.desk.settings, self.desk.databases, GATEWAY, 24, self.head_end.clock.now, serial
        )
        return Token.from_text(text)

    def ask(self, token: Token, device: Device, serial: str = "") -> Any:
        """What the authority makes of an ask: the row of the request, and the answer."""
        sealing = device.sealing.public_key().public_bytes_raw()
        ask = Ask(
            gateway=GATEWAY, token_digest=token.digest, signing_key=device.signer.public_key,
            sealing_key=sealing, serial=serial, certificate_request=device.request,
        )  # fmt: skip
        section = enrolment.sign_ask(ask, device.signer)
        row = self.head_end.ask(
            WHO, "gateway.enrol", gateway=GATEWAY, ask=base64.b64encode(section).decode(),
            password=token.text,
        )  # fmt: skip
        if row.state == "refused":
            return row, None
        with reading(self.desk.databases.authority) as session:
            octets = session.get_one(EnrolmentToken, token.digest.hex()).answer
        digest = enrolment.digest_of(section)
        return row, octets and enrolment.read_answer(octets, token, digest)


@pytest.fixture
def enrolling(head_end: Any, desk: Desk, tmp_path: Path) -> Enrolling:
    enrolling = Enrolling(head_end, desk)
    enrolling.keep(tmp_path)
    return enrolling


def audited(desk: Desk, action: str) -> list[str]:
    with reading(desk.databases.authority) as session:
        query = select(AuditRow.why).where(AuditRow.action == action)
        return [str(why) for why in session.scalars(query)]


def test_the_answer_brings_a_certificate_and_ends_the_one_before(enrolling: Enrolling) -> None:
    first, second = Device.born(), Device.born()
    _, answer = enrolling.ask(enrolling.token(), first)
    assert isinstance(answer, Answer)
    assert leaf(answer.certificate).subject == profile.common_name(GATEWAY)
    certificates.shut_out(enrolling.desk, GATEWAY, "stolen")
    token = enrolling.token()
    row, newer = enrolling.ask(token, second)
    assert (row.state, newer.replaces) == ("done", True)
    assert enrolling.ask(token, second)[1] == newer  # a lost answer
    (good,) = certificates.show(enrolling.desk)
    assert good.octets == leaf(newer.certificate).public_bytes(Encoding.DER)
    with reading(enrolling.desk.databases.authority) as session:
        assert session.get(ShutOut, GATEWAY) is None


def test_a_token_for_one_device_serves_no_other(enrolling: Enrolling) -> None:
    token, device = enrolling.token("SN-1"), Device.born()
    for serial, said in (("SN-2", "says SN-2"), ("", "says none")):
        row, answer = enrolling.ask(token, device, serial)
        assert (row.state, answer) == ("refused", None)
        assert "SN-1" in row.outcome["reason"]
        assert said in audited(enrolling.desk, "request.refused")[-1]
    row, answer = enrolling.ask(token, device, "SN-1")
    assert row.state == "done"
    assert "SN-1" in leaf(answer.certificate).subject.rfc4514_string()
    assert enrolling.ask(token, Device.born(), "SN-1")[0].outcome["reason"] == NO_TOKEN


def test_a_request_in_another_name_takes_nothing(enrolling: Enrolling) -> None:
    token = enrolling.token()
    for name in (OTHER, "hes.authority"):
        row, answer = enrolling.ask(token, Device.born(name))
        assert (row.state, answer) == ("refused", None)
    assert certificates.show(enrolling.desk) == []
    assert enrolling.ask(token, Device.born())[0].state == "done"


def test_with_an_external_authority_the_token_waits(head_end: Any, tmp_path: Path) -> None:
    desk = Desk(head_end.settings, head_end.databases, head_end.clock.now)
    enrolling = Enrolling(head_end, desk, external=True)
    enrolling.keep(tmp_path)
    token, device = enrolling.token(), Device.born()
    row, answer = enrolling.ask(token, device)
    assert (row.outcome["waits"], answer) == (NOT_YET, None)
    carried = x509.load_pem_x509_csr(certificates.request_of(desk, GATEWAY))
    root = profile.fresh_key()
    theirs = profile.Issuer(profile.authority_certificate(root, "Theirs", desk.now), root)
    life = desk.now, theirs.certificate.not_valid_after_utc
    made = theirs.for_gateway(carried.public_key(), GATEWAY, "", life)  # type: ignore[arg-type]
    (tmp_path / "back.pem").write_bytes(custody.pem(made))
    certificates.install_for(desk, GATEWAY, tmp_path / "back.pem")
    row, answer = enrolling.ask(token, device)
    assert (row.state, answer.certificate) == ("done", custody.pem(made))


@pytest.mark.parametrize("serial", ["VMware_56 4d", "sériel", "日" * 64])
def test_a_serial_number_that_no_certificate_can_hold_stays_out_of_it(
    enrolling: Enrolling, serial: str
) -> None:
    row, answer = enrolling.ask(enrolling.token(serial), Device.born(), serial)
    assert row.state == "done"
    assert leaf(answer.certificate).subject == profile.common_name(GATEWAY)
