"""Meters that are not heard from, and gateways that are down: one gateway down is one alert.

A meter is silent when nothing came from it for a few capture periods, or for a day while nobody
knows its period: one that pushes at a pace of its own. Time in which it could not be heard does not
count: before this process began to watch, while its gateway was offline, or while the head end had
lost its broker or its store (`hesper_cloud.rules.own_links`). Where people work (the policy's
maintenance), silence is told only if it lasts longer than the work. The silence of a meter is a
symptom: it gives way to the alert of its gateway, or of an element of the grid, while that is open
(`hesper_cloud.alerting.children`).

A broker that stops sends the last wills of all gateways before it goes, and keeps them until they
are back. So a gateway is called offline at the second look, no gateway while the head end is itself
without the broker, and after that only one that was back before or had its time to come. A broker
that crashes sends none, and still says "online" of a gateway that broke down with it: who says
nothing for a quarter of an hour, though it would be heard, is offline.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import ColumnElement, Engine, func, or_, select, update
from sqlalchemy.orm import Session

from hesper_cloud.assets.lives import IN_SERVICE, in_service
from hesper_cloud.db.engines import reading, writing
from hesper_cloud.db.registry import Gateway, Meter
from hesper_cloud.db.values import values_of
from hesper_cloud.rules.alerts import Alerts, Subject, Telling
from hesper_cloud.rules.own_links import away_since
from hesper_cloud.settings import RuleSettings
from hesper_cloud.worded import later, worded

METER_RULE = "silent-meter"
GATEWAY_RULE = "gateway-offline"
OFFLINE = "offline"
_SHORTEST_S = 60.0
_PERIOD_UNKNOWN = timedelta(days=1)
_COMING_BACK = timedelta(seconds=60)
"""Twice what a gateway waits at most before it tries the broker again."""
_SAYS_SOMETHING = timedelta(minutes=15)
"""A gateway tells every 15 s how it is; of others' own make the contract asks for a minute."""

_METERS = select(
    Meter.id, Meter.gateway_id, Meter.capture_period_s, Meter.last_contact_at, Meter.first_seen_at
).where(in_service())

_GATEWAYS = select(
    Gateway.id, Gateway.state, Gateway.life, Gateway.deleted_at, Gateway.last_seen_at
)

Works = Callable[[datetime], Callable[[str | None], bool]]
"""At a moment: says of a gateway whether people work there."""


def nobody_works(_: datetime) -> Callable[[str | None], bool]:
    """Says of every gateway that nobody works there."""
    return lambda _: False


def always_connected() -> bool:
    """Says that the head end has its broker."""
    return True


class _Heard(NamedTuple):
    """What the rule must know of a meter."""

    id: str
    gateway_id: str | None
    capture_period_s: int | None
    last_contact_at: datetime | None
    first_seen_at: datetime


class SilenceRule:
    """Judges all meters and gateways each time it is asked."""

    def __init__(
        self,
        engine: Engine,
        alerts: Alerts,
        settings: RuleSettings,
        clock: Callable[[], datetime],
        works: Works = nobody_works,
        is_connected: Callable[[], bool] = always_connected,
    ) -> None:
        """Takes also at which gateways people work, where silence is no news, and the own link."""
        self._engine = engine
        self._works = works
        self._is_worked_at = works(clock())
        self._alerts = alerts
        self._settings = settings
        self._clock = clock
        self._is_connected = is_connected
        self._watching_since = self._connected_since = clock()
        self._offline: set[str] = set()
        self._back_since: dict[str, datetime] = {}
        self._raised = alerts.open_meters(METER_RULE)

    def check(self) -> None:
        """Raises and clears alerts by what the registry says now."""
        now = self._clock()
        self._go_back_to(now)
        self._is_worked_at = self._works(now)
        has_broker = self._is_connected()
        if not has_broker:
            self._connected_since = now
        with reading(self._engine) as session:
            if not has_broker or away_since(session):
                self._watching_since = now
            silent = session.execute(_METERS.where(unheard(session, self._settings, now))).all()
        if has_broker:
            with writing(self._engine) as session:
                self._gateways(session, now)
        over = self._raised.difference(row.id for row in silent)  # heard, or out of service
        news = [meter for row in silent if self._is_news(meter := _Heard(*row), now)]
        if news or over:
            self._tell(news, over, now)

    def _go_back_to(self, now: datetime) -> None:
        """Takes moments that are ahead for now: the clock was set back, and nobody waits for it."""
        self._watching_since = min(self._watching_since, now)
        self._connected_since = min(self._connected_since, now)
        self._back_since = {gateway: min(at, now) for gateway, at in self._back_since.items()}

    def _gateways(self, session: Session, now: datetime) -> None:
        told: list[Telling] = []
        over: list[tuple[Subject, datetime]] = []
        if now - self._watching_since >= _SAYS_SOMETHING:
            _call_offline(session, now - _SAYS_SOMETHING)
        known = session.execute(_GATEWAYS).all()
        behind = _behind(session) if any(row.state == OFFLINE for row in known) else {}
        for gateway, state, life, deleted_at, seen_at in known:
            subject = Subject(GATEWAY_RULE, gateway=gateway)
            if state == OFFLINE and life in IN_SERVICE and deleted_at is None:
                words = later("Gateway {gateway} is offline; {count} meters behind it.")
                text = worded(words, gateway=gateway, count=behind.get(gateway, 0))
                if self._is_gone(gateway, seen_at, now) and not self._is_worked_at(gateway):
                    told.append(Telling(subject, "critical", text, now))
                self._offline.add(gateway)
                continue
            if gateway in self._offline:
                self._offline.discard(gateway)
                self._back_since[gateway] = now
            over.append((subject, now))
        self._alerts.raise_all(told, session)
        self._alerts.clear_all(over, session)

    def _is_gone(self, gateway: str, seen_at: datetime | None, now: datetime) -> bool:
        """Says whether a gateway that is offline stays so, as far as can be known yet."""
        if gateway not in self._offline:
            return False
        was_back = seen_at is not None and seen_at > self._connected_since
        return was_back or now - self._connected_since >= _COMING_BACK

    def _is_news(self, meter: _Heard, now: datetime) -> bool:
        """Says whether an alert has to be raised for a meter that is not heard."""
        if meter.id in self._raised or meter.gateway_id in self._offline:
            return False
        if self._is_worked_at(meter.gateway_id):
            return False
        return self._waited(meter, now) > patience(self._settings, meter.capture_period_s)

    def _tell(self, news: list[_Heard], over: set[str], now: datetime) -> None:
        """Raises and clears in one transaction, however many meters it is about."""
        told = [_silent(meter, now) for meter in news]
        cleared = [(Subject(METER_RULE, meter=meter), now) for meter in sorted(over)]
        self._alerts.settle(told, cleared)
        self._raised.difference_update(over)
        self._raised.update(each.subject.meter or "" for each in told)

    def _waited(self, meter: _Heard, now: datetime) -> timedelta:
        since = max(
            meter.last_contact_at or meter.first_seen_at,
            self._watching_since,
            self._back_since.get(meter.gateway_id or "", self._watching_since),
        )
        return now - since


def _silent(meter: _Heard, now: datetime) -> Telling:
    heard_at = meter.last_contact_at
    if heard_at is None:
        text = worded("Meter {meter} is never heard from.", meter=meter.id)
    else:
        words = later("Meter {meter} is silent since {since} UTC.")
        text = worded(words, meter=meter.id, since=f"{heard_at:%F %T}")
    return Telling(Subject(METER_RULE, meter=meter.id), "warning", text, now, symptom=True)


def unheard(session: Session, settings: RuleSettings, now: datetime) -> ColumnElement[bool]:
    """Returns the condition that a meter was not heard within what it is granted.

    One term for each capture period in use: of a fleet that is heard, no meter is read.
    """
    periods = values_of(session, Meter.capture_period_s)
    late = (
        Meter.capture_period_s.is_not_distinct_from(period)
        & (Meter.last_contact_at < now - patience(settings, period))
        for period in periods
    )
    return or_(Meter.last_contact_at.is_(None), *late)


def _call_offline(session: Session, since: datetime) -> None:
    """Shows gateways as offline of which the last word is that they are online, long ago."""
    unheard_of = Gateway.state == "online", Gateway.last_seen_at < since
    session.execute(update(Gateway).where(*unheard_of).values(state=OFFLINE))


def _behind(session: Session) -> dict[str | None, int]:
    """Returns how many meters in service are behind each gateway."""
    counted = select(Meter.gateway_id, func.count()).where(in_service()).group_by(Meter.gateway_id)
    return {row[0]: int(row[1]) for row in session.execute(counted)}


def patience(settings: RuleSettings, capture_period_s: int | None) -> timedelta:
    """Returns how long a meter may say nothing before it counts as silent."""
    if capture_period_s is None:
        return _PERIOD_UNKNOWN
    if settings.silent_after_s:
        return timedelta(seconds=settings.silent_after_s)
    return timedelta(seconds=max(_SHORTEST_S, settings.silent_after_periods * capture_period_s))
