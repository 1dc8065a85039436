"""A rule tried on history: what it would have told, by the same judgement as live.

What a rule sees live may differ in one thing: here everything is known in order, while live late
readings belong to history. Nothing is written.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import NamedTuple

import numpy as np
from sqlalchemy import Engine, select

from hesper_cloud.db.engines import batched, reading
from hesper_cloud.db.registry import Event, Meter
from hesper_cloud.quantities import LOAD_PROFILE
from hesper_cloud.rules import history, levels, limits, scopes
from hesper_cloud.rules.book import utc
from hesper_cloud.rules.definition import (
    Absence,
    Aggregate,
    Definition,
    EventCount,
    EventSequence,
    Rate,
    Reading,
    Threshold,
)
from hesper_cloud.rules.figures import Figure, combined, judged
from hesper_cloud.rules.levels import Change, Mark
from hesper_cloud.rules.spans import Told, codes_of, reach_s, spans
from hesper_cloud.stores.port import Flags, Integers, ReadingStore

STEP_S = 300


class Firing(NamedTuple):
    """One alert that would have been raised; ``cleared_at`` is None while it would be open."""

    subject: str
    raised_at: int  # epoch seconds
    cleared_at: int | None
    value: float = 0.0


@dataclass(frozen=True, slots=True)
class Tried:
    """What a rule would have told of some meters or places."""

    looked_at: int  # readings, captures, steps or events
    firings: list[Firing]


def subjects(registry: Engine, said: Definition, end: int) -> list[str]:
    """Returns what a rule is tried on, in order: meters, or the places of an aggregate.

    A meter is where it hangs at the end of the range, epoch seconds.
    """
    condition, at = said.condition, utc(end)
    with reading(registry) as session:
        if isinstance(condition, Aggregate):
            of = scopes.members(session, said.scope, at)
            return [group.id for group in scopes.groups(session, condition.over, of, at)]
        return sorted(scopes.everyone(session, said.scope, at))


class Tryout:
    """Tries one definition on a range of what is stored; ``[start, end)``, epoch seconds."""

    def __init__(
        self, registry: Engine, store: ReadingStore, definition: Definition, start: int, end: int
    ) -> None:
        self._registry = registry
        self._store = store
        self._said = definition
        self._start, self._end = start, end

    def on(self, subjects: Sequence[str]) -> Tried:
        """Returns what the rule would have told of some of its subjects."""
        match self._said.condition:
            case Threshold() | Rate() as condition:
                return self._readings(condition, subjects)
            case Absence() as condition:
                return self._absence(condition, subjects)
            case EventCount() | EventSequence() as condition:
                return self._events(condition, subjects)
            case Aggregate() as condition:
                return self._places(condition, subjects)
            case _:
                raise ValueError("a built-in rule cannot be tried on history")

    def _readings(self, condition: Reading, meters: Sequence[str]) -> Tried:
        marks: dict[str, Mark] = {}
        changes: list[Change] = []
        looked_at = 0
        profile = condition.profile or LOAD_PROFILE
        for part in self._store.rows(profile, self._start, self._end, meters):
            looked_at += part.row_count
            counts = part.quality & limits.UNBELIEVABLE == 0
            for place in limits.places_of(condition, part):
                seen = limits.seen(condition, part, place, counts, None)
                found = levels.judged(part, seen, marks, condition.hold_s, lambda _: True)
                for change in found:
                    levels.keep(marks, change)
                changes += found
        return Tried(looked_at, firings(changes))

    def _absence(self, condition: Absence, meters: Sequence[str]) -> Tried:
        heard, known = self._heard(condition, meters), self._known_since(meters)
        found = []
        for meter in meters:
            times = [*heard.get(meter, []), self._end]
            before = max(self._start - condition.after_s, known.get(meter, 0))
            for at in times:
                if at - before > condition.after_s:
                    over = None if at == self._end else at
                    found.append(Firing(meter, before + condition.after_s, over))
                before = max(before, at)
        return Tried(sum(len(each) for each in heard.values()), found)

    def _heard(self, condition: Absence, meters: Sequence[str]) -> Mapping[str, Sequence[int]]:
        """Returns when meters were heard of, so long before the range as one may be absent."""
        span = (self._start - condition.after_s, self._end)
        if condition.codes:
            return _times(self._told(condition.codes, meters, span[0]))
        if condition.logical_name is None:
            captured = self._store.captured(LOAD_PROFILE, *span, meters)
            return {meter: times.tolist() for meter, times in captured.items()}
        found: dict[str, list[int]] = defaultdict(list)
        for part in history.told(self._store, condition.logical_name, span, meters):
            for meter, at in zip(part.meters.tolist(), part.at.tolist(), strict=True):
                found[meter].append(at)
        return {meter: sorted(times) for meter, times in found.items()}

    def _known_since(self, meters: Sequence[str]) -> dict[str, int]:
        """Returns when meters were first known: before that nobody was absent."""
        found: dict[str, int] = {}
        with reading(self._registry) as session:
            for names in batched(meters):
                query = select(Meter.id, Meter.first_seen_at).where(Meter.id.in_(names))
                found |= {each: int(at.timestamp()) for each, at in session.execute(query)}
        return found

    def _events(self, condition: EventCount | EventSequence, meters: Sequence[str]) -> Tried:
        told = self._told(codes_of(condition), meters, self._start - reach_s(condition))
        found = [
            Firing(meter, span.start, span.end, span.number)
            for meter in sorted(told)
            for span in spans(condition, told[meter], self._end - 1)
            if span.end is None or span.end >= self._start
        ]
        return Tried(sum(len(each) for each in told.values()), found)

    def _told(
        self, codes: Iterable[str], meters: Sequence[str], start: int
    ) -> dict[str, list[Told]]:
        found: dict[str, list[Told]] = defaultdict(list)
        with reading(self._registry) as session:
            for names in batched(meters):
                query = select(Event.meter, Event.occurred_at, Event.code).where(
                    Event.meter.in_(names),
                    Event.code.in_(tuple(codes)),
                    Event.occurred_at >= utc(start),
                    Event.occurred_at < utc(self._end),
                    Event.is_own(),
                )
                for meter, at, code in session.execute(query):
                    found[meter or ""].append(Told(int(at.timestamp()), code))
        return found

    def _places(self, condition: Aggregate, places: Sequence[str]) -> Tried:
        end = utc(self._end)
        with reading(self._registry) as session:
            of = scopes.members(session, self._said.scope, end)
            everywhere = scopes.groups(session, condition.over, of, end)
        groups = [group for group in everywhere if group.id in places]
        marks: dict[str, Mark] = {}
        changes = []
        looked_at = 0
        for group in groups:
            for at, value, meters in self._figures(condition, group):
                looked_at += 1
                found = judged(condition, Figure(group, value, meters), marks, at)
                if found is not None:
                    levels.keep(marks, found.change)
                    changes.append(found.change)
        return Tried(looked_at, firings(changes))

    def _figures(
        self, condition: Aggregate, group: scopes.Group
    ) -> Iterator[tuple[int, Decimal | None, int]]:
        """Yields (at, figure, meters) step by step."""
        meters, within_s = sorted(group.meters), condition.within_s
        steps = np.arange(self._start, self._end, STEP_S)
        if condition.function == "events":
            yield from self._events_of(condition, meters, steps)
            return
        together, span = history.Together(steps, within_s), (self._start - within_s, self._end)
        for found in history.told(self._store, condition.logical_name or "", span, meters):
            together.add(found)
        for at, total, count in together.figures():
            yield at, combined(condition.function, total, count), count

    def _events_of(
        self, condition: Aggregate, meters: Sequence[str], steps: Integers
    ) -> Iterator[tuple[int, Decimal, int]]:
        told = self._told(condition.codes, meters, self._start - condition.within_s)
        counts = np.zeros(len(steps), dtype=np.int64)
        for events in told.values():
            counts += _within(steps, [each.at for each in events], condition.within_s)
        for at, count in zip(steps.tolist(), counts.tolist(), strict=True):
            yield at, Decimal(count), count


def firings(changes: Iterable[Change]) -> list[Firing]:
    """Returns alerts with their ends, in the order in which they would have been raised."""
    found: list[Firing] = []
    held: dict[str, int] = {}
    for change in changes:
        if change.told is True:
            held[change.subject] = len(found)
            found.append(Firing(change.subject, change.at, None, change.value))
        elif change.told is False and change.subject in held:
            place = held.pop(change.subject)
            found[place] = found[place]._replace(cleared_at=change.at)
    return found


def _within(steps: Integers, times: Iterable[int], within_s: int) -> Flags:
    """Returns the steps at which one of some times was not longer ago than a window."""
    found = np.zeros(len(steps), dtype=bool)
    for at in times:
        first = np.searchsorted(steps, at)
        found[first : np.searchsorted(steps, at + within_s, side="right")] = True
    return found


def _times(told: dict[str, list[Told]]) -> dict[str, list[int]]:
    return {meter: sorted(each.at for each in events) for meter, events in told.items()}


def by_bucket(found: Iterable[Firing], start: int, end: int, buckets: int) -> list[int]:
    """Returns how many alerts would have been raised in each of equal parts of a range."""
    times = np.array([each.raised_at for each in found if start <= each.raised_at < end])
    counts, _ = np.histogram(times, bins=buckets, range=(start, end))
    return [int(count) for count in counts]
