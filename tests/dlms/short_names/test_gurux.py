"""Our meter with short names against the client of gurux_dlms, in a process of its own.

Block transfer stays out: gurux_dlms 1.0.203 asks for the next block of a read without its tag and
fails on a last block (`setTotalCount`). Over HDLC the long value comes in segments instead.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hesper_dlms import axdr
from hesper_dlms.server import LogicalServer
from hesper_dlms.short_names import ShortNames

CLIENTS = {"none": 16, "lls": 2}


@pytest.mark.parametrize("link", ["wrapper", "hdlc"])
@pytest.mark.parametrize("authentication", CLIENTS)
def test_gurux_lists_reads_writes_and_invokes(
    bench: Any,
    meter: Any,
    names: ShortNames,
    tcp_meter: Callable[..., Any],
    gurux_peer: Callable[..., dict[str, Any]],
    authentication: str,
    link: str,
) -> None:
    found = gurux_peer(
        "gurux_short_names",
        port=tcp_meter(LogicalServer(meter), link).port,
        link=link,
        client=CLIENTS[authentication],
        server=17,
        authentication=authentication,
        password="12345678" if authentication == "lls" else None,
        write=bytes(range(100)).hex() if authentication == "lls" else None,
    )
    assert found["energy"] == 1234567
    assert found["long"] == (bytes(range(256)) * 20).hex()
    assert found["names"]["7:1.0.99.1.0.255"] == 0x0400
    if authentication == "lls":
        assert meter.values[bench.NAME] == axdr.encode(axdr.octet_string(bytes(range(100))))
        assert meter.actions == [axdr.encode(axdr.integer(0))]
