"""A small meter whose clients use short names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import pytest
from hesper_dlms import obis
from hesper_dlms.association import Authentication, Referencing
from hesper_dlms.client import AssociationSettings, Client
from hesper_dlms.server import ClientRole, LogicalServer, ServerConnection, WrapperServerLink
from hesper_dlms.short_names import NamedObject, ShortNames

RELAY = obis.parse("0.0.96.3.10.255")


@pytest.fixture(scope="session")
def names(bench: Any) -> ShortNames:
    """Base names of the small meter's objects, and of a relay."""
    return ShortNames(
        [
            NamedObject(0x0100, 3, 0, bench.ENERGY.logical_name),
            NamedObject(0xFD00, 1, 0, bench.NAME.logical_name),
            NamedObject(0x0280, 1, 0, bench.LONG.logical_name),
            NamedObject(0x0400, 7, 1, obis.LOAD_PROFILE_1),
            NamedObject(0x2000, 70, 0, RELAY),
        ]
    )


@pytest.fixture
def meter(bench: Any, names: ShortNames) -> Any:
    """The small meter with roles for short names."""

    class ShortNamedMeter(bench.Meter):  # type: ignore[misc]
        short_names = names
        clients: Mapping[int, ClientRole] = {
            16: ClientRole(referencing=Referencing.SHORT_NAME),
            2: ClientRole(Authentication.LOW, False, b"12345678", Referencing.SHORT_NAME),
            1: ClientRole(Authentication.HIGH_GMAC, True, referencing=Referencing.SHORT_NAME),
            3: ClientRole(Authentication.HIGH_GMAC, False, referencing=Referencing.SHORT_NAME),
            5: ClientRole(),
        }

    return ShortNamedMeter()


class Seat:
    """A client opposite the meter; remembers what went between them."""

    def __init__(self, bench: Any, meter: Any, settings: AssociationSettings, chunk: int) -> None:
        self._bench, self._chunk = bench, chunk
        self._connection = ServerConnection(LogicalServer(meter), WrapperServerLink(1))
        self.client = Client(settings.over_wrapper(), settings)
        self.names: ShortNames = meter.short_names
        self.sent: list[bytes] = []
        self.received: list[bytes] = []

    def run(self, exchange: Any) -> Any:
        return self._bench.run(exchange, self._answer, self._chunk)

    def _answer(self, octets: bytes) -> bytes:
        self.sent.append(octets[8:])
        answer = self._connection.receive(octets)
        self.received.append(answer[8:])
        return answer


@pytest.fixture
def seat(bench: Any, meter: Any) -> Callable[..., Seat]:
    """Takes a seat: `seat(16, max_pdu=64)` is connected already."""

    def take(client: int, chunk: int = 1 << 20, **other: Any) -> Seat:
        settings = bench.settings(client, referencing=Referencing.SHORT_NAME, **other)
        taken = Seat(bench, meter, settings, chunk)
        taken.run(taken.client.connect())
        return taken

    return take
