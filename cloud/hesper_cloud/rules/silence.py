"""Meters that are not heard from, and gateways that are down: one gateway down is one alert.

A meter is silent when nothing came from it for a few capture periods, or for a day while nobody
knows its period: one that pushes at a pace of its own. Time in which it could not be heard does not
count: before this process began to watch, or while its gateway was offline. When
a gateway goes offline, the alerts of the meters behind it give way to the gateway's.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from hesper_cloud.db.engines import writing
from hesper_cloud.db.registry import Gateway, Meter
from hesper_cloud.rules.alerts import Alerts, Subject
from hesper_cloud.settings import RuleSettings

METER_RULE = "silent-meter"
GATEWAY_RULE = "gateway-offline"
OFFLINE = "offline"
_SHORTEST_S = 60.0
_PERIOD_UNKNOWN = timedelta(days=1)


class SilenceRule:
    """Judges all meters and gateways each time it is asked."""

    def __init__(
        self, engine: Engine, alerts: Alerts, settings: RuleSettings, clock: Callable[[], datetime]
    ) -> None:
        self._engine = engine
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
        with writing(self._engine) as session:
            gateways = session.scalars(select(Gateway)).all()
            meters = session.scalars(select(Meter)).all()
            self._gateways(session, gateways, meters, now)
            for meter in meters:
                self._meter(session, meter, now)

    def _gateways(
        self,
        session: Session,
        gateways: Sequence[Gateway],
        meters: Sequence[Meter],
        now: datetime,
    ) -> None:
        for gateway in gateways:
            subject = Subject(GATEWAY_RULE, gateway=gateway.id)
            if gateway.state == OFFLINE:
                behind = sum(meter.gateway_id == gateway.id for meter in meters)
                text = f"Gateway {gateway.id} is offline; {behind} meters behind it."
                self._alerts.raise_(subject, "critical", text, at=now, session=session)
                self._offline.add(gateway.id)
                continue
            if gateway.id in self._offline:
                self._offline.discard(gateway.id)
                self._back_since[gateway.id] = now
            self._alerts.clear(subject, at=now, session=session)

    def _meter(self, session: Session, meter: Meter, now: datetime) -> None:
        subject = Subject(METER_RULE, meter=meter.id)
        if meter.gateway_id in self._offline:
            if meter.id in self._raised:
                self._alerts.clear(subject, at=now, session=session)
                self._raised.discard(meter.id)
            return
        allowed = patience(self._settings, meter.capture_period_s)
        heard_at = meter.last_contact_at
        is_heard = heard_at is not None and now - heard_at <= allowed
        if is_heard and meter.id in self._raised:
            self._alerts.clear(subject, at=now, session=session)
            self._raised.discard(meter.id)
        elif not is_heard and meter.id not in self._raised and self._waited(meter, now) > allowed:
            since = "never heard from" if heard_at is None else f"silent since {heard_at:%F %T} UTC"
            self._alerts.raise_(
                subject, "warning", f"Meter {meter.id} is {since}.", at=now, session=session
            )
            self._raised.add(meter.id)

    def _waited(self, meter: Meter, now: datetime) -> timedelta:
        since = max(
            meter.last_contact_at or meter.first_seen_at,
            self._watching_since,
            self._back_since.get(meter.gateway_id or "", self._watching_since),
        )
        return now - since


def patience(settings: RuleSettings, capture_period_s: int | None) -> timedelta:
    """Returns how long a meter may say nothing before it counts as silent."""
    if capture_period_s is None:
        return _PERIOD_UNKNOWN
    if settings.silent_after_s:
        return timedelta(seconds=settings.silent_after_s)
    return timedelta(seconds=max(_SHORTEST_S, settings.silent_after_periods * capture_period_s))
