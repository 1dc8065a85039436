"""Series that others measure: weather, the grid operator's figures. By JSON or CSV, and joined.

One value per series and instant; what comes later for the same instant holds. Values are integers
with a scaler and a unit of the Blue Book, as readings are:

    {"kind": "series", "version": 1, "series": "temperature", "scaler": -1, "unit": 9,
     "points": [["2026-09-21T14:00:00Z", 173]]}
"""

import csv
import io
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Literal

from pydantic import (
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    StrictInt,
    ValidationError,
    field_validator,
)
from sqlalchemy import select
from sqlalchemy.orm import Session

from hesper_cloud.aggregates.buckets import Bucket
from hesper_cloud.db.energy import OutsidePoint, OutsideSeries
from hesper_cloud.db.upserts import upsert
from hesper_cloud.stores.port import EARLIEST, LATEST

MAX_POINTS = 100_000
NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,127}")
LONGEST_NAME = 128
SCALERS = range(-18, 19)
"""Those that a series may have."""
_LARGEST = 2**63 - 1


class SeriesRefused(ValueError):
    """What came is no series; the text says why."""


class SeriesBatch(BaseModel):
    """Points of one series."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Literal["series"] = "series"
    version: Literal[1] = 1
    series: str
    scaler: int = Field(default=0, ge=SCALERS[0], le=SCALERS[-1])
    unit: int = Field(default=255, ge=0, le=255)
    points: list[tuple[AwareDatetime, StrictInt]] = Field(max_length=MAX_POINTS)

    @field_validator("series")
    @classmethod
    def _is_a_name(cls, name: str) -> str:
        if not NAME.fullmatch(name):
            raise ValueError("a series is named by 1 to 128 of a-z, 0-9, '.', '_' and '-'")
        return name

    @field_validator("points")
    @classmethod
    def _can_be_stored(cls, points: list[tuple[datetime, int]]) -> list[tuple[datetime, int]]:
        if any(abs(value) > _LARGEST for _, value in points):
            raise ValueError("a value does not fit into 64 bits")
        if not all(EARLIEST <= moment.timestamp() <= LATEST for moment, _ in points):
            raise ValueError("a time is outside 1970 to 2262")
        return points


def from_json(payload: bytes) -> SeriesBatch:
    """Returns what a JSON document holds.

    Raises:
        SeriesRefused: it holds no series.
    """
    try:
        return SeriesBatch.model_validate_json(payload)
    except ValidationError as error:
        raise SeriesRefused(_first(error)) from None


def from_csv(text: str, series: str, scaler: int, unit: int) -> SeriesBatch:
    """Returns a series of a CSV file with the columns ``at`` and ``value``.

    Values may have decimals, as far as the scaler holds them.

    Raises:
        SeriesRefused: the line that is wrong.
    """
    if scaler not in SCALERS:
        raise SeriesRefused(f"the scaler {scaler} is not one of {SCALERS[0]} to {SCALERS[-1]}")
    lines = csv.DictReader(io.StringIO(text))
    try:
        points = [_point(row, scaler) for row in lines]
    except (ValueError, csv.Error) as error:
        raise SeriesRefused(f"line {lines.reader.line_num}: {error}") from None
    try:
        return SeriesBatch(series=series, scaler=scaler, unit=unit, points=points)
    except ValidationError as error:
        raise SeriesRefused(_first(error)) from None


def _point(row: dict[str | None, str], scaler: int) -> tuple[datetime, int]:
    if None in row:  # where `csv` puts what has no column
        raise ValueError("there are more values than columns; decimals stand behind a point")
    at = datetime.fromisoformat((row.get("at") or "").strip())
    return at, _steps((row.get("value") or "").strip(), scaler)


def _steps(text: str, scaler: int) -> int:
    """Returns a decimal number in steps of a scaler, exactly."""
    found = re.fullmatch(r"([+-]?)(\d+)(?:\.(\d+))?", text)
    if not found:
        raise ValueError(f"{text!r} is no decimal number")
    sign, whole, decimals = found[1], found[2], (found[3] or "").rstrip("0")
    exponent = -scaler - len(decimals)
    digits = int(whole + decimals)
    if exponent < 0 and digits % 10**-exponent:
        raise ValueError(f"{text!r} has more decimals than the scaler {scaler} holds")
    steps = int(digits * 10**exponent if exponent >= 0 else digits // 10**-exponent)
    return -steps if sign == "-" else steps


def _first(error: ValidationError) -> str:
    found = error.errors()[0]
    return f"{'.'.join(str(part) for part in found['loc'])}: {found['msg']}"


def store(session: Session, batch: SeriesBatch, source: str, at: datetime) -> None:
    """Stores the points of a batch; the same batch again changes nothing.

    Raises:
        SeriesRefused: the series is stored in another unit or scaler.
    """
    known = session.get(OutsideSeries, batch.series)
    if known is None:
        known = OutsideSeries(name=batch.series, scaler=batch.scaler, unit=batch.unit)
        session.add(known)
    elif (known.scaler, known.unit) != (batch.scaler, batch.unit):
        raise SeriesRefused(
            f"{batch.series!r} is stored with scaler {known.scaler} and unit {known.unit}"
        )
    known.source, known.updated_at = source, at
    session.flush()
    newest = {moment.astimezone(UTC): value for moment, value in batch.points}
    rows = [
        {"series": batch.series, "at": moment, "value": value} for moment, value in newest.items()
    ]
    upsert(session, OutsidePoint, rows, ["value"])


def points(session: Session, series: str, start: int, end: int) -> list[tuple[int, int]]:
    """Returns times (epoch seconds) and values with ``start <= t < end``, ascending."""
    query = select(OutsidePoint).where(
        OutsidePoint.series == series,
        OutsidePoint.at >= datetime.fromtimestamp(start, UTC),
        OutsidePoint.at < datetime.fromtimestamp(end, UTC),
    )
    rows = session.scalars(query.order_by(OutsidePoint.at))
    return [(int(row.at.timestamp()), row.value) for row in rows]


def joined(buckets: Sequence[Bucket], found: Sequence[tuple[int, int]]) -> list[int | None]:
    """Returns, for each bucket, the mean of the points within it, rounded; None without one.

    Buckets and points ascend in time.
    """
    means: list[int | None] = []
    place = 0
    for bucket in buckets:
        while place < len(found) and found[place][0] < bucket.starts_at:
            place += 1
        total = count = 0
        while place < len(found) and found[place][0] < bucket.ends_at:
            total, count, place = total + found[place][1], count + 1, place + 1
        means.append((2 * total + count) // (2 * count) if count else None)
    return means
