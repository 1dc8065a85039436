"""A client and a meter on one link, in memory, whose sizes and grants tests choose."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hesper_dlms import axdr, obis
from hesper_dlms.apdu import (
    ALL_LOGICAL_NAME_SERVICES,
    AccessSelection,
    ActionResult,
    Conformance,
    CosemAttribute,
    CosemMethod,
    DataAccessResult,
)
from hesper_dlms.client import AssociationSettings, Client
from hesper_dlms.errors import ServiceError
from hesper_dlms.server import (
    ClientRole,
    HdlcServerLink,
    LogicalServer,
    ServerConnection,
    WrapperServerLink,
)

LINKS = ("wrapper", "hdlc")


def attribute(number: int) -> CosemAttribute:
    """Return an attribute of one of many data objects."""
    return CosemAttribute(1, bytes((0, 0, 96, 60, number, 255)), 2)


def method(number: int) -> CosemMethod:
    """Return a method of one of many disconnect controls."""
    return CosemMethod(70, bytes((0, number, 96, 3, 10, 255)), 1)


MISSING = CosemAttribute(1, obis.CLOCK, 2)
REFUSED = CosemMethod(70, obis.CLOCK, 1)


class Objects:
    """Values by attribute; methods return their parameters."""

    def __init__(self, bench: Any) -> None:
        self.system_title = bench.METER_TITLE
        self.security = bench.Meter.security
        self.clients = {**bench.Meter.clients, 9: ClientRole()}
        self.values: dict[CosemAttribute, bytes] = {}
        self.parts: list[tuple[CosemAttribute, AccessSelection, bytes]] = []
        self.selections: list[AccessSelection | None] = []
        self.called: list[tuple[CosemMethod, bytes | None]] = []

    def get(
        self, client: int, attribute: CosemAttribute, selection: AccessSelection | None
    ) -> bytes:
        self.selections.append(selection)
        if attribute not in self.values:
            raise ServiceError(DataAccessResult.OBJECT_UNDEFINED)
        return self.values[attribute]

    def set(self, client: int, attribute: CosemAttribute, octets: bytes) -> None:
        if attribute == MISSING:
            raise ServiceError(DataAccessResult.OBJECT_UNDEFINED)
        self.values[attribute] = octets

    def set_selected(
        self, client: int, attribute: CosemAttribute, selection: AccessSelection, octets: bytes
    ) -> None:
        self.parts.append((attribute, selection, octets))

    def action(self, client: int, method: CosemMethod, octets: bytes | None) -> bytes | None:
        if method == REFUSED:
            raise ServiceError(ActionResult.READ_WRITE_DENIED)
        self.called.append((method, octets))
        return octets


class Pair:
    """A client and a meter.

    Args:
        bench: Keys and drivers.
        link: `wrapper` or `hdlc`.
        client: 16 plain, 1 ciphered with GMAC.
        size: Largest APDU of both sides; `meter_pdu` for the meter alone.
        granted: What the meter grants; everything is proposed.
    """

    def __init__(
        self,
        bench: Any,
        link: str = "wrapper",
        client: int = 16,
        size: int = 0xFFFF,
        granted: Conformance = ALL_LOGICAL_NAME_SERVICES,
        **other: Any,
    ) -> None:
        self.bench = bench
        self.objects = Objects(bench)
        meter_window = other.pop("meter_window", 16)
        meter_pdu = other.pop("meter_pdu", size)
        self.server = LogicalServer(
            self.objects, max_pdu=meter_pdu, conformance=granted, block_window=meter_window
        )
        other.setdefault("conformance", ALL_LOGICAL_NAME_SERVICES)
        self.settings: AssociationSettings = bench.settings(client, max_pdu=size, **other)
        hdlc = link == "hdlc"
        served = HdlcServerLink(1, 17) if hdlc else WrapperServerLink(1)
        self.connection = ServerConnection(self.server, served)
        over = self.settings.over_hdlc(17) if hdlc else self.settings.over_wrapper()
        self.client = Client(over, self.settings)
        self.seen: list[tuple[bytes, bytes]] = []
        self.spoil: Callable[[bytes], bytes] = bytes
        self.run(self.client.connect())
        self.seen.clear()

    def answer(self, octets: bytes) -> bytes:
        answer = self.connection.receive(octets)
        self.seen.append((octets, answer))
        return self.spoil(answer)

    def run(self, exchange: Any) -> Any:
        return self.bench.run(exchange, self.answer)

    @property
    def requests(self) -> list[bytes]:
        """The plain APDUs that the client sent over the wrapper, one per write."""
        return [asked[8:] for asked, _ in self.seen]


class Kit:
    """What these tests share, as one fixture (test folders are no packages)."""

    Pair = Pair
    MISSING, REFUSED = MISSING, REFUSED
    attribute = staticmethod(attribute)
    method = staticmethod(method)

    @staticmethod
    def octets(size: int, start: int = 0) -> axdr.Data:
        """Return an octet-string of `size` octets, no two blocks of it alike."""
        return axdr.octet_string(
            b"".join((start + at).to_bytes(2, "big") for at in range(size // 2 + 1))[:size]
        )


@pytest.fixture(scope="session")
def kit() -> type[Kit]:
    """Pairs of client and meter, and what to ask for."""
    return Kit


@pytest.fixture(params=LINKS)
def link(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=[16, 1], ids=["plain", "ciphered"])
def who(request: pytest.FixtureRequest) -> int:
    return int(request.param)
