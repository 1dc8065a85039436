"""What aggregation has to know of meters: zone, capture period, type, since when they count."""

from collections.abc import Collection, Iterator, Sequence
from datetime import date, datetime
from math import gcd
from typing import NamedTuple
from zoneinfo import ZoneInfo

import numpy as np
from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from hesper_cloud import quantities
from hesper_cloud.aggregates import calendar
from hesper_cloud.assets.service_life import NEVER_AWAY, Away, away
from hesper_cloud.db.engines import PER_QUERY, batched, reading
from hesper_cloud.db.registry import Meter, MeterProfile
from hesper_cloud.settings import Settings
from hesper_cloud.stores.port import Flags, Integers

_SHORTEST_PERIOD_S, _DAY_S = 60, 86_400


class FormerPeriod(NamedTuple):
    """A capture period that held until another was announced; epoch seconds."""

    period_s: int
    until: int


class Member(NamedTuple):
    """One meter: whose day it keeps, and since when (epoch seconds) captures are expected of it.

    ``keeps_profile`` is what a person or its gateway said: that it captures so often, or that it
    has a load profile. A meter that only pushes has none. While one is ``away``, out of service,
    nothing is expected of it.
    """

    meter: str
    zone: ZoneInfo
    period_s: int
    meter_type: str | None
    expected_from: int
    keeps_profile: bool
    former: FormerPeriod | None = None
    away: Away = NEVER_AWAY

    def period_on(self, day: date) -> int:
        """Returns the capture period of a local day; of one with two, what divides them both."""
        if self.former is None or self.former.until <= calendar.midnight(day, self.zone):
            return self.period_s
        if calendar.day_end(day, self.zone) <= self.former.until:
            return self.former.period_s
        return gcd(self.period_s, self.former.period_s)

    def captures(self, times: Integers) -> Flags:
        """Says at which of a local day's times, epoch seconds, it captures by the period then."""
        if self.former is None:
            return np.ones(times.shape, bool)
        day = calendar.day_of(int(times[0]), self.zone)
        start, until = calendar.midnight(day, self.zone), self.former.until
        if not start < until < calendar.day_end(day, self.zone):
            return np.ones(times.shape, bool)
        period_s = np.where(times < until, self.former.period_s, self.period_s)
        found: Flags = (times - start) % period_s == 0
        return found

    def due(self, times: Integers) -> int:
        """Returns at how many of some times of a local day captures are expected."""
        expected = (times >= self.expected_from) & ~self.is_away(times)
        return int((expected & self.captures(times)).sum())

    def is_away(self, times: Integers) -> Flags:
        """Says at which of some times, epoch seconds, it is out of service."""
        found: Flags = (self.away.since <= times) & (times < self.away.until)
        return found


def members(
    engine: Engine, settings: Settings, meters: Collection[str] | None = None
) -> dict[str, Member]:
    """Returns some meters, or all that the registry knows; unknown ones get the defaults."""
    parts = [None] if meters is None else batched(sorted(meters))
    found: dict[str, Member] = {}
    with reading(engine) as session:
        for part in parts:
            found.update(_known(session, settings, part))
    for meter in meters or ():
        if meter not in found:
            found[meter] = _member(settings, (meter, None, None), None, None)._replace(
                keeps_profile=True  # nothing else than such readings can have told of it
            )
    return found


def _known(
    session: Session, settings: Settings, meters: Sequence[str] | None
) -> Iterator[tuple[str, Member]]:
    its_profile = (MeterProfile.meter == Meter.id) & (
        MeterProfile.profile == quantities.LOAD_PROFILE
    )
    query = select(
        *(Meter.id, Meter.area, Meter.template, Meter.model, Meter.capture_period_s),
        *(MeterProfile.capture_period_s, MeterProfile.expected_from),
        *(MeterProfile.former_period_s, MeterProfile.period_since),
    ).outerjoin(MeterProfile, its_profile)
    if meters is not None:
        query = query.where(Meter.id.in_(meters))
    gone = away(session, meters)
    for meter, area, template, model, own_s, told_s, since, former_s, until in session.execute(
        query.execution_options(yield_per=PER_QUERY)
    ):
        known = (meter, area, template or model)
        member = _member(settings, known, told_s or own_s, since)
        absence = gone.get(meter, NEVER_AWAY)
        yield meter, member._replace(former=_former(former_s, until), away=absence)


def _former(period_s: int | None, until: datetime | None) -> FormerPeriod | None:
    if period_s is None or until is None:
        return None
    return FormerPeriod(_sound(period_s), int(until.timestamp()))


def _member(
    settings: Settings,
    known: tuple[str, str | None, str | None],
    period_s: int | None,
    expected_from: datetime | None,
) -> Member:
    meter, area, meter_type = known
    return Member(
        meter,
        settings.validation.zone_of(area),
        _sound(period_s or settings.rules.default_capture_period_s),
        meter_type,
        int(expected_from.timestamp()) if expected_from else 0,
        bool(period_s) or expected_from is not None,
    )


def _sound(period_s: int) -> int:
    """Returns a period by which a day can be divided, for one that cannot the next longer."""
    period_s = min(max(period_s, _SHORTEST_PERIOD_S), _DAY_S)
    return next(length for length in range(period_s, _DAY_S + 1) if _DAY_S % length == 0)
