"""The packets of MQTT 5 of which there are thousands a second, PUBLISH and PUBACK, as octets.

No input or output. Whatever is unusual about a packet (properties, QoS 2, a malformed length) is
said to be none of ours, so that a whole client of the protocol judges it. Clauses are those of the
OASIS standard MQTT 5.0.
"""

from collections.abc import Iterable
from typing import NamedTuple

_PUBLISH, _PUBACK = 0x30, 0x40
_TYPE = 0xF0
_QOS_1 = 0x02
_QOS_2 = 0x04
_RETAIN = 0x01
_LONGEST_LENGTH = 4
_REFUSALS = 0x80  # reason codes from here on (clause 2.4)


class Published(NamedTuple):
    """A message at QoS 0 or 1 without properties; its packet id is 0 at QoS 0.

    ``retained``: the broker had it already when we subscribed (clause 3.3.1.3).
    """

    topic: bytes
    packet: int
    qos: int
    payload: bytes
    retained: bool = False


class Malformed(ValueError):
    """A length that no packet can have: nothing after it can be told apart."""


def extent(octets: bytes, at: int) -> tuple[int, int] | None:
    """Return where the body of the packet at an offset begins and ends (clause 2.1.4).

    None: its length is not there yet. The end may lie beyond the octets.

    Raises:
        Malformed: the length takes more than four octets.
    """
    length = shift = 0
    for place in range(at + 1, min(at + 1 + _LONGEST_LENGTH, len(octets))):
        octet = octets[place]
        length |= (octet & 0x7F) << shift
        if octet < 0x80:
            return place + 1, place + 1 + length
        shift += 7
    if len(octets) > at + _LONGEST_LENGTH:
        raise Malformed("a length of more than four octets")
    return None


def published(octets: bytes, at: int, body: int, end: int) -> Published | None:
    """Return the message of a PUBLISH that is there as a whole (clause 3.3); None: none of ours."""
    head = octets[at]
    if head & _TYPE != _PUBLISH or head & _QOS_2:
        return None
    topic = body + 2
    topic_end = topic + (octets[body] << 8 | octets[body + 1]) if topic < end else end
    qos = head >> 1 & 1
    properties = topic_end + 2 * qos
    if properties >= end or octets[properties]:
        return None
    packet = octets[topic_end] << 8 | octets[topic_end + 1] if qos else 0
    payload = octets[properties + 1 : end]
    return Published(octets[topic:topic_end], packet, qos, payload, bool(head & _RETAIN))


def publish(topic: bytes, packet: int, payload: bytes) -> bytes:
    """Return the PUBLISH of a message at QoS 1, neither retained nor with properties."""
    variable = b"%b%b%b\x00" % (len(topic).to_bytes(2, "big"), topic, packet.to_bytes(2, "big"))
    length = len(variable) + len(payload)
    head = bytearray([_PUBLISH | _QOS_1])
    while length > 0x7F:
        head.append(length & 0x7F | 0x80)
        length >>= 7
    head.append(length)
    return b"".join((head, variable, payload))


def acknowledgements(packets: Iterable[int]) -> bytes:
    """Return a PUBACK for each packet id (clause 3.4), success."""
    return b"".join([b"\x40\x02%b" % packet.to_bytes(2, "big") for packet in packets])


def acknowledged(octets: bytes, at: int, body: int, end: int) -> int | None:
    """Return which packet a PUBACK acknowledges; None: another packet, or a refusal."""
    if octets[at] & _TYPE != _PUBACK or end - body < 2:
        return None
    if end - body > 2 and octets[body + 2] >= _REFUSALS:
        return None
    return octets[body] << 8 | octets[body + 1]
