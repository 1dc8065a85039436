"""Why captures are missing, as far as gateways and registry tell.

A gateway says at which hop its visits to a meter stop (event ``meter.unreachable``); its retained
status says whether it is there, how long readings wait in its outbox, and how many attempts failed
at which hop. What it does not say is concluded from who is silent beside whom.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from hesper_cloud.db.registry import Event, Gateway
from hesper_cloud.gaps.meters import FleetMeter
from hesper_cloud.rules.silence import patience
from hesper_cloud.settings import RuleSettings

SILENT_METER = "silent meter"
GATEWAY_OFFLINE = "gateway offline"
BROKER = "broker"
LINE = "line"
ASSOCIATION = "association"
METER_REFUSES = "meter refuses"
REPORTS_NONE = "meter reports none"
UNKNOWN = "unknown"

OF_HOP = {
    "gateway": GATEWAY_OFFLINE,
    "broker": BROKER,
    "modem": LINE,
    "line": LINE,
    "link": SILENT_METER,
    "timeout": SILENT_METER,
    "association": ASSOCIATION,
    "counter": ASSOCIATION,
    "security": ASSOCIATION,
    "identity": ASSOCIATION,
    "access": METER_REFUSES,
    "meter-refused": METER_REFUSES,
    "decode": METER_REFUSES,
}
"""The cause by the hop where a gateway's visit stops."""

UNREACHABLE, REACHABLE = "meter.unreachable", "meter.reachable"
_TOLD_WITHIN = timedelta(days=2)


class Causes:
    """What is known of gateways and meters at one moment."""

    def __init__(
        self, session: Session, meters: Iterable[FleetMeter], settings: RuleSettings, now: datetime
    ) -> None:
        self._gateways = {row.id: row for row in session.scalars(select(Gateway))}
        self._stopped_at = _stopped_at(session, now)
        self._settings = settings
        self._now = now
        self._allowed: dict[int | None, timedelta] = {}
        self._silent_lines: dict[str | None, bool] = {}
        self._behind: dict[str | None, list[FleetMeter]] = {}
        for meter in meters:
            self._behind.setdefault(meter.gateway_id, []).append(meter)
        states = [self._gateways[each].state for each in self._behind if each in self._gateways]
        self._all_offline = len(states) > 1 and set(states) == {"offline"}

    def of(self, meter: FleetMeter, first_missing_at: datetime) -> str:
        """Returns the cause to write beside captures that are missing now."""
        gateway = self._gateways.get(meter.gateway_id or "")
        if gateway is not None and gateway.state == "offline":
            return BROKER if self._all_offline else GATEWAY_OFFLINE
        if meter.id in self._stopped_at:
            return OF_HOP.get(self._stopped_at[meter.id], SILENT_METER)
        if gateway is not None and _waits_for_receipts(gateway, first_missing_at):
            return BROKER
        if not self._is_silent(meter):
            return UNKNOWN
        failing = OF_HOP.get(failing_hop(gateway) or "", SILENT_METER)
        if failing != SILENT_METER:
            return failing
        return LINE if self._is_line_silent(meter.gateway_id) else SILENT_METER

    def _is_line_silent(self, gateway: str | None) -> bool:
        """Says whether every one of several meters behind a gateway is silent; judged once."""
        if gateway not in self._silent_lines:
            neighbours = self._behind.get(gateway, [])
            silent = len(neighbours) > 1 and all(map(self._is_silent, neighbours))
            self._silent_lines[gateway] = silent
        return self._silent_lines[gateway]

    def _is_silent(self, meter: FleetMeter) -> bool:
        heard_at, period_s = meter.last_contact_at, meter.capture_period_s
        if heard_at is None:
            return True
        if period_s not in self._allowed:
            self._allowed[period_s] = patience(self._settings, period_s)
        return self._now - heard_at > self._allowed[period_s]


def failing_hop(gateway: Gateway | None) -> str | None:
    """Returns the hop at which most of a gateway's attempts have failed since its start."""
    counts = (gateway.attributes or {}).get("failures", {}) if gateway else {}
    known = {hop: count for hop, count in counts.items() if hop in OF_HOP and count > 0}
    return max(known, key=lambda hop: (known[hop], hop), default=None)


def _waits_for_receipts(gateway: Gateway, first_missing_at: datetime) -> bool:
    """Says whether what is missing lies in the gateway's outbox, not received or not stored."""
    oldest = gateway.oldest_unreceipted_at
    seen = gateway.last_seen_at
    return bool(gateway.backlog) and None not in (oldest, seen) and oldest <= first_missing_at  # type: ignore[operator]


def _stopped_at(session: Session, now: datetime) -> dict[str, str]:
    """Returns where the gateways' last visits stopped, for the meters that they cannot reach."""
    told = session.scalars(
        select(Event)
        .where(Event.code.in_((UNREACHABLE, REACHABLE)))
        .where(Event.occurred_at > now - _TOLD_WITHIN, Event.occurred_at <= now)
        .order_by(Event.occurred_at)
    )
    newest = {event.meter: event for event in told if event.meter is not None}
    return {
        meter: str(event.attributes.get("hop"))
        for meter, event in newest.items()
        if event.code == UNREACHABLE
    }
