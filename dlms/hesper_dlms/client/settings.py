"""How a client associates with one meter."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from hesper_dlms.apdu import LOGICAL_NAME_SERVICES, SHORT_NAME_SERVICES, Conformance
from hesper_dlms.association import SYSTEM_TITLE_OCTETS, Authentication, Referencing
from hesper_dlms.errors import LocalError
from hesper_dlms.hdlc.link import HdlcLink
from hesper_dlms.security import ReceivedCounters, SecuritySettings
from hesper_dlms.short_names import BaseNames, ShortNames
from hesper_dlms.wrapper import WrapperLink


@dataclass(frozen=True, slots=True)
class AssociationSettings:
    """Everything about an association but the way to the meter.

    Args:
        client_address: 16 public, 1 management, 2 reading, …
        server_address: Logical device (wPort over TCP, logical address over HDLC).
        authentication: Mechanism to use.
        password: The LLS secret.
        system_title: Ours, 8 octets; needed with `security`.
        security: Keys and policy. With them APDUs are ciphered, unless `ciphered` is False: then
            they serve HLS alone.
        invocation_counter: Asked at every use; must never return a number twice for one key.
        received_counters: The last counters taken from this meter; give the same mapping again at
            the next association, so that old answers cannot be replayed.
        meter_system_title: What the meter must call itself; None takes what its AARE says.
        max_pdu: The largest APDU that we take, in octets.
        with_list_limit: Attributes asked for in one GET at most; 1 never uses with-list.
        referencing: How the meter names its attributes and methods.
        base_names: With short names, the meter's table of them; None reads its association view.
    """

    client_address: int = 16
    server_address: int = 1
    authentication: Authentication = Authentication.NONE
    password: bytes | None = field(default=None, repr=False)
    system_title: bytes | None = None
    security: SecuritySettings | None = None
    ciphered: bool = True
    invocation_counter: Callable[[], int] | None = field(default=None, repr=False)
    received_counters: ReceivedCounters | None = field(default=None, repr=False)
    meter_system_title: bytes | None = None
    max_pdu: int = 0xFFFF
    with_list_limit: int = 16
    conformance: Conformance = LOGICAL_NAME_SERVICES
    referencing: Referencing = Referencing.LOGICAL_NAME
    base_names: BaseNames | ShortNames | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        if self.authentication.is_high and self.authentication is not Authentication.HIGH_GMAC:
            raise LocalError(f"{self.authentication.name} is not carried out")
        if self.authentication is Authentication.LOW and self.password is None:
            raise LocalError("LLS needs a password")
        if self.authentication is Authentication.HIGH_GMAC and self.security is None:
            raise LocalError("HLS with GMAC needs keys")
        if self.security is None:
            return
        if self.system_title is None or len(self.system_title) != SYSTEM_TITLE_OCTETS:
            raise LocalError("keys need a system title of 8 octets")
        if self.invocation_counter is None:
            raise LocalError("keys need a source of invocation counters")

    @property
    def short_names(self) -> bool:
        """Whether the association uses short names."""
        return self.referencing is Referencing.SHORT_NAME

    @property
    def proposed(self) -> Conformance:
        """The services to ask for: short names have their own, unless others were given."""
        if self.short_names and self.conformance == LOGICAL_NAME_SERVICES:
            return SHORT_NAME_SERVICES
        return self.conformance

    def over_wrapper(self) -> WrapperLink:
        """Return the link of these addresses over TCP."""
        return WrapperLink(self.client_address, self.server_address)

    def over_hdlc(
        self, physical: int | None = None, address_octets: int | None = None, max_info: int = 1024
    ) -> HdlcLink:
        """Return the link of these addresses over HDLC."""
        return HdlcLink(
            self.client_address, self.server_address, physical, address_octets, max_info
        )
