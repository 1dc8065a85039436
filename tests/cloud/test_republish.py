"""Readings republished on a real Mosquitto under the real access file."""

import json
import queue
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hesper_cloud.exports.republish import Republish, message
from hesper_cloud.job_settings import RepublishSettings
from hesper_cloud.settings import BrokerAccount, BrokerSettings
from hesper_cloud.stores.duckdb import DuckDbStore
from hesper_cloud.stores.port import Block, Group, Quantity, Reading, ReadValue
from hesper_contracts.quality import Quality
from paho.mqtt import client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

ACL = Path(__file__).parents[2] / "mosquitto" / "acl"
PROFILE, ENERGY, VOLTAGE = "1.0.99.1.0.255", "1.0.1.8.0.255", "1.0.32.7.0.255"
T0 = 1_790_000_100
DEADLINE_S = 10.0


def block(first: int, count: int, by: int = 0) -> Block:
    at = T0 + 900 * np.arange(first, first + count, dtype=np.int64)
    return Block(
        profile=PROFILE,
        quantities=(Quantity(ENERGY, 0, 30), Quantity(VOLTAGE, -1, 35)),
        meters=("M+1",),
        meter_index=np.zeros(count, dtype=np.int64),
        captured_at=at,
        clock_status=np.zeros(count, dtype=np.int64),
        quality=np.zeros(count, dtype=np.int64),
        received_at=T0,
        values=np.stack([np.arange(first, first + count) + by, np.full(count, 2301)]),
        missing=None,
    )


def test_a_message_is_exact_and_says_its_doubts() -> None:
    values = (ReadValue(ENERGY, 12, 1, 30), ReadValue(VOLTAGE, 2301, -1, 35))
    doubted = int(Quality.OUT_OF_RANGE)
    found = Reading("M1", PROFILE, T0, 0, doubted, T0, T0 * 1000, values, 1)
    told = json.loads(message(found) or b"")
    assert told["values"] == {
        ENERGY: {"value": "120", "unit": "Wh"},
        VOLTAGE: {"value": "230.1", "unit": "V"},
    }
    assert (told["codes"], told["doubted"], told["revision"]) == (["2.5.256"], True, 1)
    assert set(json.loads(message(found, (ENERGY,)) or b"")["values"]) == {ENERGY}
    assert message(found, ("1.0.2.8.0.255",)) is None


class Reader:
    """Another system, subscribed to everything that it may read."""

    def __init__(self, port: int, username: str) -> None:
        self.messages: queue.Queue[tuple[str, dict[str, Any]]] = queue.Queue()
        self.subscribed: queue.Queue[bool] = queue.Queue()
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
        self._client.username_pw_set(username, "secret")
        self._client.on_connect = lambda client, *_: client.subscribe("hesper/v1/cloud/out/#", 1)
        self._client.on_subscribe = lambda *_: self.subscribed.put(True)
        self._client.on_message = lambda _client, _data, told: self.messages.put(
            (told.topic, json.loads(told.payload))
        )
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        self.subscribed.get(timeout=DEADLINE_S)

    def next(self) -> tuple[str, dict[str, Any]]:
        return self.messages.get(timeout=DEADLINE_S)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@pytest.fixture
def broker_settings(tmp_path: Path, broker_factory: Callable[..., Any]) -> BrokerSettings:
    passwords, secret = tmp_path / "passwords", tmp_path / "secret"
    accounts = ("hes.republish", "out.mdm", "gw-1")
    passwords.write_text("".join(f"{name}:secret\n" for name in accounts))
    passwords.chmod(0o600)
    subprocess.run(["mosquitto_passwd", "-U", str(passwords)], check=True)
    secret.write_text("secret")
    config = (
        "listener {port} 127.0.0.1\nallow_anonymous false\n"
        f"password_file {passwords}\nacl_file {ACL}\n"
    )
    broker = broker_factory(config)
    account = BrokerAccount(username="hes.republish", password_file=secret)
    return BrokerSettings(port=broker.port, republish=account)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[DuckDbStore]:
    made = DuckDbStore(tmp_path / "readings.duckdb")
    yield made
    made.close()


@pytest.mark.integration
def test_what_is_stored_is_republished_once_and_goes_on_after_a_restart(
    broker_settings: BrokerSettings, store: DuckDbStore, tmp_path: Path
) -> None:
    wanted = RepublishSettings(enabled=True)

    def follow() -> Republish:
        made = Republish(broker_settings, wanted, store, tmp_path)
        while not (made._client and made._client.is_connected()):
            made.turn()
        return made

    reader, stranger = (Reader(broker_settings.port, name) for name in ("out.mdm", "gw-1"))
    store.write(Group({}, [block(0, 3)], T0 * 1000))
    republish = follow()
    republish.turn()
    told = [reader.next() for _ in range(3)]
    assert {topic for topic, _ in told} == {f"hesper/v1/cloud/out/M%2B1/{PROFILE}"}
    assert [each["values"][ENERGY]["value"] for _, each in told] == ["0", "1", "2"]
    republish.close()
    store.write(Group({}, [block(-1, 2, by=100)], T0 * 1000 + 5000))
    again = follow()
    again.turn()
    late, corrected = reader.next()[1], reader.next()[1]
    assert (late["revision"], late["captured_at"] < told[0][1]["captured_at"]) == (0, True)
    assert (corrected["revision"], corrected["values"][ENERGY]["value"]) == (1, "100")
    again.turn()
    assert reader.messages.empty()
    assert stranger.messages.empty(), "a gateway's account reads none of it"
    for each in (again, reader, stranger):
        each.close()


def test_nothing_is_republished_unless_told(store: DuckDbStore, tmp_path: Path) -> None:
    Republish(BrokerSettings(port=1), RepublishSettings(), store, tmp_path).turn()
    assert not (tmp_path / "republish.cursor").exists()
