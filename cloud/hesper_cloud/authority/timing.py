"""Whether now is the time: hours and weather for what cuts, a pace for what switches on.

An activation that names its time leaves shortly before it, so that it can be taken back until then.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from hesper_contracts.frame import Refused
from sqlalchemy import Engine, func, select
from sqlalchemy.orm import Session

from hesper_cloud.authority import facts
from hesper_cloud.authority.hours import Weather
from hesper_cloud.authority.kinds import ACTIVATE, CUTTING, KINDS, RECONNECT
from hesper_cloud.authority.policy import Policy
from hesper_cloud.authority.rules import Denied
from hesper_cloud.db.authority import CommandRecord
from hesper_cloud.db.energy import OutsidePoint, OutsideSeries
from hesper_cloud.db.engines import reading
from hesper_cloud.images.wish import wish_of
from hesper_cloud.worded import worded

_CELSIUS = 9  # unit of the Blue Book
_MINUTE = timedelta(minutes=1)


def opening(
    registry: Engine, policy: Policy, gateway: str, now: datetime, patience: timedelta
) -> datetime:
    """Returns from when on a supply may be cut, ``now`` if at once.

    Raises:
        Denied: the hours do not come within ``patience``, or the weather forbids it now.
    """
    opens = policy.hours.opens_at(gateway, now)
    if opens is None or opens > now + patience:
        raise Denied(_not_at_this_time(policy, gateway, opens))
    objection = weather_objection(registry, policy.weather, gateway, now)
    if objection is not None:
        raise Denied(worded("no supply is cut now: {objection}", objection=objection))
    return opens


def check_hours(policy: Policy, kind: str, gateway: str, now: datetime) -> None:
    """Checks that the hours for a cut come before a request that is made now can wait no longer.

    Raises:
        Denied: they do not; nobody need type a password for it.
    """
    if kind not in CUTTING:
        return
    opens = policy.hours.opens_at(gateway, now)
    waits_s = policy.approval_window_s + max(policy.expiry_s, policy.hours.wait_s)
    if opens is None or opens > now + timedelta(seconds=waits_s):
        raise Denied(_not_at_this_time(policy, gateway, opens))


def begins_at(kind: str, parameters: Mapping[str, Any], now: datetime) -> datetime:
    """Returns from when on a gateway may begin: at the time that an activation names, or now."""
    if kind != ACTIVATE:
        return now
    try:
        return max(now, wish_of(parameters).at or now)
    except Refused:  # nothing of it is signed
        return now


def is_early(kind: str, parameters: Mapping[str, Any], now: datetime) -> bool:
    """Says whether the time that an activation names is further off than it need be signed."""
    lead = timedelta(seconds=KINDS[kind].begin_s)
    return begins_at(kind, parameters, now) - now > lead


def waits(
    session: Session, registry: Engine, policy: Policy, command: CommandRecord, now: datetime
) -> str | None:
    """Says why a queued command does not leave yet, or None.

    Raises:
        Denied: it cannot leave in its time.
    """
    if is_early(command.kind, command.parameters, now):
        return f"for its time, {begins_at(command.kind, command.parameters, now):%F %R} UTC"
    if command.kind == RECONNECT:
        return _pace(session, policy, command.gateway, now)
    if command.kind not in CUTTING or facts.broke_glass(session, command.id):
        return None
    opens = policy.hours.opens_at(command.gateway, now)
    if opens is None or (command.not_after is not None and opens >= command.not_after):
        raise Denied(_not_at_this_time(policy, command.gateway, opens))
    if opens > now:
        return f"for its hours, {opens:%F %R} UTC"
    return weather_objection(registry, policy.weather, command.gateway, now)


def weather_objection(
    registry: Engine, weather: Weather | None, gateway: str, now: datetime
) -> str | None:
    """Returns why the weather forbids to cut a supply behind a gateway, or None."""
    if weather is None:
        return None
    name = weather.gateway_series.get(gateway, weather.series)
    since = now - timedelta(seconds=weather.max_age_s)
    until = now + timedelta(seconds=weather.ahead_s)
    query = select(OutsidePoint.at, OutsidePoint.value).where(
        OutsidePoint.series == name, OutsidePoint.at >= since, OutsidePoint.at <= until
    )
    with reading(registry) as session:
        series = session.get(OutsideSeries, name)
        if series is None or series.unit != _CELSIUS:
            return weather.objection((), now)
        found = session.execute(query).all()
    factor: float = 10.0**series.scaler
    return weather.objection([(at, value * factor) for at, value in found], now)


def _pace(session: Session, policy: Policy, gateway: str, now: datetime) -> str | None:
    """Holds reconnects apart: a street that is switched on at once draws more than it did.

    What lies further ahead is of before the clock was set back.
    """
    lately = select(func.count()).where(
        CommandRecord.kind == RECONNECT,
        CommandRecord.gateway == gateway,
        CommandRecord.sent_at > now - _MINUTE,
        CommandRecord.sent_at < now + _MINUTE,
    )
    most = policy.gateway_reconnects_per_minute
    if (session.scalar(lately) or 0) < most:
        return None
    return worded(
        "no more than {most} supplies a minute are switched on behind {gateway}",
        most=most,
        gateway=gateway,
    )


def _not_at_this_time(policy: Policy, gateway: str, opens: datetime | None) -> str:
    hours = policy.hours
    if opens is None:
        return worded("no supply is cut: the policy names no hours for it")
    zone = hours.gateway_zones.get(gateway, hours.zone)
    there = opens.astimezone(ZoneInfo(zone))
    return worded(
        "no supply is cut at this hour; the next time is {there} ({zone})",
        there=f"{there:%F %R}",
        zone=zone,
    )
