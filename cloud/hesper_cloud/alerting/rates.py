"""How many new alerts come: what a person can take in, and what is a flood.

Counted are alerts that people see; those that gave way to a parent are not. A flood is one alert,
raised when the last ten minutes brought more than the limit and cleared at half of it, so that it
is told once however long it lasts.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from hesper_cloud.alerting import raising
from hesper_cloud.alerting.changes import Step
from hesper_cloud.alerting.raising import Subject, Telling
from hesper_cloud.db.alerting import Alert, AlertChange
from hesper_cloud.worded import worded

WINDOW = timedelta(minutes=10)
FLOOD = Subject("alert-flood")


def recent(session: Session, now: datetime) -> list[tuple[str, int]]:
    """Returns the new alerts of the last ten minutes by rule, the most frequent first."""
    query = (
        select(Alert.rule, func.count())
        .join(AlertChange, AlertChange.alert_id == Alert.id)
        .where(
            AlertChange.action == Step.RAISED.value,
            AlertChange.at > now - WINDOW,
            AlertChange.at <= now,
            Alert.suppressed.is_(False),
            Alert.rule != FLOOD.rule,
        )
        .group_by(Alert.rule)
    )
    found = [(str(row[0]), int(row[1])) for row in session.execute(query)]
    return sorted(found, key=lambda each: (-each[1], each[0]))


Narrow = Callable[[Select[datetime]], Select[datetime]]


def by_window(
    session: Session, now: datetime, windows: int, narrow: Narrow = lambda query: query
) -> Sequence[int]:
    """Returns the new alerts of so many spans of ten minutes, the newest last.

    Args:
        session: To read in.
        now: The end of the last span.
        windows: How many spans.
        narrow: Leaves those alerts that count for who asks.
    """
    since = now - windows * WINDOW
    query = (
        select(AlertChange.at)
        .join(Alert, AlertChange.alert_id == Alert.id)
        .where(
            AlertChange.action == Step.RAISED.value,
            AlertChange.at > since,
            AlertChange.at <= now,
            Alert.suppressed.is_(False),
        )
    )
    counts = Counter(
        min(windows - 1, (at - since) // WINDOW) for at in session.scalars(narrow(query))
    )
    return [counts[window] for window in range(windows)]


def watch_for_a_flood(
    session: Session, found: Sequence[tuple[str, int]], limit: int, now: datetime
) -> None:
    """Raises the alert of a flood, or clears it when it has ebbed away."""
    total = sum(count for _, count in found)
    if total > limit:
        worst = ", ".join(f"{rule} {count}" for rule, count in found[:3])
        text = worded(
            "{total} new alerts in 10 minutes, more than anybody can look at. Most: {worst}.",
            total=total,
            worst=worst,
        )
        raising.raise_all(session, [Telling(FLOOD, "warning", text, now)], now)
    elif total * 2 <= limit:
        raising.clear_all(session, [(FLOOD, now)], now)
