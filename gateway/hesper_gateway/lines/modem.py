"""A modem on a serial port: the thin shell that drives its dialogues.

Theory of operation
-------------------
One user at a time has the modem: a call (until it is given back), a message, or the look at the
network once a minute. A call that was given back in order is kept for `linger_s`, because the next
association with the same meter mostly follows at once; whoever else wants the modem ends it.

    closed ──open, reset, SIM──→ ready ──ATD──→ in call ──given back──→ lingering
       ▲                           ▲               │ broken                │ time over, others wait
       └── silence, port gone ─────┴── +++ ATH ◀───┴───────────────────────┘

A modem that does not answer is closed, which drops DTR and with it any call, and is set up anew
when it is next wanted. A SIM that cannot be used is told as an alarm; a PIN is tried once.
"""

import asyncio
import logging
from collections.abc import Callable
from math import ceil
from typing import TypeVar

from hesper_contracts.status import ModemStatus

from hesper_gateway.config import MeterConfig, ModemConfig
from hesper_gateway.errors import LineDown
from hesper_gateway.lines.at import (
    CallFailed,
    Dialogue,
    ModemFailed,
    NotRegistered,
    SimUnusable,
)
from hesper_gateway.lines.dial_limits import DialOut, Limits
from hesper_gateway.lines.ledger import Ledger
from hesper_gateway.lines.modem_call import Call
from hesper_gateway.lines.modem_dialogues import Modem, Network, Pace
from hesper_gateway.lines.serial_port import SerialPort, open_port
from hesper_gateway.lines.sim_pin import SimPin

log = logging.getLogger(__name__)

T = TypeVar("T")

LOOK_EVERY_S = 60.0
OPEN_S = 10.0


class ModemPort:
    """One modem, shared by the lines that call or wake meters through it.

    Args:
        config: From gateway.toml.
        ledger: Where calls and messages are written down before they are made.
        pin: Of its SIM.
        pace: How long the modem may take.
    """

    def __init__(
        self, config: ModemConfig, ledger: Ledger, pin: SimPin, pace: Pace | None = None
    ) -> None:
        self.config = config
        self.network = Network()
        self.usable: bool | None = None
        """Whether it answered when last looked at; None before the first look."""
        self.on_alarm: Callable[[str, str], None] = _nobody_is_told
        """Told a code and a text that a person must see."""
        self._pace = pace or Pace()
        self._ledger = ledger
        self._pin = pin
        self._turn = asyncio.Lock()
        self._wanted = 0
        self._changed = asyncio.Event()
        self._modem = Modem(self._pace)
        self._port: SerialPort | None = None
        self._call: Call | None = None

    def status(self) -> ModemStatus:
        """Return how the modem was when it was last looked at."""
        network = self.network
        return ModemStatus(
            name=self.config.name,
            registration=str(network.registration) if self.usable else "",
            operator=network.operator,
            signal_dbm=network.signal_dbm,
        )

    async def run(self) -> None:
        """Look at the network now and then, and end calls that nobody took up again; for ever."""
        loop = asyncio.get_running_loop()
        look_at = loop.time()
        while True:
            self._changed.clear()
            call = self._call
            if call is not None and call.idle_since is not None:
                due = call.idle_since + call.linger_s
                if loop.time() >= due:
                    await self._end_idle(call)
                    continue
            else:
                due = look_at
                if call is None and loop.time() >= due:
                    await self._look()
                    look_at = loop.time() + LOOK_EVERY_S
                    continue
            await self._until(None if call is not None and call.idle_since is None else due)

    async def dial(self, meter: MeterConfig, linger_s: float) -> Call:
        """Call a meter, or take up the call with it that was kept.

        Raises:
            DialLimit: its cell has had its calls.
            CallFailed: it did not answer.
            ModemFailed: the modem, its SIM or the network is not ready.
        """
        await self._enter()
        in_call = False
        try:
            call = self._call
            if call is not None and call.meter_id == meter.id and await call.still_stands():
                call.idle_since = None
            else:
                await self._hang_up()
                call = await self._connect(meter, linger_s)
            in_call = True
            return call
        finally:
            if not in_call:
                self._leave()

    async def send_message(self, meter: MeterConfig, text: str) -> None:
        """Send a short message to a meter's modem.

        Raises:
            DialLimit: its cell has had its messages.
            ModemFailed: not sent; after a silence it may have been.
        """
        config = self.config
        limits = Limits(config.messages_per_hour, config.messages_per_day)
        await self._enter()
        try:
            await self._hang_up()
            await self._make_ready()
            await self._ledger.spend(DialOut.MESSAGE, self._cell(meter), meter.id, limits)
            await self._talk(self._modem.send_message(meter.phone or "", text))
        finally:
            self._leave()

    async def give_back(self, call: Call, broken: bool) -> None:
        """Take a call back from who had it; a broken one ends."""
        try:
            if broken or call.lost or self._wanted:
                await self._hang_up()
            else:
                call.idle_since = asyncio.get_running_loop().time()
        finally:
            self._leave()

    def close(self) -> None:
        """Close the port, which drops DTR and so ends a call."""
        call, self._call = self._call, None
        if call is not None:
            self._count(call)
        self._drop_port()

    async def _connect(self, meter: MeterConfig, linger_s: float) -> Call:
        config = self.config
        await self._make_ready()
        limits = Limits(config.calls_per_hour, config.calls_per_day)
        await self._ledger.spend(DialOut.CALL, self._cell(meter), meter.id, limits)
        speed = await self._talk(self._modem.dial(meter.phone or ""))
        log.debug("%s: connected %s", meter.id, speed)
        port = self._opened()
        call = Call(self.give_back, port, meter.id, linger_s, self._modem.port.take_data())
        self._call = call
        return call

    def _cell(self, meter: MeterConfig) -> str:
        return meter.cell or self.config.name

    async def _make_ready(self) -> None:
        await self._set_up()
        await self._talk(self._modem.await_network())

    async def _set_up(self) -> None:
        """Open the port and bring the modem up; nothing when it is up."""
        if self._port is not None and not self._port.lost:
            return
        config = self.config
        try:
            async with asyncio.timeout(OPEN_S):
                self._port = await open_port(config.path, config.baudrate, "8N1")
        except TimeoutError as error:
            raise ModemFailed(f"{config.path}: not open within {OPEN_S:g} s") from error
        except LineDown as error:
            raise ModemFailed(str(error)) from error
        self._modem = Modem(self._pace)
        is_up = False
        try:
            await self._talk(self._modem.start(config.commands))
            await self._open_sim()
            is_up = True
        finally:
            if not is_up:
                self._drop_port()

    async def _open_sim(self) -> None:
        if await self._talk(self._modem.sim()):
            await self._pin.accepted()
            return
        pin = await self._pin.take()
        try:
            await self._talk(self._modem.enter_pin(pin))
        except SimUnusable:
            await self._pin.refused()
            raise
        await self._pin.accepted()

    async def _look(self) -> None:
        """Set the modem up if need be and ask for its network; tell when it goes and comes."""
        await self._enter()
        try:
            await self._hang_up()
            await self._set_up()
            self.network = await self._talk(self._modem.network())
        except LineDown as error:
            self.network = Network()
            if self.usable is not False:
                log.warning("modem %s: down: %s", self.config.name, error)
            self.usable = False
            self._alarm(error)
        else:
            if not self.usable:
                log.info("modem %s: ready, %s", self.config.name, self.network.registration)
            self.usable = True
        finally:
            self._leave()

    def _alarm(self, error: LineDown) -> None:
        if isinstance(error, SimUnusable):
            self.on_alarm("gateway.sim_unusable", f"modem {self.config.name}: {error}")

    async def _talk(self, dialogue: Dialogue[T]) -> T:
        """Drive a dialogue to its end; a modem that fell silent is closed."""
        port, loop = self._opened(), asyncio.get_running_loop()
        finished = False
        try:
            step, deadline = next(dialogue), 0.0
            while True:
                if step.octets:
                    port.drop_arrived()  # it answers nothing that is asked from now on
                    await port.write(step.octets, step.timeout_s)
                if step.timeout_s:
                    deadline = loop.time() + step.timeout_s
                left_s = deadline - loop.time()
                step = dialogue.send(await port.read(left_s) if left_s > 0 else b"")
        except StopIteration as end:
            finished = True
            result: T = end.value
            return result
        except (ModemFailed, CallFailed) as error:
            # Other answers than hoped for leave the modem as it is. One without a network may
            # have started anew by itself, and its SIM asks for the PIN.
            finished = type(error) not in (ModemFailed, NotRegistered)
            raise
        except LineDown as error:
            raise ModemFailed(f"modem {self.config.name}: {error}") from error
        finally:
            dialogue.close()
            if not finished:
                self._drop_port()

    async def _hang_up(self) -> None:
        call, self._call = self._call, None
        if call is None:
            return
        self._count(call)
        if call.carrier_lost:
            return
        if self._port is not None and not self._port.lost:
            try:
                await self._talk(self._modem.hang_up())
            except LineDown as error:
                log.debug("modem %s: closed to hang up: %s", self.config.name, error)
                self._drop_port()

    async def _end_idle(self, call: Call) -> None:
        await self._enter()
        try:
            if self._call is call and call.idle_since is not None:
                await self._hang_up()
        finally:
            self._leave()

    async def _until(self, due: float | None) -> None:
        try:
            async with asyncio.timeout_at(due):
                await self._changed.wait()
        except TimeoutError:
            return

    async def _enter(self) -> None:
        self._wanted += 1
        try:
            await self._turn.acquire()
        finally:
            self._wanted -= 1

    def _leave(self) -> None:
        self._turn.release()
        self._changed.set()

    def _opened(self) -> SerialPort:
        if self._port is None:
            raise ModemFailed(f"modem {self.config.name} is closed")
        return self._port

    def _count(self, call: Call) -> None:
        seconds = ceil(asyncio.get_running_loop().time() - call.begun_at)
        self._ledger.of(call.meter_id).call_s += seconds

    def _drop_port(self) -> None:
        if self._port is not None:
            self._port.close()
            self._port = None


def _nobody_is_told(code: str, text: str) -> None:
    """Nobody listens to alarms yet."""
