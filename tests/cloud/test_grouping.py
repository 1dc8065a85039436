"""Groups by number, by octets, by time: what waits goes together."""

import queue
import time

from hesper_cloud.ingest.grouping import Grouping
from hesper_cloud.ingest.message import Delivery, Message
from hesper_contracts.frame import Kind


def waiting(*payloads: bytes) -> "queue.Queue[Message]":
    messages: queue.Queue[Message] = queue.Queue()
    for number, payload in enumerate(payloads):
        delivery = Delivery(1, number, 1)
        messages.put(Message("t", "gw-1", Kind.READINGS, payload, delivery, time.monotonic(), 0.0))
    return messages


def sizes(grouping: Grouping, groups: int) -> list[int]:
    return [len(grouping.next_group()) for _ in range(groups)]


def test_a_group_ends_at_its_number_and_the_rest_is_the_next() -> None:
    assert sizes(Grouping(waiting(*[b"x"] * 5), 3, 0.0), 2) == [3, 2]


def test_a_group_ends_at_its_octets_and_a_larger_message_goes_alone() -> None:
    messages = waiting(b"x" * 60, b"x" * 60, b"x" * 500, b"x")
    assert sizes(Grouping(messages, 100, 0.0, 100), 3) == [2, 1, 1]


def test_json_counts_for_what_it_says() -> None:
    messages = waiting(*[b"{" + b"x" * 159] * 12)
    assert sizes(Grouping(messages, 100, 0.0, 100), 2) == [10, 2]


def test_without_a_message_there_is_no_group() -> None:
    assert Grouping(waiting(), 3, 0.0).next_group() == []
