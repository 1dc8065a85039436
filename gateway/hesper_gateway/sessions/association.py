"""One association with one meter: the client's exchanges driven over a channel, errors classed.

Whatever goes wrong becomes a `MeterFailed` that names the hop where it stopped. A service error
(the meter answered, but not with what was asked for) passes unchanged: the caller knows whether
the object may be missing.
"""

from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

from hesper_dlms.apdu import CosemAttribute, CosemMethod, EntrySelector, RangeSelector
from hesper_dlms.axdr import Data
from hesper_dlms.client import Client
from hesper_dlms.errors import (
    AssociationRejected,
    DecodeError,
    DlmsError,
    InvocationCounterError,
    LinkError,
    SecurityError,
    ServiceError,
)

from hesper_gateway.counters import CounterExhausted
from hesper_gateway.errors import Hop, MeterDistrusted, MeterFailed, MeterRefused, MeterSilent
from hesper_gateway.lines.channel import Channel, drive
from hesper_gateway.templates.model import TimesTemplate

T = TypeVar("T")

RELEASE_S = 2.0


class Association:
    """An open association; every call waits at most as long as the template allows.

    All calls raise `MeterFailed`, and `ServiceError` where the meter declines.
    """

    def __init__(self, client: Client, channel: Channel, times: TimesTemplate) -> None:
        self._client = client
        self._channel = channel
        self._times = times

    async def connect(self) -> None:
        """Open link and association.

        Raises:
            InvocationCounterError: the meter wants a higher counter; read it and try once more.
        """
        with classed(Hop.ASSOCIATION):
            await self._drive(self._client.connect())

    async def release(self) -> None:
        """Close association and link in order, so that the next client finds the meter free."""
        with classed(Hop.ASSOCIATION):
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
        with classed(Hop.APPLICATION):
            return await self._drive(self._client.get(attribute))

    async def get_octets(
        self, attribute: CosemAttribute, selector: RangeSelector | EntrySelector | None = None
    ) -> bytes:
        """Return the encoded value of one attribute, as it came."""
        with classed(Hop.APPLICATION):
            return await self._drive(self._client.get_octets(attribute, selector))

    async def get_each(self, attributes: Sequence[CosemAttribute]) -> list[Data | ServiceError]:
        """Return the value of every attribute in order, or why the meter declines it."""
        if not attributes:
            return []
        with classed(Hop.APPLICATION):
            return await self._drive(self._client.get_many(list(attributes)))

    async def action(self, method: CosemMethod, data: Data) -> Data | None:
        """Invoke a method and return what it returns."""
        with classed(Hop.APPLICATION):
            return await self._drive(self._client.action(method, data))

    async def _drive(self, exchange: Generator[bytes, bytes, T]) -> T:
        return await drive(
            self._channel,
            exchange,
            answer_s=self._times.answer_s,
            exchange_s=self._times.exchange_s,
        )


@contextmanager
def classed(hop: Hop) -> Iterator[None]:
    """Turn the stack's errors into the gateway's, told apart by what to do about them."""
    try:
        yield
    except InvocationCounterError:
        raise
    except AssociationRejected as error:
        raise MeterRefused(str(error), Hop.ASSOCIATION) from error
    except ServiceError as error:
        if hop is Hop.ASSOCIATION:
            raise MeterRefused(str(error), hop) from error
        raise
    except (SecurityError, DecodeError) as error:
        raise MeterDistrusted(str(error), hop) from error
    except LinkError as error:
        raise MeterSilent(str(error), Hop.LINK) from error
    except CounterExhausted as error:
        raise MeterRefused(str(error), hop) from error
    except DlmsError as error:
        raise MeterFailed(f"the gateway's own mistake: {error}", hop) from error
