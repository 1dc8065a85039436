"""A modem that speaks AT on a pseudo-terminal, with a network and a meter behind it."""

import asyncio
import os
import pty
import re
import tty
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hesper_dlms import obis
from hesper_dlms.apdu import CosemAttribute
from hesper_dlms.client import AssociationSettings, Client
from hesper_dlms.mode_e import MeterSignOn
from hesper_gateway.config import MeterConfig, ModemConfig
from hesper_gateway.lines.channel import Channel, drive
from hesper_gateway.lines.ledger import Ledger
from hesper_gateway.lines.modem import ModemPort
from hesper_gateway.lines.modem_dialogues import Pace
from hesper_gateway.lines.sim_pin import SimPin
from hesper_sim import in_memory
from hesper_sim.fleet import FleetSettings

PACE = Pace(
    answer_s=0.5, settle_s=0.01, pause_s=0.05, looks=3, guard_s=0.02, message_s=0.5, call_s=0.5
)
START = 1_790_000_100


@dataclass
class AtModem:
    """What a modem with a SIM does; tests turn its knobs and read what it was asked.

    It echoes until told not to, and mixes what nobody asked for into its answers.
    """

    folder: Path
    sim: str = "READY"
    pin: str = "1234"
    registrations: list[int] = field(default_factory=lambda: [1])
    """Told one after another, the last for ever."""
    call_result: str = "CONNECT 9600"
    message_result: str = "+CMGS: 7\r\n\r\nOK"
    chatter: str = ""
    """Said before every answer."""
    mute: bool = False
    meter: Callable[[bytes], bytes] = lambda octets: octets[::-1]
    sign_on: MeterSignOn | None = None
    answers: dict[str, str] = field(default_factory=dict)
    """Command → what is said instead of the usual answer."""
    asked: list[str] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)
    calls: list[str] = field(default_factory=list)
    hangs_up_after: int | None = None
    """Says NO CARRIER in the midst of so many octets of a call."""
    in_call: bool = False
    texting: bool = False

    def __post_init__(self) -> None:
        self.link = self.folder / "modem"
        self._heard = b""
        self._echo = True
        self._sent = 0
        self.changed = asyncio.Event()
        self.plug_in()

    def plug_in(self) -> None:
        self._far, self._near = pty.openpty()
        tty.setraw(self._near)
        os.set_blocking(self._far, False)
        self.link.unlink(missing_ok=True)
        self.link.symlink_to(os.ttyname(self._near))
        asyncio.get_running_loop().add_reader(self._far, self._readable)

    def unplug(self) -> None:
        if self._far < 0:
            return
        asyncio.get_running_loop().remove_reader(self._far)
        os.close(self._near)
        os.close(self._far)
        self._far = -1

    def say(self, text: str) -> None:
        os.write(self._far, f"\r\n{text}\r\n".encode())

    def drop_call(self) -> None:
        self.in_call = False
        self.say("NO CARRIER")

    async def until(self, condition: Callable[["AtModem"], object]) -> None:
        async with asyncio.timeout(60):
            while not condition(self):
                self.changed.clear()
                await self.changed.wait()

    def _readable(self) -> None:
        octets = os.read(self._far, 4096)
        if self.mute:
            return
        if self.in_call:
            self._pass_on(octets)
        else:
            self._heard += octets
            self._obey()
        self.changed.set()

    def _pass_on(self, octets: bytes) -> None:
        _, escape, after = octets.partition(b"+++")  # a busy machine reads more than that at once
        if escape:
            self.in_call = False
            self.say("OK")
            self._heard = after
            self._obey()
            return
        if self.sign_on is not None and not self.sign_on.signed_on:
            loop = asyncio.get_running_loop()
            for step in self.sign_on.receive(octets):  # the shortest reaction time of a meter
                loop.call_later(0.03, os.write, self._far, step.octets)
            return
        answer = self.meter(octets)
        self._sent += len(answer)
        if self.hangs_up_after is not None and self._sent > self.hangs_up_after:
            os.write(self._far, answer[: len(answer) // 2])
            self.drop_call()
            return
        os.write(self._far, answer)

    def _obey(self) -> None:
        while found := re.search(rb"\x1a|\x1b" if self.texting else rb"\r", self._heard):
            line = self._heard[: found.start()].decode("latin-1").removeprefix("\x1b")
            self._heard = self._heard[found.end() :]
            if self.texting:
                self.texting = False
                if found[0] == b"\x1b":
                    self.messages.pop()
                    continue
                self.messages[-1] += line
                self.say(self.message_result)
                continue
            if self._echo:
                os.write(self._far, line.encode() + b"\r")
            self.asked.append(line)
            self._answer(line)

    def _answer(self, line: str) -> None:
        if self.chatter:
            self.say(self.chatter)
        if line in self.answers:
            if self.answers[line]:
                self.say(self.answers[line])
            return
        match re.split(r"[=?\"]", line)[0]:
            case "ATE0":
                self._echo = False
                self.say("OK")
            case "AT+CPIN" if line == "AT+CPIN?":
                self.say(self.sim if "ERROR" in self.sim else f"+CPIN: {self.sim}\r\n\r\nOK")
            case "AT+CPIN":
                right = line == f'AT+CPIN="{self.pin}"'
                self.sim = "READY" if right else self.sim
                self.say("OK" if right else "+CME ERROR: 16")
            case "AT+CREG" | "AT+CEREG" if line.endswith("?"):
                self._tell_registration(line)
            case "AT+CGREG":
                self.say("ERROR")
            case "AT+CSQ":
                self.say("+CSQ: 18,99\r\n\r\nOK")
            case "AT+COPS" if line.endswith("?"):
                self.say('+COPS: 0,0,"Test Net",7\r\n\r\nOK')
            case "AT+CMGS":
                self.texting = True
                self.messages.append(line.split('"')[1] + ": ")
                os.write(self._far, b"\r\n> ")
            case _ if line.startswith("ATD"):
                self._dial(line[3:])
            case _:
                self.say("OK")

    def _tell_registration(self, line: str) -> None:
        told = self.registrations
        stat = told[0]
        if line == "AT+CEREG?":
            self.say("+CEREG: 0,0\r\n\r\nOK")
            if len(told) > 1:
                del told[0]
            return
        self.say(f"+CREG: 1,{stat}\r\n\r\nOK")

    def _dial(self, number: str) -> None:
        self.calls.append(number)
        self._sent = 0
        self.in_call = self.call_result.startswith("CONNECT")
        if self.call_result:
            self.say(self.call_result)


@pytest.fixture
async def modem(tmp_path: Path):
    modem = AtModem(tmp_path)
    yield modem
    modem.unplug()


class Time:
    """A wall clock that tests turn."""

    def __init__(self) -> None:
        self.now: float = START

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def wall() -> Time:
    return Time()


@pytest.fixture
def ledger(database, wall) -> Ledger:
    return Ledger(database, wall)


@pytest.fixture
async def port_on(modem, ledger, gateway_key, tmp_path):
    """Makes our side of the modem: `port_on(calls_per_hour=1)`."""
    key = tmp_path / "gateway.key"
    gateway_key.save(key)
    ports: list[ModemPort] = []

    def make(**settings) -> ModemPort:
        config = ModemConfig(name="gsm", path=modem.link, **settings)
        if ports:  # a restart: the one before has let go of the port
            ports[-1].close()
        pin = SimPin(config.name, config.pin_file, key, ledger)
        ports.append(ModemPort(config, ledger, pin, PACE))
        return ports[-1]

    yield make
    for port in ports:
        port.close()


@pytest.fixture
def meter_config() -> Callable[..., MeterConfig]:
    def make(number: int = 1, **settings) -> MeterConfig:
        return MeterConfig(
            id=f"M{number}", line="l", template="hesper-sim", phone=f"+49151{number:04}", **settings
        )

    return make


@pytest.fixture
def simulated() -> in_memory.InMemory:
    """A simulated meter that talks HDLC."""
    fleet = FleetSettings(tcp=0, shared=0, dial_in=0, rs485=1, push=False)
    (meter,) = in_memory.meters(fleet, lambda: START, history_days=1).values()
    return meter


async def name_read(channel: Channel, meter: in_memory.InMemory) -> bytes:
    """Read the logical device name through the public client."""
    plan = meter.server.meter.plan
    settings = AssociationSettings(server_address=plan.server_address)
    client = Client(settings.over_hdlc(plan.physical_address), settings)
    attribute = CosemAttribute(1, obis.LOGICAL_DEVICE_NAME, 2)

    def whole():
        yield from client.connect()
        name = yield from client.get(attribute)
        yield from client.release()
        return name.as_octets()

    return await drive(channel, whole(), answer_s=1, exchange_s=3)


@pytest.fixture
def read_name() -> Callable[..., object]:
    return name_read
