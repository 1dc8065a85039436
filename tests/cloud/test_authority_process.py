"""The authority's process against a real Mosquitto and a gateway scripted from the contract."""

import queue
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hesper_cloud import keys, provision
from hesper_cloud.authority.case import seal_context
from hesper_cloud.authority.hours import EVER
from hesper_cloud.authority.policy import Policy
from hesper_cloud.db.authority import CommandRecord
from hesper_cloud.db.engines import reading, writing
from hesper_cloud.db.registry import UNSETTLED, Meter, Request, Result
from hesper_contracts import commands, requests, results, status
from hesper_contracts.commands import Command
from hesper_contracts.frame import Kind
from hesper_contracts.requests import TimeAnswer, TimeRequest
from hesper_contracts.results import CommandResult, RelayReading
from hesper_contracts.signing import Keyring, Signer
from hesper_contracts.topics import Topics
from paho.mqtt import client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from sqlalchemy import select

pytestmark = pytest.mark.integration
METER, GATEWAY = "HES12642984", "gw-1"
TOPICS = Topics()
DEADLINE_S = 60.0


class Gateway:
    """Receives commands and answers over the broker; results go where ingest would put them."""

    def __init__(self, port: int, keyring: Keyring) -> None:
        self.commands: queue.Queue[Command] = queue.Queue()
        self.answers: queue.Queue[TimeAnswer] = queue.Queue()
        self.statuses: queue.Queue[status.CloudStatus] = queue.Queue()
        self._keyring = keyring
        self._subscribed = threading.Event()
        self.client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
        self.client.on_message = self._on_message
        self.client.on_connect = lambda client, *_: client.subscribe(
            [(TOPICS.every_down(GATEWAY), 1), (TOPICS.every_cloud_status(), 1)]
        )
        self.client.on_subscribe = lambda *_: self._subscribed.set()
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        assert self._subscribed.wait(DEADLINE_S)

    def _on_message(self, _client: Any, _data: Any, message: mqtt.MQTTMessage) -> None:
        payload = bytes(message.payload)
        if message.topic.endswith("/status"):
            self.statuses.put(status.cloud_from_payload(payload))
        elif message.topic.endswith(Kind.COMMANDS):
            self.commands.put(commands.from_payload(payload, self._keyring, GATEWAY))
        elif message.topic.endswith(Kind.ANSWERS):
            self.answers.put(requests.answer_from_payload(payload, self._keyring, GATEWAY))

    def ask_time(self, nonce: str) -> None:
        payload = requests.request_to_payload(TimeRequest(gateway=GATEWAY, nonce=nonce))
        self.client.publish(TOPICS.up(GATEWAY, Kind.REQUESTS), payload, qos=1)

    def stop(self) -> None:
        self.client.disconnect()
        self.client.loop_stop()


class Running:
    """A head end on disk, its broker, its authority process and one gateway."""

    def __init__(self, head_end: Any, broker: Any, folder: Path) -> None:
        self.head_end, self.broker = head_end, broker
        self.config = folder / "cloud.toml"
        self.config.write_text(
            f'state = "state"\n[broker]\nhost = "127.0.0.1"\nport = {broker.port}\n'
        )
        self.keyring = Keyring.of(keys.command_signer(head_end.settings.keys).public_key)
        self.gateway = Gateway(broker.port, self.keyring)
        self.start()

    def start(self) -> None:
        program = [sys.executable, "-c", "from hesper_cloud.cli import main; main()"]
        self.process = subprocess.Popen([*program, "authority", "-c", str(self.config)])
        while self.gateway.statuses.get(timeout=DEADLINE_S).state != "online":
            pass

    def stop(self) -> None:
        self.process.terminate()
        assert self.process.wait(DEADLINE_S) == 0

    def ask(self, who: str, kind: str, password: str = "", **payload: Any) -> Request:
        databases, key = self.head_end.databases, f"{kind}-{time.monotonic()}"
        sealed = password and self.head_end.sealer.seal(
            password, seal_context(kind, who, key, str(payload.get("command")))
        )
        row = Request(
            kind=kind,
            requested_by=who,
            payload=payload,
            sealed=sealed or None,
            idempotency_key=key,
            created_at=datetime.now(UTC),
        )
        with writing(databases.registry) as session:
            session.add(row)
        return self.wait(lambda: self._settled(row.id))

    def _settled(self, request_id: int) -> Request | None:
        with reading(self.head_end.databases.registry) as session:
            row = session.get_one(Request, request_id)
            return row if row.state not in UNSETTLED else None

    def state(self, command: str) -> str:
        with reading(self.head_end.databases.authority) as session:
            return session.scalars(
                select(CommandRecord.state).where(CommandRecord.id == command)
            ).one()

    def wait(self, look: Any) -> Any:
        deadline = time.monotonic() + DEADLINE_S
        while time.monotonic() < deadline:
            if found := look():
                return found
            time.sleep(0.002)
        raise AssertionError("did not happen in time")

    def answer(self, command: Command, state: Any, signer: Signer, output: bool) -> None:
        now = datetime.now(UTC)
        result = CommandResult(
            command_id=command.id,
            gateway=GATEWAY,
            meter=command.meter,
            state=state,
            at=now,
            relay_after=RelayReading(output, int(output), now),
        )
        payload = results.to_payload(result, signer, "ab" * 8, 1)
        with writing(self.head_end.databases.registry) as session:
            session.add(
                Result(command_id=command.id, gateway=GATEWAY, payload=payload, received_at=now)
            )


@pytest.fixture
def running(head_end, broker, tmp_path) -> Iterator[Running]:
    with writing(head_end.databases.registry) as session:
        session.get_one(Meter, METER).relay_confirmed_at = datetime.now(UTC)
    at_any_hour = Policy(hours=EVER).model_dump(mode="json")
    provision.activate_policy(head_end.databases.authority, "at any hour", at_any_hour)
    running = Running(head_end, broker, tmp_path)
    yield running
    running.gateway.stop()
    if running.process.poll() is None:
        running.stop()


def disconnect(running: Running) -> str:
    asked = running.ask(
        "ann",
        "command.request",
        action="disconnect",
        meter=METER,
        reason="unpaid",
        serial_tail=METER[-4:],
    )
    command: str = asked.outcome["command"]
    return command


def test_from_request_to_confirmed_over_the_broker(running, gateway_signer):
    command = disconnect(running)
    approval = running.ask("ben", "command.approve", "second-pair-of-eyes", command=command)
    assert approval.state == "done"
    envelope = running.gateway.commands.get(timeout=DEADLINE_S)
    assert (envelope.id, envelope.counter) == (command, 1)
    running.answer(envelope, "confirmed", gateway_signer, output=False)
    running.wait(lambda: running.state(command) == "confirmed")


def test_time_is_answered_and_nonsense_is_not(running):
    topic = TOPICS.up(GATEWAY, Kind.REQUESTS)
    for nonsense in (b"", b"{", b"HQ1j{}", b"\x00" * 100):
        running.gateway.client.publish(topic, nonsense, qos=1)
    running.gateway.ask_time("00ff" * 8)
    answer = running.gateway.answers.get(timeout=DEADLINE_S)
    assert answer.nonce == "00ff" * 8
    assert abs((datetime.now(UTC) - answer.time).total_seconds()) < 5


def test_killed_between_signing_and_answer_it_sends_the_same_again(running, gateway_signer):
    command = disconnect(running)
    running.ask("ben", "command.approve", "second-pair-of-eyes", command=command)
    first = running.gateway.commands.get(timeout=DEADLINE_S)
    running.process.kill()
    running.process.wait()
    while running.gateway.statuses.get(timeout=DEADLINE_S).state != "offline":
        pass
    running.start()
    assert running.gateway.commands.get(timeout=DEADLINE_S) == first
    running.answer(first, "confirmed", gateway_signer, output=False)
    running.wait(lambda: running.state(command) == "confirmed")


def test_a_broker_that_was_killed_and_wiped_gets_the_command_again(running):
    running.broker.kill()
    running.broker.wipe()
    command = disconnect(running)
    running.ask("ben", "command.approve", "second-pair-of-eyes", command=command)
    running.wait(lambda: running.state(command) == "sent")
    running.broker.start()
    assert running.gateway.commands.get(timeout=DEADLINE_S).id == command


def test_request_to_signed_publish_is_quick(running):
    asked_at = time.monotonic()
    running.ask(
        "ann", "command.request", action="reconnect", meter=METER, reason="paid", serial_tail=""
    )
    running.gateway.commands.get(timeout=DEADLINE_S)
    assert time.monotonic() - asked_at < DEADLINE_S
