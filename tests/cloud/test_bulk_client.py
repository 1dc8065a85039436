"""Messages in bulk: whatever is cut where, paho and we read the same; over a real broker, too."""

import queue
import random
import socket
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from hesper_cloud import broker_client, mqtt_packets
from hesper_cloud.bulk_client import FETCH, BulkClient, ReadAhead
from hesper_cloud.mqtt_packets import Published
from paho.mqtt import client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes

DEADLINE_S = 30.0
PING = bytes.fromhex("d000")


def message(number: int, length: int = 20) -> bytes:
    return mqtt_packets.publish(b"t", number, bytes(length))


@pytest.fixture
def ends() -> Iterator[tuple[ReadAhead, socket.socket]]:
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    ahead = ReadAhead(ours)
    yield ahead, theirs
    ahead.close()
    theirs.close()


def everything(ahead: ReadAhead) -> list[object]:
    """Reads what is there as the client does: messages, and other packets as paho would."""
    found: list[object] = []
    while True:
        found += [each.packet for each in ahead.messages()]
        if not ahead.has_opened or (ahead.has_ended and not ahead.pending()):
            return found
        parts = []
        while ahead.pending():
            parts.append(ahead.recv(1))
        with pytest.raises(BlockingIOError):
            ahead.recv(1)
        found.append(b"".join(parts))


def test_messages_and_other_packets_keep_their_order_however_they_are_cut(
    ends: tuple[ReadAhead, socket.socket],
) -> None:
    ahead, theirs = ends
    chance = random.Random(5)
    packets = [message(n, chance.randrange(300)) if n % 4 else PING for n in range(1, 200)]
    stream, at, found = b"".join(packets), 0, []
    while at < len(stream):
        step = chance.choice([1, 2, 3, 50, 1000])
        theirs.sendall(stream[at : at + step])
        at += step
        ahead.fetch()
        found += everything(ahead)
    assert found == [number if number % 4 else PING for number in range(1, 200)]
    assert not ahead.has_ended


def test_a_message_longer_than_a_fetch_comes_as_a_whole(
    ends: tuple[ReadAhead, socket.socket],
) -> None:
    ahead, theirs = ends
    sender = threading.Thread(target=theirs.sendall, args=(message(1, 5 * FETCH) + message(2),))
    sender.start()
    found: list[object] = []
    while len(found) < 2:
        ahead.fetch()
        found += everything(ahead)
    sender.join()
    assert found == [1, 2]


def test_what_has_no_sense_is_left_to_paho(ends: tuple[ReadAhead, socket.socket]) -> None:
    ahead, theirs = ends
    theirs.sendall(message(1) + b"\x30\xff\xff\xff\xff\xff")
    ahead.fetch()
    assert [each.packet for each in ahead.messages()] == [1]
    assert ahead.recv(100) == b"\x30\xff\xff\xff\xff\xff"


def test_what_follows_a_length_without_sense_is_never_a_message(
    ends: tuple[ReadAhead, socket.socket],
) -> None:
    """Read from its first octet on it would be one, with a topic of 12,543 octets."""
    ahead, theirs = ends
    theirs.sendall(b"\x30\xff\xff\xff\xff" + bytes(20_000))
    ahead.fetch()
    assert ahead.messages() == []
    assert ahead.has_opened


def test_an_acknowledgement_goes_by_the_socket_of_its_message_or_not_at_all(
    ends: tuple[ReadAhead, socket.socket],
) -> None:
    """After a reconnect the same packet id is that of a message that nobody has settled."""
    client = broker_client.make_bulk(None, None)
    older, peer = socket.socketpair()
    before, (now, theirs) = ReadAhead(older), ends
    client._sock = now  # type: ignore[assignment]
    before.close()
    client.acknowledge([1], before)
    client.acknowledge([2], now)
    assert theirs.recv(100) == mqtt_packets.acknowledgements([2])
    assert peer.recv(100) == b""
    peer.close()


def test_the_end_is_told_after_what_came_before_it(ends: tuple[ReadAhead, socket.socket]) -> None:
    ahead, theirs = ends
    theirs.sendall(message(1))
    theirs.close()
    ahead.fetch()
    ahead.fetch()
    assert [each.packet for each in ahead.messages()] == [1]
    assert ahead.has_opened
    assert ahead.recv(1) == b""


def test_what_finds_no_room_waits_and_nothing_comes_in_between(
    ends: tuple[ReadAhead, socket.socket],
) -> None:
    ahead, theirs = ends
    large = bytes(range(256)) * 8192
    assert ahead.send(large) == len(large)
    assert ahead.has_unsent
    with pytest.raises(BlockingIOError):
        ahead.send(b"paho's next")
    ahead.send_now(b"an acknowledgement")
    got = b""
    while len(got) < len(large) + 18:
        got += theirs.recv(1 << 16)
        ahead.flush()
    assert got == large + b"an acknowledgement"
    assert not ahead.has_unsent
    assert ahead.send(b"paho's next") == 11


def test_after_its_end_nothing_is_sent_and_nobody_suffers(
    ends: tuple[ReadAhead, socket.socket],
) -> None:
    ahead, _ = ends
    ahead.close()
    ahead.send_now(b"late")
    ahead.flush()
    ahead.fetch()
    assert ahead.has_ended


class Both:
    """A bulk client that is subscribed, and an ordinary one that publishes."""

    def __init__(self, port: int) -> None:
        self.found: queue.Queue[tuple[str, bytes]] = queue.Queue()
        self.sizes: list[int] = []
        self.subscribed = threading.Event()
        self.client = broker_client.make_bulk(None, None)
        self.client.on_published = self._on_published
        self.client.on_message = self._on_message
        self.client.on_subscribe = lambda *_: self.subscribed.set()
        self.client.connect("127.0.0.1", port)
        self.client.loop_start()
        self.client.subscribe("up/#", qos=2)
        assert self.subscribed.wait(DEADLINE_S)
        self.sender = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5)
        self.sender.max_inflight_messages_set(20)
        self.sender.connect("127.0.0.1", port)
        self.sender.loop_start()

    def _on_published(self, published: list[Published]) -> None:
        self.sizes.append(len(published))
        for each in published:
            self.found.put(("together", each.payload))
        packets = [each.packet for each in published if each.qos]
        self.client.acknowledge(packets, self.client.socket())

    def _on_message(self, client: BulkClient, _data: Any, received: mqtt.MQTTMessage) -> None:
        self.found.put(("alone", received.payload))
        client.ack(received.mid, received.qos)

    def close(self) -> None:
        for client in (self.client, self.sender):
            client.disconnect()
            client.loop_stop()


@pytest.fixture
def both(broker: Any) -> Iterator[Both]:
    made = Both(broker.port)
    yield made
    made.close()


@pytest.mark.integration
def test_a_broker_gives_thousands_and_is_answered_for_each(both: Both) -> None:
    """More than the broker's window: it goes on only while it is given acknowledgements."""
    traced = broker_client.properties(PacketTypes.PUBLISH, UserProperty=("traceparent", "x"))
    for number in range(3000):
        odd = number % 100 == 50
        text = str(number).encode()
        both.sender.publish("up/t", text, qos=1, properties=traced if odd else None)
    found = [both.found.get(timeout=DEADLINE_S) for _ in range(3000)]
    assert [int(payload) for _, payload in found] == list(range(3000))
    assert {int(payload) % 100 for way, payload in found if way == "alone"} == {50}
    assert both.client.is_connected()


@pytest.mark.integration
def test_a_message_at_qos_2_is_pahos(both: Both) -> None:
    for qos in (0, 1, 2):
        both.sender.publish("up/t", b"%d" % qos, qos=qos).wait_for_publish(DEADLINE_S)
    found = {both.found.get(timeout=DEADLINE_S) for _ in range(3)}
    assert found == {("together", b"0"), ("together", b"1"), ("alone", b"2")}
