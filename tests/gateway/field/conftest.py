"""A meter on our own DLMS server, behind real sockets and pseudo-terminals; a gateway around it."""

import asyncio
import os
import pty
import tty
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hesper_contracts.events import Event
from hesper_contracts.readings import Section
from hesper_dlms import axdr, obis
from hesper_dlms.apdu import (
    AccessSelection,
    CosemAttribute,
    CosemMethod,
    EntrySelector,
    RangeSelector,
    selector_of,
)
from hesper_dlms.apdu.descriptors import capture_object
from hesper_dlms.association import Authentication
from hesper_dlms.cosem_time import CosemDateTime
from hesper_dlms.errors import LinkError, ServiceError
from hesper_dlms.security import SecuritySettings
from hesper_dlms.server import (
    ClientRole,
    HdlcMultidrop,
    LogicalServer,
    ServerConnection,
    WrapperServerLink,
)
from hesper_dlms.units import ScalerUnit
from hesper_gateway import templates
from hesper_gateway.config import MeterConfig, Record, ScheduleConfig, SerialLine, TcpLine
from hesper_gateway.gathering import Gathering
from hesper_gateway.lines.line import Line
from hesper_gateway.lines.serial_port import SerialCarrier
from hesper_gateway.lines.tcp import TcpCarrier
from hesper_gateway.meter_keys import MeterKeys
from hesper_gateway.meter_state import MeterState
from hesper_gateway.schedule import Plan, Round, Stop
from hesper_gateway.sessions import Common, MeterSession, client_system_title
from hesper_gateway.visit import Visitor
from hesper_lab import ports

ENCRYPTION_KEY = bytes(range(16))
AUTHENTICATION_KEY = bytes(range(0xD0, 0xE0))
NAME = "HSP0112642984000"
SERIAL = "HES12642984"
TITLE = bytes.fromhex("4853500112642984")
START = 1_790_000_100
"""A quarter of an hour, in September 2026."""

Row = tuple[int, int, int, int]
"""captured_at, clock status, import Wh, export Wh."""


@dataclass
class BenchMeter:
    """Objects of one meter; tests reach in and turn its clock, fill its buffer, jam its relay."""

    now: Callable[[], float]
    name: str = NAME
    drift_s: float = 0
    period_s: int = 900
    sort_method: int = 1
    rows: list[Row] = field(default_factory=list)
    log: list[tuple[int, int]] = field(default_factory=list)
    registers: dict[str, tuple[int, int, int]] = field(
        default_factory=lambda: {"1.0.1.8.0.255": (5000, 0, 30), "1.0.32.7.0.255": (2301, -1, 35)}
    )
    columns: tuple[bytes, ...] = (obis.ACTIVE_ENERGY_IMPORT, obis.ACTIVE_ENERGY_EXPORT)
    output: bool = True
    jammed: bool = False
    asked: list[str] = field(default_factory=list)
    refuse_entry: bool = False
    declines: frozenset[str] = frozenset()
    before_buffer: Callable[[], None] = lambda: None
    last_received: Callable[[], int] = lambda: 0
    system_title = TITLE
    security = SecuritySettings(0, ENCRYPTION_KEY, AUTHENTICATION_KEY)
    clients = {  # noqa: RUF012 - the protocol wants a plain mapping
        16: ClientRole(),
        1: ClientRole(Authentication.HIGH_GMAC, ciphered=True),
    }

    def capture(self, count: int, first: int = START) -> None:
        """Fill the buffer with rows, one per capture period."""
        self.rows += [(first + self.period_s * n, 0, 1000 + 3 * n, 10 + n) for n in range(count)]

    def get(
        self, client: int, attribute: CosemAttribute, selection: AccessSelection | None
    ) -> bytes:
        name = obis.text(attribute.logical_name)
        self.asked.append(f"{client}:{name}:{attribute.attribute_id}")
        if client == 16 and name != "0.0.43.1.0.255":
            raise ServiceError(3)
        found = self._value(attribute, name, selection)
        if found is None or name in self.declines:
            raise ServiceError(4)
        return found if isinstance(found, bytes) else axdr.encode(found)

    def set(self, client: int, attribute: CosemAttribute, octets: bytes) -> None:
        raise ServiceError(3)

    def action(self, client: int, method: CosemMethod, octets: bytes | None) -> bytes | None:
        self.asked.append(f"{client}:{obis.text(method.logical_name)}:method {method.method_id}")
        if not self.jammed:
            self.output = method.method_id == 2
        return None

    def _value(self, attribute: CosemAttribute, name: str, selection: AccessSelection | None):
        match attribute.class_id, name, attribute.attribute_id:
            case 1, "0.0.42.0.0.255", 2:
                return axdr.octet_string(self.name.encode())
            case 1, "0.0.96.1.0.255", 2:
                return axdr.octet_string(SERIAL.encode())
            case 1, "1.0.0.2.0.255", 2:
                return axdr.octet_string(b"1.4.2")
            case 1, "0.0.43.1.0.255", 2:
                return axdr.double_long_unsigned(self.last_received())
            case 8, "0.0.1.0.0.255", 2:
                return axdr.octet_string(_clock(self.now() + self.drift_s))
            case 70, "0.0.96.3.10.255", 2:
                return axdr.boolean(self.output)
            case 70, "0.0.96.3.10.255", 3:
                return axdr.enum(int(self.output))
            case 7, "1.0.99.1.0.255", what:
                return self._profile(what, self.columns, 3, self.rows, self.period_s, selection)
            case 7, "0.0.99.98.0.255", what:
                rows = [(at, 0, code) for at, code in self.log]
                return self._profile(what, (obis.EVENT_CODE,), 1, rows, 0, selection)
            case 3, register, what if register in self.registers:
                value, scaler, unit = self.registers[register]
                if what == 2:
                    return _number(value)
                return ScalerUnit(scaler, unit).to_data()
            case 3, _, 3 if attribute.logical_name in self.columns:
                return ScalerUnit(0, 30).to_data()
        return None

    def _profile(self, what, columns, class_id, rows, period_s, selection):
        if what == 3:
            objects = [CosemAttribute(8, obis.CLOCK, 2)]
            objects += [CosemAttribute(class_id, name, 2) for name in columns]
            return axdr.array(*(capture_object(each) for each in objects))
        if what == 4:
            return axdr.double_long_unsigned(period_s)
        if what == 5:
            return axdr.enum(self.sort_method)
        self.before_buffer()
        chosen = self._chosen(rows, selection)
        return axdr.array(
            *(
                axdr.structure(
                    axdr.octet_string(_clock(at, status)),
                    *map(_number, values),
                )
                for at, status, *values in chosen
            )
        )

    def _chosen(self, rows, selection):
        if selection is None:
            return rows
        selector = selector_of(selection)
        if isinstance(selector, EntrySelector):
            if self.refuse_entry:
                raise ServiceError(3)
            return rows[selector.from_entry - 1 : selector.to_entry or None]
        assert isinstance(selector, RangeSelector)
        first, last = (
            moment.resolve(UTC).captured_at.timestamp() for moment in (selector.from_, selector.to)
        )
        return [row for row in rows if first <= row[0] <= last]


def _number(value: "int | axdr.Data") -> axdr.Data:
    return value if isinstance(value, axdr.Data) else axdr.double_long_unsigned(value)


def _clock(epoch_s: float, status: int = 0) -> bytes:
    moment = datetime.fromtimestamp(int(epoch_s), UTC)
    return CosemDateTime.from_datetime(moment, status=status).to_octets()


@dataclass
class Counter:
    next: int = 1

    def __call__(self) -> int:
        self.next += 1
        return self.next - 1

    def advance(self, at_least: int) -> None:
        self.next = max(self.next, at_least)


class Counters:
    """Invocation counters that last as long as the test."""

    def __init__(self) -> None:
        self.counters: dict[tuple[str, str], Counter] = {}

    def reserve(self, meter: str, key_name: str) -> Counter:
        return self.counters.setdefault((meter, key_name), Counter())


@dataclass
class Held:
    """An outbox that keeps what it is given, as the real one would in its database."""

    sections: list[Section] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    marks: dict[tuple[str, bytes], int] = field(default_factory=dict)
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    full: Exception | None = None
    refused: int = 0
    """How often somebody asked for room in vain."""

    async def require_room(self) -> None:
        if self.full:
            self.refused += 1
            self.changed.set()
            raise self.full

    async def append_readings(self, sections, progress=None) -> int:
        if self.full:
            raise self.full
        self.sections += sections
        self.marks.update(progress or {})
        self.changed.set()
        return len(self.sections)

    async def append_events(self, new, progress=None) -> int:
        self.events += new
        self.marks.update(progress or {})
        self.changed.set()
        return len(self.events)

    def last_capture(self, meter: str, profile: bytes) -> int | None:
        return self.marks.get((meter, profile))

    def rows(self, profile: bytes, meter: str = SERIAL) -> list[tuple[int | None, ...]]:
        """Return (captured_at, values…) of one meter in the order of arrival."""
        return [
            (at, *(column[index] for column in rows.values))
            for section in self.sections
            if section.profile == profile
            for rows in section.rows
            if rows.meter == meter
            for index, at in enumerate(rows.captured_at)
        ]

    async def until(self, condition: Callable[["Held"], object], within_s: float = 60) -> None:
        async with asyncio.timeout(within_s):
            while not condition(self):
                self.changed.clear()
                await self.changed.wait()


@dataclass
class Bench:
    """What tests of this folder share."""

    folder: Path
    time_s: float = START
    set_s: float = 0
    """By how much the gateway's clock was set so far; `time_s` is with it."""
    counters: Counters = field(default_factory=Counters)
    held: Held = field(default_factory=Held)
    connections: int = 0
    silent: bool = False
    released: int = 0
    """Connections whose other side ended them in order."""
    most_open: int = 0
    writers: set[asyncio.StreamWriter] = field(default_factory=set)
    """Of the connections that are open."""
    ended: asyncio.Event = field(default_factory=asyncio.Event)
    deaf: set[asyncio.StreamWriter] = field(default_factory=set)
    """Of those on which nothing is answered."""
    START = START
    NAME = NAME
    SERIAL = SERIAL
    TITLE = TITLE
    Meter = BenchMeter
    Held = Held

    def now(self) -> float:
        return self.time_s

    @property
    def open_count(self) -> int:
        return len(self.writers)

    async def hang_up(self) -> None:
        """End every connection from the meter's side."""
        for writer in self.writers:
            writer.close()
        await self.until_all_ended()

    async def until_all_ended(self) -> None:
        """Wait until no connection is open."""
        async with asyncio.timeout(60):
            while self.writers:
                self.ended.clear()
                await self.ended.wait()

    def meter(self, **settings) -> tuple[BenchMeter, LogicalServer]:
        meter = BenchMeter(self.now, **settings)
        server = LogicalServer(meter)
        meter.last_received = lambda: server.last_received_counter
        return meter, server

    def config(self, **settings) -> MeterConfig:
        settings = {"logical_device_name": NAME, "template": "hesper-sim"} | settings
        return MeterConfig(**({"id": SERIAL, "line": "test"} | settings))

    def common(self) -> Common:
        title = client_system_title("gw-test")
        return Common(self.counters, title, self.now, steady=lambda: self.time_s - self.set_s)

    def set_clock(self, by_s: float) -> None:
        """Set the gateway's clock, forward or back."""
        self.time_s += by_s
        self.set_s += by_s

    def session(
        self,
        line: Line,
        config: MeterConfig | None = None,
        *,
        changed: dict[str, Any] | None = None,
        answers_within_s: float = 30.0,
        **keys,
    ) -> MeterSession:
        """Return a session with a meter.

        `changed` says what differs in its template, `answers_within_s` for how long a meter may
        keep silent: short where it does so, for a busy machine makes every meter slow.
        """
        config = config or self.config()
        template = templates.load(config.template)
        changes = {"times": {}} | (changed or {})
        changes["times"] = {"answer_s": answers_within_s, "relay_s": 0.2} | changes["times"]
        updates = {
            table: getattr(template, table).model_copy(update=entries)
            if isinstance(getattr(template, table), Record)
            else entries
            for table, entries in changes.items()
        }
        template = template.model_copy(update=updates)
        held = MeterKeys(**({"encryption_key": ENCRYPTION_KEY} | keys))
        if "authentication_key" not in keys:
            held = replace(held, authentication_key=AUTHENTICATION_KEY)
        return MeterSession(config, template, held, line, self.common())

    @asynccontextmanager
    async def over_tcp(self, server: LogicalServer) -> AsyncIterator[Line]:
        """Serve a meter on a TCP port; yield the line to it."""

        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            self.connections += 1
            await self.serve(ServerConnection(server, WrapperServerLink(1)), reader, writer)

        listener = await asyncio.start_server(answer, "127.0.0.1", 0)
        port = listener.sockets[0].getsockname()[1]
        async with listener:
            config = TcpLine(name="test", kind="tcp", host="127.0.0.1", port=port)
            yield Line("test", TcpCarrier(config))

    async def serve(
        self,
        connection: ServerConnection,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        """Answer on one TCP connection until it ends; a silent bench answers nothing."""
        self.writers.add(writer)
        self.most_open = max(self.most_open, self.open_count)
        try:
            while octets := await reader.read(65536):
                answer = connection.receive(octets)
                if not self.silent and writer not in self.deaf:
                    writer.write(answer)
                    await writer.drain()
            self.released += 1
        except (LinkError, ConnectionError):
            pass
        finally:
            self.writers.discard(writer)
            self.ended.set()
            writer.close()

    @asynccontextmanager
    async def over_hdlc(self, servers: dict[int, LogicalServer]) -> AsyncIterator[Line]:
        """Serve meters on a pseudo-terminal, multi-drop; yield the line to them."""
        far, near = pty.openpty()
        tty.setraw(near)
        path = self.folder / "rs485"
        path.symlink_to(os.ttyname(near))
        bus = HdlcMultidrop(servers)
        os.set_blocking(far, False)
        loop = asyncio.get_running_loop()
        loop.add_reader(far, lambda: os.write(far, bus.receive(os.read(far, 65536))))
        carrier = SerialCarrier(SerialLine(name="test", kind="serial", path=path))
        try:
            yield Line("test", carrier)
        finally:
            await carrier.aclose()
            loop.remove_reader(far)
            os.close(far)
            os.close(near)


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.fixture
def free_port() -> int:
    """A TCP port on loopback that nothing listens on now."""
    return ports.free_port()


class Field:
    """A round over real lines, with everything that runs beside it."""

    def __init__(self, bench, schedule: ScheduleConfig) -> None:
        self.bench = bench
        self.schedule = schedule
        self.gathering = Gathering(bench.held, window_s=0.005)

    def stop(self, session) -> Stop:
        bench = self.bench
        visitor = Visitor(session, self.gathering, bench.held, bench.held, bench.now)
        state = MeterState(session.meter.id, self.schedule, bench.now)
        return Stop(visitor, Plan(self.schedule, 0.0), state)

    @asynccontextmanager
    async def going(self, name: str, *stops: Stop, beside=()):
        round_ = Round(name, stops, self.bench.held, self.bench.now)
        tasks = [asyncio.create_task(job) for job in (round_.run(), self.gathering.run(), *beside)]
        try:
            yield round_
        finally:
            for task in tasks:
                task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
            assert all(isinstance(each, asyncio.CancelledError) for each in ended), ended

    def later(self, round_: Round, seconds: float) -> None:
        """Let time pass and wake the round, as its own sleep would."""
        self.bench.time_s += seconds
        round_._nudged.set()


@pytest.fixture
def field(bench) -> Field:
    return Field(bench, ScheduleConfig(back_off_s=5, snapshot_s=60))
