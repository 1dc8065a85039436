"""What the service of reports takes and returns."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from hesper_cloud.reports.schedules import Every


@dataclass(frozen=True, slots=True)
class KindRow:
    """One kind of report that the actor may ask for."""

    name: str
    title: str
    columns: tuple[str, ...]
    divisible: bool  # may be of one area alone


@dataclass(frozen=True, slots=True)
class ReportRow:
    """One report; of ``files`` the octets and the SHA-256 by format."""

    id: int
    kind: str
    title: str
    from_at: datetime
    to_at: datetime
    zone: str
    area: str | None
    row_count: int
    files: dict[str, Any]
    made_by: str
    made_at: datetime
    job_id: int
    removed_at: datetime | None


@dataclass(frozen=True, slots=True)
class ReportWish:
    """What is asked for: days from the first to the last, both included, of a zone."""

    kind: str
    first: date
    last: date
    zone: str
    area: str | None = None


@dataclass(frozen=True, slots=True)
class ScheduleWish:
    """A report that is to be made again and again; ``at_minute`` counts from midnight."""

    name: str
    kind: str
    every: Every
    at_minute: int
    zone: str
    area: str | None = None
    target: str | None = None  # of delivery, by mail, that is sent each report
    enabled: bool = True


@dataclass(frozen=True, slots=True)
class ScheduleRow:
    """One schedule and when it is due."""

    id: int
    name: str
    kind: str
    every: str  # day | week | month
    at_minute: int
    zone: str
    area: str | None
    enabled: bool
    next_at: datetime
    made_by: str
    last_job_id: int | None
    version: int = 1
    target: str | None = None  # of delivery, that is sent each report

    def wish(self) -> ScheduleWish:
        """Returns it as it was asked for."""
        names = ScheduleWish.__dataclass_fields__
        return ScheduleWish(**{name: getattr(self, name) for name in names})
