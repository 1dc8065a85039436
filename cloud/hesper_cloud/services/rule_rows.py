"""Rules as they are shown: rows of the database, and the ones that are code."""

from collections import defaultdict
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from hesper_cloud.alerting.changes import is_open
from hesper_cloud.db.alerting import Alert
from hesper_cloud.db.rules import Rule, RuleTrial, RuleVersion
from hesper_cloud.rules import built_in
from hesper_cloud.rules.built_in import BuiltInRule
from hesper_cloud.services.rule_records import FiringRow, RuleRow, RuleVersionRow, ThresholdRow
from hesper_cloud.settings import RuleSettings

MOST_TRIALS = 500


def rows(session: Session, settings: RuleSettings, only: str | None = None) -> list[RuleRow]:
    """Returns all rules, those of people first; or one of them."""
    query = (
        select(Rule, RuleVersion.definition)
        .join(RuleVersion, (RuleVersion.rule == Rule.id) & (RuleVersion.version == Rule.version))
        .order_by(Rule.id)
    )
    if only is not None:
        query = query.where(Rule.id == only)
    stored = {rule.id: (rule, said) for rule, said in session.execute(query)}
    code = built_in.rules(settings)
    alerts, tried = _open_alerts(session), _trial_counts(session)
    found = [
        _of_data(rule, said, alerts.get(rule.id, 0), tried.get((rule.id, rule.version), 0))
        for rule, said in stored.values()
        if rule.id not in code
    ]
    found += [
        _of_code(session, each, stored.get(each.id), alerts.get(each.id, 0), settings)
        for each in code.values()
        if only in (None, each.id)
    ]
    return found


def versions(session: Session, rule: str) -> list[RuleVersionRow]:
    """Returns every version of a rule, newest first."""
    query = select(RuleVersion).where(RuleVersion.rule == rule)
    names = RuleVersionRow.__dataclass_fields__
    return [
        RuleVersionRow(**{name: getattr(row, name) for name in names})
        for row in session.scalars(query.order_by(RuleVersion.version.desc()))
    ]


def trials(session: Session, rule: str) -> list[FiringRow]:
    """Returns what a rule on trial would have raised, newest first."""
    query = select(RuleTrial).where(RuleTrial.rule == rule)
    newest_first = query.order_by(RuleTrial.raised_at.desc(), RuleTrial.id.desc())
    return [
        FiringRow(row.subject, row.raised_at, row.cleared_at, row.text)
        for row in session.scalars(newest_first.limit(MOST_TRIALS))
    ]


def _of_data(rule: Rule, said: dict[str, Any], alerts: int, trials: int) -> RuleRow:
    return RuleRow(
        id=rule.id,
        title=str(said.get("title", rule.id)),
        kind=str(said.get("condition", {}).get("kind", "")),
        state=rule.state,
        version=rule.version,
        severity=str(said.get("severity", "warning")),
        text=str(said.get("text", "")),
        built_in=False,
        editable=True,
        can_be_off=True,
        set_in="",
        thresholds=[],
        definition=said,
        updated_at=rule.updated_at,
        updated_by=rule.updated_by,
        open_alerts=alerts,
        trial_alerts=trials,
    )


def _of_code(
    session: Session,
    code: BuiltInRule,
    stored: tuple[Rule, dict[str, Any]] | None,
    alerts: int,
    settings: RuleSettings,
) -> RuleRow:
    wanted = built_in.settings_of(session, code.id, settings)
    rule = None if stored is None else stored[0]
    return RuleRow(
        id=code.id,
        title=code.title,
        kind="built-in",
        state="on" if wanted.is_on else "off",
        version=0 if rule is None else rule.version,
        severity=code.severity,
        text=code.text,
        built_in=True,
        editable=code.is_editable,
        can_be_off=code.can_be_off,
        set_in=code.set_in,
        thresholds=[
            ThresholdRow(each.name, each.unit, wanted.thresholds[each.name], each.default)
            for each in code.thresholds
        ],
        definition=None if stored is None else stored[1],
        updated_at=None if rule is None else rule.updated_at,
        updated_by=None if rule is None else rule.updated_by,
        open_alerts=alerts,
        trial_alerts=0,
    )


def _open_alerts(session: Session) -> dict[str, int]:
    """Returns open alerts by rule; of tamper and the like by the word before the dot or slash."""
    query = select(Alert.rule, func.count()).where(is_open()).group_by(Alert.rule)
    found: dict[str, int] = defaultdict(int)
    for rule, count in session.execute(query):
        found["tamper" if rule.startswith("tamper.") else rule.partition("/")[0]] += count
    return found


def _trial_counts(session: Session) -> dict[tuple[str, int], int]:
    query = select(RuleTrial.rule, RuleTrial.version, func.count())
    counted = session.execute(query.group_by(RuleTrial.rule, RuleTrial.version))
    return {(rule, version): count for rule, version, count in counted}
