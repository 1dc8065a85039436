"""From when to when a rule of events holds for one subject: pure, from the events themselves.

What is live and what is tried on history is reckoned by the same functions. Events come in whatever
order; a rule is reckoned anew from all of a meter's events in its window whenever one of them
comes, so that late ones change the outcome as if they had been in time.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from hesper_cloud.rules.definition import EventCount, EventSequence, OfEvents


class Told(NamedTuple):
    """One event of a subject: when, epoch seconds, and what."""

    at: int
    code: str


class Span(NamedTuple):
    """A rule holds from an instant to another; None: it still does."""

    start: int
    end: int | None
    number: int = 1  # of events that it is about
    code: str = ""


def reach_s(condition: OfEvents) -> int:
    """Returns how far back events can matter for what holds now."""
    return condition.within_s + (condition.ends_after_s or condition.within_s)


def codes_of(condition: OfEvents) -> frozenset[str]:
    """Returns every code that a condition looks at."""
    if isinstance(condition, EventCount):
        return frozenset((*condition.codes, *condition.ended_by))
    return frozenset((*condition.first, *condition.then, *condition.ended_by))


def spans(condition: OfEvents, events: Iterable[Told], until: int) -> list[Span]:
    """Returns when the condition held, oldest first, by what is known at an instant."""
    ordered = sorted(each for each in events if each.at <= until)
    ends = [each.at for each in ordered if each.code in condition.ended_by]
    if isinstance(condition, EventCount):
        begun = _counted(condition, ordered)
    elif condition.followed:
        begun = _followed(condition, ordered)
    else:
        begun = _unanswered(condition, ordered, until)
        ends = sorted([*ends, *(each.at for each in ordered if each.code in condition.then)])
    return _joined(begun, ends, condition.ends_after_s, until)


def unanswered_since(condition: EventSequence, events: Iterable[Told], until: int) -> int | None:
    """Returns the oldest event that still waits for the other, None when none does."""
    ordered = sorted(each for each in events if each.at <= until)
    answers = [each.at for each in ordered if each.code in condition.then]
    waiting = (
        each.at
        for each in ordered
        if each.code in condition.first
        and each.at + condition.within_s > until
        and not _between(answers, each.at, until)
    )
    return next(waiting, None)


def _counted(condition: EventCount, ordered: Sequence[Told]) -> Iterator[Span]:
    held = [each for each in ordered if each.code in condition.codes]
    for place, last in enumerate(held[condition.count - 1 :]):
        if last.at - held[place].at <= condition.within_s:
            yield Span(last.at, None, condition.count, last.code)


def _followed(condition: EventSequence, ordered: Sequence[Told]) -> Iterator[Span]:
    firsts = [each.at for each in ordered if each.code in condition.first]
    for each in ordered:
        if each.code in condition.then and _between(firsts, each.at - condition.within_s, each.at):
            yield Span(each.at, None, 1, each.code)


def _unanswered(condition: EventSequence, ordered: Sequence[Told], until: int) -> Iterator[Span]:
    answers = [each.at for each in ordered if each.code in condition.then]
    for each in ordered:
        due = each.at + condition.within_s
        if each.code in condition.first and due <= until and not _between(answers, each.at, due):
            yield Span(due, None, 1, each.code)


def _between(times: Sequence[int], start: int, end: int) -> bool:
    """Says whether one of some ascending times is within a range, both ends included."""
    return bisect_left(times, start) < bisect_right(times, end)


def _joined(
    begun: Iterable[Span], ends: Sequence[int], ends_after_s: int | None, until: int
) -> list[Span]:
    """Returns spans with their ends; one that begins while another holds makes that one longer."""
    found: list[Span] = []
    last_begun = 0
    for span in begun:
        if found and not _over(last_begun, (ends, ends_after_s), span.start):
            last_begun = span.start
            found[-1] = found[-1]._replace(number=found[-1].number + 1)
            continue
        if found:
            found[-1] = _closed(found[-1], last_begun, (ends, ends_after_s), until)
        found.append(span)
        last_begun = span.start
    if found:
        found[-1] = _closed(found[-1], last_begun, (ends, ends_after_s), until)
    return found


_Ends = tuple[Sequence[int], int | None]


def _end(last_begun: int, given: _Ends) -> int | None:
    """Returns when something that began last at an instant ends, as far as anybody knows."""
    ends, after_s = given
    place = bisect_left(ends, last_begun)
    by_event = ends[place] if place < len(ends) else None
    by_itself = None if after_s is None else last_begun + after_s
    known = [each for each in (by_event, by_itself) if each is not None]
    return min(known) if known else None


def _over(last_begun: int, given: _Ends, at: int) -> bool:
    end = _end(last_begun, given)
    return end is not None and end < at


def _closed(span: Span, last_begun: int, given: _Ends, until: int) -> Span:
    end = _end(last_begun, given)
    return span._replace(end=end if end is not None and end <= until else None)
