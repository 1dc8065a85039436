"""What aggregation has to know of meters: zone, capture period, type, since when they count."""

from collections.abc import Collection
from typing import NamedTuple
from zoneinfo import ZoneInfo

from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from hesper_cloud import quantities
from hesper_cloud.db.engines import reading
from hesper_cloud.db.registry import Meter, MeterProfile
from hesper_cloud.settings import Settings

_SHORTEST_PERIOD_S, _DAY_S = 60, 86_400
_PER_QUERY = 5_000


class Member(NamedTuple):
    """One meter: whose day it keeps, and since when (epoch seconds) captures are expected of it."""

    meter: str
    zone: ZoneInfo
    period_s: int
    meter_type: str | None
    expected_from: int


def members(
    engine: Engine, settings: Settings, meters: Collection[str] | None = None
) -> dict[str, Member]:
    """Returns some meters, or all that the registry knows; unknown ones get the defaults."""
    with reading(engine) as session:
        found = _known(session, settings, meters)
    for meter in meters or ():
        if meter not in found:
            zone = settings.validation.zone_of(None)
            found[meter] = Member(meter, zone, settings.rules.default_capture_period_s, None, 0)
    return found


def _known(
    session: Session, settings: Settings, meters: Collection[str] | None
) -> dict[str, Member]:
    profiles = {
        row.meter: row
        for row in session.scalars(
            select(MeterProfile).where(MeterProfile.profile == quantities.LOAD_PROFILE)
        )
        if meters is None or row.meter in meters
    }
    found = {}
    for meter in session.scalars(select(Meter).execution_options(yield_per=_PER_QUERY)):
        if meters is not None and meter.id not in meters:
            continue
        profile = profiles.get(meter.id)
        period_s = (profile and profile.capture_period_s) or meter.capture_period_s
        found[meter.id] = Member(
            meter.id,
            settings.validation.zone_of(meter.area),
            _sound(period_s or settings.rules.default_capture_period_s),
            meter.template or meter.model,
            int(profile.expected_from.timestamp()) if profile else 0,
        )
    return found


def _sound(period_s: int) -> int:
    """Returns a period by which a day can be divided, for one that cannot the next longer."""
    period_s = min(max(period_s, _SHORTEST_PERIOD_S), _DAY_S)
    return next(length for length in range(period_s, _DAY_S + 1) if _DAY_S % length == 0)
