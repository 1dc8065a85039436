"""What the head end itself cannot reach, told to people: its broker, and its store of readings.

While one of them is away nothing is heard of any meter. That is one alert, and not one for each
meter and gateway besides: the rule of silence asks `is_connected` and `away_since`. What is judged
is what consumers tell of themselves (`hesper_cloud.ingest.heartbeat`), also those that are
processes of their own. One that tells nothing any longer, or lacks the broker that others hear, is
an alert of its own. Whether it told anything new is known by the clock of the judge, whatever its
own says.
"""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from hesper_cloud import metrics
from hesper_cloud.db.alerting import CLEARED, Alert
from hesper_cloud.db.consumers import ConsumerTold
from hesper_cloud.db.engines import reading
from hesper_cloud.rules.alerts import Alerts, Subject, Telling
from hesper_cloud.settings import Settings
from hesper_cloud.worded import worded

BROKER, STORE = Subject("broker-lost"), Subject("store-away")
LOST = "consumer-lost/"
_PATIENCE = timedelta(seconds=60)
_TELLS_WITHIN = timedelta(seconds=20)
_FORGOTTEN_AFTER = timedelta(days=7)


class _News(NamedTuple):
    """When a consumer told something, by its own clock, and when that was noticed here."""

    told_at: datetime
    noticed_at: datetime


class OwnLinks:
    """Looks every few seconds whether broker, store and consumers are there."""

    def __init__(
        self, engine: Engine, settings: Settings, alerts: Alerts, clock: Callable[[], datetime]
    ) -> None:
        self._engine = engine
        self._broker = f"{settings.broker.host}:{settings.broker.port}"
        self._own = settings.ingest.instance
        self._alerts = alerts
        self._clock = clock
        self._news: dict[str, _News] = {}
        self._wrong_since: dict[Subject, datetime] = {}
        self._open = {BROKER, STORE, *alerts.open_subjects(LOST)}  # or may be, after a start

    def turn(self) -> None:
        """Raises and clears alerts by what holds now."""
        now = self._clock()
        wrong = {each.subject: each for each in self._wrong(now)}
        since = {subject: min(self._wrong_since.get(subject, now), now) for subject in wrong}
        due = [each for each in wrong.values() if now - since[each.subject] >= _PATIENCE]
        self._alerts.settle(due, [(each, now) for each in self._open - wrong.keys()])
        self._wrong_since = since
        self._open = (self._open & wrong.keys()) | {each.subject for each in due}

    def _wrong(self, now: datetime) -> Iterator[Telling]:
        consumers = self._consumers(now)
        telling = [each for each in consumers if self._tells(each, now)]
        if refused := [each.instance for each in telling if not each.stores]:
            yield Telling(STORE, "critical", _not_stored(refused), now)
        # a consumer comes to the broker when it has read from the store
        for each in (each for each in telling if each.stores and not each.hears):
            if each.instance == self._own:
                yield Telling(BROKER, "critical", _unheard(self._broker), now)
            else:
                yield Telling(_lost(each), "warning", _deaf(each), now)
        for each in (each for each in consumers if each not in telling):
            yield Telling(_lost(each), "warning", _silent(each), now)

    def _consumers(self, now: datetime) -> list[ConsumerTold]:
        """Returns what consumers told of themselves; one that is long gone is forgotten."""
        told = select(ConsumerTold).where(ConsumerTold.told_at > now - _FORGOTTEN_AFTER)
        with reading(self._engine) as session:
            return list(session.scalars(told.order_by(ConsumerTold.instance)))

    def _tells(self, consumer: ConsumerTold, now: datetime) -> bool:
        news = self._news.get(consumer.instance)
        if news is None or news.told_at != consumer.told_at:
            news = self._news[consumer.instance] = _News(consumer.told_at, now)
        return abs(now - news.noticed_at) < _TELLS_WITHIN


def is_connected() -> bool:
    """Says whether this process is connected to the broker now."""
    return metrics.value(metrics.CONNECTED) != 0.0


def away_since(session: Session) -> dict[Subject, datetime]:
    """Returns since when broker and store are known to be away, whichever is: nothing is heard."""
    is_open = Alert.rule.in_((BROKER.rule, STORE.rule)) & (Alert.state != CLEARED)
    found = session.execute(select(Alert.rule, Alert.raised_at).where(is_open))
    return {Subject(rule): raised_at - _PATIENCE for rule, raised_at in found}


class BrokerLoss:
    """Since when the head end does not hear its broker: who is online is not known since then."""

    def __init__(self, is_connected: Callable[[], bool] = is_connected) -> None:
        self._is_connected = is_connected
        self._noticed_at: datetime | None = None

    def is_lost(self) -> bool:
        """Says whether it is lost now."""
        return not self._is_connected()

    def since(self, session: Session, now: datetime) -> datetime | None:
        """Returns what the alert says, before there is one when it was noticed; None if heard."""
        if not self.is_lost():
            self._noticed_at = None
            return None
        self._noticed_at = self._noticed_at or now
        return min(self._noticed_at, away_since(session).get(BROKER, now))


def _lost(consumer: ConsumerTold) -> Subject:
    return Subject(f"{LOST}{consumer.instance}")


def _not_stored(refused: list[str]) -> str:
    return worded(
        "Readings are not stored (consumers: {consumers}). Nothing is lost: gateways keep what "
        "they read. The consumers' logs say why.",
        consumers=", ".join(refused),
    )


def _unheard(broker: str) -> str:
    return worded(
        "There is no connection to the broker {broker}: no meter is heard. Nothing is lost: "
        "gateways keep what they read. The log of hesper-cloud run says why.",
        broker=broker,
    )


def _deaf(consumer: ConsumerTold) -> str:
    return worded(
        "The consumer {consumer} has no connection to the broker. The others take what comes.",
        consumer=consumer.instance,
    )


def _silent(consumer: ConsumerTold) -> str:
    return worded(
        "Nothing is heard of the consumer {consumer} since {told_at}: it does not run, or does not "
        "reach the registry. Gateways send again what it had in hand.",
        consumer=consumer.instance,
        told_at=f"{consumer.told_at:%F %T} UTC",
    )
