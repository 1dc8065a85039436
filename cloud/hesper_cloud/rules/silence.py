"""Meters that are not heard from, and gateways that are down: one gateway down is one alert.

A meter is silent when nothing came from it for a few capture periods, or for a day while nobody
knows its period: one that pushes at a pace of its own. Time in which it could not be heard does not
count: before this process began to watch, or while its gateway was offline. Where people work (the
policy's maintenance), silence is told only if it lasts longer than the work. The silence of a meter
is a symptom: it gives way to the alert of its gateway, or of an element of the grid, while that is
open (`hesper_cloud.alerting.children`).
"""

from collections import Counter
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from hesper_cloud.assets.lives import IN_SERVICE, in_service
from hesper_cloud.db.engines import reading, writing
from hesper_cloud.db.registry import Gateway, Meter
from hesper_cloud.rules.alerts import Alerts, Subject, Telling
from hesper_cloud.settings import RuleSettings

METER_RULE = "silent-meter"
GATEWAY_RULE = "gateway-offline"
OFFLINE = "offline"
_SHORTEST_S = 60.0
_PERIOD_UNKNOWN = timedelta(days=1)


_METERS = select(
    Meter.id, Meter.gateway_id, Meter.capture_period_s, Meter.last_contact_at, Meter.first_seen_at
).where(in_service())


Works = Callable[[datetime], Callable[[str | None], bool]]
"""At a moment: says of a gateway whether people work there."""


def nobody_works(_: datetime) -> Callable[[str | None], bool]:
    """Says of every gateway that nobody works there."""
    return lambda _: False


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
    ) -> None:
        """Takes also what says at which gateways people work: what is silent there is no news."""
        self._engine = engine
        self._works = works
        self._is_worked_at = works(clock())
        self._alerts = alerts
        self._settings = settings
        self._clock = clock
        self._watching_since = clock()
        self._offline: set[str] = set()
        self._back_since: dict[str, datetime] = {}
        self._raised = alerts.open_meters(METER_RULE)

    def check(self) -> None:
        """Raises and clears alerts by what the registry says now."""
        now = self._clock()
        self._is_worked_at = self._works(now)
        with reading(self._engine) as session:
            meters = [_Heard(*row) for row in session.execute(_METERS)]
        with writing(self._engine) as session:
            self._gateways(session, Counter(meter.gateway_id for meter in meters), now)
        telling = [meter for meter in meters if self._is_news(meter, now)]
        gone = self._raised.difference(meter.id for meter in meters)  # out of service
        if telling or gone:
            self._tell(telling, gone, now)

    def _gateways(self, session: Session, behind: Mapping[str | None, int], now: datetime) -> None:
        told: list[Telling] = []
        over: list[tuple[Subject, datetime]] = []
        for gateway in session.scalars(select(Gateway)).all():
            subject = Subject(GATEWAY_RULE, gateway=gateway.id)
            expected = gateway.life in IN_SERVICE and gateway.deleted_at is None
            if gateway.state == OFFLINE and expected:
                text = f"Gateway {gateway.id} is offline; {behind[gateway.id]} meters behind it."
                if not self._is_worked_at(gateway.id):
                    told.append(Telling(subject, "critical", text, now))
                self._offline.add(gateway.id)
                continue
            if gateway.id in self._offline:
                self._offline.discard(gateway.id)
                self._back_since[gateway.id] = now
            over.append((subject, now))
        self._alerts.raise_all(told, session)
        self._alerts.clear_all(over, session)

    def _is_news(self, meter: _Heard, now: datetime) -> bool:
        """Says whether a meter's alert has to be raised or cleared."""
        told = meter.id in self._raised
        if self._is_heard(meter, now):
            return told
        if meter.gateway_id in self._offline or self._is_worked_at(meter.gateway_id):
            return False
        allowed = patience(self._settings, meter.capture_period_s)
        return not told and self._waited(meter, now) > allowed

    def _is_heard(self, meter: _Heard, now: datetime) -> bool:
        heard_at = meter.last_contact_at
        allowed = patience(self._settings, meter.capture_period_s)
        return heard_at is not None and now - heard_at <= allowed

    def _tell(self, telling: list[_Heard], gone: set[str], now: datetime) -> None:
        """Raises and clears in one transaction, however many meters it is about."""
        over = {meter.id for meter in telling} & self._raised | gone
        told = [_silent(meter, now) for meter in telling if meter.id not in over]
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
    since = "never heard from" if heard_at is None else f"silent since {heard_at:%F %T} UTC"
    subject, text = Subject(METER_RULE, meter=meter.id), f"Meter {meter.id} is {since}."
    return Telling(subject, "warning", text, now, symptom=True)


def patience(settings: RuleSettings, capture_period_s: int | None) -> timedelta:
    """Returns how long a meter may say nothing before it counts as silent."""
    if capture_period_s is None:
        return _PERIOD_UNKNOWN
    if settings.silent_after_s:
        return timedelta(seconds=settings.silent_after_s)
    return timedelta(seconds=max(_SHORTEST_S, settings.silent_after_periods * capture_period_s))
