"""How urgent an alert is: from its severity, its age, and how many customers it concerns.

::

    priority = severity + age + customers          100 to 1000
    severity   critical 600, warning 300, info 100
    age        5 for every full quarter of an hour since it was raised, 200 at most (10 hours)
    customers  60 times the decimal logarithm of the customers affected, rounded down, 200 at most
               (one customer: 0; ten: 60; a feeder of 2000: 198)

So a warning that concerns thousands, or has waited all day, comes beside a fresh critical alert
of one home; nothing that is for information alone ever comes before a critical alert.
"""

import math
from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from hesper_cloud.alerting.changes import is_open
from hesper_cloud.db.alerting import Alert

SEVERITY = {"critical": 600, "warning": 300, "info": 100}
_PER_QUARTER, _QUARTER_S = 5, 900
_MOST = 200
_PER_DECADE = 60


def priority(severity: str, age_s: float, customers: int) -> int:
    """Returns the priority of an alert by the formula above."""
    age = min(_MOST, _PER_QUARTER * int(max(0.0, age_s) // _QUARTER_S))
    extent = min(_MOST, int(_PER_DECADE * math.log10(max(1, customers))))
    return SEVERITY.get(severity, SEVERITY["info"]) + age + extent


def is_worse(severity: str, than: str) -> bool:
    """Says whether a severity is higher than another."""
    return SEVERITY.get(severity, 0) > SEVERITY.get(than, 0)


def reckon(session: Session, now: datetime) -> int:
    """Brings the priorities of open alerts up to date; returns how many moved."""
    columns = (Alert.id, Alert.severity, Alert.raised_at, Alert.affected_count, Alert.priority)
    shown = select(*columns).where(is_open(), Alert.suppressed.is_(False))
    moved = []
    for alert, severity, raised_at, customers, before in session.execute(shown):
        after = priority(severity, (now - raised_at).total_seconds(), customers)
        if after != before:
            moved.append({"id": alert, "priority": after})
    if moved:
        session.execute(update(Alert), moved)
    return len(moved)
