"""What storms are made of: the open alerts of one rule, of meters or of gateways as a whole."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, SQLColumnExpression, case, func, literal, select
from sqlalchemy.orm import Session

from hesper_cloud.alerting.changes import is_open
from hesper_cloud.alerting.children import STORM
from hesper_cloud.db.alerting import Alert


class Kind(NamedTuple):
    """What storms are made of: alerts of meters, or of gateways as a whole."""

    word: str
    subject: SQLColumnExpression[str | None]
    only: ColumnElement[bool]


METERS = Kind("meters", Alert.meter, Alert.meter.is_not(None))
GATEWAYS = Kind(
    "gateways",
    Alert.gateway,
    Alert.meter.is_(None) & Alert.gateway.is_not(None) & ~Alert.rule.startswith(STORM),
)


class Member(NamedTuple):
    """One alert that a storm may be made of."""

    id: int
    name: str
    severity: str
    raised_at: datetime
    symptom: bool
    area: str | None
    parent: int | None
    customers: int


class Mark(NamedTuple):
    """What tells whether anything changed among the open alerts of a rule."""

    open: int
    newest: int
    changed_at: Any
    shown: int


def members(session: Session, kind: Kind, rule: str, storms: Sequence[int]) -> dict[str, Member]:
    customers: ColumnElement[int] = literal(1)
    if kind is GATEWAYS:
        customers = func.coalesce(Alert.affected_count, 0)
    query = select(
        Alert.id,
        kind.subject,
        Alert.severity,
        Alert.raised_at,
        Alert.symptom,
        Alert.area,
        Alert.parent_id,
        customers,
    ).where(Alert.rule == rule, kind.only, is_open())
    own = Alert.suppressed.is_(False) | Alert.parent_id.in_(storms)
    rows = session.execute(query.where(own))
    return {str(row[1]): Member(row[0], str(row[1]), *row[2:]) for row in rows}


def marks(session: Session, kind: Kind) -> dict[str, Mark]:
    """Returns by rule how its open alerts of a kind stand."""
    shown = func.sum(case((Alert.suppressed.is_(False), 1), else_=0))
    query = select(
        Alert.rule, func.count(), func.max(Alert.id), func.max(Alert.changed_at), shown
    ).where(is_open(), kind.only)
    return {row[0]: Mark(*row[1:]) for row in session.execute(query.group_by(Alert.rule))}
