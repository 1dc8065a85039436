"""Alerts: at most one open per rule and subject, raised and cleared by rules."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime

from hesper_contracts.batch import BatchId
from hesper_contracts.events import Severity
from sqlalchemy import Engine, func, select
from sqlalchemy.orm import Session

from hesper_cloud import metrics
from hesper_cloud.db.engines import reading, writing
from hesper_cloud.db.registry import Alert

CLEARED = "cleared"
_SEVERITIES = ("info", "warning", "critical")


@dataclass(frozen=True, slots=True)
class Subject:
    """What an alert is about: a rule, and the meter or gateway."""

    rule: str
    meter: str | None = None
    gateway: str | None = None


class Alerts:
    """Raises and clears alerts in the registry database.

    Calls inside a transaction pass its session; others get a transaction of their own.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def raise_(
        self,
        subject: Subject,
        severity: Severity,
        text: str,
        *,
        at: datetime | None = None,
        session: Session | None = None,
    ) -> bool:
        """Raises an alert unless one is open for the subject; says whether it is new."""
        with self._transaction(session) as used:
            if _open(used, subject) is not None:
                return False
            used.add(
                Alert(
                    rule=subject.rule,
                    meter=subject.meter,
                    gateway=subject.gateway,
                    severity=severity,
                    state="new",
                    raised_at=at or datetime.now(UTC),
                    text=text,
                )
            )
            used.flush()
            return True

    def clear(
        self, subject: Subject, *, at: datetime | None = None, session: Session | None = None
    ) -> bool:
        """Clears the subject's open alert; says whether there was one."""
        with self._transaction(session) as used:
            found = _open(used, subject)
            if found is None:
                return False
            found.state, found.cleared_at = CLEARED, at or datetime.now(UTC)
            used.flush()
            return True

    def open_meters(self, rule: str) -> set[str]:
        """Returns the meters for which a rule's alert is open."""
        query = select(Alert.meter).where(Alert.rule == rule, Alert.state != CLEARED)
        with reading(self._engine) as session:
            return {meter for meter in session.scalars(query) if meter is not None}

    def digest_mismatch(self, batch: BatchId) -> None:
        """Alarms: a stored batch came again with other octets."""
        self.raise_(
            Subject("batch-digest", gateway=batch.gateway),
            "critical",
            f"Gateway {batch.gateway} sent batch {batch.epoch}/{batch.sequence} again with other "
            "content: its outbox is damaged or somebody forges its batches.",
        )

    def measure(self) -> None:
        """Brings the metric of open alerts up to date."""
        query = select(Alert.severity, func.count()).where(Alert.state != CLEARED)
        with reading(self._engine) as session:
            rows = session.execute(query.group_by(Alert.severity)).all()
        counts = {row[0]: int(row[1]) for row in rows}
        for severity in _SEVERITIES:
            metrics.OPEN_ALERTS.labels(severity).set(counts.get(severity, 0))

    def _transaction(self, session: Session | None) -> AbstractContextManager[Session]:
        return writing(self._engine) if session is None else nullcontext(session)


def _open(session: Session, subject: Subject) -> Alert | None:
    return session.scalars(
        select(Alert).where(
            Alert.rule == subject.rule,
            Alert.meter.is_(None) if subject.meter is None else Alert.meter == subject.meter,
            Alert.gateway.is_(None)
            if subject.gateway is None
            else Alert.gateway == subject.gateway,
            Alert.state != CLEARED,
        )
    ).first()
