"""The wrapper over UDP: over real sockets, with datagrams lost, late and doubled."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hesper_dlms.association import Referencing
from hesper_dlms.client import Client
from hesper_dlms.errors import DecodeError, LinkError
from hesper_dlms.server import (
    LogicalServer,
    ServerConnection,
    WrapperDatagrams,
    WrapperServerLink,
)
from hesper_dlms.wrapper import WrapperFrame, datagrams, unwrap, wrap
from hesper_gateway.desk.ports import UdpPort, drive
from hypothesis import given
from hypothesis import strategies as st


class UdpMeter:
    """Meters behind a UDP port of this machine; `lose` numbers datagrams that do not arrive."""

    def __init__(self, served: WrapperDatagrams) -> None:
        self._served = served
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.port = self._socket.getsockname()[1]
        self.lose: set[int] = set()
        self.heard = 0
        self._thread = threading.Thread(target=self._live)
        self._thread.start()

    def close(self) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b"", ("127.0.0.1", self.port))
        self._thread.join()
        self._socket.close()

    def _live(self) -> None:
        while True:
            datagram, sender = self._socket.recvfrom(65536)
            if not datagram:
                return
            self.heard += 1
            if self.heard in self.lose:
                continue
            for answer in self._served.receive(datagram, sender):
                self._socket.sendto(answer, sender)


@pytest.fixture
def udp_meter(bench: Any) -> Iterator[UdpMeter]:
    """The small meter at wPort 1."""
    meter = UdpMeter(WrapperDatagrams({1: LogicalServer(bench.Meter())}))
    yield meter
    meter.close()


@pytest.mark.parametrize("client", [16, 2, 1])
def test_reads_over_udp(bench: Any, udp_meter: UdpMeter, client: int) -> None:
    settings = bench.settings(client, max_pdu=300)
    reader = Client(settings.over_udp(), settings)
    port = UdpPort("127.0.0.1", udp_meter.port, 2.0)
    try:
        drive(reader.connect(), port, 10)
        assert drive(reader.get(bench.ENERGY), port, 10).as_int() == 1234567
        assert drive(reader.get(bench.LONG), port, 10).as_octets() == bytes(range(256)) * 20
        drive(reader.release(), port, 10)
    finally:
        port.close()


def test_a_lost_datagram_is_sent_again_where_that_is_allowed(
    bench: Any, udp_meter: UdpMeter
) -> None:
    settings = bench.settings(16)
    reader = Client(settings.over_udp(retries=1), settings)
    port = UdpPort("127.0.0.1", udp_meter.port, 0.1)
    udp_meter.lose = {2}
    try:
        drive(reader.connect(), port, 10)
        assert drive(reader.get(bench.ENERGY), port, 10).as_int() == 1234567
        assert udp_meter.heard == 3
    finally:
        port.close()


def test_the_second_answer_to_a_request_that_went_out_twice_is_passed_over(bench: Any) -> None:
    settings = bench.settings(16)
    connection = ServerConnection(LogicalServer(bench.Meter()), WrapperServerLink(1))
    reader = Client(settings.over_udp(retries=1), settings)
    exchange = reader.connect()
    request = next(exchange)
    assert exchange.send(b"") == request
    accepted = connection.receive(request)
    with pytest.raises(StopIteration):
        exchange.send(accepted)
    read = reader.get(bench.ENERGY)
    answer = connection.receive(next(read))
    assert read.send(accepted) == b""
    with pytest.raises(StopIteration) as end:
        read.send(answer)
    assert end.value.value.as_int() == 1234567


def test_by_short_names_nothing_is_sent_again(bench: Any) -> None:
    settings = bench.settings(16, referencing=Referencing.SHORT_NAME)
    exchange = settings.over_udp(retries=1).request(b"\x05")
    next(exchange)
    with pytest.raises(LinkError):
        exchange.send(b"")


def test_a_lost_datagram_is_a_link_error_otherwise(bench: Any, udp_meter: UdpMeter) -> None:
    settings = bench.settings(16)
    reader = Client(settings.over_udp(), settings)
    port = UdpPort("127.0.0.1", udp_meter.port, 0.02)
    udp_meter.lose = {1}
    try:
        with pytest.raises(LinkError, match="did not answer"):
            drive(reader.connect(), port, 10)
    finally:
        port.close()


def test_the_command_reads_over_udp(run: Callable[..., Any], udp_meter: UdpMeter) -> None:
    done = run(
        *("read", "--host", "127.0.0.1", "--port", str(udp_meter.port), "--udp"),
        *("--json", "3:1.0.1.8.0.255:2"),
    )
    assert done.returncode == 0, done.stderr
    assert "1234567" in json.dumps(json.loads(done.stdout))


def test_noise_and_foreign_datagrams_are_passed_over(bench: Any) -> None:
    settings = bench.settings(16)
    link = settings.over_udp()
    exchange = link.request(b"\xc0ask")
    assert next(exchange) == wrap(16, 1, b"\xc0ask")
    for noise in (b"\x00", wrap(1, 16, b"two") + wrap(1, 16, b"three"), wrap(2, 16, b"other")):
        assert exchange.send(noise) == b""
    with pytest.raises(StopIteration) as end:
        exchange.send(wrap(1, 16, b"answer"))
    assert end.value.value == b"answer"


def test_clients_are_told_apart_and_the_oldest_is_forgotten(bench: Any) -> None:
    served = WrapperDatagrams({1: LogicalServer(bench.Meter())}, clients_max=2)
    aarq = bytes.fromhex("601da109060760857405080101be10040e01000000065f1f0400001e1dffff")
    get = bytes.fromhex("c001c1000301000108 00ff0200")
    for sender in ("a", "b"):
        served.receive(wrap(16, 1, aarq), sender)
    assert served.receive(wrap(16, 1, get), "a")[0][8] == 0xC4
    assert served.receive(wrap(16, 1, get), "c")[0][8] == 0xD8  # never associated
    assert served.receive(wrap(16, 1, get), "b")[0][8] == 0xD8  # forgotten
    assert served.receive(wrap(16, 7, get), "a") == []
    assert served.receive(b"noise", "a") == []


def test_a_push_is_a_datagram() -> None:
    assert unwrap(WrapperDatagrams.push(1, 102, b"\x0f")) == WrapperFrame(1, 102, b"\x0f")


@given(st.binary(max_size=40))
def test_any_datagram_is_an_apdu_or_refused(octets: bytes) -> None:
    try:
        frame = unwrap(octets)
    except DecodeError:
        return
    assert frame.to_octets() == octets


@given(st.lists(st.binary(max_size=20), max_size=6))
def test_apdus_in_a_row_are_taken_apart(apdus: list[bytes]) -> None:
    wrapped = [wrap(16, 1, apdu) for apdu in apdus]
    assert datagrams(b"".join(wrapped)) == wrapped
