"""Which gateway sends what on a topic, looked up once for each topic."""

from functools import lru_cache
from typing import NamedTuple

from hesper_contracts.frame import Kind, Refused
from hesper_contracts.topics import CloudAddress, Topics

_KEPT = 4096


class Sender(NamedTuple):
    """A topic as text, the gateway that it belongs to, and what comes on it."""

    topic: str
    gateway: str
    kind: Kind


class Senders:
    """The senders below one root; `of` takes the octets of a topic."""

    def __init__(self, topics: Topics) -> None:
        self._topics = topics
        self._known = lru_cache(_KEPT)(self._parsed)

    def of(self, topic: bytes) -> Sender:
        """Returns who sends on a topic.

        Raises:
            Refused: no gateway does.
        """
        return self._known(topic)

    def _parsed(self, octets: bytes) -> Sender:
        topic = text_of(octets)
        address = self._topics.parse(topic)
        if isinstance(address, CloudAddress):
            raise Refused("a cloud role's topic")
        return Sender(topic, address.gateway, address.kind)


def text_of(topic: bytes) -> str:
    """Returns a topic as text, or what to call one that is none."""
    try:
        return topic.decode()
    except UnicodeDecodeError:
        return "a topic that is not UTF-8"
