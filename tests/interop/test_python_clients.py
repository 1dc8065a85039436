"""The clients of dlms-cosem and of gurux_dlms (in a process of its own) against our server."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from dlms_cosem import cosem, dlms_data, enumerations
from dlms_cosem.client import DlmsClient
from dlms_cosem.io import BlockingTcpIO, TcpTransport
from dlms_cosem.security import (
    HighLevelSecurityGmacAuthentication,
    LowLevelSecurityAuthentication,
    NoSecurityAuthentication,
)
from hesper_dlms import axdr
from hesper_dlms.server import LogicalServer

sys.path.insert(0, str(Path(__file__).parent))
from meter import CLIENT_TITLE, ENERGY, LONG, MAX_PDU, MECHANISMS, NAME, PASSWORD, InteropMeter


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    yield
    structlog.reset_defaults()


@pytest.mark.parametrize("link", ["wrapper", "hdlc"])
@pytest.mark.parametrize("authentication", ["none", "lls", "gmac"])
def test_gurux_for_python(
    tcp_meter: Callable[..., Any],
    gurux_peer: Callable[..., dict[str, Any]],
    expected: Callable[..., None],
    authentication: str,
    link: str,
) -> None:
    meter = InteropMeter()
    written = bytes(3000)
    options = {
        "port": tcp_meter(LogicalServer(meter), link).port,
        "link": link,
        "client": MECHANISMS[authentication][0],
        "server": 17,
        "authentication": authentication,
        "password": PASSWORD.decode() if authentication == "lls" else None,
        "system_title": CLIENT_TITLE.hex(),
        "encryption_key": meter.security.encryption_key.hex(),
        "authentication_key": meter.security.authentication_key.hex(),
        "max_pdu": 1024,
        "write": written.hex(),
    }
    found = gurux_peer("gurux_client", **options)
    assert meter.values[NAME] == axdr.encode(axdr.octet_string(written))
    outcomes = dict.fromkeys(("associate", "set", "action", "release"), "ok")
    outcomes["get"] = "ok" if found["energy"] == 1234567 else str(found["energy"])
    outcomes["get-block"] = "ok" if len(found["long"]) == 2 * 5120 else "another value"
    key = {"peer": "gurux-python", "as": "client", "link": link, "authentication": authentication}
    expected({**key, "suite": "suite 0"}, outcomes)


def cosem_client(port: int, authentication: str, meter: InteropMeter) -> DlmsClient:
    secured = {
        "encryption_key": meter.security.encryption_key,
        "authentication_key": meter.security.authentication_key,
        "client_initial_invocation_counter": 10,
        "client_system_title": CLIENT_TITLE,
    }
    mechanism = {
        "none": NoSecurityAuthentication(),
        "lls": LowLevelSecurityAuthentication(secret=PASSWORD),
        "gmac": HighLevelSecurityGmacAuthentication(challenge_length=16),
    }[authentication]
    transport = TcpTransport(
        client_logical_address=MECHANISMS[authentication][0],
        server_logical_address=1,
        io=BlockingTcpIO(host="127.0.0.1", port=port, timeout=60),
    )
    return DlmsClient(
        transport=transport,
        authentication=mechanism,
        max_pdu_size=1024,
        **(secured if authentication == "gmac" else {}),
    )


@pytest.mark.parametrize("authentication", ["none", "lls", "gmac"])
def test_dlms_cosem(
    tcp_meter: Callable[..., Any], expected: Callable[..., None], authentication: str
) -> None:
    meter = InteropMeter()
    port = tcp_meter(LogicalServer(meter, max_pdu=MAX_PDU), "wrapper").port

    def named(attribute: Any) -> cosem.CosemAttribute:
        interface = enumerations.CosemInterface(attribute.class_id)
        name = cosem.Obis(*attribute.logical_name)
        return cosem.CosemAttribute(interface, name, attribute.attribute_id)

    with cosem_client(port, authentication, meter).session() as client:
        assert client.get(named(ENERGY)) == meter.values[ENERGY]
        assert client.get(named(LONG)) == meter.values[LONG]
        client.set(named(NAME), dlms_data.OctetStringData(b"new").to_bytes())
    assert meter.values[NAME] == axdr.encode(axdr.octet_string(b"new"))
    services = ("associate", "get", "get-block", "set", "release")
    key = {"peer": "dlms-cosem", "as": "client", "link": "wrapper"}
    names = {"authentication": authentication, "suite": "suite 0"}
    expected({**key, **names}, dict.fromkeys(services, "ok"))
