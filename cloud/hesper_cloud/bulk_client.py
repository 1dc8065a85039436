"""A client of the broker for thousands of small messages a second: paho with octets in bulk.

Theory of operation. paho fetches each packet by three or four calls of the socket and sends each
by one of its own. Its client is given a socket that reads ahead (`ReadAhead`): one call fetches
what has come, up to 64 KiB. `BulkClient.loop_read` takes the messages at the front of that and
hands them over together, in their order; at any other packet, or a message with properties or at
QoS 2, it lets paho read that one packet out of the buffer, and goes on behind it. So everything
that is not an everyday message (connecting, subscriptions, pings, errors, the end) remains paho's.
Acknowledgements of many messages leave as one string of octets, from any thread. A packet that is
not there as a whole waits in the buffer, which therefore never holds more than one packet and one
fetch: the broker keeps to the maximum packet size that the client announced.

paho knows nothing of what passes it by; it sends a ping when it has seen no packet of its own for
the keep-alive time, which costs one packet.
"""

import contextlib
import ssl
import threading
from collections.abc import Callable, Iterable
from typing import Any

from paho.mqtt import client as mqtt
from paho.mqtt.enums import MQTTErrorCode

from hesper_cloud import mqtt_packets
from hesper_cloud.mqtt_packets import Published

FETCH = 64 * 1024
_NOT_NOW = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class ReadAhead:
    """A connected socket for paho that reads ahead; sending is safe from any thread."""

    def __init__(self, socket: Any) -> None:
        self._socket = socket  # an SSL socket may not be used by two threads at once
        self._lock = threading.Lock()
        self._octets = b""
        self._at = 0
        self._behind: list[bytes] = []
        self._missing = 1  # how many octets behind `_octets` make its last packet whole
        self._opened = 0
        self._unsent = b""
        self.has_ended = False

    def fetch(self) -> None:
        """Takes in what has come, by one call of the socket."""
        try:
            with self._lock:
                part: bytes = self._socket.recv(FETCH)
        except _NOT_NOW:
            return
        except OSError:
            self.has_ended = True
            return
        self.has_ended = not part
        self._behind.append(part)
        if sum(map(len, self._behind)) >= self._missing:
            self._octets = b"".join((self._octets[self._at :], *self._behind))
            self._at = 0
            self._behind.clear()

    def messages(self) -> list[Published]:
        """Returns the messages at the front, and opens the packet behind them to `recv`."""
        found = []
        octets, at = self._octets, self._at
        self._missing = 1
        while (extent := self._extent(at)) is not None:
            body, end = extent
            if end > len(octets):
                self._missing = end - len(octets)
                break
            message = mqtt_packets.published(octets, at, body, end) if body > at else None
            if message is None:
                self._opened = end - at
                break
            found.append(message)
            at = end
        self._at = at
        return found

    def _extent(self, at: int) -> tuple[int, int] | None:
        try:
            return mqtt_packets.extent(self._octets, at)
        except mqtt_packets.Malformed:
            return at, len(self._octets)  # no body: paho says what is wrong, and hangs up

    @property
    def has_opened(self) -> bool:
        """Whether paho has something to read: a packet, or the end of the connection."""
        return self._opened > 0 or self.has_ended

    def recv(self, size: int) -> bytes:
        """Returns octets of the opened packet, as a socket would."""
        if not self._opened:
            if self.has_ended:
                return b""
            raise BlockingIOError
        taken = self._octets[self._at : self._at + min(size, self._opened)]
        self._at += len(taken)
        self._opened -= len(taken)
        return taken

    def pending(self) -> int:
        """Returns how many octets can be read without waiting for the network."""
        held = self._socket.pending() if isinstance(self._socket, ssl.SSLSocket) else 0
        return self._opened + int(held)

    def send(self, octets: bytes | bytearray) -> int:
        """Sends a packet as a whole, behind what waits; what finds no room waits here.

        Raises:
            BlockingIOError: something waits already.
            OSError: the connection is gone.
        """
        with self._lock:
            self._flush()
            if self._unsent:
                raise BlockingIOError
            self._unsent = bytes(octets)
            self._flush()
        return len(octets)

    def send_now(self, octets: bytes) -> None:
        """Sends whole packets, from any thread; nothing is done where the connection is gone."""
        with contextlib.suppress(OSError), self._lock:
            self._unsent += octets
            self._flush()

    def flush(self) -> None:
        """Sends what waits, as far as there is room."""
        with contextlib.suppress(OSError), self._lock:
            self._flush()

    def _flush(self) -> None:
        if self._unsent:
            with contextlib.suppress(*_NOT_NOW):
                self._unsent = self._unsent[self._socket.send(self._unsent) :]

    @property
    def has_unsent(self) -> bool:
        """Whether something waits for room."""
        return bool(self._unsent)

    def fileno(self) -> int:
        """Returns the socket's number."""
        return int(self._socket.fileno())

    def setblocking(self, flag: bool) -> None:
        """Passes it on."""
        self._socket.setblocking(flag)

    def close(self) -> None:
        """Closes the socket; nothing is sent from then on."""
        with self._lock:
            self._unsent = b""
            self._socket.close()


class BulkClient(mqtt.Client):
    """paho's client; everyday messages come together, by `on_published`."""

    on_published: Callable[[list[Published]], None] | None = None

    def acknowledge(self, packets: Iterable[int], over: object) -> None:
        """Acknowledges messages at QoS 1 over the socket that they came by; from any thread.

        Nothing is done where that is closed: their ids may be other messages' by now.
        """
        if isinstance(over, ReadAhead):
            over.send_now(mqtt_packets.acknowledgements(packets))

    def _create_socket(self) -> Any:
        made = super()._create_socket()
        return made if self.on_published is None else ReadAhead(made)

    def loop_read(self, max_packets: int = 1) -> MQTTErrorCode:
        """Reads what has come: everyday messages here, all else by paho."""
        ahead: Any = self.socket()
        if not isinstance(ahead, ReadAhead) or self.on_published is None:
            return super().loop_read(max_packets)
        ahead.fetch()
        while True:
            messages = ahead.messages()
            if messages:
                self.on_published(messages)
            if not ahead.has_opened:
                return MQTTErrorCode.MQTT_ERR_SUCCESS
            code = super().loop_read(max_packets)
            if code or self.socket() is not ahead:
                return code

    def want_write(self) -> bool:
        """Says whether something waits for room in the socket."""
        ahead = self.socket()
        return super().want_write() or (isinstance(ahead, ReadAhead) and ahead.has_unsent)

    def loop_write(self) -> MQTTErrorCode:
        """Sends what waits."""
        ahead = self.socket()
        if isinstance(ahead, ReadAhead):
            ahead.flush()
        return super().loop_write()
