"""What each meter is expected to capture: profiles, periods, and since when.

A gateway announces a meter's load profile with its capture period (event ``meter.identified``).
Other profiles become known when their rows are stored, and are watched once their period can be
told from the distances between captures; snapshots and pushes have no buffer to be asked again.
"""

from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from hesper_cloud.db.beginnings import LEARNED, erased
from hesper_cloud.db.registry import MeterProfile
from hesper_cloud.gaps.learned import Learned
from hesper_cloud.gaps.meters import FleetMeter
from hesper_cloud.gaps.runs import Due, learned_period
from hesper_cloud.quantities import LOAD_PROFILE, REGISTER_SNAPSHOT
from hesper_cloud.settings import RuleSettings
from hesper_cloud.stores.port import Integers

PUSH = "0.7.25.9.0.255"
UNBUFFERED = frozenset({REGISTER_SNAPSHOT, PUSH})
"""Profiles that no meter keeps: what is missing of them cannot be asked for."""
LONGEST_LEARNED_S = 86_400
_MIN_GRACE_S = 30


def longest_period_s(session: Session, profile: str, settings: RuleSettings) -> int:
    """Returns the longest period in use."""
    query = select(func.max(MeterProfile.capture_period_s)).where(MeterProfile.profile == profile)
    return session.scalar(query) or settings.default_capture_period_s


@dataclass(slots=True)
class _Expected:
    """A row of the profile, times in epoch seconds."""

    expected_from: int
    period_since: int | None
    period_s: int | None
    is_learned: bool


class Expectations:
    """The rows of one profile, by meter; what captures tell beyond them is put in `learned`."""

    def __init__(self, session: Session, profile: str, settings: RuleSettings) -> None:
        self._is_main = profile == LOAD_PROFILE
        self._settings = settings
        self._rows = _rows(session, profile)
        self._erased = {meter: int(at.timestamp()) for meter, at in erased(session).items()}
        self.learned = Learned(profile)

    def told(self, meter: FleetMeter) -> int:
        """Returns a number that is another one when something else is expected of a meter."""
        row = self._rows.get(meter.id)
        known = row and (row.expected_from, row.period_since, row.period_s, row.is_learned)
        return hash((known, meter.capture_period_s))

    def told_period_s(self, meter: FleetMeter) -> int:
        """Returns how often a meter captures this profile by what is known so far."""
        row = self._rows.get(meter.id)
        of_meter = meter.capture_period_s if self._is_main else None
        return (row and row.period_s) or of_meter or self._settings.default_capture_period_s

    def due(self, meter: FleetMeter, times: Integers, start: int, now: int) -> Due | None:
        """Returns what is due from ``start`` until a time of grace before ``now``.

        None while nobody knows that, or how often, the meter captures this profile.
        """
        row = self._row(meter, times)
        if row is None:
            return None
        period_s = self._period_s(row, meter, times)
        if period_s is None:
            return None
        since = max(row.expected_from, row.period_since or row.expected_from)
        phase = since % period_s if row.is_learned else 0
        grace_s = self._settings.gap_grace_s or max(_MIN_GRACE_S, period_s)
        return Due(max(start, since), now - grace_s, period_s, phase)

    def _row(self, meter: FleetMeter, times: Integers) -> _Expected | None:
        row = self._rows.get(meter.id)
        if not len(times):
            return row
        first = max(int(times[0]), self._erased.get(meter.id, 0))
        if row is None:
            row = self._rows[meter.id] = _Expected(first, None, None, is_learned=True)
            self.learned.firsts[meter.id] = first
        elif first < row.expected_from:
            row.expected_from = self.learned.firsts[meter.id] = first
        return row

    def _period_s(self, row: _Expected, meter: FleetMeter, times: Integers) -> int | None:
        told = meter.capture_period_s
        if self._is_main and row.is_learned and told and told != row.period_s:
            row.period_s = self.learned.periods[meter.id] = told
        if row.period_s is None:
            period_s = learned_period(times)
            if period_s is None or not 0 < period_s <= LONGEST_LEARNED_S:
                return self._settings.default_capture_period_s if self._is_main else None
            row.period_s = self.learned.periods[meter.id] = period_s
        return row.period_s


def _rows(session: Session, profile: str) -> dict[str, _Expected]:
    columns = (MeterProfile.meter, MeterProfile.expected_from, MeterProfile.period_since)
    query = select(*columns, MeterProfile.capture_period_s, MeterProfile.source)
    return {
        meter: _Expected(
            int(expected_from.timestamp()),
            None if since is None else int(since.timestamp()),
            period_s,
            source == LEARNED,
        )
        for meter, expected_from, since, period_s, source in session.execute(
            query.where(MeterProfile.profile == profile)
        )
    }
