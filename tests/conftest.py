"""What tests of several parts share, all of it real.

A Mosquitto that a test starts, kills and wipes; our meters on loopback ports; the programs of
gurux_dlms, each a process of its own.
"""

import gc
import getpass
import json
import shutil
import socket
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator
from pathlib import Path
from typing import Any

import hypothesis
import pytest
from hesper_dlms.errors import LinkError
from hesper_dlms.server import HdlcServerLink, LogicalServer, ServerConnection, WrapperServerLink
from hesper_lab.ports import free_port
from paho.mqtt import client as mqtt
from paho.mqtt.enums import MQTTErrorCode

sys.path.insert(0, str(Path(__file__).parent))
pytest_plugins = ["database_servers", "longest_first"]

# The same examples in every run, and none fails because the machine is busy.
hypothesis.settings.register_profile(
    "hesper",
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[hypothesis.HealthCheck.too_slow],
)
hypothesis.settings.load_profile("hesper")

MOSQUITTO = shutil.which("mosquitto") or "/usr/sbin/mosquitto"
BROKER_DEADLINE_S = 60.0
POLL_S = 0.02
PEERS = Path(__file__).parent / "peers"
PEER_LIMIT_S = 240

ANONYMOUS = """\
listener {port} 127.0.0.1
allow_anonymous true
set_tcp_nodelay true
max_queued_messages 0
max_inflight_messages 200
"""


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Keeps the garbage collector away while a failure is put into words.

    Python 3.11 cannot build one syntax tree while another is being built. Pytest builds one of a
    failed test's source; a finalizer that warns in that moment has another built for its traceback,
    and the whole run ends with "AST constructor recursion depth mismatch".
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Keeps the garbage collector away from what stays until the run ends: modules and tests.

    There are hundreds of thousands of such objects, and each full collection looked at all of them.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.collect()
        gc.freeze()


def pytest_unconfigure() -> None:
    """Gives back what was kept from the collector: native modules tell of what is left over."""
    gc.unfreeze()


_loop_stop = mqtt.Client.loop_stop


def _stopped(client: mqtt.Client) -> MQTTErrorCode:
    """Closes what paho leaves to be collected: the pair of sockets that wakes a client's thread.

    Collected in a cycle with their client they warn if their turn comes before its own, which fails
    a test that has nothing to do with it.
    """
    code = _loop_stop(client)
    client._reset_sockets(sockpair_only=True)
    return code


mqtt.Client.loop_stop = _stopped  # type: ignore[method-assign]


class Broker:
    """A real Mosquitto on a free loopback port, with persistence in its own folder.

    Args:
        folder: Where the configuration, the stored state and the log are written.
        config: Configuration text in which ``{port}`` and ``{folder}`` are filled in; it must
            hold a listener. Anonymous by default. User and persistence lines are added to it.
    """

    host = "127.0.0.1"

    def __init__(self, folder: Path, config: str = ANONYMOUS) -> None:
        self.folder = folder
        self.port = free_port()
        self.log_path = folder / "mosquitto.log"
        self._state = folder / "stored"
        self._config_path = folder / "mosquitto.conf"
        self._process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)
        self._config_path.write_text(
            config.replace("{port}", str(self.port)).replace("{folder}", str(folder))
            + f"\nuser {getpass.getuser()}\npersistence true\npersistence_location {self._state}/\n"
        )

    def start(self) -> "Broker":
        """Starts the broker and returns once it accepts connections."""
        self._state.mkdir(exist_ok=True)
        with self.log_path.open("ab") as log:
            self._process = subprocess.Popen(
                [MOSQUITTO, "-v", "-c", str(self._config_path)], stdout=log, stderr=log
            )
        deadline = time.monotonic() + BROKER_DEADLINE_S
        while True:
            try:
                socket.create_connection((self.host, self.port), timeout=1).close()
            except OSError:
                if self._process.poll() is not None or time.monotonic() > deadline:
                    raise RuntimeError(f"mosquitto: {self.log_path.read_text()}") from None
                time.sleep(POLL_S)
            else:
                return self

    def stop(self) -> None:
        """Stops it cleanly (SIGTERM): its state is written to disk."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(BROKER_DEADLINE_S)
            self._process = None

    def kill(self) -> None:
        """Kills it (SIGKILL), as a power cut would: what it acknowledged may be lost."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(BROKER_DEADLINE_S)
            self._process = None

    def restart(self) -> None:
        """Stops it cleanly and starts it on the same port with the same state."""
        self.stop()
        self.start()

    def wipe(self) -> None:
        """Removes its stored sessions and messages; only while it is stopped."""
        if self._process is not None:
            raise RuntimeError("stop or kill the broker before wiping its state")
        shutil.rmtree(self._state, ignore_errors=True)


@pytest.fixture
def broker_factory(tmp_path: Path) -> Iterator[Callable[..., Broker]]:
    """Makes brokers, ``make(config=…)``; each is started and stopped with the test."""
    if not Path(MOSQUITTO).exists():
        pytest.skip("mosquitto is not installed")
    brokers: list[Broker] = []

    def make(config: str = ANONYMOUS) -> Broker:
        brokers.append(Broker(tmp_path / f"broker-{len(brokers)}", config).start())
        return brokers[-1]

    yield make
    for each in brokers:
        each.kill()


@pytest.fixture
def broker(broker_factory: Callable[..., Broker]) -> Broker:
    """A running anonymous broker: ``broker.host``, ``broker.port``, ``broker.kill()`` …"""
    return broker_factory()


@pytest.fixture(scope="session")
def gurux_process() -> Callable[..., "subprocess.CompletedProcess[str]"]:
    """Runs a program of `tests/peers` to its end: `gurux_process("gurux_client", port=…)`."""

    def run(program: str, **options: Any) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-W", "ignore", str(PEERS / f"{program}.py"), json.dumps(options)],
            capture_output=True,
            text=True,
            timeout=PEER_LIMIT_S,
            check=False,
        )

    return run


@pytest.fixture(scope="session")
def gurux_peer(
    gurux_process: Callable[..., "subprocess.CompletedProcess[str]"],
) -> Callable[..., dict[str, Any]]:
    """Runs such a program, which must succeed; returns what it printed."""

    def run(program: str, **options: Any) -> dict[str, Any]:
        done = gurux_process(program, **options)
        assert done.returncode == 0, done.stderr[-2500:] + done.stdout[-500:]
        return dict(json.loads(done.stdout.splitlines()[-1]))

    return run


class TcpMeter:
    """Serves one meter on a loopback port, one thread for each connection, until closed."""

    def __init__(self, connection: Callable[[], ServerConnection]) -> None:
        class Handler(socketserver.BaseRequestHandler):
            def handle(self) -> None:
                served = connection()
                while octets := self.request.recv(65536):
                    try:
                        answer = served.receive(octets)
                    except LinkError:
                        return
                    if answer:
                        self.request.sendall(answer)

        self._server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port: int = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()

    def close(self) -> None:
        """Stop listening."""
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


@pytest.fixture
def tcp_meter() -> Iterator[Callable[..., TcpMeter]]:
    """Starts meters on loopback ports: ``tcp_meter(logical_server, link="wrapper")``."""
    started: list[TcpMeter] = []

    def start(
        server: LogicalServer, link: str = "wrapper", physical: int | None = None
    ) -> TcpMeter:
        def connection() -> ServerConnection:
            hdlc = link == "hdlc"
            return ServerConnection(
                server, HdlcServerLink(1, physical) if hdlc else WrapperServerLink(1)
            )

        started.append(TcpMeter(connection))
        return started[-1]

    yield start
    for meter in started:
        meter.close()
