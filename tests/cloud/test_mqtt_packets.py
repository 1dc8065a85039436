"""PUBLISH and PUBACK as octets: as the standard has them, and as paho reads them."""

import pytest
from hesper_cloud import mqtt_packets
from hesper_cloud.mqtt_packets import Malformed, Published, acknowledged, extent, published

HELLO = bytes.fromhex("3209 0003 612f62 0102 00".replace(" ", "")) + b"!"


def first(octets: bytes) -> Published | None:
    found = extent(octets, 0)
    assert found is not None
    return published(octets, 0, *found)


def test_a_message_is_read_and_written_as_the_standard_has_it() -> None:
    assert mqtt_packets.publish(b"a/b", 0x0102, b"!") == HELLO[:1] + b"\x09" + HELLO[2:]
    assert first(HELLO) == Published(b"a/b", 0x0102, 1, b"!")
    assert first(bytes.fromhex("3006000161003f3f")) == Published(b"a", 0, 0, b"??")
    assert first(bytes.fromhex("3106000161003f3f")) == Published(b"a", 0, 0, b"??", retained=True)


@pytest.mark.parametrize("length", [0, 1, 120, 127, 128, 16_383, 16_384, 2_097_152])
def test_lengths_take_as_many_octets_as_they_need(length: int) -> None:
    octets = mqtt_packets.publish(b"topic", 65_535, bytes(length))
    assert first(octets) == Published(b"topic", 65_535, 1, bytes(length))
    assert extent(octets, 0) == (len(octets) - 10 - length, len(octets))


def test_an_extent_needs_its_length_and_no_more() -> None:
    octets = mqtt_packets.publish(b"topic", 7, bytes(200))
    assert [extent(octets[:count], 0) for count in range(3)] == [None] * 3
    assert extent(octets[:3], 0) == (3, len(octets))
    with pytest.raises(Malformed):
        extent(b"\x30\xff\xff\xff\xff\x01", 0)


@pytest.mark.parametrize(
    "packet",
    [
        "3409000361 2f62010200 21",  # QoS 2
        "3609000361 2f62010200 21",  # QoS 3, which there is not
        "320b000361 2f62010202 0101 21",  # a property
        "3203000361",  # ends within its topic
        "320500036 12f62",  # ends before its packet id
        "3207000361 2f620102",  # ends before its properties
        "3200",  # ends before its topic
        "3201 00",
        "d000",  # another packet
    ],
)
def test_what_is_unusual_is_none_of_ours(packet: str) -> None:
    assert first(bytes.fromhex(packet.replace(" ", ""))) is None


def test_acknowledgements_are_read_and_written() -> None:
    octets = mqtt_packets.acknowledgements([1, 65_535])
    assert octets == bytes.fromhex("4002000140 02ffff".replace(" ", ""))
    assert acknowledged(octets, 4, 6, 8) == 65_535
    assert acknowledged(bytes.fromhex("4003000110"), 0, 2, 5) == 1  # nobody subscribed to it
    assert acknowledged(bytes.fromhex("4003000187"), 0, 2, 5) is None  # not authorized
    assert acknowledged(bytes.fromhex("d000"), 0, 2, 2) is None
