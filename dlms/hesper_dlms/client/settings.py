"""How a client associates with one meter."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from hesper_dlms.apdu import LOGICAL_NAME_SERVICES, SHORT_NAME_SERVICES, Conformance
from hesper_dlms.association import SYSTEM_TITLE_OCTETS, Authentication, Referencing
from hesper_dlms.errors import LocalError
from hesper_dlms.hdlc.link import HdlcLink
from hesper_dlms.security import (
    LONGEST_CHALLENGE,
    Authority,
    HlsFunction,
    ReceivedCounters,
    SecuritySettings,
    shortest_challenge,
)
from hesper_dlms.short_names import BaseNames, ShortNames
from hesper_dlms.wrapper import DatagramLink, WrapperLink


@dataclass(frozen=True, slots=True)
class AssociationSettings:
    """Everything about an association but the way to the meter.

    Args:
        client_address: 16 public, 1 management, 2 reading, …
        server_address: Logical device (wPort over TCP, logical address over HDLC).
        authentication: Mechanism to use.
        password: The secret of LLS, and of HLS with MD5, SHA-1, SHA-256 or a manufacturer's own.
        system_title: Ours, 8 octets; needed with `security` and for HLS with SHA-256.
        security: Keys and policy. With them APDUs are ciphered, unless `ciphered` is False: then
            they serve HLS alone.
        invocation_counter: Asked at every use; must never return a number twice for one key.
        received_counters: The last counters taken from this meter; give the same mapping again at
            the next association, so that old answers cannot be replayed.
        meter_system_title: What the meter must call itself; None takes what its AARE says.
        max_pdu: The largest APDU that we take, in octets.
        with_list_limit: Attributes or methods in one GET, SET or ACTION at most; 1 never uses
            with-list.
        conformance: What we propose; ALL_LOGICAL_NAME_SERVICES adds ACCESS and general block
            transfer. What is not granted is done without.
        block_window: General blocks that we take in a row, 1 to 63.
        referencing: How the meter names its attributes and methods.
        base_names: With short names, the meter's table of them; None reads its association view.
        challenge_octets: Length of our HLS challenge, 8 to 64 (ECDSA: 32 to 64); None takes 16
            (ECDSA: 32), which every meter known takes.
        shortest_challenge: Octets that the meter's challenge must have; None as the standard says.
        hls_function: A manufacturer's own mechanism (2); there is none that could be assumed.
        authority: Who vouches for the meter's public keys; None takes those of `security`.
        user_id: Who uses this client (calling-AE-invocation-id), 0 to 255.
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
    block_window: int = 16
    referencing: Referencing = Referencing.LOGICAL_NAME
    base_names: BaseNames | ShortNames | None = field(default=None, repr=False)
    challenge_octets: int | None = None
    shortest_challenge: int | None = None
    hls_function: HlsFunction | None = field(default=None, repr=False)
    authority: Authority | None = field(default=None, repr=False)
    user_id: int | None = None

    def __post_init__(self) -> None:
        self._check_secrets()
        titles = self.security is not None or self.authentication.proves_titles
        if titles and (self.system_title is None or len(self.system_title) != SYSTEM_TITLE_OCTETS):
            raise LocalError("keys and this mechanism need a system title of 8 octets")
        gmac = self.authentication is Authentication.HIGH_GMAC
        counted = (self.security is not None and self.ciphered) or gmac
        if counted and self.invocation_counter is None:
            raise LocalError("keys need a source of invocation counters")
        octets, shortest = self.challenge_octets, shortest_challenge(self.authentication)
        if octets is not None and not shortest <= octets <= LONGEST_CHALLENGE:
            raise LocalError(f"a challenge has {shortest} to {LONGEST_CHALLENGE} octets here")

    def _check_secrets(self) -> None:
        mechanism, security = self.authentication, self.security
        if mechanism.needs_secret and self.password is None:
            raise LocalError(f"{mechanism.name} needs a password")
        if mechanism is Authentication.HIGH and self.hls_function is None:
            raise LocalError("a manufacturer's own mechanism needs its function")
        if mechanism is Authentication.HIGH_GMAC and security is None:
            raise LocalError("HLS with GMAC needs keys")
        if mechanism is Authentication.HIGH_ECDSA:
            if security is None or security.signing_key is None:
                raise LocalError("HLS with ECDSA needs a signing key")
            if security.peer.signing is None and self.authority is None:
                raise LocalError("HLS with ECDSA needs the meter's signing key, or an authority")

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

    def over_udp(self, retries: int = 0) -> DatagramLink:
        """Return the link of these addresses over UDP.

        By short names nothing is sent again: their answers have no number, so the second one would
        be taken for that of the next request.
        """
        repeats = 0 if self.short_names else retries
        return DatagramLink(self.client_address, self.server_address, repeats)

    def over_hdlc(
        self, physical: int | None = None, address_octets: int | None = None, max_info: int = 1024
    ) -> HdlcLink:
        """Return the link of these addresses over HDLC."""
        return HdlcLink(
            self.client_address, self.server_address, physical, address_octets, max_info
        )
