"""A simulated meter on a real socket, and sessions whose APDUs the gurux engine writes."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest
from hesper_dlms.errors import LinkError
from hesper_dlms.server import HdlcMultidrop, ServerConnection, WrapperServerLink
from hesper_gateway import templates
from hesper_gateway.config import MeterConfig, TcpLine
from hesper_gateway.engines.gurux import Gurux
from hesper_gateway.engines.process import Engine
from hesper_gateway.lines.line import Line
from hesper_gateway.lines.tcp import TcpCarrier
from hesper_gateway.meter_keys import MeterKeys
from hesper_gateway.sessions import Common, MeterSession, client_system_title
from hesper_gateway.templates.model import AssociationTemplate, MeterTemplate
from hesper_sim import roles
from hesper_sim.district import District
from hesper_sim.fleet import FleetSettings, Roles, plan
from hesper_sim.history import History
from hesper_sim.journal import Forgetful
from hesper_sim.served import MeterServer

pytest.importorskip("gurux_dlms", reason="gurux-dlms is not installed")

NOW = 1_790_000_160
"""In September 2026."""
FLEET = FleetSettings(tcp=1, shared=0, dial_in=0, rs485=0, push=False, roles=Roles.ALL)
CLIENTS = {"none": 16, "low": 2, "high-md5": 3, "high-sha1": 4, "high-gmac": 1, "high-sha256": 6}


@dataclass
class Counters:
    """Counters that remember every number they gave."""

    given: list[int] = field(default_factory=list)
    step: int = 1

    def __post_init__(self) -> None:
        self._numbers = itertools.count(1, self.step)

    def __call__(self) -> int:
        self.given.append(next(self._numbers))
        return self.given[-1]

    def advance(self, at_least: int) -> None:
        self._numbers = itertools.count(max(at_least, *self.given, 0) + 1)

    def reserve(self, meter: str, key_name: str) -> "Counters":
        return self


@dataclass
class Site:
    """One simulated meter and one engine."""

    engine: Engine
    between: Callable[[bytes], bytes] = lambda octets: octets
    """What happens to the meter's answers on the way."""
    counters: Counters = field(default_factory=Counters)

    def __post_init__(self) -> None:
        history = History(NOW, 900, 2 * 86400)
        self.district = District(plan(FLEET), history, Forgetful(), self.now)
        (self.meter,) = self.district.meters.values()
        self.plan = self.meter.plan
        self.simulated = MeterServer(self.district, self.meter)

    def now(self) -> float:
        return NOW

    def template(self, authentication: str, link: str, **changes: Any) -> MeterTemplate:
        template = templates.load("hesper-sim" if link == "wrapper" else "hesper-sim-hdlc")
        reading = AssociationTemplate(
            client_address=CLIENTS[authentication],
            authentication=authentication,
            ciphered=authentication == "high-gmac",
        )
        changed = {
            "engine": "gurux",
            "associations": template.associations.model_copy(update={"reading": reading}),
            "times": template.times.model_copy(update={"answer_s": 1.0}),
        }
        return template.model_copy(update=changed | changes)

    def session(self, line: Line, template: MeterTemplate) -> MeterSession:
        config = MeterConfig(
            id=self.plan.serial,
            line="test",
            template=template.name,
            logical_device_name=self.plan.logical_device_name,
            server_address=self.plan.server_address,
            physical_address=17 if template.link.kind == "hdlc" else None,
        )
        role = template.associations.reading.authentication
        secret = self.plan.password.encode()
        if role.startswith("high"):
            secret = roles.hls_secret(FLEET.seed, self.plan)
        keys = MeterKeys(self.plan.encryption_key, self.plan.authentication_key, secret)
        common = Common(
            self.counters, client_system_title("gw"), self.now, other_engine=Gurux(self.engine)
        )
        return MeterSession(config, template, keys, line, common)

    @asynccontextmanager
    async def line(self, link: str = "wrapper") -> AsyncIterator[Line]:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            meter = (
                ServerConnection(self.simulated, WrapperServerLink(self.plan.server_address))
                if link == "wrapper"
                else HdlcMultidrop({17: self.simulated})
            )
            try:
                while octets := await reader.read(65536):
                    writer.write(self.between(meter.receive(octets)))
                    await writer.drain()
            except (LinkError, ConnectionError):
                pass
            finally:
                writer.close()

        listener = await asyncio.start_server(answer, "127.0.0.1", 0)
        async with listener:
            port = listener.sockets[0].getsockname()[1]
            config = TcpLine(name="test", kind="tcp", host="127.0.0.1", port=port)
            yield Line("test", TcpCarrier(config))


@pytest.fixture
async def engine() -> AsyncIterator[Engine]:
    engine = Engine()
    yield engine
    await engine.aclose()


@pytest.fixture
def site(engine: Engine) -> Site:
    return Site(engine)
