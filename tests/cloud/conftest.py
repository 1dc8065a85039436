"""A head end on disk for tests: both databases, keys, six people, one gateway, two meters."""

import json
import os
import pwd
import queue
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from hesper_cloud import keys, provision
from hesper_cloud.authority.broker_accounts import BrokerAccounts
from hesper_cloud.authority.case import seal_context, sealed_subject
from hesper_cloud.authority.core import Authority
from hesper_cloud.authority.dispatch import Outgoing
from hesper_cloud.authority.enrolment import EnrolmentDesk
from hesper_cloud.authority.process import loop
from hesper_cloud.commissioning import MeterPaper, commission
from hesper_cloud.db.authority import CommandRecord
from hesper_cloud.db.engines import reading, writing
from hesper_cloud.db.registry import Meter, Request, Result
from hesper_cloud.db.watch import Watch
from hesper_cloud.exports.outlet import Outlet
from hesper_cloud.settings import BrokerAccount, BrokerSettings, Settings
from hesper_cloud.stores.influx_v2 import InfluxV2
from hesper_contracts import commands, results
from hesper_contracts.commands import Command
from hesper_contracts.results import CommandResult, RelayReading, ResultState
from hesper_contracts.signing import Keyring, Signer
from hesper_lab import system
from paho.mqtt import client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from sqlalchemy import create_engine, select, text

INFLUXD = shutil.which("influxd") or "/usr/bin/influxd"
INFLUX_START_S = 30.0
MQTT_S = 10.0
ACL = Path(__file__).parents[2] / "mosquitto" / "acl"
INFLUX_CONFIG = """
reporting-disabled = true
bind-address = "127.0.0.1:{rpc}"
[meta]
  dir = "{folder}/meta"
[data]
  dir = "{folder}/data"
  wal-dir = "{folder}/wal"
  query-log-enabled = false
[http]
  bind-address = "127.0.0.1:{http}"
  log-enabled = false
[monitor]
  store-enabled = false
[ifql]
  enabled = false
"""
START = datetime(2026, 6, 1, 12, 0, 0, tzinfo=UTC)
PASSWORDS = {
    "vic": "viewing-only-1",
    "ann": "asking-politely-1",
    "ben": "second-pair-of-eyes",
    "cleo": "keeper-of-the-house",
    "dora": "third-pair-of-eyes",
    "otto": "reading-every-line",
}
ROLES = {
    "vic": "viewer",
    "ann": "operator",
    "ben": "approver",
    "cleo": "admin",
    "dora": "approver",
    "otto": "auditor",
}
GATEWAY = "gw-1"
METER = "HES12642984"
PROTECTED = "HES12642985"


@dataclass
class Clock:
    """A clock that moves when it is told to."""

    now: datetime = START

    def __call__(self) -> datetime:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@dataclass
class Outbox:
    """An outlet that keeps what it is given, and may be without connection."""

    sent: list[Outgoing] = field(default_factory=list)
    connected: bool = True
    arrived: threading.Event = field(default_factory=threading.Event)

    def publish(self, outgoing: Outgoing, now: datetime) -> bool:
        if self.connected:
            self.sent.append(outgoing)
            self.arrived.set()
        return self.connected


class HeadEnd:
    """The databases of one head end with its authority, driven turn by turn."""

    def __init__(self, settings: Settings, gateway: Signer, clock: Clock) -> None:
        self.settings = settings
        self.databases = provision.Databases.open(self.settings)
        self.gateway = gateway
        self.clock = clock
        self.outbox = Outbox()
        self.sealer = keys.request_sealer(self.settings.keys)
        self.command_keys = Keyring.of(keys.command_signer(self.settings.keys).public_key)
        self.authority = self.start_authority()

    def start_authority(self) -> Authority:
        """A fresh authority on the same databases, as after a restart."""
        folder = self.settings.keys
        self.authority = Authority(
            (self.databases.registry, self.databases.authority),
            keys.command_signer(folder),
            keys.request_opener(folder),
            self.outbox,
            self.clock,
            EnrolmentDesk(
                keys.command_signer(folder),
                keys.vault(folder),
                BrokerAccounts(self.settings.enrolment),
            ),
        )
        return self.authority

    def ask(self, who: str, request: str, key: str = "", **payload: Any) -> Request:
        """Writes a request as the web process does, lets the authority turn, returns the row."""
        password = payload.pop("password", None)
        key = key or uuid.uuid4().hex
        context = seal_context(request, who, key, sealed_subject(payload))
        sealed = password and self.sealer.seal(password, context)
        with writing(self.databases.registry) as session:
            row = Request(
                kind=request,
                requested_by=who,
                payload=payload,
                sealed=sealed,
                idempotency_key=key,
                created_at=self.clock.now,
            )
            session.add(row)
        self.authority.turn()
        with reading(self.databases.registry) as session:
            return session.get_one(Request, row.id)

    def ask_disconnect(self, who: str = "ann", meter: str = METER) -> Request:
        return self.ask(
            who,
            "command.request",
            action="disconnect",
            meter=meter,
            reason="unpaid since March",
            serial_tail=meter[-4:],
        )

    def ask_reconnect(self, who: str = "ann", meter: str = METER) -> Request:
        return self.ask(
            who, "command.request", action="reconnect", meter=meter, reason="paid", serial_tail=""
        )

    def approve(self, command: str, who: str = "ben", password: str = "") -> Request:
        return self.ask(
            who, "command.approve", command=command, password=password or PASSWORDS[who]
        )

    def command(self, command_id: str) -> CommandRecord:
        with reading(self.databases.authority) as session:
            return session.get_one(CommandRecord, command_id)

    def commands(self) -> list[CommandRecord]:
        with reading(self.databases.authority) as session:
            return list(session.scalars(select(CommandRecord)))

    def published(self) -> list[Command]:
        """What left, verified as the gateway does it."""
        return [
            commands.from_payload(each.payload, self.command_keys, each.gateway)
            for each in self.outbox.sent
        ]

    def answer(
        self, command: Command, state: ResultState, output: bool | None = None, **changes: Any
    ) -> None:
        """Stores a result as ingest does, signed by the gateway unless told otherwise."""
        signer = changes.pop("signer", self.gateway)
        relay = None if output is None else RelayReading(output, int(output), self.clock.now)
        fields = {
            "command_id": command.id,
            "gateway": GATEWAY,
            "meter": command.meter,
            "state": state,
            "at": self.clock.now,
            "relay_after": relay,
        }
        payload = results.to_payload(CommandResult(**fields | changes), signer, "ab" * 8, 1)
        self.store_result(command.id, payload)

    def store_result(self, command_id: str, payload: bytes) -> None:
        with writing(self.databases.registry) as session:
            row = Result(
                command_id=command_id,
                gateway=GATEWAY,
                payload=payload,
                received_at=self.clock.now,
            )
            session.add(row)
        self.authority.turn()

    def relay_read(self, output: bool, meter: str = METER, control: int | None = None) -> None:
        """Shows a relay reading in the registry, as ingest does from a snapshot."""
        with writing(self.databases.registry) as session:
            row = session.get_one(Meter, meter)
            row.relay_output, row.relay_confirmed_at = output, self.clock.now
            row.relay_control = control

    def close(self) -> None:
        self.databases.close()


@pytest.fixture(scope="session")
def head_end_class() -> type[HeadEnd]:
    return HeadEnd


@pytest.fixture(scope="session")
def gateway_signer() -> Signer:
    return Signer.generate()


@pytest.fixture(scope="session")
def prepared_state(tmp_path_factory: pytest.TempPathFactory, gateway_signer: Signer) -> Path:
    """A state folder that is made once and copied for every test (argon2 is slow on purpose)."""
    folder = tmp_path_factory.mktemp("prepared") / "state"
    settings = Settings(state=folder)
    provision.initialise(settings, "default")
    databases = provision.Databases.open(settings)
    for username, role in ROLES.items():
        provision.add_user(databases.authority, username, role, PASSWORDS[username])
    provision.add_gateway(databases, GATEWAY, gateway_signer.public_key.hex())
    names = {"logical_device_name": "HSP0012642984000", "customer": "Ada Byron"}
    commission(
        databases,
        [
            MeterPaper(id=METER, gateway=GATEWAY, **names),
            MeterPaper(id=PROTECTED, gateway=GATEWAY, life_support=True, **names),
        ],
    )
    with writing(databases.registry) as session:
        for meter in session.scalars(select(Meter)):
            meter.relay_output, meter.relay_confirmed_at = True, START
            meter.last_contact_at = START
    databases.close()
    return folder


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def head_end_factory(
    tmp_path: Path, prepared_state: Path, gateway_signer: Signer, clock: Clock
) -> Any:
    made: list[HeadEnd] = []

    def make() -> HeadEnd:
        folder = tmp_path / "state"
        shutil.copytree(prepared_state, folder)
        made.append(HeadEnd(Settings(state=folder), gateway_signer, clock))
        return made[-1]

    yield make
    for each in made:
        each.close()


@pytest.fixture
def head_end(head_end_factory: Callable[[], HeadEnd]) -> HeadEnd:
    return head_end_factory()


@pytest.fixture
def deciding(head_end: HeadEnd) -> Iterator[None]:
    """The authority's own loop on a thread, as its process runs it."""
    stop = threading.Event()

    def run() -> None:
        watch = Watch(head_end.settings.database.url)
        loop(head_end.authority, watch, 0.005, stop)
        watch.close()

    thread = threading.Thread(target=run)
    thread.start()
    yield
    stop.set()
    thread.join()


class Influxd:
    """A real InfluxDB 1.x on free ports, which can be killed and started again."""

    def __init__(self, folder: Path) -> None:
        if not Path(INFLUXD).exists():
            pytest.skip("influxd is not installed")
        http, rpc = free_ports(2)
        self._log = folder / "log"
        self._config = folder / "influxdb.conf"
        self._config.write_text(INFLUX_CONFIG.format(folder=folder, http=http, rpc=rpc))
        self.url = f"http://127.0.0.1:{http}"

    def start(self) -> "Influxd":
        with self._log.open("ab") as log:
            self._server = subprocess.Popen(
                [INFLUXD, "-config", str(self._config)], stdout=log, stderr=log
            )
        deadline = time.monotonic() + INFLUX_START_S
        while not answers(self.url):
            assert self._server.poll() is None, self._log.read_text()
            assert time.monotonic() < deadline, "influxd does not answer"
            time.sleep(0.05)
        return self

    def kill(self) -> None:
        self._server.kill()
        self._server.wait()


@pytest.fixture(scope="session")
def influx_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an InfluxDB 1.x that all tests share."""
    server = Influxd(tmp_path_factory.mktemp("influxd")).start()
    yield server.url
    server.kill()


@pytest.fixture
def influxd(tmp_path: Path) -> Iterator[Influxd]:
    """An InfluxDB 1.x of one test's own."""
    folder = tmp_path / "influxd"
    folder.mkdir()
    server = Influxd(folder).start()
    yield server
    server.kill()


@pytest.fixture(scope="session")
def free_port() -> int:
    return free_ports(1)[0]


@pytest.fixture(scope="session")
def influx2_access() -> Iterator[tuple[str, str, str]]:
    """Address, organisation and token of an InfluxDB 2.x or 3.x."""
    url = os.environ.get("HESPER_TEST_INFLUX_URL")
    if url:
        names = ("HESPER_TEST_INFLUX_ORG", "HESPER_TEST_INFLUX_TOKEN")
        yield url, os.environ.get(names[0], "hesper"), os.environ[names[1]]
        return
    if not Path("/var/run/docker.sock").exists():
        pytest.skip("no Docker engine, and HESPER_TEST_INFLUX_URL names no InfluxDB 2.x")
    from testcontainers.core.container import DockerContainer

    token, setup = uuid.uuid4().hex, "DOCKER_INFLUXDB_INIT_"
    container = DockerContainer("influxdb:2.7").with_exposed_ports(8086)
    for name, value in {
        "MODE": "setup", "USERNAME": "hesper", "PASSWORD": uuid.uuid4().hex, "ORG": "hesper",
        "BUCKET": "first", "ADMIN_TOKEN": token,
    }.items():  # fmt: skip
        container = container.with_env(setup + name, value)
    with container as running:
        url = f"http://{running.get_container_host_ip()}:{running.get_exposed_port(8086)}"
        deadline = time.monotonic() + INFLUX_START_S
        while not answers(url):
            assert time.monotonic() < deadline, "InfluxDB 2.x does not answer"
            time.sleep(0.1)
        yield url, "hesper", token


@pytest.fixture
def influx2_server(influx2_access: tuple[str, str, str]) -> Iterator[InfluxV2]:
    """A bucket of its own on an InfluxDB 2.x."""
    url, organisation, token = influx2_access
    server = InfluxV2(url, f"test-{uuid.uuid4().hex[:8]}", organisation, token)
    yield server
    server.close()


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A real PostgreSQL on a free port, without any database of ours; the start of its URLs."""
    found = system.find("postgres")
    if found is None:
        pytest.skip("postgres is not installed")
    folder = Path(tempfile.mkdtemp(prefix="hesper-postgres-"))
    account: dict[str, Any] = {}
    if os.geteuid() == 0:  # PostgreSQL does not run as root
        nobody = pwd.getpwnam("nobody")
        os.chown(folder, nobody.pw_uid, nobody.pw_gid)
        account = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
    account |= {"cwd": folder, "env": {**os.environ, **found.environment}}
    (port,) = free_ports(1)
    make = [found.path.parent / "initdb", "-D", folder / "data", "-U", "hesper", "-A", "trust"]
    with (folder / "log").open("wb") as log:
        subprocess.run([*make, "-E", "UTF8", "--no-locale"], check=True, stdout=log, **account)
        run = [found.path, "-D", folder / "data", "-p", str(port), "-k", folder]
        server = subprocess.Popen(
            [*run, "-h", "127.0.0.1", "-c", "fsync=off"], stdout=log, stderr=log, **account
        )
    deadline = time.monotonic() + INFLUX_START_S
    while not listens(port):
        assert server.poll() is None, (folder / "log").read_text()
        assert time.monotonic() < deadline, "postgres does not listen"
        time.sleep(0.05)
    yield f"postgresql+psycopg://hesper@127.0.0.1:{port}"
    server.send_signal(signal.SIGINT)  # a fast shutdown
    server.wait()
    shutil.rmtree(folder)


@pytest.fixture
def postgres_database(postgres_url: str) -> Callable[[], str]:
    """Makes an empty database each time it is called; returns its URL."""

    def make() -> str:
        name = f"test_{uuid.uuid4().hex[:8]}"
        engine = create_engine(f"{postgres_url}/postgres", isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            connection.execute(text(f"CREATE DATABASE {name}"))
        engine.dispose()
        return f"{postgres_url}/{name}"

    return make


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def free_ports(count: int) -> list[int]:
    with ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


def answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/ping").is_success
    except httpx.TransportError:
        return False


@pytest.fixture
def outward_mosquitto(tmp_path: Path, broker_factory: Callable[..., Any]) -> Any:
    """A Mosquitto with the real access file, for what goes out of the house."""
    passwords = tmp_path / "passwords"
    accounts = ("hes.republish", "out.mdm", "out.billing", "gw-1")
    passwords.write_text("".join(f"{name}:secret\n" for name in accounts))
    passwords.chmod(0o600)
    subprocess.run(["mosquitto_passwd", "-U", str(passwords)], check=True)
    return broker_factory(
        "listener {port} 127.0.0.1\nallow_anonymous false\n"
        f"password_file {passwords}\nacl_file {ACL}\n"
    )


@pytest.fixture
def outward_broker(tmp_path: Path, outward_mosquitto: Any) -> BrokerSettings:
    """How the head end reaches it."""
    secret = tmp_path / "secret"
    secret.write_text("secret")
    account = BrokerAccount(username="hes.republish", password_file=secret)
    return BrokerSettings(port=outward_mosquitto.port, republish=account)


@pytest.fixture
def connected_outlet(outward_broker: BrokerSettings) -> Iterator[Callable[[], Outlet]]:
    """Makes connections of the head end to it, each as after a start of the process."""
    made: list[Outlet] = []

    def make() -> Outlet:
        made.append(Outlet(outward_broker))
        deadline = time.monotonic() + MQTT_S
        while not made[-1].is_connected():
            assert time.monotonic() < deadline, "the broker does not answer"
        return made[-1]

    yield make
    for each in made:
        each.close()


class MqttReader:
    """Another system, subscribed to everything that leaves the house."""

    def __init__(self, port: int, username: str) -> None:
        self.messages: queue.Queue[tuple[str, dict[str, Any]]] = queue.Queue()
        subscribed = threading.Event()
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
        self._client.username_pw_set(username, "secret")
        self._client.on_connect = lambda client, *_: client.subscribe("hesper/v1/cloud/out/#", 1)
        self._client.on_subscribe = lambda *_: subscribed.set()
        self._client.on_message = lambda _client, _data, told: self.messages.put(
            (told.topic, json.loads(told.payload))
        )
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        assert subscribed.wait(MQTT_S)

    def next(self) -> tuple[str, dict[str, Any]]:
        """Returns the next message: its topic, and what it says."""
        return self.messages.get(timeout=MQTT_S)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@pytest.fixture
def mqtt_reader(outward_broker: BrokerSettings) -> Iterator[Callable[[str], MqttReader]]:
    """Makes readers by their account: `mqtt_reader("out.mdm")`."""
    made: list[MqttReader] = []

    def make(username: str) -> MqttReader:
        made.append(MqttReader(outward_broker.port, username))
        return made[-1]

    yield make
    for each in made:
        each.close()
