"""After an outage of the store: the windows of many gateways let a backlog drain at full speed.

Windows are the real ones, time is virtual, broker and store are models: the broker forgets what
its queue has no room for (as Mosquitto does, which acknowledges it all the same), the store takes a
group at a time.
"""

from collections import deque
from dataclasses import dataclass, field

import pytest
from hesper_gateway.window import Window

GATEWAYS, WINDOW = 10, 8
EVERY_S, OUTAGE_S = 5, 600
GROUP, GROUPS_A_SECOND = 10, 5  # 50 batches a second where 2 fall due: 25 × real time


@dataclass
class Outbox:
    """Batches that have no receipt yet."""

    waiting: list[int] = field(default_factory=list)
    appended: int = 0

    def append(self) -> None:
        self.appended += 1
        self.waiting.append(self.appended)

    def urgent(self) -> list[int]:
        return []

    def readings_after(self, sequence: int, limit: int) -> list[int]:
        return [each for each in self.waiting if each > sequence][:limit]


class Field:
    """Gateways, a broker with a queue, and a store that is down for a while."""

    def __init__(self, room: int) -> None:
        self.room = room
        self.outboxes = [Outbox() for _ in range(GATEWAYS)]
        self.windows = [Window(each, WINDOW, jitter=lambda: 1.0) for each in self.outboxes]
        self.queue: deque[tuple[int, int]] = deque()

    def send(self, now: float) -> None:
        for gateway, window in enumerate(self.windows):
            for sequence in window.due(now):
                window.sent(sequence, now)
                if len(self.queue) < self.room:
                    self.queue.append((gateway, sequence))

    def store(self, now: float) -> None:
        for _ in range(GROUPS_A_SECOND):
            group = [self.queue.popleft() for _ in range(min(GROUP, len(self.queue)))]
            for gateway, sequence in group:
                if sequence in self.outboxes[gateway].waiting:
                    self.outboxes[gateway].waiting.remove(sequence)
                self.windows[gateway].released([sequence])
            self.send(now)

    @property
    def backlog(self) -> int:
        return sum(len(each.waiting) for each in self.outboxes)


def drained(field_: Field, *, announced: bool) -> float:
    """Returns how fast the backlog of an outage drained, in multiples of real time."""
    now, stored = 0, 0
    while now <= OUTAGE_S or field_.backlog > GATEWAYS:
        if now % EVERY_S == 0:
            for outbox in field_.outboxes:
                outbox.append()
        if now == OUTAGE_S and announced:
            for window in field_.windows:
                window.wake()
        field_.send(now)
        if now >= OUTAGE_S:
            before = field_.backlog
            field_.store(now)
            stored += before - field_.backlog
        now += 1
    return stored * EVERY_S / GATEWAYS / (now - OUTAGE_S)


@pytest.mark.parametrize("room", [20, GATEWAYS * WINDOW], ids=["queue too small", "queue"])
def test_a_backlog_drains_more_than_ten_times_as_fast_as_it_came(room: int) -> None:
    assert drained(Field(room), announced=True) >= 10


def test_unless_the_cloud_announces_itself_lost_batches_wait_for_their_turn() -> None:
    assert drained(Field(20), announced=False) < 10
