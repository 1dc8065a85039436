"""Our server against the client of dlms-cosem (MIT) over loopback sockets."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog
from dlms_cosem import cosem, dlms_data, enumerations, exceptions
from dlms_cosem.client import DlmsClient
from dlms_cosem.io import BlockingTcpIO, HdlcTransport, TcpTransport
from dlms_cosem.security import (
    HighLevelSecurityGmacAuthentication,
    LowLevelSecurityAuthentication,
    NoSecurityAuthentication,
)
from hesper_dlms import axdr
from hesper_dlms.server import LogicalServer

ENERGY = cosem.CosemAttribute(
    enumerations.CosemInterface.REGISTER, cosem.Obis(1, 0, 1, 8, 0, 255), 2
)
LONG = cosem.CosemAttribute(enumerations.CosemInterface.DATA, cosem.Obis(0, 0, 96, 50, 0, 255), 2)
NAME = cosem.CosemAttribute(enumerations.CosemInterface.DATA, cosem.Obis(0, 0, 42, 0, 0, 255), 2)


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    yield
    structlog.reset_defaults()


def connect(port: int, client: int, bench: Any, **other: Any) -> DlmsClient:
    transport = TcpTransport(
        client_logical_address=client,
        server_logical_address=1,
        io=BlockingTcpIO(host="127.0.0.1", port=port, timeout=60),
    )
    return DlmsClient(
        transport=transport, client_system_title=bench.CLIENT_TITLE, block_transfer=True, **other
    )


def gmac(port: int, bench: Any, **other: Any) -> DlmsClient:
    settings: dict[str, Any] = {
        "authentication": HighLevelSecurityGmacAuthentication(challenge_length=16),
        "encryption_key": bench.ENCRYPTION_KEY,
        "authentication_key": bench.AUTHENTICATION_KEY,
        "client_initial_invocation_counter": 10,
    }
    return connect(port, 1, bench, **{**settings, **other})


def check_reading(client: DlmsClient, bench: Any, meter: Any) -> None:
    with client.session():
        assert client.get(ENERGY) == meter.values[bench.ENERGY]
        assert client.get(LONG) == meter.values[bench.LONG]


def test_no_authentication(bench: Any, tcp_meter: Callable[..., Any]) -> None:
    meter = bench.Meter()
    port = tcp_meter(LogicalServer(meter)).port
    client = connect(port, 16, bench, authentication=NoSecurityAuthentication(), max_pdu_size=500)
    check_reading(client, bench, meter)


def test_lls_reads_and_writes(bench: Any, tcp_meter: Callable[..., Any]) -> None:
    meter = bench.Meter()
    port = tcp_meter(LogicalServer(meter)).port
    login = LowLevelSecurityAuthentication(secret=b"12345678")
    client = connect(port, 2, bench, authentication=login, max_pdu_size=500)
    check_reading(client, bench, meter)
    with client.session():
        client.set(NAME, dlms_data.OctetStringData(b"new").to_bytes())
    assert meter.values[bench.NAME] == axdr.encode(axdr.octet_string(b"new"))


@pytest.mark.parametrize("physical", [None, 17])
def test_hdlc(bench: Any, tcp_meter: Callable[..., Any], physical: int | None) -> None:
    """LLS and one short value: every octet is the same each time.

    That client stalls for ever on a frame whose last check octet is 7E, one in 200.
    """
    meter = bench.Meter()
    transport = HdlcTransport(
        client_logical_address=2,
        server_logical_address=1,
        server_physical_address=physical,
        io=BlockingTcpIO("127.0.0.1", tcp_meter(LogicalServer(meter), "hdlc").port, timeout=60),
    )
    login = LowLevelSecurityAuthentication(secret=b"12345678")
    client = DlmsClient(transport=transport, authentication=login)
    with client.session():
        assert client.get(ENERGY) == meter.values[bench.ENERGY]


@pytest.mark.parametrize("max_pdu_size", [300, 65535])
def test_hls_gmac(bench: Any, tcp_meter: Callable[..., Any], max_pdu_size: int) -> None:
    meter = bench.Meter()
    server = LogicalServer(meter, sent_counter=1000)
    client = gmac(tcp_meter(server).port, bench, max_pdu_size=max_pdu_size)
    check_reading(client, bench, meter)


def test_wrong_password_and_wrong_key_are_refused(
    bench: Any, tcp_meter: Callable[..., Any]
) -> None:
    port = tcp_meter(LogicalServer(bench.Meter())).port
    wrong = LowLevelSecurityAuthentication(secret=b"wrong")
    for client in (
        connect(port, 2, bench, authentication=wrong),
        gmac(port, bench, encryption_key=bytes(16)),
    ):
        client.connect()
        with pytest.raises(exceptions.DlmsClientException):
            client.associate()
        client.disconnect()
