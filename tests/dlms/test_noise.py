"""Nothing but the package's own errors leaves client, server and receivers, whatever arrives."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hesper_dlms import apdu, axdr
from hesper_dlms.client import Client
from hesper_dlms.deframing import LINKS
from hesper_dlms.errors import DlmsError
from hesper_dlms.hdlc.address import server_octets
from hesper_dlms.hdlc.frames import Frame
from hesper_dlms.oneshot import PushReceiver
from hesper_dlms.server import (
    HdlcMultidrop,
    HdlcServerLink,
    LogicalServer,
    ServerConnection,
    WrapperServerLink,
)
from hesper_dlms.wrapper import wrap
from hypothesis import given, settings
from hypothesis import strategies as st

NOISE = st.binary(max_size=200)
TAGS = st.sampled_from(bytes.fromhex("01080e0f60616263c0c1c2c3c4c5c7c8cbcccfd0d8dbdce0"))


@st.composite
def apdus(draw: Any) -> bytes:
    """Octets that begin like an APDU."""
    return bytes((draw(TAGS), draw(st.integers(0, 7)), 0xC1)) + draw(st.binary(max_size=60))


@st.composite
def mutated(draw: Any, octets: bytes) -> bytes:
    """`octets` with a few of them changed, cut or doubled."""
    changed = bytearray(octets)
    for _ in range(draw(st.integers(0, 4))):
        place = draw(st.integers(0, len(changed) - 1))
        changed[place] = draw(st.integers(0, 255))
    end = draw(st.integers(1, len(changed)))
    return bytes(changed[:end])


def into_state(bench: Any, client: int, state: str) -> tuple[Client, ServerConnection]:
    """A client and a meter on the wrapper, before, within or behind their association."""
    connection = ServerConnection(LogicalServer(bench.Meter()), WrapperServerLink(1))
    chosen = bench.settings(client)
    peer = Client(chosen.over_wrapper(), chosen)
    if state == "challenged":
        connection.receive(next(peer.connect()))
    elif state != "idle":
        bench.run(peer.connect(), connection.receive)
    if state == "released":
        bench.run(peer.release(), connection.receive)
    return peer, connection


@pytest.mark.parametrize("state", ["idle", "challenged", "associated", "released"])
@pytest.mark.parametrize("client", [16, 2, 1, 3])
@settings(max_examples=40)
@given(octets=st.lists(NOISE | apdus(), min_size=1, max_size=5))
def test_a_server_survives_any_apdus(
    bench: Any, client: int, state: str, octets: list[bytes]
) -> None:
    _, connection = into_state(bench, client, state)
    for each in octets:
        connection.receive(wrap(client, 1, each))


@pytest.mark.parametrize("client", [16, 1])
@settings(max_examples=100)
@given(data=st.data())
def test_a_server_survives_mutated_associations(bench: Any, client: int, data: Any) -> None:
    chosen = bench.settings(client)
    octets = next(Client(chosen.over_wrapper(), chosen).connect())[8:]
    connection = ServerConnection(LogicalServer(bench.Meter()), WrapperServerLink(1))
    connection.receive(wrap(client, 1, data.draw(mutated(octets))))


@pytest.mark.parametrize("client", [16, 2, 1, 3])
@pytest.mark.parametrize("call", ["connect", "get", "get_many", "set", "action", "release"])
@settings(max_examples=40)
@given(octets=st.lists(NOISE | apdus(), min_size=1, max_size=5), data=st.data())
def test_a_client_survives_any_answers(
    bench: Any, client: int, call: str, octets: list[bytes], data: Any
) -> None:
    peer, connection = into_state(bench, client, "idle" if call == "connect" else "associated")
    exchange = {
        "connect": lambda: peer.connect(),
        "get": lambda: peer.get(bench.LONG),
        "get_many": lambda: peer.get_many([bench.ENERGY, bench.NAME]),
        "set": lambda: peer.set(bench.NAME, axdr.octet_string(bytes(10))),
        "action": lambda: peer.action(apdu.CosemMethod(70, bytes(6), 1), axdr.integer(0)),
        "release": lambda: peer.release(),
    }[call]()
    with contextlib.suppress(DlmsError, StopIteration):
        right = connection.receive(next(exchange))[8:]
        exchange.send(wrap(1, client, data.draw(mutated(right)))) if right else None
        for each in octets:
            exchange.send(wrap(1, client, each))
    peer.take_notifications()


@given(st.lists(NOISE, max_size=4))
def test_streams_of_noise(bench: Any, octets: list[bytes]) -> None:
    server = LogicalServer(bench.Meter())
    over_wrapper = ServerConnection(server, WrapperServerLink(1))
    over_hdlc = ServerConnection(server, HdlcServerLink(1, 17))
    line = HdlcMultidrop({17: server})
    for each in octets:
        over_hdlc.receive(each)
        line.receive(each)
        with contextlib.suppress(DlmsError):
            over_wrapper.receive(each)


@pytest.mark.parametrize("link", LINKS)
@pytest.mark.parametrize("ciphered", [False, True])
@settings(max_examples=60)
@given(octets=st.lists(NOISE | apdus(), min_size=1, max_size=5), data=st.data())
def test_a_receiver_survives_anything(
    bench: Any, link: str, ciphered: bool, octets: list[bytes], data: Any
) -> None:
    receiver = PushReceiver(link, bench.Meter.security if ciphered else None)
    for each in octets:
        if data.draw(st.booleans()):
            framed = Frame(b"\x21", server_octets(1, 17), 0x13, each or b"\x00").to_octets()
            each = framed if link == "hdlc" else wrap(1, 102, each)
        for found in receiver.receive(each):
            with contextlib.suppress(DlmsError):
                getattr(found, "to_json", dict)()
    receiver.finish()
