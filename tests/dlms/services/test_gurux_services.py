"""Lists, ACCESS and general blocks of our server against the client of gurux_dlms."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hesper_dlms import axdr
from hesper_dlms.server import LogicalServer

CLIENTS = {"none": 16, "lls": 2, "gmac": 1}
SERVICES = ("GET", "SET", "ACTION", "SELECTIVE_ACCESS", "MULTIPLE_REFERENCES")
OWN = ("BLOCK_TRANSFER_WITH_GET_OR_READ", "BLOCK_TRANSFER_WITH_SET_OR_WRITE")
LONG = bytes(range(256)) * 20


@pytest.fixture
def gurux(
    bench: Any, tcp_meter: Callable[..., Any], gurux_peer: Callable[..., dict[str, Any]]
) -> Callable[..., Any]:
    def run(
        meter: Any,
        authentication: str,
        link: str,
        services: list[str],
        *more: str,
        meter_pdu: int = 0xFFFF,
        **options: Any,
    ) -> dict[str, Any]:
        arguments = {
            "port": tcp_meter(LogicalServer(meter, max_pdu=meter_pdu), link).port,
            "link": link,
            "client": CLIENTS[authentication],
            "server": 17,
            "authentication": authentication,
            "password": "12345678" if authentication == "lls" else None,
            "system_title": bench.CLIENT_TITLE.hex(),
            "encryption_key": bench.ENCRYPTION_KEY.hex(),
            "authentication_key": bench.AUTHENTICATION_KEY.hex(),
            "services": services,
            "conformance": [*SERVICES, *more],
            **options,
        }
        return gurux_peer("gurux_services", **arguments)

    return run


@pytest.mark.parametrize("link", ["wrapper", "hdlc"])
@pytest.mark.parametrize("authentication", CLIENTS)
def test_read_list(bench: Any, gurux: Callable[..., Any], authentication: str, link: str) -> None:
    whole = link == "wrapper" or authentication == "gmac"
    service = "read_list" if whole else "read_short_list"
    found = gurux(bench.Meter(), authentication, link, [service], *OWN)
    name = b"HSP0012642984000".hex()
    assert found == {service: [1234567, name, LONG.hex() if whole else name]}


@pytest.mark.parametrize("link", ["wrapper", "hdlc"])
@pytest.mark.parametrize("authentication", CLIENTS)
def test_access(bench: Any, gurux: Callable[..., Any], authentication: str, link: str) -> None:
    more = ("ACCESS", "GENERAL_PROTECTION")
    found = gurux(bench.Meter(), authentication, link, ["access"], *more)
    assert found == {"access": [[0, 1234567], [4, None]]}


@pytest.mark.parametrize("max_pdu", [200, 600])
@pytest.mark.parametrize("link", ["wrapper", "hdlc"])
@pytest.mark.parametrize("authentication", CLIENTS)
def test_general_blocks(
    bench: Any, gurux: Callable[..., Any], authentication: str, link: str, max_pdu: int
) -> None:
    more = "GENERAL_BLOCK_TRANSFER"
    found = gurux(bench.Meter(), authentication, link, ["read"], more, max_pdu=max_pdu)
    assert found == {"read": [1234567, LONG.hex()]}


@pytest.mark.parametrize("blocks", [OWN, ("GENERAL_BLOCK_TRANSFER",)], ids=["own", "general"])
@pytest.mark.parametrize("link", ["wrapper", "hdlc"])
@pytest.mark.parametrize("authentication", ["lls", "gmac"])
def test_writes_in_blocks(
    bench: Any, gurux: Callable[..., Any], authentication: str, link: str, blocks: tuple[str, ...]
) -> None:
    meter = bench.Meter()
    gurux(meter, authentication, link, ["write"], *blocks, max_pdu=200, meter_pdu=200)
    written = axdr.octet_string(bytes(range(200)) * 3)
    assert meter.values[bench.NAME] == axdr.encode(written)


@pytest.mark.parametrize("link", ["wrapper", "hdlc"])
@pytest.mark.parametrize("authentication", ["lls", "gmac"])
def test_write_list(bench: Any, gurux: Callable[..., Any], authentication: str, link: str) -> None:
    meter = bench.Meter()
    gurux(meter, authentication, link, ["write_list"], *OWN)
    assert meter.values[bench.NAME] == axdr.encode(axdr.octet_string(b"one"))
    assert meter.values[bench.LONG] == axdr.encode(axdr.octet_string(b"two"))
