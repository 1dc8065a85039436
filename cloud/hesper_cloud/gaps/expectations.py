"""What each meter is expected to capture: profiles, periods, and since when.

A gateway announces a meter's load profile with its capture period (event ``meter.identified``).
Other profiles become known when their rows are stored, and are watched once their period can be
told from the distances between captures; snapshots and pushes have no buffer to be asked again.
"""

from datetime import UTC, datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from hesper_cloud.db.registry import Meter, MeterProfile
from hesper_cloud.gaps.runs import Grid, learned_period, phase_of
from hesper_cloud.quantities import LOAD_PROFILE, REGISTER_SNAPSHOT
from hesper_cloud.settings import RuleSettings
from hesper_cloud.stores.port import Integers

PUSH = "0.7.25.9.0.255"
UNBUFFERED = frozenset({REGISTER_SNAPSHOT, PUSH})
"""Profiles that no meter keeps: what is missing of them cannot be asked for."""
LONGEST_LEARNED_S = 86_400
_LEARNED = "learned"
_MIN_GRACE_S = 30


class Expectations:
    """The rows of one profile, by meter; those that are new join the session."""

    def __init__(self, session: Session, profile: str, settings: RuleSettings) -> None:
        self._session = session
        self._profile = profile
        self._settings = settings
        query = select(MeterProfile).where(MeterProfile.profile == profile)
        self._rows = {row.meter: row for row in session.scalars(query)}

    def longest_period_s(self) -> int:
        """Returns the longest period in use."""
        periods = [row.capture_period_s for row in self._rows.values() if row.capture_period_s]
        return max(periods, default=self._settings.default_capture_period_s)

    def grid(self, meter: Meter, times: Integers, start: int, now: int) -> Grid | None:
        """Returns the slots due from ``start`` until a time of grace before ``now``.

        None while nobody knows that, or how often, the meter captures this profile.
        """
        row = self._row(meter, times)
        if row is None:
            return None
        period_s = self._period_s(row, meter, times)
        if period_s is None:
            return None
        since = int(max(row.expected_from, row.period_since or row.expected_from).timestamp())
        phase = phase_of(times, period_s) if len(times) else since % period_s
        if not len(times) and row.source != _LEARNED:
            phase = 0
        grace_s = self._settings.gap_grace_s or max(_MIN_GRACE_S, period_s)
        return Grid.over(max(start, since), now - grace_s, period_s, phase)

    def _row(self, meter: Meter, times: Integers) -> MeterProfile | None:
        row = self._rows.get(meter.id)
        if not len(times):
            return row
        first_at = datetime.fromtimestamp(int(times[0]), UTC)
        if row is None:
            row = MeterProfile(
                meter=meter.id, profile=self._profile, expected_from=first_at, source=_LEARNED
            )
            self._rows[meter.id] = row
            self._session.add(row)
        row.expected_from = min(row.expected_from, first_at)
        return row

    def _period_s(self, row: MeterProfile, meter: Meter, times: Integers) -> int | None:
        is_main = self._profile == LOAD_PROFILE
        if is_main and row.source == _LEARNED and meter.capture_period_s:
            row.capture_period_s = meter.capture_period_s
        if row.capture_period_s is None:
            learned = learned_period(times)
            if learned is None or not 0 < learned <= LONGEST_LEARNED_S:
                return self._settings.default_capture_period_s if is_main else None
            row.capture_period_s = learned
            if is_main:
                meter.capture_period_s = learned
        return row.capture_period_s
