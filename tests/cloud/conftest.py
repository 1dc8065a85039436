"""A head end on disk for tests: both databases, keys, six people, one gateway, two meters."""

import json
import os
import queue
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hesper_cloud import provision
from hesper_cloud.accounts import passwords
from hesper_cloud.authority.process import loop
from hesper_cloud.commissioning import MeterPaper, commission
from hesper_cloud.db.engines import writing
from hesper_cloud.db.registry import Meter
from hesper_cloud.db.watch import Watch
from hesper_cloud.exports.outlet import Outlet
from hesper_cloud.settings import BrokerAccount, BrokerSettings, Settings
from hesper_contracts.signing import Signer
from paho.mqtt import client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from pwdlib import PasswordHash
from pwdlib.hashers.argon2 import Argon2Hasher
from sqlalchemy import select

sys.path.insert(0, str(Path(__file__).parent))

from head_end import GATEWAY, METER, PASSWORDS, PROTECTED, ROLES, START, Clock, HeadEnd

MQTT_S = 60.0
ACL = Path(__file__).parents[2] / "mosquitto" / "acl"


@pytest.fixture(scope="session")
def head_end_class() -> type[HeadEnd]:
    return HeadEnd


@pytest.fixture(scope="session")
def gateway_signer() -> Signer:
    return Signer.generate()


@pytest.fixture(scope="session", autouse=True)
def usual_passwords() -> Iterator[Callable[[], PasswordHash]]:
    """Passwords cost the least that argon2id can, a tenth of a second less; gives the usual way."""
    usual, least = passwords._hasher, Argon2Hasher(time_cost=1, memory_cost=8, parallelism=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passwords, "_hasher", cache(lambda: PasswordHash((least,))))
        yield usual


@pytest.fixture(scope="session")
def prepared_state(
    tmp_path_factory: pytest.TempPathFactory,
    gateway_signer: Signer,
    usual_passwords: Callable[[], PasswordHash],
) -> Path:
    """A state folder that is made once and copied for every test."""
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


@pytest.fixture
def outlives(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], bool]:
    """Says whether a power cut now would leave a file or folder, its name and what it holds."""
    seen, synchronise = set(), os.fsync

    def state(found: os.stat_result) -> tuple[int, int, int]:
        return found.st_dev, found.st_ino, found.st_mtime_ns

    def noted(descriptor: int) -> None:
        synchronise(descriptor)
        seen.add(state(os.fstat(descriptor)))

    monkeypatch.setattr(os, "fsync", noted)
    return lambda path: {state(path.stat()), state(path.parent.stat())} <= seen


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
