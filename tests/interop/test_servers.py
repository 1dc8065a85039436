"""Our client against foreign servers: what each of them can do, as it is recorded."""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Callable, Generator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from hesper_dlms import axdr
from hesper_dlms.apdu import EntrySelector
from hesper_dlms.association import Authentication
from hesper_dlms.client import AssociationSettings, Client
from hesper_dlms.errors import DlmsError, LinkError
from hesper_lab.ports import free_port

sys.path.insert(0, str(Path(__file__).parent))
from meter import (
    CLIENT_TITLE,
    ENERGY,
    HUGE,
    HUGE_VALUE,
    JAVA_SESSIONS,
    LONG,
    MAX_PDU,
    MECHANISMS,
    METER_TITLE,
    PASSWORD,
    PROFILE,
    RELAY,
    SECRET,
    keys,
)

TIMEOUT_S = 5
SILENCE_S = {"wrapper": 4.0, "hdlc": 1.0}  # a client repeats itself on HDLC alone
DEADLINE_S = 60.0
SCALER_UNIT = ENERGY._replace(attribute_id=3)
Steps = list[tuple[str, Callable[[], object]]]


class Wrong(Exception):
    """Another value came."""


class Line:
    """A connection to a server, and our client on it."""

    def __init__(self, port: int, settings: AssociationSettings, link: str) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), TIMEOUT_S)
        self.socket.settimeout(SILENCE_S[link])
        over = settings.over_hdlc(17) if link == "hdlc" else settings.over_wrapper()
        self.client = Client(over, settings)

    def run(self, exchange: Generator[bytes, bytes, Any]) -> Any:
        out = next(exchange, None)
        deadline = time.monotonic() + DEADLINE_S
        try:
            while time.monotonic() < deadline:
                if out:
                    self.socket.sendall(out)
                try:
                    arrived = self.socket.recv(65536)
                except TimeoutError:
                    arrived = b""
                out = exchange.send(arrived)
        except StopIteration as end:
            return end.value
        raise Wrong("no end within the time")

    def steps(self) -> Steps:
        """Every service once."""
        client, run = self.client, self.run
        return [
            ("associate", lambda: run(client.connect())),
            ("get", lambda: right(run(client.get(ENERGY)).as_int(), 1234567)),
            ("get-block", lambda: right(run(client.get(HUGE)).as_octets(), HUGE_VALUE)),
            ("get-with-list", self.listed),
            ("get-with-list-block", self.listed_in_blocks),
            ("selective-access", self.selected),
            ("set", lambda: self.written(bytes(20))),
            ("set-block", lambda: self.written(bytes(3000))),
            ("action", lambda: run(client.action(RELAY, axdr.integer(0)))),
            ("release", lambda: run(client.release())),
        ]

    def listed(self) -> None:
        value, scaler_unit = self.run(self.client.get_many([ENERGY, SCALER_UNIT]))
        right(value.as_int(), 1234567)
        right(len(scaler_unit.as_items()), 2)

    def listed_in_blocks(self) -> None:
        value, octets = self.run(self.client.get_many([ENERGY, LONG]))
        right(value.as_int(), 1234567)
        right(len(octets.as_octets()), 5120)

    def selected(self) -> None:
        rows = self.run(self.client.get(PROFILE, EntrySelector(2, 3)))
        right([row.as_items()[0].as_int() for row in rows.as_items()], [2, 3])

    def written(self, octets: bytes) -> None:
        self.run(self.client.set(LONG, axdr.octet_string(octets)))
        right(self.run(self.client.get(LONG)).as_octets(), octets)


def right(found: object, wanted: object) -> None:
    if found != wanted:
        raise Wrong(f"another value came: {str(found)[:60]}")


def settings_of(authentication: str, suite: int, meter_title: bytes | None) -> AssociationSettings:
    address, mechanism = MECHANISMS[authentication]
    secured = mechanism == Authentication.HIGH_GMAC
    return AssociationSettings(
        address,
        1,
        mechanism,
        {"none": None, "lls": PASSWORD}.get(authentication, SECRET),
        system_title=CLIENT_TITLE if mechanism > Authentication.LOW else None,
        security=keys(suite) if secured else None,
        invocation_counter=count(10).__next__ if secured else None,
        meter_system_title=meter_title,
        max_pdu=1024,
    )


def outcomes_of(line: Line) -> dict[str, str]:
    outcomes: dict[str, str] = {}
    for service, step in line.steps():
        try:
            step()
        except (LinkError, OSError):
            outcomes[service] = "no answer"
            break
        except (DlmsError, Wrong) as error:
            outcomes[service] = f"{type(error).__name__}: {error}"
            if service == "associate":
                break
        else:
            outcomes[service] = "ok"
    line.socket.close()
    return outcomes


@pytest.mark.parametrize(("peer", "link", "authentication", "suite"), JAVA_SESSIONS)
def test_a_java_server(
    java: Any,
    expected: Callable[..., None],
    peer: str,
    link: str,
    authentication: str,
    suite: int,
) -> None:
    port = free_port()
    security = keys(suite)
    settings = settings_of(authentication, suite, None)
    refused = java.order(
        f"{peer}-server",
        port=port,
        link=link,
        client=settings.client_address,
        authentication=authentication,
        suite=suite,
        ciphered=security is not None and authentication == "gmac",
        password=PASSWORD if authentication == "lls" else SECRET,
        system_title=METER_TITLE,
        master_key=bytes(16),
        encryption_key=security.encryption_key,
        authentication_key=security.authentication_key,
        max_pdu=MAX_PDU,
    )
    assert refused == {}
    outcomes = outcomes_of(Line(port, settings, link))
    key = {"peer": peer, "as": "server", "link": link, "authentication": authentication}
    expected({**key, "suite": f"suite {suite}"}, outcomes)
