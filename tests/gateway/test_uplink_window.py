"""The window by itself: bounded, urgent first, resending with back-off."""

from dataclasses import dataclass, field

from hesper_gateway.window import FIRST_RESEND_S, LAST_RESEND_S, Window


@dataclass
class Waiting:
    """A backlog made of two lists."""

    others: list[int] = field(default_factory=list)
    readings: list[int] = field(default_factory=list)

    def urgent(self) -> list[int]:
        return self.others

    def readings_after(self, sequence: int, limit: int) -> list[int]:
        return [each for each in self.readings if each > sequence][:limit]


def window_on(backlog: Waiting, size: int = 4) -> Window:
    return Window(backlog, size, jitter=lambda: 1.0)


def send_due(window: Window, now: float) -> list[int]:
    due = window.due(now)
    for sequence in due:
        window.sent(sequence, now)
    return due


def test_bounded_until_receipts_make_room() -> None:
    window = window_on(Waiting(readings=list(range(1, 100))))
    assert send_due(window, 0) == [1, 2, 3, 4]
    assert send_due(window, 0.1) == []
    window.released([2, 3])
    assert send_due(window, 0.2) == [5, 6]


def test_results_and_events_overtake_readings() -> None:
    backlog = Waiting(readings=list(range(1, 100)))
    window = window_on(backlog)
    send_due(window, 0)
    backlog.others.append(100)
    assert send_due(window, 0.1) == [100]
    backlog.others.clear()
    window.released([100])
    assert send_due(window, 0.2) == []


def test_without_a_receipt_it_is_sent_again_ever_more_rarely() -> None:
    window = window_on(Waiting(readings=[1]))
    now, gaps = 0.0, []
    for _ in range(9):
        assert send_due(window, now) == [1]
        gaps.append(window.wait_s(now))
        now += gaps[-1]
    assert gaps[:3] == [FIRST_RESEND_S, 2 * FIRST_RESEND_S, 4 * FIRST_RESEND_S]
    assert gaps[-1] == LAST_RESEND_S


def test_waking_makes_all_due_but_what_left_a_moment_ago() -> None:
    backlog = Waiting(readings=[1])
    window = window_on(backlog)
    send_due(window, 0)
    backlog.readings.append(2)
    send_due(window, 3.5)
    window.wake()
    assert send_due(window, 4) == [1]
    assert send_due(window, 4.5) == [2]
    assert window.wait_s(4.5) == FIRST_RESEND_S - 0.5


def test_with_nothing_to_do_it_waits_long() -> None:
    assert window_on(Waiting()).wait_s(10) > 600


def test_what_newer_batches_have_overtaken_goes_again_at_once() -> None:
    window = window_on(Waiting(readings=list(range(1, 100))))
    assert send_due(window, 0) == [1, 2, 3, 4]
    window.released([1])
    assert send_due(window, 2) == [5]
    assert send_due(window, 2.5) == []
    window.released([5])
    assert send_due(window, 2.6) == [2, 3, 4, 6]
    window.released([6])
    assert send_due(window, 4) == [7]
    window.released([7])
    assert send_due(window, 4.1) == [8], "once is enough: a slower consumer may have the others"


def test_what_was_never_sent_cannot_be_overtaken() -> None:
    """Few are published at a time: receipts come while others still wait for their first turn."""
    window = window_on(Waiting(readings=[1, 2, 3]))
    assert window.due(10) == [1, 2, 3]
    window.sent(1, 10)
    window.released([1])
    assert window.due(11.5) == [2, 3]
    window.sent(2, 11.5)
    window.sent(3, 13)
    window.released([3])
    assert window.due(13.1) == [2]


def test_what_the_outbox_has_no_more_has_overtaken_nothing() -> None:
    window = window_on(Waiting(readings=[1, 2]))
    window.due(0)
    window.sent(1, 0)
    window.sent(2, 3)
    window.dropped(2)
    assert window.due(3.1) == []


def test_the_receipt_of_a_copy_says_nothing_of_the_others() -> None:
    backlog = Waiting(readings=[1])
    window = window_on(backlog)
    send_due(window, 0)
    backlog.readings.append(2)
    assert send_due(window, 3) == [2]
    assert send_due(window, FIRST_RESEND_S) == [1]
    window.released([1])  # perhaps the first copy, which left before the other batch
    assert send_due(window, FIRST_RESEND_S + 0.5) == []
