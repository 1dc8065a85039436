"""Clients that others wrote, against a simulator's process: gurux_dlms and dlms-cosem."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
import structlog
from dlms_cosem import cosem, enumerations
from dlms_cosem.client import DlmsClient
from dlms_cosem.io import BlockingTcpIO, TcpTransport
from dlms_cosem.parsers import ProfileGenericBufferParser
from dlms_cosem.security import (
    HighLevelSecurityGmacAuthentication,
    LowLevelSecurityAuthentication,
    NoSecurityAuthentication,
)
from hesper_dlms import axdr
from hesper_sim.fleet import FleetSettings
from hesper_sim.objects.table import OBJECTS
from hesper_sim.registers import REGISTERS

pytestmark = pytest.mark.integration

SETTINGS = FleetSettings(tcp=3, shared=0, dial_in=0, rs485=0, hdlc_tcp=3, push=False)
CLIENTS = {"none": 16, "lls": 2, "gmac": 1}
TITLE = b"GRXGRXGR"
PUBLIC = 7
SECRET = [["15:0.0.40.0.0.255:7", "refused 11"]]
"""No meter tells the secret of its association."""


@pytest.fixture(scope="module")
def simulator(start_shared_simulator):
    return start_shared_simulator(SETTINGS, "--history-days", "2")


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    yield
    structlog.reset_defaults()


def port_of(simulator, meter) -> int:
    return int(simulator.ready["listeners"][meter.line].rpartition(":")[2])


@pytest.mark.parametrize("link", ["wrapper", "hdlc"])
@pytest.mark.parametrize("authentication", CLIENTS)
def test_gurux_reads_every_object(simulator, gurux_peer, link, authentication):
    meter = simulator.fleet.meters[list(CLIENTS).index(authentication) + 3 * (link == "hdlc")]
    options = {
        "port": port_of(simulator, meter),
        "link": link,
        "client": CLIENTS[authentication],
        "server": meter.physical_address,
        "authentication": authentication,
        "password": meter.password if authentication == "lls" else None,
        "system_title": TITLE.hex(),
        "encryption_key": meter.encryption_key.hex(),
        "authentication_key": meter.authentication_key.hex(),
        "counter": int(time.time()),
    }
    found = gurux_peer("gurux_reader", **options)
    whole = len(OBJECTS) + len(REGISTERS)
    assert found["objects"] == (PUBLIC if authentication == "none" else whole)
    assert found["failed"] == SECRET


@pytest.mark.parametrize("authentication", CLIENTS)
def test_dlms_cosem_reads_name_register_and_profile(simulator, authentication):
    meter = simulator.fleet.meters[list(CLIENTS).index(authentication)]
    mechanism = {
        "none": NoSecurityAuthentication(),
        "lls": LowLevelSecurityAuthentication(secret=meter.password.encode()),
        "gmac": HighLevelSecurityGmacAuthentication(challenge_length=16),
    }[authentication]
    secured = {
        "encryption_key": meter.encryption_key,
        "authentication_key": meter.authentication_key,
        "client_initial_invocation_counter": int(time.time()),
        "client_system_title": TITLE[::-1],
    }
    transport = TcpTransport(
        client_logical_address=CLIENTS[authentication],
        server_logical_address=1,
        io=BlockingTcpIO(host="127.0.0.1", port=port_of(simulator, meter), timeout=60),
    )
    client = DlmsClient(
        transport=transport,
        authentication=mechanism,
        max_pdu_size=1024,
        **(secured if authentication == "gmac" else {}),
    )
    with client.session() as session:
        name = session.get(_attribute("DATA", "0.0.42.0.0.255"))
        assert axdr.decode(name).as_text() == meter.logical_device_name
        if authentication != "none":
            energy = session.get(_attribute("REGISTER", "1.0.1.8.0.255"))
            assert axdr.decode(energy).as_int() > 0
            profile = session.get(_attribute("PROFILE_GENERIC", "1.0.99.1.0.255"))
            columns = [_attribute("CLOCK", "0.0.1.0.0.255")] + [
                _attribute("REGISTER", f"1.0.{n}.8.0.255") for n in range(1, 9)
            ]
            rows = ProfileGenericBufferParser(columns, 15).parse_bytes(profile)
            assert 190 <= len(rows) <= 193


def _attribute(interface: str, name: str) -> cosem.CosemAttribute:
    octets = [int(part) for part in name.split(".")]
    return cosem.CosemAttribute(enumerations.CosemInterface[interface], cosem.Obis(*octets), 2)
