"""Foreign clients against our server: what each of them can do, as it is recorded."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hesper_dlms.server import LogicalServer

sys.path.insert(0, str(Path(__file__).parent))
from meter import (
    CLIENT_TITLE,
    JAVA_SESSIONS,
    MAX_PDU,
    MECHANISMS,
    PASSWORD,
    RELAY,
    SECRET,
    InteropMeter,
)


@pytest.mark.parametrize(("peer", "link", "authentication", "suite"), JAVA_SESSIONS)
def test_a_java_client(
    java: Any,
    tcp_meter: Callable[..., Any],
    expected: Callable[..., None],
    peer: str,
    link: str,
    authentication: str,
    suite: int,
) -> None:
    meter = InteropMeter(suite)
    server = LogicalServer(meter, max_pdu=MAX_PDU)
    outcomes = java.order(
        f"{peer}-client",
        port=tcp_meter(server, link).port,
        link=link,
        client=MECHANISMS[authentication][0],
        authentication=authentication,
        suite=suite,
        ciphered=authentication == "gmac",
        password=PASSWORD if authentication == "lls" else SECRET,
        system_title=CLIENT_TITLE,
        encryption_key=meter.security.encryption_key,
        authentication_key=meter.security.authentication_key,
        max_pdu=1024,
    )
    key = {"peer": peer, "as": "client", "link": link, "authentication": authentication}
    expected({**key, "suite": f"suite {suite}"}, outcomes)
    assert meter.moves == ([RELAY] if outcomes.get("action") == "ok" else [])
