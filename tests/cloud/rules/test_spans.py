"""Rules of events: counts, sequences and what is missing in them, whatever order events come in."""

import itertools

import pytest
from hesper_cloud.rules.definition import EventCount, EventSequence
from hesper_cloud.rules.spans import Span, Told, spans, unanswered_since

COVER = EventCount(kind="event", codes=("open",), ended_by=("closed",), ends_after_s=None)
THRICE = EventCount(kind="event", codes=("down",), count=3, within_s=100, ends_after_s=500)
FOLLOWED = EventSequence(
    kind="sequence", first=("open",), then=("cut",), within_s=60, ends_after_s=None
)
NOT_FOLLOWED = EventSequence(
    kind="sequence", first=("down",), then=("up",), within_s=60, followed=False, ends_after_s=None
)


def told(text: str) -> list[Told]:
    """Events written as ``10 open, 20 closed``."""
    return [Told(int(at), code) for at, code in (each.split() for each in text.split(", ") if each)]


def held(condition: EventCount | EventSequence, text: str, until: int = 1000) -> list[Span]:
    return [span._replace(number=1, code="") for span in spans(condition, told(text), until)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("10 closed", []),
        ("10 open", [Span(10, None)]),
        ("10 open, 20 closed", [Span(10, 20)]),
        ("10 open, 15 open, 20 closed", [Span(10, 20)]),
        ("10 open, 20 closed, 30 open", [Span(10, 20), Span(30, None)]),
        ("10 open, 1001 closed", [Span(10, None)]),  # not known yet
    ],
)
def test_one_event_is_ended_by_another(text: str, expected: list[Span]) -> None:
    assert held(COVER, text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0 down, 50 down", []),
        ("0 down, 50 down, 101 down", []),
        ("0 down, 50 down, 100 down", [Span(100, 600)]),
        ("0 down, 50 down, 100 down, 150 down", [Span(100, 650)]),  # goes on: ends later
        ("600 down, 650 down, 700 down", [Span(700, None)]),
    ],
)
def test_several_events_within_a_time_end_by_themselves(text: str, expected: list[Span]) -> None:
    assert held(THRICE, text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0 open", []),
        ("0 cut", []),
        ("0 open, 60 cut", [Span(60, None)]),
        ("0 open, 61 cut", []),
        ("10 cut, 20 open", []),
    ],
)
def test_one_event_then_another_within_a_time(text: str, expected: list[Span]) -> None:
    assert held(FOLLOWED, text) == expected


@pytest.mark.parametrize(
    ("text", "until", "expected"),
    [
        ("0 down", 59, []),
        ("0 down", 60, [Span(60, None)]),
        ("0 down, 60 up", 200, []),
        ("0 down, 61 up", 200, [Span(60, 61)]),
        ("0 down, 10 up, 20 down", 200, [Span(80, None)]),
    ],
)
def test_one_event_and_not_another_within_a_time(
    text: str, until: int, expected: list[Span]
) -> None:
    assert held(NOT_FOLLOWED, text, until) == expected


def test_what_still_waits_for_its_answer_is_known() -> None:
    assert unanswered_since(NOT_FOLLOWED, told("0 down, 10 up, 20 down, 30 down"), 40) == 20
    assert unanswered_since(NOT_FOLLOWED, told("0 down, 10 up"), 40) is None
    assert unanswered_since(NOT_FOLLOWED, told("0 down"), 60) is None  # it is over


@pytest.mark.parametrize("condition", [COVER, THRICE, FOLLOWED, NOT_FOLLOWED])
def test_the_order_in_which_events_come_makes_no_difference(
    condition: EventCount | EventSequence,
) -> None:
    events = told("0 down, 10 open, 20 down, 30 cut, 40 down, 50 closed, 90 up")
    usual = spans(condition, events, 1000)
    for order in itertools.islice(itertools.permutations(events), 0, 5040, 97):
        assert spans(condition, order, 1000) == usual
