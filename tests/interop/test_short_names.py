"""Foreign clients with short names against our server: what each of them can do."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from hesper_dlms.association import Authentication, Referencing
from hesper_dlms.server import ClientRole, LogicalServer
from hesper_dlms.short_names import NamedObject, ShortNames

sys.path.insert(0, str(Path(__file__).parent))
from meter import (
    CLIENT_TITLE,
    ENERGY,
    HUGE,
    LONG,
    MAX_PDU,
    NAME,
    PASSWORD,
    PROFILE,
    RELAY,
    InteropMeter,
)

CLIENTS = {"none": 16, "lls": 2}


class ShortNamedMeter(InteropMeter):
    """The meter of this folder, by short names."""

    short_names = ShortNames(
        NamedObject(0x0100 * number, each.class_id, 0, each.logical_name)
        for number, each in enumerate((ENERGY, NAME, LONG, HUGE, PROFILE, RELAY), start=1)
    )
    clients: Mapping[int, ClientRole] = {
        16: ClientRole(referencing=Referencing.SHORT_NAME),
        2: ClientRole(Authentication.LOW, password=PASSWORD, referencing=Referencing.SHORT_NAME),
    }


@pytest.mark.parametrize("authentication", CLIENTS)
@pytest.mark.parametrize("link", ["wrapper", "hdlc"])
@pytest.mark.parametrize("peer", ["jdlms", "gurux"])
def test_a_java_client_with_short_names(
    java: Any,
    tcp_meter: Callable[..., Any],
    expected: Callable[..., None],
    peer: str,
    link: str,
    authentication: str,
) -> None:
    meter = ShortNamedMeter()
    outcomes = java.order(
        f"{peer}-client",
        port=tcp_meter(LogicalServer(meter, max_pdu=MAX_PDU), link).port,
        link=link,
        client=CLIENTS[authentication],
        authentication=authentication,
        referencing="short",
        suite=0,
        ciphered=False,
        password=PASSWORD,
        system_title=CLIENT_TITLE,
        encryption_key=meter.security.encryption_key,
        authentication_key=meter.security.authentication_key,
        max_pdu=1024,
    )
    key = {"peer": peer, "as": "client", "link": link, "referencing": "short names"}
    expected({**key, "authentication": authentication, "suite": "suite 0"}, outcomes)
