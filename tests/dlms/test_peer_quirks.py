"""What foreign implementations do beside the standard (tests/interop), and how it is met."""

from __future__ import annotations

from typing import Any

import pytest
from hesper_dlms.apdu import SetRequestNormal
from hesper_dlms.client import Client
from hesper_dlms.errors import LinkError
from hesper_dlms.hdlc import Frame, FrameReader, HdlcLink, Kind
from hesper_dlms.hdlc.address import client_octets, server_octets
from hesper_dlms.hdlc.frames import information_control, ready_control, unnumbered_control
from hesper_dlms.server import LogicalServer, ServerConnection, WrapperServerLink
from hesper_dlms.wrapper import wrap

MOST_WRITES = 20


def from_meter(control: int, information: bytes = b"") -> bytes:
    return Frame(client_octets(16), server_octets(1, 17), control, information).to_octets()


def connected() -> HdlcLink:
    link = HdlcLink(16, 1, 17)
    exchange = link.connect()
    next(exchange)
    with pytest.raises(StopIteration):
        exchange.send(from_meter(unnumbered_control(Kind.UA)))
    return link


def test_an_answer_that_acknowledges_one_frame_too_few_is_taken() -> None:
    """The server of jDLMS 1.8.0."""
    exchange = connected().request(b"\xc0\x01")
    next(exchange)
    with pytest.raises(StopIteration) as end:
        exchange.send(from_meter(information_control(0, 0), b"\xe6\xe6\x00\xc4\x01"))
    assert end.value.value == b"\xc4\x01"


def test_a_segment_that_is_never_acknowledged_ends_the_link() -> None:
    """The same server acknowledges segments wrongly for ever, so they are not sent for ever."""
    exchange = connected().request(bytes(500))
    written = [next(exchange)]

    def answer() -> None:
        for _ in range(MOST_WRITES):
            reply = from_meter(ready_control(0)) if written[-1] else b""
            written.append(exchange.send(reply))

    with pytest.raises(LinkError):
        answer()
    assert all(frame.segmented for octets in written for frame in FrameReader().receive(octets))


@pytest.mark.parametrize(("beyond", "answer"), [(20, 0xC5), (60, 0xD8)])
def test_a_request_may_exceed_the_largest_apdu_by_what_ciphering_adds(
    bench: Any, beyond: int, answer: int
) -> None:
    """Gurux for Java fills the APDU before it ciphers it."""
    connection = ServerConnection(LogicalServer(bench.Meter(), max_pdu=300), WrapperServerLink(1))
    settings = bench.settings(2)
    bench.run(Client(settings.over_wrapper(), settings).connect(), connection.receive)
    empty = len(SetRequestNormal(0xC1, bench.NAME, b"\x09\x82\x00\x00").to_octets())
    size = 300 + beyond - empty
    value = b"\x09\x82" + size.to_bytes(2, "big") + bytes(size)
    request = SetRequestNormal(0xC1, bench.NAME, value).to_octets()
    assert len(request) == 300 + beyond
    assert connection.receive(wrap(2, 1, request))[8] == answer
