"""A rule's next version, its state, its end; its open alerts are cleared, and it begins anew.

A rule that is data forgets all it has seen. One that is code keeps it and judges it by its new
thresholds: a supply that closed by itself yesterday would never be seen closing again.
"""

from datetime import datetime

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from hesper_cloud.db.alerting import CLEARED, Alert
from hesper_cloud.db.rules import Rule, RuleMemory, RuleTrial, RuleVersion
from hesper_cloud.rules.alerts import Alerts, Subject
from hesper_cloud.rules.book import WAITING
from hesper_cloud.rules.definition import BuiltIn, Definition, State


def save(
    session: Session, alerts: Alerts, rule: str, said: Definition, by: tuple[str, datetime, str]
) -> Rule:
    """Writes a rule's next version; a new rule is off.

    One of the name of a rule that was deleted goes on counting where that stopped.

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
        row = Rule(id=rule, state="off", version=_last_version(session, rule))
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
    _begin_anew(session, alerts, rule, at, keeps=isinstance(said.condition, BuiltIn))
    return row


def set_state(
    session: Session, alerts: Alerts, rule: str, state: State, by: tuple[str, datetime]
) -> None:
    """Switches a rule on, off or to trial; it begins anew."""
    row = session.get_one(Rule, rule)
    row.state, row.updated_by, row.updated_at = state, *by
    said = session.get_one(RuleVersion, (rule, row.version)).definition
    keeps = said.get("condition", {}).get("kind") == "built-in"
    _begin_anew(session, alerts, rule, by[1], keeps=keeps)


def delete_rule(session: Session, alerts: Alerts, rule: str, at: datetime) -> None:
    """Ends a rule that is data: its alerts are cleared; its versions and trials stay."""
    _begin_anew(session, alerts, rule, at, keeps=False)
    session.delete(session.get_one(Rule, rule))


def _last_version(session: Session, rule: str) -> int:
    newest = select(func.max(RuleVersion.version)).where(RuleVersion.rule == rule)
    return session.scalar(newest) or 0


def _begin_anew(session: Session, alerts: Alerts, rule: str, at: datetime, *, keeps: bool) -> None:
    """Clears what a rule has raised; what it has seen goes too, or is to be judged once more.

    What it would have raised on trial ends likewise: nobody looks any more whether it holds.
    """
    session.flush()
    held = (RuleTrial.rule == rule) & RuleTrial.cleared_at.is_(None)
    session.execute(update(RuleTrial).where(held).values(cleared_at=at))
    own = RuleMemory.rule == rule
    session.execute(
        update(RuleMemory).where(own).values(phase=WAITING)
        if keeps
        else delete(RuleMemory).where(own)
    )
    open_ = select(Alert.rule, Alert.meter, Alert.gateway, Alert.element).where(
        (Alert.rule == rule) | Alert.rule.startswith(f"{rule}/"), Alert.state != CLEARED
    )
    subjects = [Subject(*row) for row in session.execute(open_)]
    alerts.clear_all([(subject, at) for subject in subjects], session)
