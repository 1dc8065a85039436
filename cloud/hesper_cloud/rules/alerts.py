"""The door through which rules raise and clear alerts: at most one open per subject.

What is told here is written with its history (`hesper_cloud.alerting`); what hangs together is
gathered afterwards. A rule that has many things to say says them at once (`raise_all`,
`clear_all`, or `Gathered` where both come in turns): any number is a few statements and one commit.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime

from hesper_contracts.batch import BatchId
from hesper_contracts.events import Severity
from sqlalchemy import Engine, not_, select
from sqlalchemy.orm import Session

from hesper_cloud.alerting import raising
from hesper_cloud.alerting.changes import is_open
from hesper_cloud.alerting.raising import Subject, Telling
from hesper_cloud.assets.lives import in_service
from hesper_cloud.db.alerting import CLEARED, Alert
from hesper_cloud.db.engines import batched, reading, writing
from hesper_cloud.db.registry import Meter
from hesper_cloud.worded import worded

__all__ = ["CLEARED", "Alerts", "Gathered", "Subject", "Telling"]


def _now() -> datetime:
    return datetime.now(UTC)


class Alerts:
    """Raises and clears alerts in the registry database.

    Calls inside a transaction pass its session; others get a transaction of their own.
    """

    def __init__(self, engine: Engine, clock: Callable[[], datetime] = _now) -> None:
        self._engine = engine
        self._clock = clock

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
        telling = Telling(subject, severity, text, at or self._clock())
        return bool(self.raise_all([telling], session))

    def raise_all(self, told: Sequence[Telling], session: Session | None = None) -> int:
        """Raises what has no open alert yet; returns how many are new."""
        if not told:
            return 0
        with self._transaction(session) as used:
            return len(raising.raise_all(used, told, self._clock()))

    def clear(
        self, subject: Subject, *, at: datetime | None = None, session: Session | None = None
    ) -> bool:
        """Clears the subject's open alert; says whether there was one."""
        return bool(self.clear_all([(subject, at or self._clock())], session))

    def clear_all(
        self, over: Sequence[tuple[Subject, datetime]], session: Session | None = None
    ) -> int:
        """Clears the open alerts of subjects, each at its moment; returns how many there were."""
        if not over:
            return 0
        with self._transaction(session) as used:
            return len(raising.clear_all(used, over, self._clock()))

    def open_meters(self, rule: str) -> set[str]:
        """Returns the meters for which a rule's alert is open."""
        query = select(Alert.meter).where(Alert.rule == rule, is_open())
        with reading(self._engine) as session:
            return {meter for meter in session.scalars(query) if meter is not None}

    def open_subjects(self, beginning: str) -> set[Subject]:
        """Returns what open alerts are about whose rule's name begins so."""
        columns = Alert.rule, Alert.meter, Alert.gateway, Alert.element
        query = select(*columns).where(Alert.rule.startswith(beginning), is_open())
        with reading(self._engine) as session:
            return {Subject(*row) for row in session.execute(query)}

    def digest_mismatch(self, batch: BatchId) -> None:
        """Alarms: a stored batch came again with other octets."""
        self.raise_(
            Subject("batch-digest", gateway=batch.gateway),
            "critical",
            worded(
                "Gateway {gateway} sent batch {epoch}/{sequence} again with other content: its "
                "outbox was restored from an older copy or is damaged, or somebody forges its "
                "batches.",
                gateway=batch.gateway,
                epoch=batch.epoch,
                sequence=batch.sequence,
            ),
        )

    def of_service(self, told: Sequence[Telling]) -> list[Telling]:
        """Returns what is not about a meter that is planned, in stock or removed."""
        meters = sorted({each.subject.meter for each in told if each.subject.meter is not None})
        if not meters:
            return list(told)
        unused: set[str] = set()
        with reading(self._engine) as session:
            for names in batched(meters):
                query = select(Meter.id).where(Meter.id.in_(names), not_(in_service()))
                unused.update(session.scalars(query))
        return [each for each in told if each.subject.meter not in unused]

    def settle(self, told: Sequence[Telling], over: Sequence[tuple[Subject, datetime]]) -> None:
        """Raises, then clears, in one transaction."""
        if told or over:
            with self._transaction(None) as used:
                self.raise_all(told, used)
                self.clear_all(over, used)

    def _transaction(self, session: Session | None) -> AbstractContextManager[Session]:
        return writing(self._engine) if session is None else nullcontext(session)


class Gathered:
    """What a rule finds in one block of readings, written together by `flush`.

    What is raised after it was cleared in the same block is a new alert, so what came before is
    written first. Of meters that are not in service nothing is raised.
    """

    def __init__(self, alerts: Alerts) -> None:
        self._alerts = alerts
        self._told: dict[Subject, Telling] = {}
        self._over: dict[Subject, datetime] = {}

    def raise_(self, telling: Telling) -> None:
        """Notes what is to be raised."""
        if telling.subject in self._over:
            self.flush()
        self._told[telling.subject] = telling

    def clear(self, subject: Subject, at: datetime) -> None:
        """Notes what is to be cleared."""
        self._over[subject] = at

    def flush(self) -> None:
        """Writes what was noted."""
        told, over = list(self._told.values()), list(self._over.items())
        self._told, self._over = {}, {}
        self._alerts.settle(self._alerts.of_service(told), over)
