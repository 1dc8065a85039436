"""What a rule found, written: its memory, and an alert or, on trial, what would have been one."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from hesper_cloud.db.engines import batched
from hesper_cloud.db.rules import Rule, RuleMemory, RuleTrial
from hesper_cloud.db.upserts import upsert
from hesper_cloud.rules.alerts import Alerts, Subject, Telling
from hesper_cloud.rules.book import RAISED, WAITING, Running, utc
from hesper_cloud.rules.definition import Absence
from hesper_cloud.rules.levels import Change
from hesper_cloud.rules.wording import fill, plain


class Finding(NamedTuple):
    """One change with the words that its alert has."""

    change: Change
    facts: dict[str, object]
    over: str = "meter"  # what the subject is: a meter, or the kind of place
    affected_count: int | None = None


def write(
    session: Session, alerts: Alerts, rule: Running, findings: Sequence[Finding]
) -> list[Change]:
    """Writes what a rule found, in the order found; returns what was written.

    Nothing when the rule was edited or switched off in the meantime: its memory is another's now.
    """
    at_work = select(Rule.version, Rule.state).where(Rule.id == rule.id)
    if not findings or session.execute(at_work).one_or_none() != (rule.version, rule.state):
        return []
    _remember(session, rule, findings)
    if rule.is_trial:
        _note_trials(session, rule, findings)
    else:
        _tell(session, alerts, rule, findings)
    return [finding.change for finding in findings]


def _remember(session: Session, rule: Running, findings: Sequence[Finding]) -> None:
    newest = {each.change.subject: each.change for each in findings}
    rows = [
        {
            "rule": rule.id,
            "subject": subject,
            "phase": RAISED if change.mark.raised else WAITING,
            "since": utc(change.mark.since),
            "facts": {},
        }
        for subject, change in newest.items()
        if change.mark is not None
    ]
    upsert(session, RuleMemory, rows, ("phase", "since"))
    well = [subject for subject, change in newest.items() if change.mark is None]
    for subjects in batched(well):
        gone = (RuleMemory.rule == rule.id) & RuleMemory.subject.in_(subjects)
        session.execute(delete(RuleMemory).where(gone))


def _tell(session: Session, alerts: Alerts, rule: Running, findings: Sequence[Finding]) -> None:
    """Raises and clears; what is raised again after it was cleared is an alert of its own."""
    told: dict[Subject, Telling] = {}
    over: dict[Subject, datetime] = {}

    def settle() -> None:
        alerts.raise_all(list(told.values()), session)
        alerts.clear_all(list(over.items()), session)
        told.clear()
        over.clear()

    for finding in findings:
        subject, at = subject_of(rule.id, finding), utc(finding.change.at)
        if finding.change.told is True:
            if subject in over:
                settle()
            told[subject] = Telling(
                subject,
                rule.definition.severity,
                text_of(rule, finding),
                at,
                symptom=_is_symptom(rule, finding),
                affected_count=finding.affected_count,
            )
        elif finding.change.told is False:
            over[subject] = at
    settle()


def _is_symptom(rule: Running, finding: Finding) -> bool:
    """Says whether a greater cause may explain it: silence, and figures, which cause nothing."""
    return finding.over != "meter" or isinstance(rule.definition.condition, Absence)


def subject_of(rule: str, finding: Finding) -> Subject:
    """Returns what the alert of a finding is about."""
    name = finding.change.subject
    match finding.over:
        case "meter":
            return Subject(rule, meter=name)
        case "gateway":
            return Subject(rule, gateway=name)
        case "feeder" | "transformer":
            return Subject(rule, element=name)
        case "area":
            return Subject(f"{rule}/{name}")
        case _:
            return Subject(rule)


def text_of(rule: Running, finding: Finding) -> str:
    """Returns the words of an alert."""
    said, change = rule.definition, finding.change
    known = {
        "subject": change.subject,
        "title": said.title,
        "value": plain(round(change.value, 3)),
        "since": f"{utc(change.mark.since if change.mark else change.at):%F %T} UTC",
        **finding.facts,
    }
    return fill(said.text or "{title}.", known)


def _note_trials(session: Session, rule: Running, findings: Sequence[Finding]) -> None:
    """Notes what would have been raised; what ends among the same findings is written once."""
    begun: dict[str, RuleTrial] = {}
    for finding in findings:
        change = finding.change
        at = utc(change.at)
        if change.told is True:
            begun[change.subject] = RuleTrial(
                rule=rule.id,
                version=rule.version,
                subject=change.subject,
                raised_at=at,
                text=text_of(rule, finding),
            )
            session.add(begun[change.subject])
        elif change.told is False and change.subject in begun:
            begun.pop(change.subject).cleared_at = at
        elif change.told is False:
            held = (RuleTrial.rule == rule.id) & (RuleTrial.subject == change.subject)
            ended = update(RuleTrial).where(held, RuleTrial.cleared_at.is_(None))
            session.execute(
                ended.values(cleared_at=at), execution_options={"synchronize_session": False}
            )
    session.flush()
