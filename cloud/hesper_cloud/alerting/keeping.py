"""The job that keeps alerts in order, every two seconds, and once a day forgets the oldest."""

from collections.abc import Callable
from datetime import datetime, timedelta

from sqlalchemy import Engine, delete, func, select
from sqlalchemy.orm import Session

from hesper_cloud import metrics
from hesper_cloud.alert_settings import AlertSettings
from hesper_cloud.alerting import children, rates, shelving
from hesper_cloud.alerting.changes import is_open
from hesper_cloud.alerting.children import is_shown
from hesper_cloud.alerting.priority import SEVERITY, reckon
from hesper_cloud.alerting.storms import Storms
from hesper_cloud.db.alerting import CLEARED, Alert, AlertChange, AlertSelection
from hesper_cloud.db.engines import reading, writing

_PRIORITIES_EVERY = timedelta(seconds=30)
_SELECTIONS_KEPT = timedelta(days=1)


class AlertKeeping:
    """Gathers, surfaces, unshelves, reckons; a turn without news costs a few queries."""

    def __init__(
        self, engine: Engine, settings: AlertSettings, clock: Callable[[], datetime]
    ) -> None:
        self._engine = engine
        self._settings = settings
        self._clock = clock
        self._storms = Storms(settings)
        self._followed: int | None = None  # the newest change that was looked at
        self._reckoned_at: datetime | None = None

    def turn(self) -> None:
        """Does what is due."""
        now = self._clock()
        with reading(self._engine) as session:
            newest = session.scalar(select(func.max(AlertChange.id))) or 0
            due = self._is_due(session, newest, now)
        if due:
            with writing(self._engine) as session:
                self._put_in_order(session, now)
        with reading(self._engine) as session:
            self._measure(session, now)

    def _is_due(self, session: Session, newest: int, now: datetime) -> bool:
        if newest != self._followed:
            return True
        if self._reckoned_at is None or abs(now - self._reckoned_at) >= _PRIORITIES_EVERY:
            return True
        over = select(Alert.id).where(Alert.shelved_until <= now).limit(1)
        return session.scalar(over) is not None

    def _put_in_order(self, session: Session, now: datetime) -> None:
        shelving.bring_back(session, now)
        children.surface(session, now, self._settings.surface_after_s)
        children.give_way(session, now)
        self._storms.turn(session, now)
        children.give_way(session, now)  # a storm may be explained by a gateway
        rates.watch_for_a_flood(
            session, rates.recent(session, now), self._settings.flood_per_10_min, now
        )
        reckon(session, now)
        self._reckoned_at = now
        self._followed = session.scalar(select(func.max(AlertChange.id))) or 0

    def _measure(self, session: Session, now: datetime) -> None:
        shown = select(Alert.severity, func.count()).where(is_shown()).group_by(Alert.severity)
        counts = {row[0]: int(row[1]) for row in session.execute(shown)}
        for severity in SEVERITY:
            metrics.OPEN_ALERTS.labels(severity).set(counts.get(severity, 0))
        hidden = select(func.count()).where(is_open(), Alert.suppressed)
        metrics.HIDDEN_ALERTS.set(session.scalar(hidden) or 0)
        metrics.NEW_ALERTS.set(sum(count for _, count in rates.recent(session, now)))

    def forget(self) -> None:
        """Removes alerts that were cleared long ago, with their history and notes."""
        now = self._clock()
        before = now - timedelta(days=self._settings.kept_days)
        with writing(self._engine) as session:
            session.execute(delete(Alert).where(Alert.state == CLEARED, Alert.cleared_at < before))
            old = AlertSelection.made_at < now - _SELECTIONS_KEPT
            session.execute(delete(AlertSelection).where(old))
