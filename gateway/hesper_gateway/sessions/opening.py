"""How an association with one meter comes about: opened anew, or taken up where one stayed open.

Theory of operation
-------------------
::

    taken up ──still answers──→ in use ──ended well──→ left open on the line, or released
       │ not any more             ▲    └──failed─────→ channel broken off
       └──→ counter checked ──→ opened

Where the template says `keep_open_s`, the reading association stays open on its line after a turn.
The next reading of the meter takes it up: same client, same keys. The first that is asked on it is
what every reading begins with, the clock and the name, so that it costs no exchange of its own; a
meter that has ended the association meanwhile fails just there, before anything was read or
written. That is no failure: it is opened anew. Invocation counters are the client's and go on, none
is used twice either way.

An association that may write is released at once.
"""

import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from hesper_dlms.apdu import CosemAttribute
from hesper_dlms.axdr import Data
from hesper_dlms.errors import (
    DecodeError,
    DlmsError,
    InvocationCounterError,
    ServiceError,
)

from hesper_gateway.config import MeterConfig
from hesper_gateway.errors import (
    CommandExpired,
    ConfigError,
    CredentialsRefused,
    LineDown,
    MeterFailed,
    MeterRefused,
    NoCounter,
    WrongMeter,
)
from hesper_gateway.key_store import Pending
from hesper_gateway.lines.channel import Channel
from hesper_gateway.lines.line import Line, Occupant
from hesper_gateway.meter_keys import MeterKeys
from hesper_gateway.sessions.association import Association, OwnAssociation
from hesper_gateway.sessions.classing import refusal
from hesper_gateway.sessions.common import Common, OtherEngine
from hesper_gateway.sessions.greeting import ask_greeting
from hesper_gateway.sessions.identity import DATA_CLASS
from hesper_gateway.sessions.key_uses import KeyUse, KeyUses
from hesper_gateway.sessions.opened import Opened
from hesper_gateway.sessions.settings import (
    Credentials,
    Role,
    association_of,
    client_for,
    link_for,
    proves_keys,
)
from hesper_gateway.templates.model import MeterTemplate

log = logging.getLogger(__name__)


class Opening:
    """Opens the associations with one meter.

    Attributes:
        held: Its keys, and those it may have since a change began.

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
        self._meter = meter
        self._template = template
        self.held = common.key_store.held(meter.id, keys)
        self._keys = self.held.current
        self._line = line
        self._common = common
        self._uses = KeyUses(meter.id, common)

    @asynccontextmanager
    async def associated(self, role: Role) -> AsyncIterator[Opened]:
        """Take an association up or open one; release it, or leave it open, at the end.

        Raises:
            MeterFailed: told by hop.
        """
        opened = await self._take_up(role) or await self._associate(role)
        broken, left_open = True, False
        try:
            yield opened
            broken, left_open = False, self._leave_open(opened, role)
        except InvocationCounterError as error:
            self._use.counter_checked = False
            raise refusal(error) from error
        except ServiceError as error:
            broken = False
            raise refusal(error) from error
        except (MeterRefused, WrongMeter, CommandExpired):
            broken = False
            raise
        finally:
            if broken:
                await opened.channel.release(broken=True)
            elif not left_open:
                await opened.leave()

    async def settle(self, opened: Opened) -> None:
        """Keep the keys that have opened the meter, which has said its name, and drop the others.

        Does nothing where no change of keys is open, or the association is older or no proof.
        """
        pending = self.held.pending
        if pending is None or opened.greeting is not None or not proves_keys(opened.own):
            return
        await (self.held.take() if opened.keys is pending.keys else self.held.drop())

    async def _take_up(self, role: Role) -> Opened | None:
        """Return the association that has stayed open, if it fits and the meter still answers."""
        own = association_of(self._template, role)

        def fits(occupant: Occupant) -> bool:
            return (
                isinstance(occupant, Opened)
                and occupant.meter == self._meter.id
                and occupant.keys is self._keys
                and occupant.own == own
            )

        opened = self._line.take_up(fits)
        if not isinstance(opened, Opened):
            return None
        answered = False
        try:
            greeting = await ask_greeting(
                opened.association, self._template.objects, self._common.now
            )
            answered = isinstance(greeting.name, Data)
            opened.greeting = greeting
        except (MeterFailed, DlmsError) as error:
            log.debug("%s: its association is over: %s", self._meter.id, error)
            self._use.counter_checked &= not isinstance(error, InvocationCounterError)
        finally:
            if not answered:
                await opened.channel.release(broken=True)
        return opened if answered else None

    def _leave_open(self, opened: Opened, role: Role) -> bool:
        """Leave an association open for the next reading; False where it is to be released."""
        keep_open_s = self._template.times.keep_open_s
        if role != "reading" or not keep_open_s or not self._line.may_stay_open:
            return False
        opened.greeting = None
        self._line.leave_open(opened, keep_open_s)
        return True

    async def _associate(self, role: Role) -> Opened:
        """Open channel and association with the keys that the meter has.

        Raises:
            MeterFailed: told by hop.
        """
        if role == "public":
            return await self._open(role)
        pending = self.held.pending
        if pending is not None and proves_keys(association_of(self._template, role)):
            return await self._try_both(role, pending)
        self._keys = self.held.current
        return await self._authenticate(role)

    async def _try_both(self, role: Role, pending: Pending) -> Opened:
        """Open with the keys that the meter may have taken, else with those before (`key_store`).

        Raises:
            MeterFailed: neither opens it, or it cannot be reached.
        """
        self._keys = pending.keys
        try:
            return await self._authenticate(role)
        except LineDown:
            raise
        except MeterFailed as error:
            log.info("%s: not with its new keys, trying the old ones: %s", self._meter.id, error)
        self._keys = self.held.current
        return await self._authenticate(role)

    async def _authenticate(self, role: Role) -> Opened:
        """Open with the keys in use, unless that risks that the meter locks itself."""
        guard, meter = self._common.guard, self._meter.id
        client = association_of(self._template, role).client_address
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

    async def _open(self, role: Role) -> Opened:
        """Open channel and association, after a refused counter once more."""
        ciphered = association_of(self._template, role).ciphered
        if ciphered and not self._use.counter_checked:
            await self._skip_ahead(role, None)
        try:
            return await self._attempt(role)
        except InvocationCounterError as error:
            await self._skip_ahead(role, error.expected)
        try:
            return await self._attempt(role)
        except InvocationCounterError as error:
            raise refusal(error) from error

    async def _attempt(self, role: Role) -> Opened:
        times = self._template.times
        channel = await self._line.open(self._meter, times.connect_s)
        connected = False
        try:
            credentials = await self._uses.credentials(self._keys)
            association = self._association(role, credentials, channel)
            await association.connect()
            connected = True
        finally:
            if not connected:
                await channel.release(broken=True)
        own = association_of(self._template, role)
        return Opened(association, channel, self._meter.id, own, self._keys)

    def _association(self, role: Role, credentials: Credentials, channel: Channel) -> Association:
        """Return the association that the template's engine opens."""
        template, times = self._template, self._template.times
        if template.engine == "hesper":
            client = client_for(self._meter, template, role, credentials)
            return OwnAssociation(client, channel, times)
        link, settings = link_for(self._meter, template, role, credentials)
        name = f"{self._meter.id} {role}"
        return self._other_engine().association(name, link, settings, channel, times)

    def _other_engine(self) -> OtherEngine:
        found, template = self._common.other_engine, self._template
        if found is None:
            raise ConfigError(f"template {template.name}: engine {template.engine} is not for here")
        return found

    async def _skip_ahead(self, role: Role, expected: int | None) -> None:
        """Move our invocation counter beyond what the meter has seen.

        Raises:
            MeterFailed: the meter cannot be reached.
        """
        seen = await self._counter_seen(role)
        at_least = max(0 if seen is None else seen + 1, expected or 0)
        if self._use.counter is not None:
            self._use.counter.advance(at_least)
        self._use.counter_checked = True

    async def _counter_seen(self, role: Role) -> int | None:
        """Return the meter's own counter; None when it does not tell it to the public client."""
        own = association_of(self._template, role).invocation_counter
        name = own or self._template.objects.invocation_counter
        where = CosemAttribute(DATA_CLASS, name, 2)
        try:
            async with self.associated("public") as opened:
                return (await opened.association.get(where)).as_int()
        except (MeterRefused, DecodeError) as error:
            log.debug("%s: its invocation counter is not public: %s", self._meter.id, error)
            return None

    @property
    def _use(self) -> KeyUse:
        return self._uses.of(self._keys)
