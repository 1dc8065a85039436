"""Rules of events, for one meter: reckoned anew from what is stored, and told if that changed."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from hesper_cloud.db.registry import Event
from hesper_cloud.db.rules import RuleMemory
from hesper_cloud.rules.alerts import Alerts
from hesper_cloud.rules.book import RAISED, Running, utc
from hesper_cloud.rules.definition import EventCount, EventSequence, OfEvents
from hesper_cloud.rules.levels import Change, Mark
from hesper_cloud.rules.spans import Span, Told, codes_of, reach_s, spans, unanswered_since
from hesper_cloud.rules.verdicts import Finding, write

AHEAD_S = 900
"""What a clock that is a little ahead tells of is taken to be now; what is far ahead is not yet."""


def looked_at_again(
    session: Session, alerts: Alerts, rule: Running, meter: str, at_and_now: tuple[int, int]
) -> None:
    """Reckons a rule of events for a meter, after one of them came or time has passed.

    Args:
        session: In a writing transaction that holds the events.
        alerts: Where alerts are raised.
        rule: With a condition of events.
        meter: Whose.
        at_and_now: When the event occurred that came (now, if none did), and now; epoch seconds.
    """
    condition = rule.definition.condition
    if not isinstance(condition, EventCount | EventSequence):
        return
    at, now = at_and_now
    if now < at <= now + AHEAD_S:
        at = now
    if at < now - rule.definition.counts_for_s:
        return
    before = _mark(session, rule.id, meter)
    told = _events(session, condition, meter, _since(condition, before, min(at, now)))
    events = [each._replace(at=now) if now < each.at <= now + AHEAD_S else each for each in told]
    held = spans(condition, events, now)
    changes = _changes(meter, before, held, at)
    if not changes and isinstance(condition, EventSequence) and not condition.followed:
        changes = _waits(meter, before, unanswered_since(condition, events, now), now)
    write(session, alerts, rule, [Finding(each, _facts(held)) for each in changes])


def _since(condition: OfEvents, before: Mark | None, at: int) -> int:
    """Returns from when events matter: what began holds as long as it takes, until it is ended."""
    begun = at if before is None else min(at, before.since)
    return begun - 2 * reach_s(condition)


def _changes(meter: str, before: Mark | None, held: list[Span], at: int) -> list[Change]:
    newest = held[-1] if held else None
    raised = before is not None and before.raised
    if newest is not None and newest.end is None:
        mark = Mark(newest.start, True)
        return [] if raised else [Change(meter, newest.start, mark, True, newest.number)]
    if raised:
        over = newest.end if newest is not None and newest.end is not None else at
        return [Change(meter, over, None, False)]
    if newest is not None and newest.end is not None and newest.start <= at <= newest.end:
        begun = Change(meter, newest.start, Mark(newest.start, True), True, newest.number)
        return [begun, Change(meter, newest.end, None, False)] if at == newest.start else []
    return []


def _waits(meter: str, before: Mark | None, since: int | None, now: int) -> list[Change]:
    """Returns that a meter's event waits for its answer, or does no more, unless that is told."""
    after = None if since is None else Mark(since, False)
    if before == after or (before is not None and before.raised):
        return []
    return [Change(meter, since or now, after, None)]


def _facts(held: list[Span]) -> dict[str, object]:
    if not held:
        return {}
    return {"count": held[-1].number, "code": held[-1].code}


def _mark(session: Session, rule: str, meter: str) -> Mark | None:
    row = session.get(RuleMemory, (rule, meter), populate_existing=True)
    return None if row is None else Mark(int(row.since.timestamp()), row.phase == RAISED)


def _events(session: Session, condition: OfEvents, meter: str, since: int) -> list[Told]:
    query = select(Event.occurred_at, Event.code).where(
        Event.meter == meter,
        Event.occurred_at >= utc(since),
        Event.code.in_(codes_of(condition)),
        Event.is_own(),
    )
    return [Told(int(at.timestamp()), code) for at, code in session.execute(query)]
