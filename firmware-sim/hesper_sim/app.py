"""Bringing a fleet up: sockets, pseudo-terminals, the latch clock, and a clean stop.

`serve` runs everything in one TaskGroup until SIGTERM or SIGINT. When all of it listens, one JSON
line says where.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from hesper_sim import capture, credentials, memory, outgoing, schedule
from hesper_sim.conductor import Conductor
from hesper_sim.control import Control
from hesper_sim.district import District
from hesper_sim.fleet import Access, Fleet, LinePlan, PushLink
from hesper_sim.journal import read
from hesper_sim.optical_line import OpticalLine
from hesper_sim.orders import CONTROL_NAME
from hesper_sim.outgoing import Outgoing
from hesper_sim.pty_port import PtyPort
from hesper_sim.replay import Replay
from hesper_sim.scenario import Scenario
from hesper_sim.serial_line import SerialLine
from hesper_sim.served import MeterServer
from hesper_sim.tcp import OwnPort, SharedPort, dial, serial_server
from hesper_sim.udp import DatagramPort

Port = Callable[[MeterServer], asyncio.Protocol]
"""Makes the end of a connection to one meter."""
_DATA_PUSH: Final = "data-push"
_BACKLOG: Final = 512
_MOST_TOLD: Final = 100
_ATTEND_S: Final = 0.5


@dataclass(frozen=True, slots=True)
class Options:
    """How to run: where the state is kept, how often meters latch, how much past they have."""

    state: Path
    capture_period_s: int = 900
    history_days: int = 30
    scenario: Scenario | None = None


class Simulator:
    """A running fleet; everything it opens is closed by `stack`."""

    def __init__(self, fleet: Fleet, options: Options, stack: AsyncExitStack) -> None:
        self.fleet = fleet
        self.options = options
        self.listeners: dict[str, str] = {}
        self.ports: dict[str, str] = {}
        self.serial_lines: dict[str, SerialLine] = {}
        self.replays: list[Replay] = []
        self.conductor: Conductor | None = None
        self.outgoing: Outgoing | None = None
        self._stack = stack
        loop = asyncio.get_running_loop()
        self.district: District = memory.wake(
            fleet, options.state, options.capture_period_s, options.history_days, time.time
        )
        self.district.later = loop.call_later
        stack.callback(self.district.close)
        self.servers = {
            serial: MeterServer(self.district, meter)
            for serial, meter in self.district.meters.items()
        }

    async def open(self) -> None:
        """Open every listener and pseudo-terminal; OSError when an address is taken."""
        for line in self.fleet.lines:
            if line.access is Access.TCP:
                await self._listen_own(line)
            elif line.access is Access.SHARED:
                await self._listen_shared(line)
            elif line.access is Access.RS485:
                self._open_serial(line, Access.RS485)
            elif line.access is Access.HDLC_TCP:
                await self._listen_own(line, serial_server)
            elif line.access is Access.OPTICAL:
                head = self._open_port(line.path_name, hold_open=True)
                OpticalLine(head, self._only_server(line)).start()
            elif line.access is Access.UDP:
                await self._listen_udp(line)
        if self.fleet.settings.push:
            self._open_pushes()
        if self.options.scenario is not None:
            self.conductor = Conductor(self.options.scenario, self.district, self.serial_lines)
        if outgoing.is_wanted(self.district):
            over_tcp = self.fleet.settings.data_push_link is PushLink.WRAPPER
            port = None if over_tcp else self._open_port(_DATA_PUSH, hold_open=False)
            self.outgoing = Outgoing(self.district, list(self.servers.values()), port)
        await self._open_control()

    def start(self, group: asyncio.TaskGroup) -> None:
        """Start the clock, the calls and the replays."""
        group.create_task(latch_for_ever(self.district), name="latch")
        group.create_task(attend_for_ever(self.district), name="attend")
        if self.outgoing is not None:
            group.create_task(self.outgoing.run(), name="pushes")
        if self.conductor is not None:
            group.create_task(self.conductor.run(), name="scenario")
        settings = self.fleet.settings
        if settings.dial_in_port:
            for server in self._behind(Access.DIAL_IN):
                calling = dial(server, settings.dial_in_host, settings.dial_in_port)
                group.create_task(calling, name=f"dial {server.meter.serial}")
        for number, replay in enumerate(self.replays, 1):
            group.create_task(replay.run(settings.replay_s), name=f"replay {number}")

    def ready(self) -> dict[str, Any]:
        """Return the ready line."""
        return {
            "ready": True,
            "pid": os.getpid(),
            "meters": len(self.servers),
            "capture_period_s": self.options.capture_period_s,
            "born_at": self.district.history.born_at,
            "listeners": self.listeners,
            "serial": self.ports.get("rs485"),
            "ports": self.ports,
            "control": str(self.options.state / CONTROL_NAME),
            "fleet": [
                credentials.summary(self.district, server.meter)
                | {"reach": self._reach(server.meter.plan.line)}
                for server in self._told()
            ],
        }

    def _told(self) -> list[MeterServer]:
        return list(self.servers.values())[:_MOST_TOLD]

    def _reach(self, line: str) -> str:
        return self.listeners.get(line) or self.ports.get(line) or line

    def _behind(self, access: Access) -> list[MeterServer]:
        return [server for server in self.servers.values() if server.meter.plan.access is access]

    async def _listen_own(self, line: LinePlan, port: Port = OwnPort) -> None:
        server = self._only_server(line)
        listener = await asyncio.get_running_loop().create_server(
            lambda: port(server), line.host, line.port, backlog=_BACKLOG
        )
        self._keep(line, listener)

    async def _listen_udp(self, line: LinePlan) -> None:
        server = self._only_server(line)
        transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
            lambda: DatagramPort(server), (line.host, line.port)
        )
        self._stack.callback(transport.close)
        host, port = transport.get_extra_info("sockname")[:2]
        self.listeners[line.name] = f"{host}:{port}"

    def _only_server(self, line: LinePlan) -> MeterServer:
        return self.servers[next(self.fleet.on_line(line.name)).serial]

    async def _listen_shared(self, line: LinePlan) -> None:
        servers = {
            plan.server_address: self.servers[plan.serial] for plan in self.fleet.on_line(line.name)
        }
        listener = await asyncio.get_running_loop().create_server(
            lambda: SharedPort(servers), line.host, line.port, backlog=_BACKLOG
        )
        self._keep(line, listener)

    def _keep(self, line: LinePlan, listener: asyncio.Server) -> None:
        self._stack.callback(listener.close)
        host, port = listener.sockets[0].getsockname()[:2]
        self.listeners[line.name] = f"{host}:{port}"

    def _open_serial(self, line: LinePlan, access: Access) -> None:
        port = self._open_port(line.path_name, hold_open=True)
        serial_line = SerialLine(port, self._behind(access))
        serial_line.start()
        self.serial_lines[line.name] = serial_line

    def _open_pushes(self) -> None:
        captures = capture.load_all()
        journal = read(self.options.state / memory.JOURNAL_NAME)
        already = {record["meter"] for record in journal if record["k"] == "push"}
        for name in sorted({each.push_line for each in captures}):
            port = self._open_port(name, hold_open=False)
            chosen = [each for each in captures if each.push_line == name]
            self.replays.append(Replay(self.district, port, chosen, already))

    def _open_port(self, name: str, *, hold_open: bool) -> PtyPort:
        port = PtyPort(self.options.state / name, hold_open=hold_open)
        self._stack.callback(port.close)
        self.ports[name] = str(port.link)
        return port

    async def _open_control(self) -> None:
        path = self.options.state / CONTROL_NAME
        path.unlink(missing_ok=True)
        control = Control(self.district, self.serial_lines, self.conductor)
        server = await asyncio.start_unix_server(control.serve, path)
        path.chmod(0o600)
        self._stack.callback(path.unlink, missing_ok=True)
        self._stack.callback(server.close)


async def latch_for_ever(district: District) -> None:
    """Latch at every boundary of the capture period; one that was slept through is made up for."""
    period = district.history.capture_period_s
    latched = (meter.profile.last_at or 0 for meter in district.meters.values())
    last = max([(district.now() - 1) // period * period, *latched])
    while True:
        await asyncio.sleep(max(last + period - district.clock(), 0))
        due = range(last + period, district.now() + 1, period)
        if due:
            district.latch(due)
            last = due[-1]


async def attend_for_ever(district: District) -> None:
    """Let meters do what is due by their own schedules."""
    while True:
        await asyncio.sleep(_ATTEND_S)
        schedule.attend(district)


async def serve(fleet: Fleet, options: Options, announce: Callable[[dict[str, Any]], None]) -> None:
    """Run a fleet until the process is asked to stop; `announce` gets the ready line."""
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    async with AsyncExitStack() as stack:
        simulator = Simulator(fleet, options, stack)
        await simulator.open()
        async with asyncio.TaskGroup() as group:
            running = group.create_task(_run(simulator), name="simulator")
            announce(simulator.ready())
            await stopped.wait()
            running.cancel()


async def _run(simulator: Simulator) -> None:
    async with asyncio.TaskGroup() as group:
        simulator.start(group)
