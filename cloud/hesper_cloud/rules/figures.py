"""Figures of places, an area or a feeder, against their limit."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal

import numpy as np
from sqlalchemy import select
from sqlalchemy.orm import Session

from hesper_cloud.db.registry import Event
from hesper_cloud.latest import LatestValues
from hesper_cloud.rules import scopes
from hesper_cloud.rules.book import utc
from hesper_cloud.rules.definition import Aggregate
from hesper_cloud.rules.levels import Mark, moved, step
from hesper_cloud.rules.verdicts import Finding
from hesper_cloud.rules.wording import plain


@dataclass(frozen=True, slots=True)
class Figure:
    """What a place shows: a number, and of how many meters it is; None: nothing to speak of."""

    group: scopes.Group
    value: Decimal | None
    meters: int


def judged(
    condition: Aggregate, figure: Figure, marks: Mapping[str, Mark], now: int
) -> Finding | None:
    """Returns what a place's figure changes; a place without any value changes nothing."""
    if figure.value is None:
        return None
    value, limit, margin = figure.value, condition.limit, condition.hysteresis
    above = condition.direction == "above"
    beyond = value > limit if above else value < limit
    calm = value <= limit - margin if above else value >= limit + margin
    before = marks.get(figure.group.id)
    after = step(before, now, condition.hold_s, beyond=beyond, calm=calm)
    change = moved(figure.group.id, now, before, after)
    if change is None:
        return None
    facts: dict[str, object] = {
        "place": figure.group.name,
        "limit": plain(limit),
        "count": figure.meters,
    }
    shown = change._replace(value=float(value))
    return Finding(shown, facts, condition.over, len(figure.group.meters))


def of_values(
    latest: LatestValues, condition: Aggregate, groups: Iterable[scopes.Group], now: int
) -> list[Figure]:
    found = latest.newest(condition.logical_name or "")
    recent = np.asarray(found.captured_at) >= now - condition.within_s
    values = {
        found.meters[row]: Decimal(int(found.values[row])).scaleb(int(found.scalers[row]))
        for row in np.flatnonzero(recent).tolist()
    }
    figures = []
    for group in groups:
        those = [values[meter] for meter in group.meters if meter in values]
        total = sum(those, Decimal(0))
        figures.append(Figure(group, combined(condition.function, total, len(those)), len(those)))
    return figures


def combined(function: str, total: Decimal, count: int) -> Decimal | None:
    """Returns the figure of so many meters' values; None where there is none to speak of."""
    if function == "count":
        return Decimal(count)
    if not count:
        return None
    return total if function == "sum" else total / count


def with_events(
    session: Session, condition: Aggregate, groups: Iterable[scopes.Group], now: int
) -> list[Figure]:
    query = select(Event.meter).where(
        Event.code.in_(condition.codes),
        Event.occurred_at >= utc(now - condition.within_s),
        Event.occurred_at <= utc(now),
        Event.is_own(),
    )
    told = set(session.scalars(query.distinct()))
    return [
        Figure(group, Decimal(len(those)), len(those))
        for group in groups
        for those in [group.meters & told]
    ]
