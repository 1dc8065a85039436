"""Configuration of the jobs: backfill, service levels, exports, backups."""

from collections.abc import Iterable
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from hesper_cloud.zones import existing_zone


def _require_unlike(names: Iterable[str]) -> None:
    """Raises ValueError where a name stands twice: what is done is kept under its name."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise ValueError(f"the name {name!r} is used twice")
        seen.add(name)


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class BackfillSettings(_Section):
    """When missing captures are asked for again; the authority has limits of its own."""

    enabled: bool = True
    after_s: int = Field(default=600, ge=0)  # a meter that answers again fills its gaps by itself
    gateway_in_flight: int = Field(default=4, ge=1)
    gateway_per_hour: int = Field(default=120, ge=1)
    retry_s: int = Field(default=900, ge=1)  # doubles with every failure
    retry_longest_s: int = Field(default=86_400, ge=1)
    settle_s: int = Field(default=60, ge=0)  # rows that were read may still be on their way
    range_days: int = Field(default=31, ge=1, le=40)  # of one request
    give_up_days: int = Field(default=90, ge=1)


class ServiceLevel(_Section):
    """One promise: ``target_percent`` of what is due is there in time."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")
    kind: Literal["captures", "days", "messages"]
    target_percent: float = Field(gt=0, le=100)
    within_hours: float = Field(default=24, gt=0)  # after the end of the capture's day
    profile: str = "1.0.99.1.0.255"


class ServiceLevelSettings(_Section):
    """What was promised, and over how many days it is kept true."""

    zone: str = "UTC"  # in which days begin
    look_back_days: int = Field(default=3, ge=1, le=35)
    levels: tuple[ServiceLevel, ...] = (
        ServiceLevel(name="daily-8h", kind="days", target_percent=98, within_hours=8),
        ServiceLevel(name="daily-24h", kind="days", target_percent=99.5, within_hours=24),
        ServiceLevel(name="scheduled-reads", kind="captures", target_percent=99),
        ServiceLevel(name="messages", kind="messages", target_percent=99.9),
    )

    @field_validator("zone")
    @classmethod
    def _zone_exists(cls, name: str) -> str:
        return existing_zone(name)

    @field_validator("levels")
    @classmethod
    def _names_differ(cls, levels: tuple[ServiceLevel, ...]) -> tuple[ServiceLevel, ...]:
        _require_unlike(level.name for level in levels)
        return levels


class CleanUpSettings(_Section):
    """How long what people brought or asked for is kept; days."""

    import_days: int = Field(default=30, ge=1)  # files of imports, which name people
    report_days: int = Field(default=400, ge=1)  # files of reports
    event_days: int = Field(default=0, ge=0)  # events, since they were stored; 0: for ever
    work_days: int = Field(default=0, ge=0)  # closed gaps, requests, backfills; 0: for ever


class BackupSettings(_Section):
    """Backups on a schedule; none without a folder."""

    folder: Path | None = None
    every_hours: float = Field(default=24, gt=0)
    keep: int = Field(default=7, ge=1)
    alarm_after_hours: float = Field(default=48, gt=0)
    rehearse_every_hours: float = Field(default=168, gt=0)
    influx_readings: bool = True  # row by row; a large InfluxDB is better served by its own tools


class ScheduledExport(_Section):
    """One export that runs by itself."""

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,63}$")
    format: Literal["csv", "parquet", "espi", "iec61968"]
    target: str  # a folder, or any address that fsspec opens: s3://bucket/prefix
    every_hours: float = Field(default=24, gt=0)
    delay_hours: float = Field(default=6, ge=0)  # late data of the period is waited for
    profile: str = "1.0.99.1.0.255"
    validated: bool = False  # as they count, with edits and estimates
    tries: int = Field(default=5, ge=1)  # of one window, before the next goes out without it
    retry_s: int = Field(default=300, ge=1)


class RepublishSettings(_Section):
    """What is republished on MQTT; nothing unless told."""

    enabled: bool = False  # readings as they were stored
    validated: bool = False  # days as they count, with estimates and edits
    aggregates: tuple[Literal["half-hour", "hour", "day"], ...] = ()  # of days
    quantities: tuple[str, ...] = ()  # logical names; none: every one
    settle_s: int = Field(default=60, ge=0)  # a day that is worked on again and again waits
    days_per_turn: int = Field(default=100, ge=1, le=5000)  # of meters; turns are 2 s apart or more
    backlog_days: int = Field(default=35, ge=1)  # what was worked on before is not published


class ExportSettings(_Section):
    """What leaves the house by itself."""

    scheduled: tuple[ScheduledExport, ...] = ()
    republish: RepublishSettings = RepublishSettings()

    @field_validator("scheduled")
    @classmethod
    def _names_differ(cls, exports: tuple[ScheduledExport, ...]) -> tuple[ScheduledExport, ...]:
        _require_unlike(each.name for each in exports)
        return exports
