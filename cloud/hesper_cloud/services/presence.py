"""When a meter counts as online: it was heard within what the rule of silence grants it."""

from datetime import datetime

from sqlalchemy import ColumnElement, not_
from sqlalchemy.orm import Session

from hesper_cloud.db.registry import Meter
from hesper_cloud.rules.silence import patience, unheard
from hesper_cloud.settings import RuleSettings


def is_online(meter: Meter, rules: RuleSettings, now: datetime) -> bool:
    """Says whether a meter was heard recently enough."""
    heard = meter.last_contact_at
    return heard is not None and now - heard <= patience(rules, meter.capture_period_s)


def online_clause(session: Session, rules: RuleSettings, now: datetime) -> ColumnElement[bool]:
    """Returns the same question as a condition."""
    return not_(unheard(session, rules, now))
