"""No command waits in the client of the broker, where the kill switch would not find it."""

import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import BinaryIO

import pytest
from hesper_cloud import broker_client
from hesper_cloud.authority import uplink as module
from hesper_cloud.authority.outgoing import Outgoing
from hesper_cloud.authority.uplink import AuthorityUplink
from hesper_cloud.settings import BrokerSettings
from hesper_contracts.signing import Signer
from paho.mqtt import client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from patience import eventually

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
DEADLINE_S = 20.0
CONNECT, PUBLISH, SUBSCRIBE = 1, 3, 8
WINDOW = 20


class Broker:
    """Acknowledges all but commands, and those when told; knows what came over which connection."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._changed = threading.Condition()
        self._connections: list[socket.socket] = []
        self._unanswered: list[tuple[socket.socket, bytes]] = []
        self.commands: list[tuple[int, bytes]] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()
        with suppress(OSError):  # the other side may have gone
            self.hang_up()

    def hang_up(self) -> None:
        with self._changed:
            self._unanswered.clear()
            self._connections[-1].shutdown(socket.SHUT_RDWR)

    def acknowledge(self) -> None:
        with self._changed:
            for connection, packet in self._unanswered:
                connection.sendall(b"\x40\x02" + packet)
            self._unanswered.clear()

    def heard(self, count: int) -> list[tuple[int, bytes]]:
        """Returns the commands once there are so many."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.commands) >= count, DEADLINE_S)
            return list(self.commands)

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self._connections.append(connection)
            number = len(self._connections)
            threading.Thread(target=self._serve, args=(connection, number), daemon=True).start()

    def _serve(self, connection: socket.socket, number: int) -> None:
        with suppress(OSError), connection, connection.makefile("rb") as octets:
            while head := octets.read(1):
                body = octets.read(_length(octets))
                kind = head[0] >> 4
                if kind == CONNECT:
                    connection.sendall(bytes((0x20, 3, 0, 0, 0)))
                elif kind == SUBSCRIBE:
                    connection.sendall(b"\x90\x04" + body[:2] + b"\x00\x01")
                elif kind == PUBLISH:
                    self._take(connection, number, body)

    def _take(self, connection: socket.socket, number: int, body: bytes) -> None:
        end = 2 + int.from_bytes(body[:2], "big")
        packet = body[end : end + 2]
        with self._changed:
            if not body[2:end].endswith(b"/commands"):
                connection.sendall(b"\x40\x02" + packet)
                return
            self._unanswered.append((connection, packet))
            self.commands.append((number, body[-8:]))
            self._changed.notify_all()


def _length(octets: BinaryIO) -> int:
    length = shift = 0
    while (octet := octets.read(1)[0]) & 0x80:
        length, shift = length | (octet & 0x7F) << shift, shift + 7
    return length | octet << shift


@pytest.fixture
def broker() -> Iterator[Broker]:
    broker = Broker()
    yield broker
    broker.close()


@pytest.fixture
def uplink(broker: Broker) -> Iterator[AuthorityUplink]:
    uplink = AuthorityUplink(BrokerSettings(port=broker.port), "main", Signer.generate(), now)
    uplink.start()
    wait_for_connection(uplink, 1)
    yield uplink
    uplink.stop()


def now() -> datetime:
    return NOW


def wait_for_connection(uplink: AuthorityUplink, number: int) -> None:
    eventually(lambda: uplink.connection == number, f"connection {number}")


def sent(uplink: AuthorityUplink, *names: int) -> list[bool]:
    later = NOW + timedelta(minutes=1)
    return [uplink.publish(Outgoing(f"{n:08}", "gw-1", b"%08d" % n, later), NOW) for n in names]


def test_what_would_have_to_wait_is_not_taken(
    broker: Broker, uplink: AuthorityUplink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_PATIENCE_S", 0.0)
    taken = sent(uplink, *range(50))
    assert taken == [True] * WINDOW + [False] * (50 - WINDOW)
    assert len(broker.heard(WINDOW)) == WINDOW
    monkeypatch.setattr(module, "_PATIENCE_S", DEADLINE_S)
    broker.acknowledge()
    assert sent(uplink, 50) == [True]
    assert [name for _, name in broker.heard(WINDOW + 1)][WINDOW:] == [b"00000050"]


def test_a_thread_that_ends_while_it_is_waited_for_has_ended() -> None:
    class Ending(mqtt.Client):
        """Its thread is there at the first two looks."""

        looks = 0

        @property
        def _thread(self) -> object:
            self.looks += 1
            return object() if self.looks <= 2 else None

        @_thread.setter
        def _thread(self, _: object) -> None:
            pass

    client = Ending(CallbackAPIVersion.VERSION2)
    with pytest.raises(AttributeError):
        client.loop_stop()
    client.looks = 0
    broker_client.end(client)


def test_nothing_outlives_the_connection_that_it_was_sent_on(
    broker: Broker, uplink: AuthorityUplink
) -> None:
    """paho would send all that nobody has acknowledged again, whatever was stopped meanwhile."""
    sent(uplink, *range(10))
    broker.heard(10)
    broker.hang_up()
    wait_for_connection(uplink, 2)
    assert sent(uplink, 99) == [True]
    assert [name for number, name in broker.heard(11) if number == 2] == [b"00000099"]
