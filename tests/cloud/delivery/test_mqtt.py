"""Alerts on the broker, with the access file that is shipped: who reads them, and who cannot."""

import json
import queue
import subprocess
import threading
from pathlib import Path

import pytest
from hesper_cloud.rules.alerts import Subject
from hesper_cloud.settings import BrokerAccount, BrokerSettings
from paho.mqtt import client as mqtt
from paho.mqtt.enums import CallbackAPIVersion

ACL = Path(__file__).parents[3] / "mosquitto" / "acl"
TOPIC = "hesper/v1/cloud/alerts/ops/critical"
ARRIVES_S = 60.0
pytestmark = pytest.mark.integration


class Reader:
    """A system that reads alerts."""

    def __init__(self, port: int, account: str) -> None:
        self.arrived: queue.Queue[tuple[str, bytes]] = queue.Queue()
        subscribed = threading.Event()
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
        self._client.username_pw_set(account, "secret")
        self._client.on_connect = lambda client, *_: client.subscribe("hesper/v1/#", 1)
        self._client.on_subscribe = lambda *_: subscribed.set()
        self._client.on_message = lambda _client, _data, told: self.arrived.put(
            (told.topic, told.payload)
        )
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        assert subscribed.wait(ARRIVES_S)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


@pytest.fixture
def broker_settings(tmp_path, broker_factory) -> BrokerSettings:
    passwords = tmp_path / "passwords"
    passwords.write_text(
        "".join(f"{name}:secret\n" for name in ("hes.alerts", "out.alerts", "gw-1"))
    )
    passwords.chmod(0o600)
    subprocess.run(["mosquitto_passwd", "-U", str(passwords)], check=True)
    broker = broker_factory(
        "listener {port} 127.0.0.1\nallow_anonymous false\n"
        f"password_file {passwords}\nacl_file {ACL}\n"
    )
    secret = tmp_path / "secret"
    secret.write_text("secret")
    account = BrokerAccount(username="hes.alerts", password_file=secret)
    return BrokerSettings(port=broker.port, alerts=account)


def test_an_alert_is_published_for_those_who_may_read_it(make_house, broker_settings):
    house = make_house(broker=broker_settings)
    house.route(house.target({"kind": "mqtt"}))
    readers = {name: Reader(broker_settings.port, name) for name in ("out.alerts", "gw-1")}
    house.alerts.raise_(Subject("tamper.cover", meter="M1"), "critical", "Cover opened.")
    house.turn(11)
    topic, payload = readers["out.alerts"].arrived.get(timeout=ARRIVES_S)
    assert topic == TOPIC
    told = json.loads(payload)
    assert (told["id"], told["entries"][0]["text"]) == (
        house.outbox()[0].message_id,
        "Cover opened.",
    )
    assert house.attempts()[0].answer == "acknowledged"
    assert readers["gw-1"].arrived.empty()
    for reader in readers.values():
        reader.close()


def test_without_an_account_nothing_is_lost(house):
    house.route(house.target({"kind": "mqtt"}))
    house.alerts.raise_(Subject("tamper.cover", meter="M1"), "critical", "Cover opened.")
    house.turn(11)
    assert [(each.state, each.reason) for each in house.outbox()] == [
        ("waiting", "cloud.toml names no broker account for alerts")
    ]
