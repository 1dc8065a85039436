"""Gateways come to the broker by certificate: enrolled, renewed under way, revoked, shut out.

Real broker with a listener for certificates, head end, meters and agents, each started as its user
starts it. Certificates live for so short a time here that a renewal is seen; the session of the
gateway that is revoked must end within a minute, while the other one's stands.
"""

import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509

sys.path.insert(0, str(Path(__file__).parent))
from enrolling_town import Town, free_port
from patience import eventually

pytestmark = pytest.mark.integration
STOLEN, OTHER = "gw-7", "gw-8"
OUT_WITHIN_S = 120.0
SERIAL = "10000000abcdef01"
LISTENER = """\
listener {port} 127.0.0.1
cafile {folder}/ca.pem
certfile {folder}/127.0.0.1.pem
keyfile {folder}/127.0.0.1.key
crlfile {folder}/revoked.pem
require_certificate true
use_identity_as_username true
use_username_as_clientid true
"""
SETTINGS = """\
[certificates]
life_s = 27
list_file = "revoked.pem"
"""
WAY = 'tls_ca = "ca.pem"\ncertificate = "broker.pem"\n'


class CertificateTown(Town):
    """A town whose gateways have no passwords."""

    def __init__(self, folder: Path, make_broker: Callable[..., Any]) -> None:
        self.port = free_port()
        listener = LISTENER.format(folder=folder, port=self.port)
        super().__init__(folder, make_broker, listener, SETTINGS)

    def begin(self) -> None:
        """Makes the authority and everything that it signs, and starts all but gateways."""
        early = self.folder / "early.toml"
        early.write_text(f'state = "state"\n{SETTINGS}')
        own = self.run("hesper-cloud", "ca", "init", "-c", early)
        (self.folder / "ca.pem").write_text(own)
        self.run("hesper-cloud", "ca", "server", "127.0.0.1", "--out", self.folder, "-c", early)
        self.start_broker()
        self.start_meters()
        self.start_head_end()
        for gateway, meters in ((STOLEN, 2), (OTHER, 0)):
            desk = self.keep(gateway, WAY, self.port, meters)
            (desk / "ca.pem").write_text(own)
            self.tell("gateway", "keep", gateway, str(desk / "gateway.toml"))

    def state_of(self, gateway: str) -> str:
        """What the head end knows of a gateway."""
        assert self.rest is not None
        known = {each["id"]: each["state"] for each in self.rest.get("/gateways")}
        return str(known.get(gateway))


@pytest.fixture
def town(tmp_path: Path, broker_factory: Callable[..., Any]) -> Iterator[CertificateTown]:
    town = CertificateTown(tmp_path, broker_factory)
    yield town
    town.stop()


def shown_by(folder: Path) -> x509.Certificate:
    return x509.load_pem_x509_certificates((folder / "broker.pem").read_bytes())[0]


def audited(town: Town, action: str) -> list[str]:
    with sqlite3.connect(town.folder / "state" / "authority.db") as database:
        query = "SELECT subject FROM audit WHERE action = ? ORDER BY sequence"
        rows = database.execute(query, (action,)).fetchall()
    database.close()
    return [subject for (subject,) in rows]


@pytest.mark.timeout(600)
def test_a_gateway_enrols_delivers_renews_and_is_shut_out(town: CertificateTown) -> None:
    town.begin()
    token = town.tell("gateway", "token", STOLEN, "--serial", SERIAL).strip()
    _, reason = town.enrol_with(token, "thief", "--serial", "10000000deadbeef", fails=True)
    assert SERIAL in reason
    stolen, _ = town.enrol_with(token, "stolen", "--serial", SERIAL)
    other, _ = town.enrol(OTHER, "other")
    assert audited(town, "request.refused")
    assert (stolen / "broker.pem").stat().st_mode & 0o077 == 0
    first = {folder: shown_by(folder) for folder in (stolen, other)}
    agents = [town.agent(stolen), town.agent(other)]
    eventually(lambda: len({meter for meter, _ in town.stored()}) == 2, "both meters are stored")

    eventually(
        lambda: all(shown_by(each) != before for each, before in first.items()), "both renew"
    )
    for folder, before in first.items():
        assert shown_by(folder).public_key() != before.public_key()
    town.wait_until_all_is_stored()

    lost_before = (other / "log").read_text().count("broker lost")
    town.tell("gateway", "revoke", STOLEN, "--reason", "stolen from its cabinet")
    revoked_at = time.monotonic()
    eventually(lambda: "broker lost" in (stolen / "log").read_text(), "its session ends")
    eventually(lambda: town.state_of(STOLEN) == "offline", "the head end knows")
    assert time.monotonic() - revoked_at < OUT_WITHIN_S
    refusals = "certificate verify failed"
    eventually(lambda: refusals in town.broker.log_path.read_text(), "it comes back in vain")
    assert town.state_of(STOLEN) == "offline"
    assert (town.state_of(OTHER), all(each.poll() is None for each in agents)) == ("online", True)
    assert (other / "log").read_text().count("broker lost") == lost_before
    assert audited(town, "gateway.revoke") == [STOLEN]
    assert set(audited(town, "certificate.issue")) == {"127.0.0.1", STOLEN, OTHER}

    _, reason = town.enrol_with(token, "thief", "--serial", SERIAL, fails=True)
    assert "token" in reason
    agents[0].terminate()
    agents[0].wait()
    back, _ = town.enrol(STOLEN, "stolen", "--again")
    assert back == stolen
    town.agent(stolen)
    eventually(lambda: town.state_of(STOLEN) == "online", "enrolled again, it comes back")
    town.wait_until_all_is_stored()
    assert town.tell("audit", "verify").startswith("intact")
