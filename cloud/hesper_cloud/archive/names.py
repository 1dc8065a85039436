"""How the files of the archive are called: ``day=2026-03-01/readings-0.parquet``.

A part that was written anew, because some of it was erased, has its version in its name:
``readings-0-1.parquet``, then ``readings-0-2.parquet``.
"""

import re
from datetime import UTC, datetime
from typing import NamedTuple

from hesper_cloud.stores.copying import DAY_S

_NAME = re.compile(r"day=(\d{4}-\d\d-\d\d)/readings-(\d+)(?:-(\d+))?\.parquet")
_BEGUN = re.compile(r"day=(\d{4}-\d\d-\d\d)/\.readings-[\d-]+\.parquet\.part")


class Place(NamedTuple):
    """Which part of which day (since 1970-01-01, UTC) a file is, and which version of it."""

    day: int
    part: int
    version: int = 0

    @property
    def name(self) -> str:
        """The file's path below the archive's folder."""
        version = f"-{self.version}" if self.version else ""
        return f"{folder_of(self.day)}/readings-{self.part}{version}.parquet"

    @property
    def next(self) -> "Place":
        """The version that comes after this one."""
        return self._replace(version=self.version + 1)


def folder_of(day: int) -> str:
    """Returns the folder of a day's files, below the archive's own."""
    return f"day={date_of(day):%Y-%m-%d}"


def place_of(name: str) -> Place | None:
    """Returns what a file is by its path below the folder; None where it is no part."""
    found = _NAME.fullmatch(name)
    return found and Place(_day(found[1]), int(found[2]), int(found[3] or 0))


def begun_day(name: str) -> int | None:
    """Returns the day of a file that was not written to its end; None for all others."""
    found = _BEGUN.fullmatch(name)
    return found and _day(found[1])


def date_of(day: int) -> datetime:
    """Returns the midnight with which a day begins."""
    return datetime.fromtimestamp(day * DAY_S, UTC)


def day_of(moment: datetime) -> int:
    """Returns the day of a moment."""
    return int(moment.timestamp()) // DAY_S


def _day(text: str) -> int:
    return day_of(datetime.fromisoformat(text).replace(tzinfo=UTC))
