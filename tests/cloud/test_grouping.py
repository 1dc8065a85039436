"""Groups by number, by octets, by time: what waits goes together."""

import time

from hesper_cloud.ingest.grouping import Grouping
from hesper_cloud.ingest.inbox import Inbox
from hesper_cloud.ingest.message import Delivery, Message
from hesper_contracts.frame import Kind


def waiting(*payloads: bytes) -> Inbox:
    messages = Inbox()
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


def test_groups_are_as_large_as_the_store_takes_in_time() -> None:
    kib = 1024

    def large(grouping: Grouping, took_s: float, groups: int = 5) -> list[int]:
        found = []
        for _ in range(groups):
            group = grouping.next_group()
            found.append(sum(len(message.payload) for message in group) // kib)
            grouping.settled(group, took_s * found[-1] / 1024)
        return found

    messages = waiting(*[b"x" * 32 * kib] * 9000)
    grouping = Grouping(messages, 1000, 0.0, 3 * kib * kib)
    assert large(grouping, 1.0)[0] == 512
    assert large(grouping, 1.0, 30)[-1] == 1248  # at a second a MiB, in messages of 32 KiB
    assert large(grouping, 2.0, 50)[-1] == 640
    assert large(grouping, 9000.0, 2) == [640, 352]  # however long a store was away
    assert large(grouping, 2.0, 50)[-1] == 640
    assert large(grouping, 0.01, 3)[-1] > 800  # copies of what is stored
    assert large(grouping, 2.0, 6)[-1] < 800
    assert large(grouping, 9000.0, 50)[-1] == 32
    grouping.settled([], 0.001)  # too little to say how fast the store is
    assert large(grouping, 0.1, 1) == [32]
    assert large(grouping, 0.1, 80)[-1] == 3072


def test_json_counts_for_what_it_says() -> None:
    messages = waiting(*[b"{" + b"x" * 159] * 12)
    assert sizes(Grouping(messages, 100, 0.0, 100), 2) == [10, 2]


def test_an_inbox_has_room_for_so_many_octets_and_for_one_message_of_any_size() -> None:
    inbox = Inbox(100)
    assert inbox.has_room(500)
    for octets in (60, 40):
        assert inbox.has_room(octets)
        inbox.put(Message("t", "gw-1", Kind.READINGS, b"x" * octets, Delivery(1, 1, 1), 0.0, 0.0))
    assert not inbox.has_room(1)
    inbox.get()
    assert (inbox.has_room(60), inbox.has_room(61)) == (True, False)


def test_without_a_message_there_is_no_group() -> None:
    assert Grouping(waiting(), 3, 0.0).next_group() == []
