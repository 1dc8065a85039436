"""What a report is made of: columns, rows, and parts of rows that can be asked for one by one."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Literal, Protocol
from zoneinfo import ZoneInfo

from sqlalchemy import Engine

from hesper_cloud.accounts.roles import Permission
from hesper_cloud.aggregates.book import EnergyBook
from hesper_cloud.settings import Settings

Row = list[Any]
Days = Literal["book", "levels", "asked"]
"""Those of the energy book, by the zone of each meter's area; of the service levels; any."""


@dataclass(frozen=True, slots=True)
class Shelves:
    """Where reports read: registry, authority (read-only) and energy book."""

    registry: Engine
    authority: Engine
    book: EnergyBook
    settings: Settings
    clock: Callable[[], datetime]


@dataclass(frozen=True, slots=True)
class Period:
    """``first <= day < end``, days of a zone; of one area, or of some, or of all (None)."""

    first: date
    end: date
    zone: ZoneInfo
    areas: tuple[str, ...] | None = None

    @property
    def start_at(self) -> datetime:
        """When the first day begins."""
        return datetime(self.first.year, self.first.month, self.first.day, tzinfo=self.zone)

    @property
    def end_at(self) -> datetime:
        """When the last day is over."""
        return datetime(self.end.year, self.end.month, self.end.day, tzinfo=self.zone)


@dataclass(frozen=True, slots=True)
class Column:
    """One column; numbers stand at the right."""

    title: str
    number: bool = False


@dataclass(frozen=True, slots=True)
class Part:
    """Some rows, and where to go on; None: these were the last."""

    rows: list[Row]
    after: Any = None


class ReportKind(Protocol):
    """One kind of report."""

    @property
    def name(self) -> str: ...
    @property
    def title(self) -> str: ...
    @property
    def columns(self) -> tuple[Column, ...]: ...

    @property
    def permission(self) -> Permission:
        """What one needs to ask for it and to read it."""
        ...

    @property
    def divisible(self) -> bool:
        """Whether it can be of some areas alone."""
        ...

    @property
    def days(self) -> Days:
        """Whose days it adds up."""
        ...

    def part(self, shelves: Shelves, period: Period, after: Any) -> Part:
        """Returns the rows behind a place; ``after`` is None at the beginning."""
        ...
