"""A small meter and a client that the targets talk to; nothing in them depends on a clock."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import count
from typing import Final

from hesper_dlms import axdr, obis
from hesper_dlms.apdu import (
    AccessSelection,
    CosemAttribute,
    CosemMethod,
    DataAccessResult,
    selector_of,
)
from hesper_dlms.association import Referencing
from hesper_dlms.client import AssociationSettings, Authentication, SecuritySettings
from hesper_dlms.errors import ServiceError
from hesper_dlms.server import ClientRole
from hesper_dlms.short_names import ShortNames

CLIENT_TITLE: Final = b"FUZcl\x00\x00\x01"
METER_TITLE: Final = b"FUZmt\x00\x00\x01"
SECURITY: Final = SecuritySettings(0, bytes(range(16)), bytes(range(0xD0, 0xE0)))
PASSWORD: Final = b"12345678"

ENERGY: Final = CosemAttribute(3, obis.ACTIVE_ENERGY_IMPORT, 2)
LONG: Final = CosemAttribute(1, obis.parse("0.0.96.50.0.255"), 2)
RELAY: Final = CosemMethod(70, obis.parse("0.0.96.3.10.255"), 1)
CLIENTS: Final = (16, 2, 1, 3)
SHORT_NAME_CLIENTS: Final = (4, 5)
BASE_NAMES: Final = {
    (ENERGY.class_id, ENERGY.logical_name): 0x1000,
    (LONG.class_id, LONG.logical_name): 0x2000,
    (RELAY.class_id, RELAY.logical_name): 0x3000,
}
_REFERENCING: Final = {
    16: Referencing.LOGICAL_NAME,
    4: Referencing.SHORT_NAME,
    5: Referencing.SHORT_NAME,
}


class FuzzMeter:
    """Two values; SET keeps what is written, ACTION returns its parameters; all are noted."""

    system_title = METER_TITLE
    security = SECURITY
    clients: Mapping[int, ClientRole] = {
        16: ClientRole(),
        2: ClientRole(Authentication.LOW, password=PASSWORD),
        1: ClientRole(Authentication.HIGH_GMAC, ciphered=True),
        3: ClientRole(Authentication.HIGH_GMAC),
        4: ClientRole(referencing=Referencing.SHORT_NAME),
        5: ClientRole(Authentication.HIGH_GMAC, ciphered=True, referencing=Referencing.SHORT_NAME),
    }
    short_names = ShortNames.from_base_names(BASE_NAMES)

    def __init__(self) -> None:
        self.asked: list[tuple[int, CosemAttribute | CosemMethod]] = []
        self.values: dict[CosemAttribute, bytes] = {
            ENERGY: axdr.encode(axdr.double_long_unsigned(1234567)),
            LONG: axdr.encode(axdr.octet_string(bytes(range(256)) * 3)),
        }

    def get(
        self, client: int, attribute: CosemAttribute, selection: AccessSelection | None
    ) -> bytes:
        """Return a value; a selection is only read."""
        self.asked.append((client, attribute))
        if selection is not None:
            selector_of(selection)
        if attribute not in self.values:
            raise ServiceError(DataAccessResult.OBJECT_UNDEFINED)
        return self.values[attribute]

    def set(self, client: int, attribute: CosemAttribute, octets: bytes) -> None:
        """Keep a value."""
        self.asked.append((client, attribute))
        self.values[attribute] = octets

    def action(self, client: int, method: CosemMethod, octets: bytes | None) -> bytes | None:
        """Return the parameters."""
        self.asked.append((client, method))
        return octets


def settings(client: int) -> AssociationSettings:
    """Return what fits the meter's role for a client address."""
    if client in (16, 4):
        return AssociationSettings(
            client, max_pdu=300, referencing=_REFERENCING[client], base_names=BASE_NAMES
        )
    if client == 2:
        return AssociationSettings(2, 1, Authentication.LOW, PASSWORD, max_pdu=300)
    return AssociationSettings(
        client,
        1,
        Authentication.HIGH_GMAC,
        system_title=CLIENT_TITLE,
        security=SECURITY,
        ciphered=client != 3,
        referencing=_REFERENCING.get(client, Referencing.LOGICAL_NAME),
        base_names=BASE_NAMES,
        invocation_counter=count(1).__next__,
        max_pdu=300,
    )
