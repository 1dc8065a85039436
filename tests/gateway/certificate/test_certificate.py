"""The gateway's certificate: kept until its successor has connected, asked for in time, told of."""

import asyncio
import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from hesper_contracts import certificates
from hesper_contracts.certificates import RenewalAnswer
from hesper_contracts.frame import Kind, Refused
from hesper_contracts.signing import Forged, Keyring, Signer
from hesper_gateway import certificate
from hesper_gateway.broker_link import reason
from hesper_gateway.certificate import Holding, Renewal
from hesper_gateway.certificate.renewal import ENDED, OVERDUE
from hesper_gateway.enrolment import serial_number
from hesper_gateway.errors import ConfigError

GATEWAY, NOW = "gw-7", datetime(2026, 6, 1, 12, tzinfo=UTC)
MONTH = timedelta(days=30)
COMMANDS, OWN = Signer.generate(), Signer.generate()
KEY = ec.generate_private_key(ec.SECP256R1())
ISSUER = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Hesper")])


def signed(request: bytes, begins: datetime = NOW, name: str = GATEWAY) -> bytes:
    """A certificate for a request, as an authority gives it."""
    asked = x509.load_der_x509_csr(request)
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = x509.CertificateBuilder(
        ISSUER, subject, asked.public_key(), x509.random_serial_number(), begins, begins + MONTH
    )
    made = builder.sign(KEY, hashes.SHA256())
    return made.public_bytes(serialization.Encoding.PEM)


def worn(begins: datetime = NOW, name: str = GATEWAY) -> bytes:
    """A file with key and certificate."""
    wanted = certificate.born(name)
    return certificate.wear(wanted, signed(wanted.request, begins, name))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "broker.pem"
    path.touch(0o600)
    path.write_bytes(worn())
    return path


def test_old_and_new_take_turns_until_the_broker_takes_the_new(path: Path) -> None:
    holding, old, new = Holding(path), path.read_bytes(), worn(NOW + MONTH / 2)
    assert holding.choose() == path
    holding.taken()
    holding.lay_beside(new)
    beside = path.with_name("broker.pem.next")
    assert [holding.choose() for _ in range(4)] == [beside, path, beside, path]
    holding.taken()  # it was the old one that got through
    assert (path.read_bytes(), holding.has_successor) == (old, True)
    assert Holding(path).choose() == beside  # after a restart the new one is tried again
    assert holding.choose() == beside
    holding.taken()
    assert (path.read_bytes(), holding.has_successor) == (new, False)
    assert holding.worn.begins == NOW + MONTH / 2
    assert path.stat().st_mode & 0o077 == 0
    assert holding.choose() == path
    holding.lay_beside(worn())
    holding.discard_successor()
    assert holding.choose() == path


def test_a_file_that_cannot_be_shown_is_told(path: Path) -> None:
    whole = path.read_bytes()
    for octets in (b"", whole[:200], worn()[:250] + whole[250:], b"x" * 100):
        path.write_bytes(octets)
        with pytest.raises(ConfigError, match="no private key with its certificate"):
            Holding(path)
    path.write_bytes(whole)
    path.chmod(0o644)
    with pytest.raises(ConfigError, match="chmod 600"):
        Holding(path)
    with pytest.raises(ConfigError, match="No such file"):
        Holding(path.with_name("absent.pem"))


def test_a_wrong_clock_is_said() -> None:
    pem = worn()
    assert certificate.fitted(pem, GATEWAY, NOW).ends == NOW + MONTH
    for now in (datetime(1970, 1, 1, tzinfo=UTC), NOW + 2 * MONTH):
        with pytest.raises(ConfigError, match=r"clock says .* set the clock"):
            certificate.fitted(pem, GATEWAY, now)
    with pytest.raises(ConfigError, match="of 'gw-8', not of gw-7"):
        certificate.fitted(worn(name="gw-8"), GATEWAY, NOW)
    error = ssl.SSLCertVerificationError("certificate verify failed")
    error.verify_code, error.verify_message = 9, "certificate is not yet valid"
    wrapped = RuntimeError("no connection")
    wrapped.__cause__ = error
    assert "timedatectl" in reason(wrapped)
    assert reason(ValueError("something else")) == "something else"


def test_a_device_says_its_serial_number(tmp_path: Path) -> None:
    tree = tmp_path / "serial-number"
    tree.write_bytes(b"10000000abcdef01\0")
    assert serial_number((tmp_path / "absent", tree)) == "10000000abcdef01"
    tree.write_bytes(b"\0\xff\x01")
    assert serial_number((tree,)) == ""


class Cloud:
    """Hears what is asked, and answers when it is told to."""

    def __init__(self, path: Path, now: Callable[[], datetime]) -> None:
        self.told: list[str] = []
        self.asked: asyncio.Queue[bytes] = asyncio.Queue()
        self.left = 0
        self.holding = Holding(path)
        myself = certificate.Self(GATEWAY, OWN, Keyring.of(COMMANDS.public_key))
        self.renewal = Renewal(self.holding, myself, now, lambda code, _: self.told.append(code))
        self.renewal.leave = self.leave

    def leave(self) -> None:
        self.left += 1

    async def publish(self, kind: Kind, payload: bytes) -> bool:
        assert kind is Kind.REQUESTS
        self.asked.put_nowait(payload)
        return True

    async def request(self) -> certificates.RenewalRequest:
        async with asyncio.timeout(60):
            payload = await self.asked.get()
        keys = Keyring.of(OWN.public_key)
        return certificates.request_from_payload(payload, keys, GATEWAY)

    def answer(self, request: certificates.RenewalRequest, begins: datetime) -> bytes:
        pem = signed(request.certificate_request, begins)
        return certificates.answer_to_payload(RenewalAnswer(GATEWAY, request.digest, pem), COMMANDS)


async def test_it_is_renewed_after_two_thirds_of_its_life(path: Path) -> None:
    now = NOW + timedelta(days=20, seconds=1)
    cloud, connected = Cloud(path, lambda: now), asyncio.Event()
    connected.set()
    task = asyncio.create_task(cloud.renewal.run(cloud.publish, connected))
    try:
        request = await cloud.request()
        answer = cloud.answer(request, now)
        forged = certificates.answer_to_payload(RenewalAnswer(GATEWAY, request.digest, b""), OWN)
        with pytest.raises(Forged):
            cloud.renewal.accept(forged)
        other = certificate.born(GATEWAY)
        for wrong in (
            RenewalAnswer(GATEWAY, "00" * 32, signed(request.certificate_request)),
            RenewalAnswer(GATEWAY, request.digest, signed(other.request)),
            RenewalAnswer(GATEWAY, request.digest, b"nothing"),
            RenewalAnswer(
                GATEWAY, request.digest, signed(request.certificate_request, NOW - MONTH)
            ),
        ):
            with pytest.raises(Refused):
                cloud.renewal.accept(certificates.answer_to_payload(wrong, COMMANDS))
        assert (cloud.left, cloud.holding.has_successor) == (0, False)
        cloud.renewal.accept(answer)
        assert (cloud.left, cloud.holding.has_successor) == (1, True)
        with pytest.raises(Refused, match="came already"):
            cloud.renewal.accept(answer)
        cloud.holding.choose()
        cloud.holding.taken()
        assert cloud.renewal.expires_at() == now + MONTH
        assert cloud.told == []
    finally:
        task.cancel()


@pytest.mark.parametrize(("days", "told"), [(19, []), (24, []), (26, [OVERDUE]), (31, [ENDED])])
async def test_a_renewal_that_fails_is_told(path: Path, days: int, told: list[str]) -> None:
    cloud = Cloud(path, lambda: NOW + timedelta(days=days))
    task = asyncio.create_task(cloud.renewal.run(cloud.publish, asyncio.Event()))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    task.cancel()
    assert (cloud.told, cloud.asked.empty()) == (told, True)
