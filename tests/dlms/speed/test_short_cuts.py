"""Short cuts give what the long way gives, octet for octet."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import GCM
from hesper_dlms import apdu, obis
from hesper_dlms.apdu import Ciphered, CosemAttribute, GetRequestNormal
from hesper_dlms.apdu.ciphered import GLO_TAGS, write_service
from hesper_dlms.client import AssociationSettings, Client
from hesper_dlms.errors import LinkError, LocalError, SecurityError
from hesper_dlms.exchange import Exchange
from hesper_dlms.security.gcm import TAG_OCTETS, GcmKey
from hesper_dlms.server import (
    LogicalServer,
    ServerConnection,
    WrapperConnection,
    WrapperServerLink,
)
from hesper_dlms.wrapper import WrapperReader, wports, wrap

KEY, IV, HEAD = bytes(range(16)), b"HSPTITLE\x00\x00\x00\x01", b"\x30" + bytes(16)
ENERGY = CosemAttribute(3, obis.ACTIVE_ENERGY_IMPORT, 2)
Make = Callable[[LogicalServer], Any]
MAKERS: tuple[Make, ...] = (
    lambda server: WrapperConnection(server, 1),
    lambda server: ServerConnection(server, WrapperServerLink(1)),
)


@pytest.mark.parametrize("size", [0, 1, 15, 16, 4000, 16_372, 16_373, 70_000])
def test_both_ways_of_gcm_agree(size: int) -> None:
    plain = bytes(index % 251 for index in range(size))
    encryptor = Cipher(AES(KEY), GCM(IV, None, TAG_OCTETS)).encryptor()
    encryptor.authenticate_additional_data(HEAD)
    octets = encryptor.update(plain) + encryptor.finalize() + encryptor.tag[:TAG_OCTETS]
    assert GcmKey(KEY).seal(IV, plain, HEAD) == octets
    assert GcmKey(KEY).open(IV, octets, HEAD) == plain
    for place in {0, size // 2, size, size + TAG_OCTETS - 1}:
        altered = bytearray(octets)
        altered[place] ^= 1
        with pytest.raises(SecurityError):
            GcmKey(KEY).open(IV, bytes(altered), HEAD)


@pytest.mark.parametrize("tag", GLO_TAGS.values())
@pytest.mark.parametrize("size", [0, 12, 122, 123, 300])
def test_a_ciphered_service_is_written_and_read_the_same_both_ways(tag: int, size: int) -> None:
    whole = Ciphered(tag, 0x30, 7, bytes(size))
    assert write_service(tag, 0x30, 7, bytes(size)) == whole.to_octets()
    assert Ciphered.from_octets(whole.to_octets()) == whole


def test_a_get_request_that_does_not_fit_says_why() -> None:
    plain = GetRequestNormal(0xC1, ENERGY)
    assert apdu.parse(plain.to_octets()) == plain
    for wrong in (ENERGY._replace(logical_name=b"\x01"), ENERGY._replace(class_id=70_000)):
        with pytest.raises(LocalError):
            GetRequestNormal(0xC1, wrong).to_octets()


def exchanged(client: Client, connection: Any, chunk: int) -> Iterator[bytes]:
    """Connect, read, release; yield every octet that the server sent, in its pieces."""

    def drive(exchange: Exchange[Any]) -> Iterator[bytes]:
        octets = next(exchange)
        try:
            while True:
                parts = [octets[at : at + chunk] for at in range(0, len(octets), chunk)]
                answer = b"".join(connection.receive(part) for part in parts)
                yield answer
                octets = exchange.send(answer)
        except StopIteration:
            return

    yield from drive(client.connect())
    yield from drive(client.get(ENERGY))
    yield from drive(client.release())


@pytest.mark.parametrize("chunk", [1, 7, 1 << 16])
def test_a_lean_connection_answers_like_the_other(bench: Any, chunk: int) -> None:
    settings = AssociationSettings(16)
    answers = [
        list(
            exchanged(
                Client(settings.over_wrapper(), settings),
                make(LogicalServer(bench.Meter())),
                chunk,
            )
        )
        for make in MAKERS
    ]
    assert answers[0] == answers[1]
    assert len(answers[0]) >= 3


@pytest.mark.parametrize("make", MAKERS)
def test_several_clients_and_frames_on_one_connection(bench: Any, make: Make) -> None:
    connection = make(LogicalServer(bench.Meter()))
    request = GetRequestNormal(0xC1, ENERGY).to_octets()
    frames = wrap(16, 1, request) + wrap(2, 1, request) + wrap(16, 9, request)
    answers = WrapperReader().receive(connection.receive(frames))
    assert [(answer.source, answer.destination) for answer in answers] == [(1, 16), (1, 2)]
    assert connection.receive(wrap(16, 9, request)) == b""
    assert connection.push(b"\x0f\x00", 102) == wrap(1, 102, b"\x0f\x00")
    with pytest.raises(LinkError):
        connection.receive(b"\x00\x02\x00\x10\x00\x01\x00\x00")


def test_wports_are_those_of_one_whole_frame_only() -> None:
    frame = wrap(16, 1, b"\xc0\x01")
    assert wports(frame) == (16, 1)
    for other in (b"", frame[:-1], frame + b"\x00", frame * 2, b"\x00\x02" + frame[2:]):
        assert wports(other) is None
