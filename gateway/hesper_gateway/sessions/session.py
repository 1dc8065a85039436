"""Everything the gateway does with one meter, association by association.

Theory of operation
-------------------
Each piece of work takes one association and does all it has to do in it. It is released in order
afterwards, so that the meter is free for its next client, or left open for the next reading where
the template says so (see `opening`). All of it runs inside a turn of the meter's line.

    open channel → associate ──ok──→ greet (clock, logical device name) → work → release
                      │ invocation counter refused
                      └→ read the counter through the public client, skip ahead, associate once more

The meter's own counter is also read before the first association of a run, because a gateway with
a new database does not know how far its predecessor had counted. There is never a third attempt:
a meter that refuses credentials is left alone until its back-off is over, and shown them seldom
after that (see `lockout`).
"""

import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from hesper_dlms.errors import ServiceError

from hesper_gateway.config import MeterConfig
from hesper_gateway.errors import MeterRefused
from hesper_gateway.key_store import HeldKeys
from hesper_gateway.lines.line import Line
from hesper_gateway.meter_keys import MeterKeys
from hesper_gateway.sessions import relay
from hesper_gateway.sessions.association import Association
from hesper_gateway.sessions.clock import ClockPolicy, MeterTime, time_told
from hesper_gateway.sessions.common import Common
from hesper_gateway.sessions.greeting import Greeting, ask_greeting
from hesper_gateway.sessions.identity import Identity, check_name, name_told, read_identity
from hesper_gateway.sessions.insight import Insight, insight_into
from hesper_gateway.sessions.opening import Opening
from hesper_gateway.sessions.reading import Reading
from hesper_gateway.sessions.relay import Permit, RelayAction, RelayMove, RelayState
from hesper_gateway.sessions.settings import Role, association_of, proves_keys
from hesper_gateway.templates.model import MeterTemplate

log = logging.getLogger(__name__)


class MeterSession:
    """One meter behind its line; every method takes one association and needs the line's turn.

    Args:
        meter: From gateway.toml.
        template: What is known of its kind.
        keys: Its secrets.
        line: Where it answers.
        common: What all sessions share.
    """

    def __init__(
        self,
        meter: MeterConfig,
        template: MeterTemplate,
        keys: MeterKeys,
        line: Line,
        common: Common,
    ) -> None:
        self.meter = meter
        self.template = template
        self.line = line
        self.identity: Identity | None = None
        self._common = common
        self._policy = ClockPolicy.of(template.clock, meter.zone)
        self._opening = Opening(meter, template, keys, line, common)

    @property
    def keys(self) -> HeldKeys:
        """The meter's keys, and those it may have since a change began."""
        return self._opening.held

    @property
    def proves_keys(self) -> bool:
        """Whether nobody opens the management association without the meter's keys."""
        return proves_keys(association_of(self.template, "management"))

    def insight(self) -> Insight:
        """Return what is needed to understand a conversation, and what to leave out of it."""
        title = self._common.client_system_title
        return insight_into(self.meter, self.template, self.keys, title)

    def now(self) -> float:
        """Return the gateway's time, epoch seconds."""
        return self._common.now()

    def origin(self) -> float:
        """Return when the clock that nobody sets began, epoch seconds by the gateway's clock."""
        return self._common.origin()

    @asynccontextmanager
    async def reading(self, role: Role = "reading") -> AsyncIterator[Reading]:
        """Open an association; the meter has said its name and its time.

        Raises:
            MeterFailed: told by hop; `WrongMeter` when another meter answers here.
        """
        async with self._opening.associated(role) as opened:
            association = opened.association
            greeting = opened.greeting or await self._greeting(association)
            clock, name = self._time_told(greeting), name_told(greeting.name)
            if self.meter.logical_device_name is not None:
                check_name(self.meter.logical_device_name, name)
                await self._opening.settle(opened)
            if self.identity is None or self.identity.logical_device_name != name:
                self.identity = await read_identity(association, self.template.objects, name)
            yield Reading(
                meter=self.meter,
                template=self.template,
                association=association,
                identity=self.identity,
                clock=clock,
                policy=self._policy,
                cache=self._common.cache,
                now=self._common.now,
            )

    @asynccontextmanager
    async def writing(self, expected_ldn: str | None) -> AsyncIterator[Reading]:
        """Open the association that may write, to the meter of that name and no other.

        Args:
            expected_ldn: The logical device name that the command names; it must be that of
                gateway.toml and that of the meter.

        Raises:
            WrongMeter: another meter answers, or no name is known.
            MeterRefused: the template's engine only reads.
            MeterFailed: told by hop.
        """
        if self.template.engine != "hesper":
            raise MeterRefused(f"engine {self.template.engine} only reads; nothing was written")
        if self.meter.logical_device_name is not None:
            check_name(expected_ldn, self.meter.logical_device_name)
        async with self.reading("management") as reading:
            check_name(expected_ldn, reading.identity.logical_device_name)
            yield reading

    async def greet_publicly(self) -> tuple[str, MeterTime | None]:
        """Return what the meter tells the client that needs no secret: its name and its time.

        Returns:
            The logical device name, empty where it is kept from this client, and the clock, None
            likewise.

        Raises:
            MeterFailed: told by hop; `WrongMeter` when another meter answers here.
        """
        async with self._opening.associated("public") as opened:
            greeting = await self._greeting(opened.association)
            told = "" if isinstance(greeting.name, ServiceError) else name_told(greeting.name)
            if told and self.meter.logical_device_name is not None:
                check_name(self.meter.logical_device_name, told)
            if isinstance(greeting.clock, ServiceError):
                return told, None
            return told, self._time_told(greeting)

    async def read_relay(self) -> RelayState:
        """Return where the relay stands.

        Raises:
            MeterFailed: told by hop.
        """
        async with self.reading() as reading:
            return await relay.read_relay(reading.association, self._relay_name(), self._common.now)

    async def move_relay(
        self, action: RelayAction, expected_ldn: str | None, permit: Permit
    ) -> RelayMove:
        """Move the relay once and read it back, all in one association.

        Args:
            action: What to do.
            expected_ldn: The logical device name that the command names; it must be that of
                gateway.toml and that of the meter.
            permit: Asked right before the write, because all before it may take long.

        Raises:
            CommandExpired: by ``permit``; nothing was written.
            WrongMeter: another meter answers, or no name is known; nothing was written.
            RelayUncertain: the method was sent, the outcome is not known; read before anything.
            MeterFailed: stopped before the method was sent; nothing was written.
        """
        where, now = self._relay_name(), self._common.now
        async with self.writing(expected_ldn) as reading:
            association = reading.association
            before = await relay.read_relay(association, where, now)
            if action is RelayAction.ARM:
                await relay.require_armable(association, where, before)
            registers = await _registers(reading)
            permit()
            refusal = await relay.invoke(association, where, action)
            after = await relay.read_back(association, where, action, self.template.times, now)
            return RelayMove(action, before, after, registers, refusal)

    async def _greeting(self, association: Association) -> Greeting:
        return await ask_greeting(association, self.template.objects, self._common.now)

    def _time_told(self, greeting: Greeting) -> MeterTime:
        return time_told(greeting.clock, self._policy, greeting.asked_at, greeting.answered_at)

    def _relay_name(self) -> bytes:
        found = self.template.objects.disconnect_control
        if found is None:
            raise MeterRefused(f"meters of kind {self.template.name} have no relay")
        return found


async def _registers(reading: Reading) -> Mapping[str, tuple[int, int, int]]:
    """Return the registers at the cut; a meter that declines them is cut without."""
    try:
        return (await reading.snapshot()).by_name()
    except MeterRefused:
        return {}
