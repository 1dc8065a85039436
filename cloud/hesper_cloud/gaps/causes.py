"""Why captures are missing, as far as gateways and registry tell.

A gateway says at which hop its visits to a meter stop (event ``meter.unreachable``), and that a
meter which answers refuses its load profile (``meter.profile_refused``). It says that once, and
once that it is over; one that has started anew says again what is still so. Its retained
status says whether it is there, how long readings wait in its outbox, and how many attempts failed
at which hop. What it does not say is concluded from who is silent beside whom. What another gateway
than the meter's own says counts for nothing. While the head end itself lacks its broker or its
store, nobody else is to blame for what is missing since.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, NamedTuple

from sqlalchemy import Engine, Select, func, select
from sqlalchemy.orm import Session

from hesper_cloud.db.engines import batched, reading
from hesper_cloud.db.registry import Event, Gateway
from hesper_cloud.gaps.meters import FleetMeter
from hesper_cloud.rules import own_links
from hesper_cloud.rules.own_links import away_since
from hesper_cloud.rules.silence import patience
from hesper_cloud.settings import RuleSettings

SILENT_METER = "silent meter"
GATEWAY_OFFLINE = "gateway offline"
BROKER = "broker"
STORE = "store"
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
REFUSED, GIVEN = "meter.profile_refused", "meter.profile_given"
_VISITS, _PROFILES = (UNREACHABLE, REACHABLE), (REFUSED, GIVEN)
_TOLD_WITHIN = timedelta(days=2)
_TOLD = select(Event.meter, Event.code, Event.attributes, Event.gateway, Event.occurred_at)


class Word(NamedTuple):
    """What a gateway told of a meter: code and attributes of an event, who, and when."""

    code: str
    attributes: Mapping[str, Any]
    gateway: str
    at: datetime


class Causes:
    """What is known of gateways and meters at one moment, about one of their profiles."""

    def __init__(
        self,
        engine: Engine,
        profile: str,
        meters: Sequence[FleetMeter],
        settings: RuleSettings,
        now: datetime,
    ) -> None:
        self._engine = engine
        self._profile = profile
        with reading(engine) as session:
            self._gateways = {row.id: row for row in session.scalars(select(Gateway))}
            self._away_since = away_since(session)
            self._told = _told_since(session, _VISITS, now - _TOLD_WITHIN, now)
            self._told_of_profile = _told_since(session, _PROFILES, now - _TOLD_WITHIN, now)
        self._meters = meters
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
        away = self._away(meter, first_missing_at)
        if away is not None:
            return away
        gateway = self._gateways.get(meter.gateway_id or "")
        if gateway is not None and gateway.state == "offline":
            return BROKER if self._all_offline else GATEWAY_OFFLINE
        stopped_at = self._stopped_at(meter)
        if stopped_at is not None:
            return OF_HOP.get(stopped_at, SILENT_METER)
        if self._refuses_profile(meter):
            return METER_REFUSES
        if gateway is not None and _waits_for_receipts(gateway, first_missing_at):
            return BROKER
        if not self._is_silent(meter):
            return UNKNOWN
        failing = OF_HOP.get(failing_hop(gateway) or "", SILENT_METER)
        if failing != SILENT_METER:
            return failing
        return LINE if self._is_line_silent(meter.gateway_id) else SILENT_METER

    def _away(self, meter: FleetMeter, first_missing_at: datetime) -> str | None:
        """Returns what the head end itself cannot reach since a meter's captures are missing."""
        margin = patience(self._settings, meter.capture_period_s)
        for subject, cause in ((own_links.STORE, STORE), (own_links.BROKER, BROKER)):
            since = self._away_since.get(subject)
            if since is not None and since - margin < first_missing_at:
                return cause
        return None

    def _stopped_at(self, meter: FleetMeter) -> str | None:
        """Returns the hop where the gateway's last visit stopped; None where it did not.

        A gateway tells it once. So of a meter that was not heard for long its last word counts,
        however old it is.
        """
        word = self._told.get(meter.id)
        if word is None and self._is_long_silent(meter):
            word = self._told_before.get(meter.id)
        if word is None or word.code != UNREACHABLE or not self._holds(word):
            return None
        return str(word.attributes.get("hop"))

    def _refuses_profile(self, meter: FleetMeter) -> bool:
        word = self._told_of_profile.get(meter.id)
        if word is None or word.code != REFUSED or not self._holds(word):
            return False
        return word.attributes.get("profile") == self._profile

    def _holds(self, word: Word) -> bool:
        """Says whether a word is of the present start of its gateway, which tells it only once."""
        gateway = self._gateways.get(word.gateway)
        return gateway is None or gateway.started_at is None or word.at >= gateway.started_at

    def _is_long_silent(self, meter: FleetMeter) -> bool:
        heard_at = meter.last_contact_at
        return heard_at is None or self._now - heard_at > _TOLD_WITHIN

    @cached_property
    def _told_before(self) -> dict[str, Word]:
        silent = [each.id for each in self._meters if self._is_long_silent(each)]
        found: dict[str, Word] = {}
        with reading(self._engine) as session:
            for some in batched(silent):
                found |= last_words(session, some, self._now)
        return found

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


def _told_since(
    session: Session, codes: Sequence[str], since: datetime, until: datetime
) -> dict[str, Word]:
    """Returns what was last told of each meter in a time."""
    in_time = (Event.occurred_at > since) & (Event.occurred_at <= until)
    return _by_meter(session, _TOLD.where(Event.code.in_(codes), in_time, Event.is_own()))


def last_words(session: Session, meters: Sequence[str], now: datetime) -> dict[str, Word]:
    """Returns what was last told of visits to each meter."""
    last = (
        select(Event.meter, func.max(Event.occurred_at).label("at"))
        .where(Event.code.in_(_VISITS), Event.meter.in_(meters), Event.occurred_at <= now)
        .where(Event.is_own())
        .group_by(Event.meter)
        .subquery()
    )
    of_last = (Event.meter == last.c.meter) & (Event.occurred_at == last.c.at)
    of_visits = _TOLD.where(Event.code.in_(_VISITS), Event.is_own())
    return _by_meter(session, of_visits.join(last, of_last))


def _by_meter(session: Session, query: Select[Any]) -> dict[str, Word]:
    told = session.execute(query.where(Event.meter.is_not(None)).order_by(Event.occurred_at))
    return {meter: Word(*word) for meter, *word in told}
