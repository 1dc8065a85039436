"""Trials on history: at once where there is little to look at, else as a long job by portions."""

from dataclasses import asdict, dataclass, field
from typing import NamedTuple

from pydantic import ValidationError
from sqlalchemy import Engine, func, select
from sqlalchemy.orm import Session

from hesper_cloud.db.engines import reading
from hesper_cloud.db.registry import Event
from hesper_cloud.long_jobs.kinds import Effect, JobFailed, Progress, Work
from hesper_cloud.rules import scopes
from hesper_cloud.rules.book import utc
from hesper_cloud.rules.definition import Definition, EventCount, EventSequence
from hesper_cloud.rules.spans import codes_of
from hesper_cloud.rules.trying import Firing, Tried, Tryout, by_bucket, subjects
from hesper_cloud.rules.wording import fill, plain
from hesper_cloud.stores.port import ReadingStore
from hesper_cloud.worded import worded

JOB = "rule-trial"
BUCKETS = 60
MOST_SHOWN = 200
PER_PORTION = 2_000
LONG = 3_000_000
_PER_DAY = 96
_EVENTS_ARE = 20  # an event costs what so many readings do
_DAY_S = 86_400
Span = tuple[int, int]
Shown = tuple[str, int, int | None, str]

__all__ = ["JOB", "Outcome", "Trials", "size", "utc", "whole"]


class Size(NamedTuple):
    """How much there is to look at, about."""

    readings: int

    @property
    def is_long(self) -> bool:
        """Whether nobody should wait for it."""
        return self.readings > LONG


@dataclass(slots=True)
class Outcome:
    """What a rule would have told, added up."""

    subjects: int = 0
    looked_at: int = 0
    alerts: int = 0
    still_open: int = 0
    alerting: int = 0  # subjects with at least one
    per_bucket: list[int] = field(default_factory=lambda: [0] * BUCKETS)
    newest: list[Shown] = field(default_factory=list)  # newest first

    def add(self, said: Definition, tried: Tried, span: Span) -> None:
        """Adds what was found of some subjects."""
        self.looked_at += tried.looked_at
        self.alerts += len(tried.firings)
        self.still_open += sum(each.cleared_at is None for each in tried.firings)
        self.alerting += len({each.subject for each in tried.firings})
        added = by_bucket(tried.firings, *span, BUCKETS)
        self.per_bucket = [a + b for a, b in zip(self.per_bucket, added, strict=True)]
        shown = [(e.subject, e.raised_at, e.cleared_at, words(said, e)) for e in tried.firings]
        ordered = sorted([*self.newest, *shown], key=lambda each: (-each[1], each[0]))
        self.newest = ordered[:MOST_SHOWN]


def words(said: Definition, found: Firing) -> str:
    """Returns what an alert would have said."""
    facts = {
        "subject": found.subject,
        "place": found.subject,
        "title": said.title,
        "value": plain(round(found.value, 3)),
        "limit": "–" if (limit := getattr(said.condition, "limit", None)) is None else plain(limit),
        "since": f"{utc(found.raised_at):%F %T} UTC",
        "count": plain(round(found.value, 3)),
    }
    return fill(said.text or "{title}.", facts)


def size(registry: Engine, said: Definition, span: Span) -> Size:
    """Returns about how much a trial has to look at."""
    condition, days = said.condition, max(1, (span[1] - span[0]) // _DAY_S)
    with reading(registry) as session:
        if isinstance(condition, EventCount | EventSequence):
            return Size(_EVENTS_ARE * _events(session, codes_of(condition), span))
        meters = len(scopes.everyone(session, said.scope, utc(span[1])))
    return Size(meters * days * _PER_DAY)


def _events(session: Session, codes: frozenset[str], span: Span) -> int:
    query = select(func.count()).where(
        Event.code.in_(codes),
        Event.occurred_at >= utc(span[0]),
        Event.occurred_at < utc(span[1]),
    )
    return session.execute(query).scalar_one()


def whole(registry: Engine, store: ReadingStore, said: Definition, span: Span) -> Outcome:
    """Tries a rule at once."""
    tryout, outcome = Tryout(registry, store, said, *span), Outcome()
    named = subjects(registry, said, span[1])
    outcome.subjects = len(named)
    for start in range(0, len(named), PER_PORTION):
        outcome.add(said, tryout.on(named[start : start + PER_PORTION]), span)
    return outcome


class Trials:
    """The kind of long work that tries a rule on history, some subjects a portion."""

    name = lane = JOB

    def __init__(self, registry: Engine, store: ReadingStore) -> None:
        self._registry = registry
        self._store = store

    def prepare(self, work: Work) -> Effect:
        """Tries the rule on the next subjects; the effect adds what was found to the result.

        Raises:
            JobFailed: this version does not understand the rule.
        """
        try:
            said = Definition.model_validate(work.parameters["definition"])
        except ValidationError as error:
            raise JobFailed(worded("the rule is not understood: {error}", error=error)) from None
        span = (int(work.parameters["start"]), int(work.parameters["end"]))
        named, done = subjects(self._registry, said, span[1]), int(work.cursor.get("next", 0))
        outcome = Outcome(**work.result) if work.result else Outcome(subjects=len(named))
        portion = named[done : done + PER_PORTION]
        tried = Tryout(self._registry, self._store, said, *span).on(portion)
        outcome.add(said, tried, span)
        following = done + len(portion)
        cursor = {"next": following} if following < len(named) else None
        progress = Progress(following, len(named), cursor, asdict(outcome))
        return lambda _: progress
