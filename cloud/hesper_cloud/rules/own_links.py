"""What the head end itself cannot reach, told to people: its broker, and its store of readings.

While one of them is away nothing is heard of any meter. That is one alert, and not one for each
meter besides: the rule of silent meters asks `is_deaf`.
"""

from collections.abc import Callable
from datetime import datetime, timedelta

from prometheus_client import REGISTRY
from sqlalchemy import select
from sqlalchemy.orm import Session

from hesper_cloud import metrics
from hesper_cloud.db.alerting import CLEARED, Alert
from hesper_cloud.rules.alerts import Alerts, Subject
from hesper_cloud.settings import BrokerSettings
from hesper_cloud.worded import later, worded

BROKER, STORE = Subject("broker-lost"), Subject("store-away")
_PATIENCE = timedelta(seconds=60)
_STORE_AWAY = later(
    "Readings are not stored. Nothing is lost: gateways keep what they read. The log of "
    "hesper-cloud run says why."
)
_BROKER_LOST = later(
    "There is no connection to the broker {broker}: no meter is heard. Nothing is lost: gateways "
    "keep what they read. The log of hesper-cloud run says why."
)


class OwnLinks:
    """Looks every few seconds whether broker and store are there.

    A store is away while groups of readings are tried again and again, or one is that waits for an
    answer until its time is over; a store that nobody writes to is not missed.
    """

    def __init__(
        self, broker: BrokerSettings, alerts: Alerts, clock: Callable[[], datetime]
    ) -> None:
        self._broker = f"{broker.host}:{broker.port}"
        self._alerts = alerts
        self._clock = clock
        self._retries = _sample("hesper_ingest_store_retries_total")
        self._away_since: dict[Subject, datetime] = {}
        self._open = {BROKER, STORE}  # as far as is known after a start

    def turn(self) -> None:
        """Raises and clears both alerts by what holds now."""
        retries = _sample("hesper_ingest_store_retries_total")
        refuses = retries != self._retries or _sample("hesper_ingest_store_waits") > 0
        self._retries = retries
        metrics.STORE_ANSWERS.set(not refuses)
        self._judge(STORE, refuses, worded(_STORE_AWAY))
        text = worded(_BROKER_LOST, broker=self._broker)
        # ingest comes to the broker when it has read from the store
        self._judge(BROKER, not refuses and not _sample("hesper_ingest_connected"), text)

    def _judge(self, subject: Subject, is_away: bool, text: str) -> None:
        now = self._clock()
        if not is_away:
            self._away_since.pop(subject, None)
            if subject in self._open:
                self._alerts.clear(subject, at=now)
                self._open.discard(subject)
        elif now - self._away_since.setdefault(subject, now) >= _PATIENCE:
            self._alerts.raise_(subject, "critical", text, at=now)
            self._open.add(subject)


def is_deaf(session: Session) -> bool:
    """Says whether one of the alerts is open: no meter can be heard then."""
    is_open = Alert.rule.in_((BROKER.rule, STORE.rule)) & (Alert.state != CLEARED)
    return session.scalar(select(Alert.id).where(is_open).limit(1)) is not None


def _sample(name: str) -> float:
    return REGISTRY.get_sample_value(name) or 0.0
