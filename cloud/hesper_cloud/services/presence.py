"""When a meter counts as online: it was heard within a few of its capture periods."""

from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, false, or_, select
from sqlalchemy.orm import Session

from hesper_cloud.db.registry import Meter
from hesper_cloud.settings import RuleSettings


def silence(rules: RuleSettings, capture_period_s: int | None) -> timedelta:
    """Returns how long a meter may be quiet before it counts as silent."""
    if rules.silent_after_s:
        return timedelta(seconds=rules.silent_after_s)
    period_s = capture_period_s or rules.default_capture_period_s
    return timedelta(seconds=period_s * rules.silent_after_periods)


def is_online(meter: Meter, rules: RuleSettings, now: datetime) -> bool:
    """Says whether a meter was heard recently enough."""
    heard = meter.last_contact_at
    return heard is not None and now - heard <= silence(rules, meter.capture_period_s)


def online_clause(session: Session, rules: RuleSettings, now: datetime) -> ColumnElement[bool]:
    """Returns the same question as a condition, one term per capture period in use."""
    periods = session.scalars(select(Meter.capture_period_s).distinct()).all()
    terms = [
        Meter.capture_period_s.is_not_distinct_from(period)
        & (Meter.last_contact_at >= now - silence(rules, period))
        for period in periods
    ]
    return or_(false(), *terms)
