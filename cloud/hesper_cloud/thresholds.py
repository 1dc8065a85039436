"""What validation, estimation and aggregates are told from outside: ``[validation]`` in cloud.toml.

Thresholds have defaults that fit a low-voltage meter in a home; a type of meter (its template or
model, wildcards allowed) changes those that it names:

    [validation]
    zone = "Europe/Berlin"
    holidays = [2026-12-25]
    [validation.types."hesper-sim-ct*"]
    highest_load_w = 2_000_000
"""

from datetime import date
from fnmatch import fnmatchcase
from typing import Any, Self
from zoneinfo import ZoneInfo

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from hesper_cloud.zones import existing_zone


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Thresholds(_Section):
    """Where each check begins to fail; a value at the threshold still passes."""

    highest_load_w: int = Field(default=100_000, gt=0)  # range: of a mean over one interval
    highest_voltage_v: int = Field(default=1_000, gt=0)  # range
    highest_current_a: int = Field(default=10_000, gt=0)  # range
    spike_percent: int = Field(default=180, gt=0)  # the day's peak over its third highest interval
    spike_least_wh: int = Field(default=500, ge=0)  # smaller peaks are no spikes
    sum_tolerance_percent: int = Field(default=1, ge=0)  # of the register's advance
    sum_tolerance_wh: int = Field(default=10, ge=0)  # the larger of both counts
    zero_h: int = Field(default=24, gt=0, le=24)  # of a day, without any consumption
    time_tolerance_s: int = Field(default=60, ge=0)
    rollover_from_percent: int = Field(default=90, gt=0, le=100)  # of the register's capacity
    feeds_in: bool = True  # export is expected
    reverse_wh: int = Field(default=0, ge=0)  # export per interval where it is not
    imbalance_voltage_percent: int = Field(default=3, gt=0)
    imbalance_current_percent: int = Field(default=100, gt=0)
    imbalance_least_a: int = Field(default=10, ge=0)  # smaller mean currents are not judged
    power_factor_least_percent: int = Field(default=50, ge=0, le=100)
    power_factor_from_w: int = Field(default=500, ge=0)  # smaller loads are not judged
    nominal_voltage_v: int = Field(default=230, gt=0)
    voltage_tolerance_percent: int = Field(default=10, gt=0)  # EN 50160, 4.2.2: of 95 % of values
    voltage_lowest_percent: int = Field(default=15, gt=0)  # EN 50160, 4.2.2: below, never
    voltage_share_percent: int = Field(default=95, gt=0, le=100)
    stale_captures: int = Field(default=12, gt=1)  # the same measured value in a row


class Estimation(_Section):
    """How gaps are filled."""

    interpolate_up_to_s: int = Field(default=7200, ge=0)
    reference_weeks: int = Field(default=4, ge=1, le=12)
    up_to_days: int = Field(default=35, ge=1, le=100)


class Validation(_Section):
    """Thresholds by type of meter, zones by area, holidays, what is kept how long."""

    zone: str = "UTC"
    area_zones: dict[str, str] = {}
    holidays: frozenset[date] = frozenset()
    default: Thresholds = Thresholds()
    types: dict[str, dict[str, Any]] = {}
    estimation: Estimation = Estimation()
    aggregates_years: int = Field(default=10, ge=1)

    @field_validator("zone")
    @classmethod
    def _zone_exists(cls, name: str) -> str:
        return existing_zone(name)

    @model_validator(mode="after")
    def _areas_and_types_are_sound(self) -> Self:
        for name in self.area_zones.values():
            self._zone_exists(name)
        for pattern in self.types:
            self.of(pattern)
        return self

    def of(self, meter_type: str | None) -> Thresholds:
        """Returns the thresholds of a type of meter: the first pattern that fits it."""
        for pattern, changes in self.types.items():
            if fnmatchcase(meter_type or "", pattern) or meter_type == pattern:
                return Thresholds(**{**self.default.model_dump(), **changes})
        return self.default

    def zone_of(self, area: str | None) -> ZoneInfo:
        """Returns the time zone of an area, by which its days and months begin."""
        return ZoneInfo(self.area_zones.get(area or "", self.zone))
