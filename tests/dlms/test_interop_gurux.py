"""Our server against the client of gurux_dlms, in a process of its own, over loopback sockets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hesper_dlms import axdr
from hesper_dlms.server import LogicalServer

CLIENTS = {"none": 16, "lls": 2, "gmac": 1}


@pytest.mark.parametrize("max_pdu", [300, 0xFFFF])
@pytest.mark.parametrize("link", ["wrapper", "hdlc"])
@pytest.mark.parametrize("authentication", CLIENTS)
def test_gurux_reads_writes_and_invokes(
    bench: Any,
    tcp_meter: Callable[..., Any],
    gurux_peer: Callable[..., dict[str, Any]],
    authentication: str,
    link: str,
    max_pdu: int,
) -> None:
    meter = bench.Meter()
    written = bytes(range(200)) * 3
    found = gurux_peer(
        "gurux_client",
        port=tcp_meter(LogicalServer(meter), link).port,
        link=link,
        client=CLIENTS[authentication],
        server=17,
        authentication=authentication,
        password="12345678" if authentication == "lls" else None,
        system_title=bench.CLIENT_TITLE.hex(),
        encryption_key=bench.ENCRYPTION_KEY.hex(),
        authentication_key=bench.AUTHENTICATION_KEY.hex(),
        max_pdu=max_pdu,
        write=written.hex() if authentication != "none" else None,
    )
    assert found == {"energy": 1234567, "long": (bytes(range(256)) * 20).hex()}
    if authentication != "none":
        assert meter.values[bench.NAME] == axdr.encode(axdr.octet_string(written))
        assert len(meter.actions) == 1
