"""One association with one meter: the client's exchanges driven over a channel, errors classed.

Whatever goes wrong becomes a `MeterFailed` that names the hop where it stopped. A service error
(the meter answered, but not with what was asked for) passes unchanged: the caller knows whether
the object may be missing.
"""

from collections.abc import Generator, Sequence
from typing import Protocol, TypeVar

from hesper_dlms.apdu import CosemAttribute, CosemMethod, EntrySelector, RangeSelector
from hesper_dlms.axdr import Data
from hesper_dlms.client import Client
from hesper_dlms.errors import ServiceError

from hesper_gateway.lines.channel import Channel, drive
from hesper_gateway.sessions.classing import associating, classed
from hesper_gateway.templates.model import TimesTemplate

T = TypeVar("T")

RELEASE_S = 2.0


class Association(Protocol):
    """An association; every call waits at most as long as the template allows.

    All calls raise `MeterFailed`, and `ServiceError` where the meter declines.
    """

    async def connect(self) -> None:
        """Open link and association.

        Raises:
            InvocationCounterError: the meter wants a higher counter; read it and try once more.
        """

    async def release(self) -> None:
        """Close association and link in order, so that the next client finds the meter free."""

    def unasked_count(self) -> int:
        """Return how many notifications the meter has sent meanwhile, and forget them."""

    async def get(self, attribute: CosemAttribute) -> Data:
        """Return the value of one attribute."""

    async def get_octets(
        self, attribute: CosemAttribute, selector: RangeSelector | EntrySelector | None = None
    ) -> bytes:
        """Return the encoded value of one attribute, as it came."""

    async def get_each(self, attributes: Sequence[CosemAttribute]) -> list[Data | ServiceError]:
        """Return the value of every attribute in order, or why the meter declines it."""

    async def set(self, attribute: CosemAttribute, data: Data) -> None:
        """Write one attribute."""

    async def action(self, method: CosemMethod, data: Data) -> Data | None:
        """Invoke a method and return what it returns."""


class OwnAssociation:
    """Implements `Association` on our own stack."""

    def __init__(self, client: Client, channel: Channel, times: TimesTemplate) -> None:
        self._client = client
        self._channel = channel
        self._times = times

    async def connect(self) -> None:
        """Open link and association; see `Association`."""
        with associating():
            await self._drive(self._client.connect())

    async def release(self) -> None:
        """Close association and link in order."""
        with classed():
            await drive(
                self._channel,
                self._client.release(),
                answer_s=min(RELEASE_S, self._times.answer_s),
                exchange_s=2 * RELEASE_S,
            )

    def unasked_count(self) -> int:
        """Return how many notifications the meter has sent meanwhile, and forget them."""
        return len(self._client.take_notifications())

    async def get(self, attribute: CosemAttribute) -> Data:
        """Return the value of one attribute."""
        with classed():
            return await self._drive(self._client.get(attribute))

    async def get_octets(
        self, attribute: CosemAttribute, selector: RangeSelector | EntrySelector | None = None
    ) -> bytes:
        """Return the encoded value of one attribute, as it came."""
        with classed():
            return await self._drive(self._client.get_octets(attribute, selector))

    async def get_each(self, attributes: Sequence[CosemAttribute]) -> list[Data | ServiceError]:
        """Return the value of every attribute in order, or why the meter declines it."""
        if not attributes:
            return []
        with classed():
            return await self._drive(self._client.get_many(list(attributes)))

    async def set(self, attribute: CosemAttribute, data: Data) -> None:
        """Write one attribute."""
        with classed():
            await self._drive(self._client.set(attribute, data))

    async def action(self, method: CosemMethod, data: Data) -> Data | None:
        """Invoke a method and return what it returns."""
        with classed():
            return await self._drive(self._client.action(method, data))

    async def _drive(self, exchange: Generator[bytes, bytes, T]) -> T:
        return await drive(
            self._channel,
            exchange,
            answer_s=self._times.answer_s,
            exchange_s=self._times.exchange_s,
        )
