"""The hops of a meter that is asked: from its line to its relay; nothing is written."""

import time
from contextlib import suppress
from decimal import Decimal

from hesper_contracts.readings import Quantity
from hesper_dlms import obis
from hesper_dlms.units import Unit

from hesper_gateway import meter_keys
from hesper_gateway.commissioning.steps import ADVICE, Hop, Steps
from hesper_gateway.errors import MeterFailed, WrongMeter
from hesper_gateway.sessions import MeterSession, client_system_title, relay
from hesper_gateway.sessions.association import OwnAssociation
from hesper_gateway.sessions.clock import MeterTime
from hesper_gateway.sessions.reading import Reading
from hesper_gateway.sessions.settings import Credentials, client_for

SHOWN_MAX = 3
_LINE_HOPS = {"modem", "line"}
_LINK_HOPS = {"link", "timeout"}


class Asking:
    """The hops of one meter, in the turn of its line.

    Args:
        gateway: The gateway's name, by which meters know it.
        session: The meter's.
        steps: Told how each hop ended.
    """

    def __init__(self, gateway: str, session: MeterSession, steps: Steps) -> None:
        self._gateway = gateway
        self._session = session
        self._meter = session.meter
        self._steps = steps

    async def run(self) -> None:
        """Make all hops, or raise `NotPassed` after the one that the others need."""
        session = self._session
        await self._public()
        steps = self._steps
        try:
            async with session.reading() as reading:
                steps.passed(Hop.ASSOCIATION, "opened, authenticated")
                self._name(reading.identity.logical_device_name)
                self._clock(reading.clock, reading.policy.limit_s)
                await self._registers(reading)
                await self._relay(reading)
        except WrongMeter as error:
            steps.passed(Hop.ASSOCIATION, "opened, authenticated")
            raise steps.failed(Hop.NAME, str(error)) from error
        except MeterFailed as error:
            raise steps.failed(Hop.ASSOCIATION, f"{error.hop}: {error}") from error
        await self._management()

    async def _public(self) -> None:
        steps = self._steps
        try:
            await _opened_publicly(self._gateway, self._session)
        except MeterFailed as error:
            if error.hop in _LINE_HOPS:
                raise steps.failed(Hop.LINE, str(error)) from error
            steps.passed(Hop.LINE, "open")
            if error.hop in _LINK_HOPS:
                raise steps.failed(Hop.LINK, str(error)) from error
            steps.passed(Hop.LINK, "the meter answers")
            steps.left_out(Hop.PUBLIC, str(error), ADVICE[Hop.PUBLIC])
        else:
            steps.passed(Hop.LINE, "open")
            steps.passed(Hop.LINK, "the meter answers")
            steps.passed(Hop.PUBLIC, "opened and released")

    def _name(self, found: str) -> None:
        if self._meter.logical_device_name is None:
            line = f'logical_device_name = "{found}"'
            why = f"the meter is {found!r}; gateway.toml names none"
            self._steps.failed(Hop.NAME, why, f"Compare with the plate, then add: {line}")
        else:
            self._steps.passed(Hop.NAME, found)

    def _clock(self, clock: MeterTime, limit_s: float) -> None:
        text = f"{clock.drift_s:+.0f} s against this gateway"
        if clock.names_no_time:
            self._steps.failed(Hop.CLOCK, "the meter's clock names no time: it was never set")
        elif clock.quality:
            self._steps.failed(Hop.CLOCK, f"the meter flags its own clock as wrong ({text})")
        elif abs(clock.drift_s) > limit_s:
            self._steps.failed(Hop.CLOCK, f"{text}, more than {limit_s:g} s")
        else:
            self._steps.passed(Hop.CLOCK, text)

    async def _registers(self, reading: Reading) -> None:
        try:
            snapshot = await reading.snapshot()
            profile = reading.template.objects.load_profile
            shape = None if profile is None else await reading.shape(profile)
        except MeterFailed as error:
            self._steps.failed(Hop.REGISTERS, f"{error.hop}: {error}")
            return
        found = [
            _shown(quantity, value)
            for quantity, value in zip(snapshot.quantities, snapshot.values, strict=True)
        ][:SHOWN_MAX]
        if shape is not None:
            found.append(f"load profile every {shape.capture_period_s} s")
        if found:
            self._steps.passed(Hop.REGISTERS, ", ".join(found))
        else:
            self._steps.failed(Hop.REGISTERS, "the meter has none of the template's registers")

    async def _relay(self, reading: Reading) -> None:
        where = reading.template.objects.disconnect_control
        if where is None:
            self._steps.left_out(Hop.RELAY, "meters of this template have no relay")
            return
        try:
            state = await relay.read_relay(reading.association, where, time.time)
        except MeterFailed as error:
            self._steps.failed(Hop.RELAY, f"{error.hop}: {error}")
            return
        text = "supply connected" if state.output else "supply disconnected"
        self._steps.passed(Hop.RELAY, f"{text} (control state {state.control})")

    async def _management(self) -> None:
        engine = self._session.template.engine
        if engine != "hesper":
            self._steps.left_out(Hop.MANAGEMENT, f"engine {engine} only reads: no commands")
            return
        try:
            async with self._session.reading("management"):
                pass
        except MeterFailed as error:
            self._steps.failed(Hop.MANAGEMENT, f"{error.hop}: {error}")
        else:
            self._steps.passed(Hop.MANAGEMENT, "opened and released, nothing was written")


async def _opened_publicly(gateway: str, session: MeterSession) -> None:
    meter, template = session.meter, session.template
    title = client_system_title(gateway)
    credentials = Credentials(meter_keys.load(meter.keys_file), title, None, {})
    channel = await session.line.open(meter, template.times.connect_s)
    broken = True
    try:
        client = client_for(meter, template, "public", credentials)
        association = OwnAssociation(client, channel, template.times)
        await association.connect()
        with suppress(MeterFailed):
            await association.release()
            broken = False
    finally:
        await channel.release(broken)


def _shown(quantity: Quantity, value: int) -> str:
    try:
        unit = " " + Unit(quantity.unit).name.lower().replace("_", " ")
    except ValueError:
        unit = ""
    number = Decimal(value).scaleb(quantity.scaler)
    return f"{obis.text(quantity.logical_name)} = {number:f}{unit}"
