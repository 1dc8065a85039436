"""The meter that foreign clients read, write and switch: our server, objects as a mapping."""

from __future__ import annotations

from collections.abc import Mapping

from hesper_dlms import axdr, obis
from hesper_dlms.apdu import (
    AccessSelection,
    CosemAttribute,
    CosemMethod,
    DataAccessResult,
    EntrySelector,
    capture_object,
    selector_of,
)
from hesper_dlms.association import Authentication
from hesper_dlms.errors import ServiceError
from hesper_dlms.security import SecuritySettings
from hesper_dlms.server import ClientRole

CLIENT_TITLE = b"PEE\x00\x00\x00\x00\x01"
METER_TITLE = b"PEE\x00\x00\x00\x00\x02"
PASSWORD = b"12345678"
SECRET = bytes(range(0x40, 0x50))
MAX_PDU = 1200

ENERGY = CosemAttribute(3, obis.ACTIVE_ENERGY_IMPORT, 2)
NAME = CosemAttribute(1, obis.LOGICAL_DEVICE_NAME, 2)
LONG = CosemAttribute(1, obis.parse("0.0.96.50.0.255"), 2)
HUGE = CosemAttribute(1, obis.parse("0.0.96.51.0.255"), 2)
PROFILE = CosemAttribute(7, obis.LOAD_PROFILE_1, 2)
RELAY = CosemMethod(70, obis.parse("0.0.96.3.10.255"), 1)
HUGE_VALUE = bytes(place & 0xFF for place in range(100_000))
ROWS = 10

MECHANISMS = {
    "none": (16, Authentication.NONE),
    "lls": (2, Authentication.LOW),
    "md5": (3, Authentication.HIGH_MD5),
    "sha1": (4, Authentication.HIGH_SHA1),
    "gmac": (1, Authentication.HIGH_GMAC),
    "sha256": (6, Authentication.HIGH_SHA256),
}
"""What a session authenticates with → client address and mechanism."""

JAVA_SESSIONS = [
    (peer, link, authentication, suite)
    for peer, mechanisms in (
        ("jdlms", ("none", "lls", "gmac")),
        ("gurux", ("none", "lls", "md5", "sha1", "gmac", "sha256")),
    )
    for link in ("wrapper", "hdlc")
    for authentication in mechanisms
    for suite in ((0, 1, 2) if authentication == "gmac" else (0,))
]
"""How the Java peers are tried, as clients and as servers: peer, link, authentication, suite."""


def keys(suite: int) -> SecuritySettings:
    """Return the meter's keys for a suite."""
    size = 32 if suite == 2 else 16
    return SecuritySettings(suite, bytes(range(size)), bytes(range(0xC0, 0xC0 + size)))


class InteropMeter:
    """One logical device for the tests of this folder."""

    system_title = METER_TITLE

    def __init__(self, suite: int = 0) -> None:
        self.security = keys(suite)
        self.moves: list[CosemMethod] = []
        self.values = {
            ENERGY: axdr.encode(axdr.double_long_unsigned(1234567)),
            NAME: axdr.encode(axdr.octet_string(b"PEE0000000000001")),
            LONG: axdr.encode(axdr.octet_string(bytes(5120))),
            HUGE: axdr.encode(axdr.octet_string(HUGE_VALUE)),
            PROFILE._replace(attribute_id=3): axdr.encode(axdr.array(capture_object(ENERGY))),
        }

    @property
    def clients(self) -> Mapping[int, ClientRole]:
        """One client address for each mechanism; GMAC is ciphered."""
        return {
            16: ClientRole(),
            2: ClientRole(Authentication.LOW, password=PASSWORD),
            1: ClientRole(Authentication.HIGH_GMAC, ciphered=True),
            **{
                number: ClientRole(mechanism, password=SECRET)
                for number, mechanism in MECHANISMS.values()
                if mechanism > Authentication.HIGH and mechanism != Authentication.HIGH_GMAC
            },
        }

    def get(
        self, client: int, attribute: CosemAttribute, selection: AccessSelection | None
    ) -> bytes:
        """Return a value; of the profile the rows that are asked for."""
        if attribute == PROFILE:
            return axdr.encode(axdr.array(*self._rows(selection)))
        if attribute not in self.values:
            raise ServiceError(DataAccessResult.OBJECT_UNDEFINED)
        return self.values[attribute]

    def _rows(self, selection: AccessSelection | None) -> list[axdr.Data]:
        chosen = range(1, ROWS + 1)
        if selection is not None:
            entries = selector_of(selection)
            assert isinstance(entries, EntrySelector)
            chosen = range(entries.from_entry, (entries.to_entry or ROWS) + 1)
        return [axdr.structure(axdr.double_long_unsigned(row)) for row in chosen]

    def set(self, client: int, attribute: CosemAttribute, octets: bytes) -> None:
        """Keep what is written."""
        self.values[attribute] = octets

    def action(self, client: int, method: CosemMethod, octets: bytes | None) -> bytes | None:
        """Note what is invoked."""
        self.moves.append(method)
        return None
