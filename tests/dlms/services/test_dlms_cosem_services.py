"""GET with a list from the client of dlms-cosem (MIT): what it can do beyond single services."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import structlog
from dlms_cosem import cosem, enumerations
from dlms_cosem.client import DlmsClient
from dlms_cosem.io import BlockingTcpIO, TcpTransport
from dlms_cosem.security import LowLevelSecurityAuthentication
from hesper_dlms.server import LogicalServer

DATA, REGISTER = enumerations.CosemInterface.DATA, enumerations.CosemInterface.REGISTER
ENERGY = cosem.CosemAttribute(REGISTER, cosem.Obis(1, 0, 1, 8, 0, 255), 2)
MISSING = cosem.CosemAttribute(DATA, cosem.Obis(0, 0, 99, 99, 99, 255), 2)
NAME = cosem.CosemAttribute(DATA, cosem.Obis(0, 0, 42, 0, 0, 255), 2)


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(50))
    yield
    structlog.reset_defaults()


def test_get_many(bench: Any, tcp_meter: Callable[..., Any]) -> None:
    port = tcp_meter(LogicalServer(bench.Meter())).port
    transport = TcpTransport(
        client_logical_address=2,
        server_logical_address=1,
        io=BlockingTcpIO(host="127.0.0.1", port=port, timeout=60),
    )
    client = DlmsClient(
        transport=transport, authentication=LowLevelSecurityAuthentication(secret=b"12345678")
    )
    asked = [cosem.CosemAttributeWithSelection(each, None) for each in (ENERGY, NAME, MISSING)]
    with client.session():
        response = client.get_many(asked)
    energy, name, missing = (each.value for each in response.response_data)
    assert (energy, bytes(name)) == (1234567, b"HSP0012642984000")
    assert missing == enumerations.DataAccessResult.OBJECT_UNDEFINED.value
