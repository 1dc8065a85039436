"""The TCP wrapper: streams in any chunks, several APDUs at once, noise."""

from __future__ import annotations

import pytest
from hesper_dlms.errors import LinkError, LocalError
from hesper_dlms.wrapper import WrapperLink, WrapperReader, wrap
from hypothesis import given
from hypothesis import strategies as st


def test_wrap_is_byte_exact() -> None:
    assert wrap(16, 1, b"\xc0\x01").hex() == "0001001000010002c001"
    with pytest.raises(LocalError):
        wrap(16, 1, bytes(0x10000))


@given(st.lists(st.binary(max_size=60), max_size=6), st.integers(1, 30))
def test_any_apdus_in_any_chunks(apdus: list[bytes], chunk: int) -> None:
    stream = b"".join(wrap(1, 16, apdu) for apdu in apdus)
    reader = WrapperReader()
    found = [
        frame
        for at in range(0, len(stream), chunk)
        for frame in reader.receive(stream[at : at + chunk])
    ]
    assert [frame.apdu for frame in found] == apdus


def test_a_wrong_version_ends_the_link() -> None:
    with pytest.raises(LinkError):
        WrapperReader().receive(b"\x00\x02" + bytes(6))


@given(st.binary(max_size=200))
def test_a_resynchronising_reader_never_raises(noise: bytes) -> None:
    reader = WrapperReader(resynchronise=True)
    reader.receive(noise)


def test_a_resynchronising_reader_finds_what_follows_noise() -> None:
    reader = WrapperReader(resynchronise=True)
    stream = b"\xff\xfe\x00\x05" + wrap(1, 102, b"\x0fabc")
    found = [frame for octet in stream for frame in reader.receive(bytes((octet,)))]
    assert [(frame.apdu, frame.offset) for frame in found] == [(b"\x0fabc", 4)]


def test_link_takes_only_frames_between_its_ports() -> None:
    link = WrapperLink(16, 1)
    exchange = link.request(b"\xc0")
    assert next(exchange) == wrap(16, 1, b"\xc0")
    assert exchange.send(wrap(2, 16, b"\x00") + wrap(1, 17, b"\x00")) == b""
    with pytest.raises(StopIteration) as end:
        exchange.send(wrap(1, 16, b"\xc4"))
    assert end.value.value == b"\xc4"


def test_silence_is_a_link_error() -> None:
    exchange = WrapperLink(16, 1).request(b"\xc0")
    next(exchange)
    with pytest.raises(LinkError):
        exchange.send(b"")


def test_frames_before_a_wrong_version_are_not_lost() -> None:
    reader = WrapperReader()
    found = reader.receive(wrap(1, 16, b"\xc4") + b"\x00\x02" + bytes(6))
    assert [frame.apdu for frame in found] == [b"\xc4"]
    with pytest.raises(LinkError):
        reader.receive(b"")


def test_what_a_resynchronising_reader_waits_for_does_not_depend_on_chunks() -> None:
    noise = bytes.fromhex("30f85126332e2038d3793d3d6fcab77c00")
    whole, single = WrapperReader(resynchronise=True), WrapperReader(resynchronise=True)
    whole.receive(noise)
    for octet in noise:
        single.receive(bytes((octet,)))
    assert whole.waiting == single.waiting == len(noise) - 1


def test_a_link_that_is_opened_anew_forgets_the_earlier_stream() -> None:
    link = WrapperLink(16, 1)
    exchange = link.request(b"\xc0")
    next(exchange)
    with pytest.raises(StopIteration):
        exchange.send(wrap(1, 16, b"\xc4") + wrap(1, 16, b"\xc4late") + wrap(1, 16, b"cut")[:9])
    list(link.connect())
    exchange = link.request(b"\x60")
    next(exchange)
    with pytest.raises(StopIteration) as end:
        exchange.send(wrap(1, 16, b"\x61new"))
    assert end.value.value == b"\x61new"
