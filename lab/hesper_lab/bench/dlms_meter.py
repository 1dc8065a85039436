"""The meter and the settings that clients are measured with: suite 0, HLS with GMAC, ciphered."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Any, Final

from hesper_dlms import axdr, obis
from hesper_dlms.apdu import AccessSelection, CosemAttribute, CosemMethod
from hesper_dlms.client import AssociationSettings, Authentication, Client
from hesper_dlms.security import SecuritySettings
from hesper_dlms.server import ClientRole

KEYS: Final = SecuritySettings(0, bytes(range(16)), bytes(range(0xD0, 0xE0)))
METER_TITLE: Final = b"HSP\x00\x00\x00\x00\x01"
CLIENT_TITLE: Final = b"HSC\x00\x00\x00\x00\x01"
CLIENT: Final = 1
ENERGY: Final = CosemAttribute(3, obis.ACTIVE_ENERGY_IMPORT, 2)
VALUE: Final = 12_642_984
_counters = itertools.count(1)


class BenchMeter:
    """One register that always stands at the same value."""

    def __init__(self) -> None:
        self._octets = axdr.encode(axdr.double_long_unsigned(VALUE))

    @property
    def system_title(self) -> bytes:
        """8 octets."""
        return METER_TITLE

    @property
    def security(self) -> SecuritySettings:
        """Suite 0."""
        return KEYS

    @property
    def clients(self) -> Mapping[int, ClientRole]:
        """One client."""
        return {CLIENT: ClientRole(Authentication.HIGH_GMAC, ciphered=True)}

    def get(
        self, client: int, attribute: CosemAttribute, selection: AccessSelection | None
    ) -> bytes:
        """Return the register's value, whatever is asked for."""
        del client, attribute, selection
        return self._octets

    def set(self, client: int, attribute: CosemAttribute, octets: bytes) -> None:
        """Take anything and forget it."""

    def action(self, client: int, method: CosemMethod, octets: bytes | None) -> bytes | None:
        """Do nothing."""


def new_client() -> Client:
    """Return a client that has not associated yet; counters go on from the last one's."""
    settings = AssociationSettings(
        CLIENT,
        1,
        Authentication.HIGH_GMAC,
        system_title=CLIENT_TITLE,
        security=KEYS,
        invocation_counter=_counters.__next__,
        received_counters={},
    )
    return Client(settings.over_wrapper(), settings)


def task(kind: str, seconds: float) -> dict[str, Any]:
    """Return what a peer must know to be such a client too."""
    return {
        "kind": kind,
        "seconds": seconds,
        "encryption_key": KEYS.encryption_key.hex(),
        "authentication_key": (KEYS.authentication_key or b"").hex(),
        "client": CLIENT_TITLE.hex(),
        "meter": METER_TITLE.hex(),
        "value": VALUE,
    }
