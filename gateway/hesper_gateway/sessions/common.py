"""What all sessions of a gateway share."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from hesper_dlms.client import AssociationSettings
from hesper_dlms.exchange import ClientLink

from hesper_gateway.key_store import KeyStore
from hesper_gateway.lines.channel import Channel
from hesper_gateway.meter_keys import MeterKeys
from hesper_gateway.sessions.association import Association
from hesper_gateway.sessions.quantities import QuantityCache
from hesper_gateway.templates.model import TimesTemplate


class InvocationCounter(Protocol):
    """A durable source of invocation counters for one key."""

    def __call__(self) -> int:
        """Return a number never returned before."""

    def advance(self, at_least: int) -> None:
        """Skip ahead so that the next number is at least this; never go back."""


class InvocationCounters(Protocol):
    """Where the counters of all meters are kept."""

    def reserve(self, meter: str, key_name: str) -> InvocationCounter:
        """Return the counter of one meter and key; may wait for the disk."""


class CredentialsGuard(Protocol):
    """Knows whether credentials may be shown to a client of a meter that has refused them."""

    def check(self, meter: str, keys: MeterKeys, client: int) -> None:
        """Pass, or raise CredentialsRefused; then nothing is sent."""

    async def refused(self, meter: str, keys: MeterKeys, client: int) -> None:
        """Note a refusal."""

    async def accepted(self, meter: str, keys: MeterKeys, client: int) -> None:
        """Note that the meter took them."""


class Unguarded:
    """Implements `CredentialsGuard` for somebody who stands beside the meter."""

    def check(self, meter: str, keys: MeterKeys, client: int) -> None:
        """Pass."""

    async def refused(self, meter: str, keys: MeterKeys, client: int) -> None:
        """Forget it."""

    async def accepted(self, meter: str, keys: MeterKeys, client: int) -> None:
        """Forget it."""


class OtherEngine(Protocol):
    """Reads meters whose template names another engine than our own stack."""

    def association(
        self,
        name: str,
        link: ClientLink,
        settings: AssociationSettings,
        channel: Channel,
        times: TimesTemplate,
    ) -> Association:
        """Return an association that is not open yet; ``name`` tells it from all others."""


@dataclass(slots=True)
class Common:
    """Counters, the gateway's name towards meters, its clock, and what was learned of registers."""

    counters: InvocationCounters
    client_system_title: bytes
    now: Callable[[], float]
    """Epoch seconds, UTC; may jump."""
    cache: QuantityCache = field(default_factory=QuantityCache)
    guard: CredentialsGuard = field(default_factory=Unguarded)
    key_store: KeyStore = field(default_factory=KeyStore)
    other_engine: OtherEngine | None = None
    steady: Callable[[], float] | None = None
    """Seconds that nobody sets; without it, `now` is taken."""

    def origin(self) -> float:
        """Return when the steady clock began, by the gateway's: that moves where this is set."""
        now = self.now()
        return now - (now if self.steady is None else self.steady())
