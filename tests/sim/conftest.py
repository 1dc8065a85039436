"""A simulator as a real process, and clients that talk to it over sockets and pseudo-terminals."""

from __future__ import annotations

import itertools
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hesper_dlms import obis
from hesper_dlms.apdu import CosemAttribute
from hesper_dlms.client import AssociationSettings, Authentication, Client, SecuritySettings
from hesper_dlms.exchange import Exchange
from hesper_sim import journal
from hesper_sim.cli import ask
from hesper_sim.fleet import Fleet, FleetSettings, MeterPlan, plan

CLIENT_TITLE = b"HSPGW\x00\x00\x01"
DEADLINE_S = 60.0
# One for all clients: two that follow each other quickly never use a counter twice.
COUNTERS = itertools.count(1)


class Channel:
    """A file descriptor that exchanges are driven over."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self.requests = 0

    def write(self, octets: bytes) -> None:
        self.requests += 1
        while octets:
            octets = octets[os.write(self._descriptor, octets) :]

    def read(self, timeout: float) -> bytes:
        ready, _, _ = select.select([self._descriptor], [], [], timeout)
        return os.read(self._descriptor, 65536) if ready else b""

    def run(self, exchange: Exchange[Any], timeout: float = DEADLINE_S) -> Any:
        """Drive an exchange to its result."""
        octets = next(exchange)
        try:
            while True:
                if octets:
                    self.write(octets)
                octets = exchange.send(self.read(timeout))
        except StopIteration as end:
            return end.value


class Simulator:
    """One `hesper-sim serve` process on a state folder."""

    def __init__(self, folder: Path, settings: FleetSettings, *arguments: str) -> None:
        self.folder = folder
        self.fleet: Fleet = plan(settings)
        self.settings = settings
        self._arguments = arguments
        self._process: subprocess.Popen[str] | None = None
        self.ready: dict[str, Any] = {}

    @property
    def state(self) -> Path:
        return self.folder / "state"

    def start(self) -> None:
        fleet_file = self.folder / "fleet.toml"
        fleet_file.write_text(self.settings.to_toml())
        command = [
            sys.executable,
            "-m",
            "hesper_sim",
            "serve",
            "--json",
            "--fleet",
            str(fleet_file),
        ]
        command += ["--state", str(self.state), *self._arguments]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the simulator did not come up"
        self.ready = json.loads(line)

    def stop(self, number: int = signal.SIGTERM) -> int:
        assert self._process is not None
        if self._process.poll() is None:
            self._process.send_signal(number)
        code = self._process.wait(DEADLINE_S)
        if self._process.stdout is not None:
            self._process.stdout.close()
        return code

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def ask(self, **request: Any) -> dict[str, Any]:
        return ask(self.state, request)

    def journal(self, kind: str) -> list[journal.Record]:
        records = journal.read(self.state / "journal.jsonl")
        return [record for record in records if record["k"] == kind]

    @contextmanager
    def channel(self, meter: MeterPlan) -> Iterator[Channel]:
        """Open the way to a meter: a TCP connection or the serial line."""
        if meter.line in self.ready["listeners"]:
            host, port = self.ready["listeners"][meter.line].split(":")
            with socket.create_connection((host, int(port)), timeout=5) as connection:
                yield Channel(connection.fileno())
        else:
            descriptor = os.open(self.ready["serial"], os.O_RDWR | os.O_NOCTTY)
            try:
                yield Channel(descriptor)
            finally:
                os.close(descriptor)


def make_client(
    meter: MeterPlan, address: int = 1, received_counters: dict[bytes, int] | None = None
) -> Client:
    """Return a client of a meter: 16 public, 2 reading, 1 management."""
    authentication = {16: Authentication.NONE, 2: Authentication.LOW}.get(
        address, Authentication.HIGH_GMAC
    )
    security = SecuritySettings(0, meter.encryption_key, meter.authentication_key)
    settings = AssociationSettings(
        client_address=address,
        server_address=meter.server_address,
        authentication=authentication,
        password=meter.password.encode() if address == 2 else None,
        system_title=CLIENT_TITLE if address == 1 else None,
        security=security if address == 1 else None,
        invocation_counter=lambda: next(COUNTERS),
        received_counters=received_counters,
        meter_system_title=meter.system_title if address == 1 else None,
    )
    if meter.physical_address is None:
        return Client(settings.over_wrapper(), settings)
    return Client(settings.over_hdlc(meter.physical_address), settings)


@pytest.fixture
def client() -> Callable[..., Client]:
    """Make clients: `client(meter, address)`."""
    return make_client


@pytest.fixture
def channel_over() -> Callable[[int], Channel]:
    """Drive exchanges over a file descriptor."""
    return Channel


@pytest.fixture
def associated() -> Callable[..., Any]:
    """Associate for a block: `with associated(simulator, meter) as (channel, client)`."""

    @contextmanager
    def associate(
        simulator: Simulator, meter: MeterPlan, address: int = 1
    ) -> Iterator[tuple[Channel, Client]]:
        with simulator.channel(meter) as channel:
            client = make_client(meter, address)
            channel.run(client.connect())
            yield channel, client
            channel.run(client.release())

    return associate


StartSimulator = Callable[..., Simulator]


@contextmanager
def simulators() -> Iterator[StartSimulator]:
    """Start simulators in folders of their own, and remove all of it at the end."""
    running: list[Simulator] = []
    folders: list[str] = []

    def start(settings: FleetSettings, *arguments: str) -> Simulator:
        folders.append(tempfile.mkdtemp(prefix="hsp"))
        simulator = Simulator(Path(folders[-1]), settings, *arguments)
        running.append(simulator)
        simulator.start()
        return simulator

    yield start
    for simulator in running:
        simulator.stop(signal.SIGKILL)
    for folder in folders:
        shutil.rmtree(folder)


@pytest.fixture
def start_simulator() -> Iterator[StartSimulator]:
    """Start simulators for one test: `start_simulator(settings, *arguments)`."""
    with simulators() as start:
        yield start


@pytest.fixture(scope="module")
def start_shared_simulator() -> Iterator[StartSimulator]:
    """Start simulators that the tests of a module share; each leaves them as it found them."""
    with simulators() as start:
        yield start


@pytest.fixture
def wait_until() -> Callable[[Callable[[], Any]], Any]:
    """Wait for a condition to be true, up to a deadline; returns its value."""

    def wait(condition: Callable[[], Any]) -> Any:
        end = time.monotonic() + DEADLINE_S
        while time.monotonic() < end:
            value = condition()
            if value:
                return value
            time.sleep(0.02)
        raise AssertionError("the condition did not come true in time")

    return wait


@pytest.fixture
def attribute() -> Callable[[int, str], CosemAttribute]:
    """Name attributes shortly: `attribute(3, "1.0.1.8.0.255")`."""

    def named(class_id: int, logical_name: str, number: int = 2) -> CosemAttribute:
        return CosemAttribute(class_id, obis.parse(logical_name), number)

    return named
