"""When a supply may be cut: hours, days off and the weather, as data and as pure decisions.

Hours are those of the clock on the wall where the gateway stands. A command that comes outside of
them waits in the queue if it lives long enough, else it is refused with the reason.
"""

import re
from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, model_validator

_DAYS_AHEAD = 400
_MONTH_DAY = re.compile(r"(\d\d)-(\d\d)")
_LEAP_YEAR = 2024


class Document(BaseModel):
    """A part of a policy document: nothing unknown, nothing changed."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def _known_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ValueError(f"there is no time zone {name!r}") from None
    return name


def _month_day(text: str) -> str:
    found = _MONTH_DAY.fullmatch(text)
    if found is None:
        raise ValueError("a yearly holiday is written MM-DD")
    date(_LEAP_YEAR, int(found[1]), int(found[2]))
    return text


Zone = Annotated[str, AfterValidator(_known_zone)]
MonthDay = Annotated[str, AfterValidator(_month_day)]


class Hours(Document):
    """On which days and at what hours a supply may be cut.

    Attributes:
        zone: IANA time zone of the hours.
        gateway_zones: Where it differs, by gateway.
        weekdays: 1 Monday to 7 Sunday.
        begin: From this time of the day on.
        end: Until before this time; the same as ``begin`` means the whole day.
        holidays: Days on which nothing is cut.
        yearly_holidays: The same every year, MM-DD.
        wait_s: For how long a command may wait for the hours, if it came outside of them.
    """

    zone: Zone = "UTC"
    gateway_zones: dict[str, Zone] = Field(default_factory=dict)
    weekdays: frozenset[Annotated[int, Field(ge=1, le=7)]] = frozenset({1, 2, 3, 4, 5})
    begin: time = time(8)
    end: time = time(16)
    holidays: frozenset[date] = frozenset()
    yearly_holidays: frozenset[MonthDay] = frozenset({"01-01", "12-24", "12-25", "12-26", "12-31"})
    wait_s: int = Field(default=0, ge=0, le=4 * 86_400)

    @model_validator(mode="after")
    def _no_night_between(self) -> "Hours":
        if self.begin > self.end and self.end != time(0):
            raise ValueError("the hours of a day end after they begin")
        return self

    def opens_at(self, gateway: str, now: datetime) -> datetime | None:
        """Returns ``now`` where supplies may be cut, else when that begins; None for never."""
        zone = ZoneInfo(self.gateway_zones.get(gateway, self.zone))
        today = now.astimezone(zone).date()
        for number in range(_DAYS_AHEAD):
            day = today + timedelta(days=number)
            begin, end = self._of(day, zone)
            if self._is_open(day) and now < end:
                return max(now, begin)
        return None

    def _is_open(self, day: date) -> bool:
        return (
            day.isoweekday() in self.weekdays
            and day not in self.holidays
            and f"{day:%m-%d}" not in self.yearly_holidays
        )

    def _of(self, day: date, zone: ZoneInfo) -> tuple[datetime, datetime]:
        whole = self.begin == self.end or self.end == time(0)
        last = datetime.combine(day + timedelta(days=whole), time(0) if whole else self.end, zone)
        begin = time(0) if self.begin == self.end else self.begin
        return datetime.combine(day, begin, zone).astimezone(UTC), last.astimezone(UTC)


EVER = Hours(
    weekdays=frozenset(range(1, 8)), begin=time(0), end=time(0), yearly_holidays=frozenset()
)
"""Supplies may be cut at any time."""


class Weather(Document):
    """When it is too cold or too hot to cut a supply, by a temperature that comes in.

    Attributes:
        series: Name of the series of temperatures (unit 9, °C).
        gateway_series: Where another one counts, by gateway.
        cold_below_c: At or below this nothing is cut.
        hot_above_c: At or above this nothing is cut.
        max_age_s: How old the newest temperature may be.
        ahead_s: How far forecasts in the series count.
        without: What holds where no temperature is known: ``hold`` cuts nothing.
    """

    series: str
    gateway_series: dict[str, str] = Field(default_factory=dict)
    cold_below_c: float = 0.0
    hot_above_c: float = 32.0
    max_age_s: int = Field(default=10_800, ge=60)
    ahead_s: int = Field(default=86_400, ge=0, le=7 * 86_400)
    without: Literal["hold", "allow"] = "hold"

    def objection(
        self, temperatures: Sequence[tuple[datetime, float]], now: datetime
    ) -> str | None:
        """Returns why the weather forbids to cut a supply, or None.

        Args:
            temperatures: Times and °C, between ``max_age_s`` ago and ``ahead_s`` from now.
            now: The moment that counts.
        """
        if not any(at <= now for at, _ in temperatures):
            return "no temperature is known" if self.without == "hold" else None
        lowest, highest = (pick(value for _, value in temperatures) for pick in (min, max))
        if lowest <= self.cold_below_c:
            return f"it is too cold: {lowest:.1f} °C"
        if highest >= self.hot_above_c:
            return f"it is too hot: {highest:.1f} °C"
        return None


class Maintenance(Document):
    """A time of work: batches are held, and what is silent behind these gateways is no alert.

    Attributes:
        name: What the work is.
        begin: From when on.
        end: Until before when.
        gateways: Where; empty for everywhere.
    """

    name: str = Field(min_length=1, max_length=64)
    begin: AwareDatetime
    end: AwareDatetime
    gateways: frozenset[str] = frozenset()

    @model_validator(mode="after")
    def _ends(self) -> "Maintenance":
        if self.end <= self.begin:
            raise ValueError("maintenance ends after it begins")
        return self

    def holds(self, gateway: str | None, now: datetime) -> bool:
        """Says whether a gateway is being worked at."""
        return self.begin <= now < self.end and (not self.gateways or gateway in self.gateways)
