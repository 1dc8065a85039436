"""Readings that come over HTTP or the WebSocket: machines alone, and only what their scopes allow.

They go the way of those that come over MQTT, and the answer is given after the durable commit.
"""

import asyncio
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Protocol

from hesper_contracts import batch, readings_json
from hesper_contracts.batch import BatchId
from hesper_contracts.frame import Refused as NotDecodable

from hesper_cloud.accounts.roles import Actor, Permission, Role
from hesper_cloud.services import scope
from hesper_cloud.services.errors import Busy, Invalid, NotPermitted, TooLarge, Unavailable
from hesper_cloud.services.sources import Sources, require
from hesper_cloud.worded import worded

WAIT_S = 30.0


class Settled(Protocol):
    """What became of a batch."""

    @property
    def batch(self) -> BatchId: ...
    @property
    def digest(self) -> str: ...
    @property
    def verdict(self) -> str: ...
    @property
    def reason(self) -> str: ...


class ReadingsDoor(Protocol):
    """Where ingest takes batches in."""

    def hand_in(self, account: str, payload: bytes) -> "Future[Any] | None":
        """Takes a batch in; the future is a `Settled`. None where there is no room for it now."""
        ...


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a sender gets once its batch is durable; ``digest`` is SHA-256 of what was sent."""

    gateway: str
    epoch: str
    sequence: int
    digest: str
    verdict: str


class DataIngestion:
    """Brings batches to ingest in the name of service accounts."""

    def __init__(self, sources: Sources, door: ReadingsDoor | None) -> None:
        self._sources = sources
        self._door = door

    async def bring(self, actor: Actor, payload: bytes) -> Receipt:
        """Hands a batch in, in the JSON form of the MQTT contract, and waits for its commit.

        Raises:
            NotPermitted: not a machine, or its token is not for this.
            TooLarge: longer than ingest takes.
            Invalid: it was set aside as a dead letter; the text says why.
            NotFound: it has readings of a meter outside of the account's areas.
            Busy: come again in a moment.
            Unavailable: it is not stored yet; the same octets may be sent again.
        """
        self._check(actor, payload)
        await self._check_meters(actor, payload)
        if self._door is None:
            raise Unavailable("ingest does not run in this process")
        try:
            answer = self._door.hand_in(actor.username, payload)
        except NotDecodable as refusal:
            raise NotPermitted(
                worded("this account cannot bring readings: {refusal}", refusal=refusal)
            ) from None
        if answer is None:
            raise Busy("too many batches wait here already; send it again in a moment", 1.0)
        try:
            settled: Settled = await asyncio.wait_for(asyncio.wrap_future(answer), WAIT_S)
        except TimeoutError:
            raise Unavailable("not stored yet; send the same octets again") from None
        if settled.verdict != "stored":
            raise Invalid(worded("set aside: {reason}", reason=settled.reason))
        named = settled.batch
        return Receipt(named.gateway, named.epoch, named.sequence, settled.digest, settled.verdict)

    def _check(self, actor: Actor, payload: bytes) -> None:
        require(actor, Permission.BRING_READINGS)
        if actor.role is not Role.SERVICE:
            raise NotPermitted("readings are brought by service accounts alone")
        most = min(self._sources.settings.ingest.max_payload_octets, batch.MAX_PAYLOAD)
        if len(payload) > most:
            raise TooLarge(worded("a batch has at most {most} octets", most=most))
        if payload[:1] != readings_json.FIRST_OCTET:
            raise Invalid("a batch is a JSON object, as docs/mqtt-api.md has it")

    async def _check_meters(self, actor: Actor, payload: bytes) -> None:
        """Checks the areas of an account that has some; what does not decode is ingest's to say."""
        if actor.areas is None:
            return
        try:
            meters = await asyncio.to_thread(_meters, payload)
        except NotDecodable:
            return
        await scope.check_meters(self._sources.registry, actor, meters)


def _meters(payload: bytes) -> set[str]:
    """Returns of which meters a batch brings readings."""
    try:
        parsed = readings_json.parse(payload)
    except NotDecodable:
        parsed = readings_json.parse_each(payload).batch
    return {each.meter for each in parsed.readings}
