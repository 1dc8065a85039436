"""Everything the gateway does with one meter, association by association.

Theory of operation
-------------------
Each piece of work opens one association, does all it has to do in it and releases it in order, so
that the meter is free for its next client. All of it runs inside a turn of the meter's line.

    open channel → associate ──ok──→ greet (clock, logical device name) → work → release
                      │ invocation counter refused
                      └→ read the counter through the public client, skip ahead, associate once more

The meter's own counter is also read before the first association of a run, because a gateway with
a new database does not know how far its predecessor had counted. There is never a third attempt:
a meter that refuses credentials is left alone until its back-off is over, and shown them seldom
after that (see `lockout`).
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from hesper_dlms.apdu import CosemAttribute
from hesper_dlms.axdr import Data
from hesper_dlms.errors import DecodeError, InvocationCounterError, LocalError, ServiceError

from hesper_gateway.config import MeterConfig
from hesper_gateway.errors import (
    CommandExpired,
    CredentialsRefused,
    MeterFailed,
    MeterRefused,
    NoCounter,
    WrongMeter,
)
from hesper_gateway.lines.channel import Channel
from hesper_gateway.lines.line import Line
from hesper_gateway.meter_keys import MeterKeys
from hesper_gateway.sessions import relay
from hesper_gateway.sessions.association import Association
from hesper_gateway.sessions.classing import refusal
from hesper_gateway.sessions.clock import CLOCK_CLASS, ClockPolicy, MeterTime, time_told
from hesper_gateway.sessions.common import Common, InvocationCounter
from hesper_gateway.sessions.identity import (
    DATA_CLASS,
    Identity,
    check_name,
    name_told,
    read_identity,
)
from hesper_gateway.sessions.reading import Reading
from hesper_gateway.sessions.relay import Permit, RelayAction, RelayMove, RelayState
from hesper_gateway.sessions.settings import (
    Credentials,
    Role,
    association_of,
    client_for,
    key_name,
)
from hesper_gateway.templates.model import MeterTemplate

log = logging.getLogger(__name__)


class MeterSession:
    """One meter behind its line; every method is one association and needs the line's turn.

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
        self._received_counters: dict[bytes, int] = {}
        self._keys = keys
        self._counter: InvocationCounter | None = None
        self._counter_checked = False

    def check(self) -> None:
        """Refuse a configuration that can never work, before anything is opened.

        Raises:
            ConfigError: no associations in the template, or a secret is missing.
        """
        never = Credentials(self._keys, self._common.client_system_title, _no_counter, {})
        for role in ("public", "reading", "management"):
            client_for(self.meter, self.template, role, never)

    @asynccontextmanager
    async def reading(self, role: Role = "reading") -> AsyncIterator[Reading]:
        """Open an association; the meter has said its name and its time.

        Raises:
            MeterFailed: told by hop; `WrongMeter` when another meter answers here.
        """
        async with self._associated(role) as association:
            clock, name = await self._greet(association)
            if self.meter.logical_device_name is not None:
                check_name(self.meter.logical_device_name, name)
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
            MeterFailed: told by hop.
        """
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
        async with self._associated("public") as association:
            clock, name, asked_at, answered_at = await self._ask_clock_and_name(association)
            told = "" if isinstance(name, ServiceError) else name_told(name)
            if told and self.meter.logical_device_name is not None:
                check_name(self.meter.logical_device_name, told)
            if isinstance(clock, ServiceError):
                return told, None
            return told, time_told(clock, self._policy, asked_at, answered_at)

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
            registers = await _registers(reading)
            permit()
            refusal = await relay.invoke(association, where, action)
            after = await relay.read_back(association, where, action, self.template.times, now)
            return RelayMove(action, before, after, registers, refusal)

    async def _greet(self, association: Association) -> tuple[MeterTime, str]:
        clock, name, asked_at, answered_at = await self._ask_clock_and_name(association)
        return time_told(clock, self._policy, asked_at, answered_at), name_told(name)

    async def _ask_clock_and_name(
        self, association: Association
    ) -> tuple[Data | ServiceError, Data | ServiceError, float, float]:
        """Return both answers and when they were asked for and answered, epoch s."""
        objects = self.template.objects
        asked_at = self._common.now()
        clock, name = await association.get_each(
            [
                CosemAttribute(CLOCK_CLASS, objects.clock, 2),
                CosemAttribute(DATA_CLASS, objects.logical_device_name, 2),
            ]
        )
        return clock, name, asked_at, self._common.now()

    @asynccontextmanager
    async def _associated(self, role: Role) -> AsyncIterator[Association]:
        channel, association = await self._associate(role)
        broken = True
        try:
            yield association
            broken = False
        except InvocationCounterError as error:
            self._counter_checked = False
            raise refusal(error) from error
        except ServiceError as error:
            broken = False
            raise refusal(error) from error
        except (MeterRefused, WrongMeter, CommandExpired):
            broken = False
            raise
        finally:
            if not broken:
                broken = not await _released(association)
            await channel.release(broken)

    async def _associate(self, role: Role) -> tuple[Channel, Association]:
        """Open channel and association, unless that risks that the meter locks itself."""
        if role == "public":
            return await self._open(role)
        guard, meter = self._common.guard, self.meter.id
        client = association_of(self.template, role).client_address
        guard.check(meter, self._keys, client)
        try:
            opened = await self._open(role)
        except NoCounter:
            raise
        except CredentialsRefused:
            await guard.refused(meter, self._keys, client)
            raise
        await guard.accepted(meter, self._keys, client)
        return opened

    async def _open(self, role: Role) -> tuple[Channel, Association]:
        """Open channel and association, after a refused counter once more."""
        ciphered = association_of(self.template, role).ciphered
        if ciphered and not self._counter_checked:
            await self._skip_ahead(role, None)
        try:
            return await self._attempt(role)
        except InvocationCounterError as error:
            await self._skip_ahead(role, error.expected)
        try:
            return await self._attempt(role)
        except InvocationCounterError as error:
            raise refusal(error) from error

    async def _attempt(self, role: Role) -> tuple[Channel, Association]:
        times = self.template.times
        channel = await self.line.carrier.open(self.meter, times.connect_s)
        client = client_for(self.meter, self.template, role, await self._credentials())
        association = Association(client, channel, times)
        connected = False
        try:
            await association.connect()
            connected = True
        finally:
            if not connected:
                await channel.release(broken=True)
        return channel, association

    async def _skip_ahead(self, role: Role, expected: int | None) -> None:
        """Move our invocation counter beyond what the meter has seen.

        Raises:
            MeterFailed: the meter cannot be reached.
        """
        seen = await self._counter_seen(role)
        at_least = max(0 if seen is None else seen + 1, expected or 0)
        if self._counter is not None:
            self._counter.advance(at_least)
        self._counter_checked = True

    async def _counter_seen(self, role: Role) -> int | None:
        """Return the meter's own counter; None when it does not tell it to the public client."""
        own = association_of(self.template, role).invocation_counter
        name = own or self.template.objects.invocation_counter
        where = CosemAttribute(DATA_CLASS, name, 2)
        try:
            async with self._associated("public") as association:
                return (await association.get(where)).as_int()
        except (MeterRefused, DecodeError) as error:
            log.debug("%s: its invocation counter is not public: %s", self.meter.id, error)
            return None

    async def _credentials(self) -> Credentials:
        if self._counter is None and self._keys.encryption_key is not None:
            # Reserving waits for the disk; many meters begin at once and share that wait.
            self._counter = await asyncio.to_thread(
                self._common.counters.reserve, self.meter.id, key_name(self._keys)
            )
        return Credentials(
            self._keys, self._common.client_system_title, self._counter, self._received_counters
        )

    def _relay_name(self) -> bytes:
        found = self.template.objects.disconnect_control
        if found is None:
            raise MeterRefused(f"meters of kind {self.template.name} have no relay")
        return found


def _no_counter() -> int:
    raise LocalError("this association is never opened")


async def _released(association: Association) -> bool:
    try:
        await association.release()
    except (MeterFailed, ServiceError):
        return False
    return True


async def _registers(reading: Reading) -> Mapping[str, tuple[int, int, int]]:
    """Return the registers at the cut; a meter that declines them is cut without."""
    try:
        return (await reading.snapshot()).by_name()
    except MeterRefused:
        return {}
