"""A rule's next version, and its state; what it remembered goes, and so do its open alerts."""

from datetime import datetime

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from hesper_cloud.db.alerting import CLEARED, Alert
from hesper_cloud.db.rules import Rule, RuleMemory, RuleVersion
from hesper_cloud.rules.alerts import Alerts, Subject
from hesper_cloud.rules.definition import Definition, State


def save(
    session: Session, alerts: Alerts, rule: str, said: Definition, by: tuple[str, datetime, str]
) -> Rule:
    """Writes a rule's next version; a new rule is off.

    Args:
        session: In a writing transaction.
        alerts: Where its open alerts are cleared.
        rule: Its id.
        said: What it says from now on.
        by: Who, when, and a note.
    """
    who, at, note = by
    row = session.get(Rule, rule)
    if row is None:
        row = Rule(id=rule, state="off", version=0)
        session.add(row)
    row.version, row.updated_at, row.updated_by = row.version + 1, at, who
    document = said.model_dump(mode="json")
    session.add(
        RuleVersion(
            rule=rule,
            version=row.version,
            definition=document,
            made_at=at,
            made_by=who,
            note=note,
        )
    )
    forget(session, alerts, rule, at)
    return row


def set_state(
    session: Session, alerts: Alerts, rule: str, state: State, by: tuple[str, datetime]
) -> None:
    """Switches a rule on, off or to trial; it begins anew."""
    row = session.get_one(Rule, rule)
    row.state, row.updated_by, row.updated_at = state, *by
    forget(session, alerts, rule, by[1])


def forget(session: Session, alerts: Alerts, rule: str, at: datetime) -> None:
    """Clears what a rule has raised, and lets it forget what it has seen."""
    session.flush()
    session.execute(delete(RuleMemory).where(RuleMemory.rule == rule))
    open_ = select(Alert.rule, Alert.meter, Alert.gateway, Alert.element).where(
        (Alert.rule == rule) | Alert.rule.startswith(f"{rule}/"), Alert.state != CLEARED
    )
    subjects = [Subject(*row) for row in session.execute(open_)]
    alerts.clear_all([(subject, at) for subject in subjects], session)
