"""An association whose APDUs an engine writes: what it may be asked is the same as of our own.

It only reads. Whoever wants to write finds the same refusal before anything is opened, in
`MeterSession.writing`.
"""

import asyncio
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from typing import NoReturn, TypeVar

from hesper_dlms import apdu, axdr
from hesper_dlms.apdu import CosemAttribute, CosemMethod, EntrySelector, RangeSelector
from hesper_dlms.association import Authentication
from hesper_dlms.axdr import Data
from hesper_dlms.client import AssociationSettings
from hesper_dlms.client.challenge import our_challenge
from hesper_dlms.errors import LocalError, ServiceError
from hesper_dlms.exchange import ClientLink

from hesper_gateway.engines.guard import Guard
from hesper_gateway.engines.pipe import Message
from hesper_gateway.engines.process import Engine, EngineFailed
from hesper_gateway.engines.terms import counts, terms_of
from hesper_gateway.errors import MeterRefused, MeterSilent
from hesper_gateway.lines.channel import Channel, drive
from hesper_gateway.sessions.association import RELEASE_S
from hesper_gateway.sessions.classing import associating, classed
from hesper_gateway.templates.model import TimesTemplate

T = TypeVar("T")

ONLY_READS = 'engine = "gurux" only reads; what is written goes by our own stack'


class EngineAssociation:
    """Implements `sessions.association.Association`.

    Args:
        engine: Writes and reads APDUs.
        session: A name for the association that no other of the gateway has.
        link: The way to the meter.
        settings: What was agreed; counters are taken from it.
        channel: Where the meter answers.
        times: How long it may take.
    """

    def __init__(
        self,
        engine: Engine,
        session: str,
        link: ClientLink,
        settings: AssociationSettings,
        channel: Channel,
        times: TimesTemplate,
    ) -> None:
        self._engine = engine
        self._session = session
        self._settings = settings
        self._challenge = our_challenge(settings)
        self._guard = Guard(link, settings, self._challenge)
        self._channel = channel
        self._times = times

    async def connect(self) -> None:
        """Open link and association; see `Association.connect`."""
        with associating():
            await self._ask("open", **terms_of(self._settings, self._challenge))
            counter = self._counter()
            aarq = await self._apdu("aarq", counter=counter)
            aare = await self._drive(self._guard.associate(aarq, counter))
            await self._ask("aare", apdu=aare.hex())
            if self._settings.authentication.is_high:
                await self._prove()

    async def _prove(self) -> None:
        proof_counter, counter = self._counters_of_proof()
        before = None if counter is None else counter - 1
        request = await self._apdu("prove", counter=before)
        answer = await self._drive(self._guard.prove(request, proof_counter, counter))
        await self._ask("proven", apdu=answer.hex())

    async def release(self) -> None:
        """Close association and link in order."""
        with classed():
            await drive(
                self._channel,
                self._guard.release(),
                answer_s=min(RELEASE_S, self._times.answer_s),
                exchange_s=2 * RELEASE_S,
            )

    def unasked_count(self) -> int:
        """Return how many notifications the meter has sent meanwhile, and forget them."""
        return self._guard.unasked_count()

    async def get(self, attribute: CosemAttribute) -> Data:
        """Return the value of one attribute."""
        octets = await self.get_octets(attribute)
        with classed():
            return axdr.decode(octets)

    async def get_octets(
        self, attribute: CosemAttribute, selector: RangeSelector | EntrySelector | None = None
    ) -> bytes:
        """Return the encoded value of one attribute, as the engine put it together."""
        exchange_s = self._times.exchange_s
        try:
            async with asyncio.timeout(exchange_s):
                with classed():
                    return await self._got(attribute, selector)
        except TimeoutError as error:
            raise MeterSilent(f"no end of the reading within {exchange_s:g} s") from error

    async def _got(
        self, attribute: CosemAttribute, selector: RangeSelector | EntrySelector | None
    ) -> bytes:
        counter = self._counter()
        request = await self._apdu(
            "get",
            class_id=attribute.class_id,
            logical_name=attribute.logical_name.hex(),
            attribute_id=attribute.attribute_id,
            selection=_selection(selector).hex(),
            counter=counter,
        )
        while True:
            octets = await self._drive(self._guard.get(request, counter))
            answer = await self._ask("answer", apdu=octets.hex())
            if "refused" in answer:
                raise apdu.access_error(_number(answer["refused"]))
            if "value" in answer:
                return _octets(answer["value"])
            counter = self._counter()
            request = await self._apdu("next", counter=counter)

    async def get_each(self, attributes: Sequence[CosemAttribute]) -> list[Data | ServiceError]:
        """Return the value of every attribute in order, or why the meter declines it."""
        found: list[Data | ServiceError] = []
        for attribute in attributes:
            try:
                found.append(await self.get(attribute))
            except ServiceError as error:
                found.append(error)
        return found

    async def set(self, attribute: CosemAttribute, data: Data) -> NoReturn:  # noqa: ARG002 - a port's
        """Refuse; raises MeterRefused."""
        raise MeterRefused(ONLY_READS)

    async def action(self, method: CosemMethod, data: Data) -> NoReturn:  # noqa: ARG002 - a port's
        """Refuse; raises MeterRefused."""
        raise MeterRefused(ONLY_READS)

    def _counter(self) -> int | None:
        """Return a counter that is reserved; None where the association needs none."""
        source = self._settings.invocation_counter
        if not counts(self._settings) or source is None:
            return None
        return source()

    def _counters_of_proof(self) -> tuple[int | None, int | None]:
        """Return the counters of f(StoC), where it has one, and of the APDU around it.

        gurux counts on by one between the two, so they follow each other.
        """
        source = self._settings.invocation_counter
        if self._settings.authentication is not Authentication.HIGH_GMAC:
            return None, self._counter()
        if source is None:
            raise LocalError("there is no source of invocation counters")
        first, second = source(), source()
        while second != first + 1:  # another meter with the same key took one between
            first, second = second, source()
        return first, second

    async def _ask(self, do: str, **said: object) -> Message:
        return await self._engine.ask({"session": self._session, "do": do, **said})

    async def _apdu(self, do: str, **said: object) -> bytes:
        return _octets((await self._ask(do, **said)).get("apdu"))

    async def _drive(self, exchange: Generator[bytes, bytes, T]) -> T:
        return await drive(
            self._channel,
            exchange,
            answer_s=self._times.answer_s,
            exchange_s=self._times.exchange_s,
        )


def _octets(said: object) -> bytes:
    with _as_agreed():
        return bytes.fromhex(str(said))


def _number(said: object) -> int:
    with _as_agreed():
        return int(str(said))


@contextmanager
def _as_agreed() -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        raise EngineFailed("engine gurux: it answered something else") from error


def _selection(selector: RangeSelector | EntrySelector | None) -> bytes:
    """Return selector and parameters of selective access; nothing where all is read."""
    if selector is None:
        return b""
    selection = selector.to_selection()
    return bytes((selection.selector,)) + axdr.encode(selection.parameters)
