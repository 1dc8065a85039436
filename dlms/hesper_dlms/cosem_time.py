"""COSEM date-time (Blue Book, clause 4.1.6.1) and how it becomes an instant.

Twelve octets: year (2), month, day of month, day of week, hour, minute, second, hundredths,
deviation (2), clock status. Every field may be "not specified" (FF, FFFF, 8000). Deviation is
minutes from local time *to* UTC, so Central European Time is -60: UTC = local + deviation. Some
meters store the opposite sign.

Clock status: 0x01 invalid, 0x02 doubtful, 0x04 different base, 0x08 invalid status, 0x80 daylight
saving; 0xFF not specified. Where the deviation is not specified the meter's zone decides, and in
the doubled hour of autumn the daylight-saving bit tells which of the two it is.

Schedules use the same fields apart: a date (5 octets) and a time (4 octets). What a pattern with
open fields stands for is in `hesper_dlms.classes.recurrence`.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta, tzinfo
from typing import NamedTuple

from hesper_dlms.errors import DecodeError, LocalError

INVALID = 0x01
DOUBTFUL = 0x02
DIFFERENT_BASE = 0x04
INVALID_STATUS = 0x08
DAYLIGHT_SAVING = 0x80
STATUS_NOT_SPECIFIED = 0xFF
DEVIATION_NOT_SPECIFIED = -0x8000

LAST_DAY = 0xFE
SECOND_LAST_DAY = 0xFD
DAYLIGHT_SAVING_BEGIN = 0xFE
DAYLIGHT_SAVING_END = 0xFD

AMBIGUOUS, BY_BIT, BY_ORDER = "zone-ambiguous", "zone-daylight-saving", "zone-order"
"""How times of the doubled hour are found, see `Resolved`."""
_SENT_AT_ONCE = timedelta(minutes=30)

_LAYOUT = struct.Struct(">HBBBBBBBhB")
_DATE_LAYOUT = struct.Struct(">HBBB")


class Resolved(NamedTuple):
    """An instant and how it was found.

    captured_at: aware, UTC.
    how: `deviation`, `deviation-reversed`, `zone`, `zone-daylight-saving` (the doubled hour, told
        by the daylight-saving bit), `zone-ambiguous` (the doubled hour, and the status does not say
        which: the first), `zone-order` (the same, told by the rows beside it), `zone-arrival` (the
        same, told by when it arrived) or `zone-skipped` (an hour that the zone leaves out in
        spring: as if the clock had not been set forward yet).
    """

    captured_at: datetime
    how: str


@dataclass(frozen=True, slots=True)
class CosemDateTime:
    """The fields of a COSEM date-time; None where not specified.

    `month` may also be 0xFD/0xFE (end/begin of daylight saving), `day` 0xFD/0xFE (second last/last
    day). `deviation` is in minutes, UTC = local + deviation.
    """

    year: int | None
    month: int | None
    day: int | None
    weekday: int | None
    hour: int | None
    minute: int | None
    second: int | None
    hundredths: int | None
    deviation: int | None
    clock_status: int | None

    @classmethod
    def from_octets(cls, octets: bytes) -> CosemDateTime:
        """Read the 12 octets; DecodeError for another length."""
        if len(octets) != 12:
            raise DecodeError(f"a date-time has 12 octets, not {len(octets)}")
        year, *fields, deviation, status = _LAYOUT.unpack(octets)
        month, day, weekday, hour, minute, second, hundredths = _specified(fields)
        return cls(
            None if year == 0xFFFF else year,
            month,
            day,
            weekday,
            hour,
            minute,
            second,
            hundredths,
            None if deviation == DEVIATION_NOT_SPECIFIED else deviation,
            None if status == STATUS_NOT_SPECIFIED else status,
        )

    def to_octets(self) -> bytes:
        """Return the 12 octets; LocalError when a field is out of range."""
        fields = (self.month, self.day, self.weekday, self.hour, self.minute, self.second)
        try:
            return _LAYOUT.pack(
                0xFFFF if self.year is None else self.year,
                *(0xFF if field is None else field for field in (*fields, self.hundredths)),
                DEVIATION_NOT_SPECIFIED if self.deviation is None else self.deviation,
                STATUS_NOT_SPECIFIED if self.clock_status is None else self.clock_status,
            )
        except struct.error as error:
            raise LocalError(f"a field of {self} is out of range: {error}") from None

    @classmethod
    def from_datetime(
        cls, moment: datetime, status: int = 0, deviation_minutes: int | None = None
    ) -> CosemDateTime:
        """Return the date-time of an aware instant.

        Args:
            moment: Aware; its own zone gives the local fields unless `deviation_minutes` is given.
            status: Clock status; the daylight-saving bit is added when the moment's zone says so.
            deviation_minutes: Minutes from local time to UTC (Central European Time: -60).

        Raises:
            LocalError: The moment is naive.
        """
        offset = moment.utcoffset()
        if offset is None:
            raise LocalError("a naive datetime names no instant")
        if deviation_minutes is None:
            deviation_minutes = -int(offset.total_seconds()) // 60
        elif deviation_minutes * 60 != -int(offset.total_seconds()):
            moment = moment.astimezone(UTC) - timedelta(minutes=deviation_minutes)
        if moment.dst():
            status |= DAYLIGHT_SAVING
        return cls(
            moment.year,
            moment.month,
            moment.day,
            moment.isoweekday(),
            moment.hour,
            moment.minute,
            moment.second,
            moment.microsecond // 10_000,
            deviation_minutes,
            status,
        )

    def without_deviation(self) -> CosemDateTime:
        """Return the same local time with the deviation not specified, as most meters push it."""
        return replace(self, deviation=None)

    def local(self) -> datetime:
        """Return the local fields as a naive datetime.

        Raises:
            DecodeError: Year, month, day, hour or minute is not specified, or there is no such
                date.
        """
        if None in (self.year, self.month, self.day, self.hour, self.minute):
            raise DecodeError("the date-time leaves fields open, it names no instant")
        try:
            return datetime(  # noqa: DTZ001 - the meter's local time, placed by resolve()
                self.year or 0,
                self.month or 0,
                self.day or 0,
                self.hour or 0,
                self.minute or 0,
                self.second or 0,
                (self.hundredths or 0) * 10_000,
            )
        except ValueError as error:
            raise DecodeError(f"the date-time is no date: {error}") from None

    def resolve(self, meter_zone: tzinfo, wrong_sign: bool = False) -> Resolved:
        """Return the instant that the fields name.

        Args:
            meter_zone: Used where the deviation is not specified.
            wrong_sign: The meter stores the deviation as UTC minus local reversed (a template's
                setting).

        Raises:
            DecodeError: The fields name no instant.
        """
        local = self.local()
        try:
            if self.deviation is not None:
                shift = timedelta(minutes=-self.deviation if wrong_sign else self.deviation)
                how = "deviation-reversed" if wrong_sign else "deviation"
                return Resolved((local + shift).replace(tzinfo=UTC), how)
            return self._in_zone(local, meter_zone)
        except (OverflowError, ValueError) as error:
            raise DecodeError(f"the date-time is out of range: {error}") from None

    def resolve_in_order(
        self, meter_zone: tzinfo, wrong_sign: bool, last: datetime | None, newest_first: bool
    ) -> Resolved:
        """Return the instant of one time in a sequence, see `resolve`.

        In the doubled hour, where the status does not tell, `last` does: times ascend from one to
        the next, or descend where the newest comes first.
        """
        found = self.resolve(meter_zone, wrong_sign)
        if found.how != AMBIGUOUS or last is None:
            return found
        first = found.captured_at
        second = self.local().replace(tzinfo=meter_zone, fold=1).astimezone(UTC)
        if newest_first:
            return Resolved(second if second < last else first, BY_ORDER)
        return Resolved(first if first > last else second, BY_ORDER)

    def resolve_at_arrival(
        self, meter_zone: tzinfo, wrong_sign: bool, arrived_at: datetime
    ) -> Resolved:
        """Return the instant of a time that came by itself, see `resolve`.

        In the doubled hour, where the daylight-saving bit is clear or not told, the arrival (aware)
        decides if it lies within half an hour: some meters never set the bit.
        """
        found = self.resolve(meter_zone, wrong_sign)
        if found.how not in (AMBIGUOUS, BY_BIT) or (self.clock_status or 0) & DAYLIGHT_SAVING:
            return found
        local = self.local()
        hours = [local.replace(tzinfo=meter_zone, fold=fold).astimezone(UTC) for fold in (0, 1)]
        nearest = min(hours, key=lambda hour: abs(hour - arrived_at))
        is_known = nearest == found.captured_at and found.how == BY_BIT
        if is_known or abs(nearest - arrived_at) >= _SENT_AT_ONCE:
            return found
        return Resolved(nearest, "zone-arrival")

    def _in_zone(self, local: datetime, zone: tzinfo) -> Resolved:
        first = local.replace(tzinfo=zone, fold=0)
        second = local.replace(tzinfo=zone, fold=1)
        before, after = first.utcoffset() or timedelta(), second.utcoffset() or timedelta()
        if before <= after:
            how = "zone" if before == after else "zone-skipped"
            return Resolved(first.astimezone(UTC), how)
        if self.clock_status is None:
            return Resolved(first.astimezone(UTC), AMBIGUOUS)
        chosen = first if self.clock_status & DAYLIGHT_SAVING else second
        return Resolved(chosen.astimezone(UTC), BY_BIT)


@dataclass(frozen=True, slots=True)
class CosemDate:
    """The fields of a COSEM date (5 octets); None where not specified.

    `month` and `day` may hold the same special values as in `CosemDateTime`.
    """

    year: int | None = None
    month: int | None = None
    day: int | None = None
    weekday: int | None = None

    @classmethod
    def from_octets(cls, octets: bytes) -> CosemDate:
        """Read the 5 octets; DecodeError for another length."""
        if len(octets) != _DATE_LAYOUT.size:
            raise DecodeError(f"a date has 5 octets, not {len(octets)}")
        year, *fields = _DATE_LAYOUT.unpack(octets)
        return cls(None if year == 0xFFFF else year, *_specified(fields))

    def to_octets(self) -> bytes:
        """Return the 5 octets; LocalError when a field is out of range."""
        fields = (self.month, self.day, self.weekday)
        try:
            return _DATE_LAYOUT.pack(
                0xFFFF if self.year is None else self.year,
                *(0xFF if field is None else field for field in fields),
            )
        except struct.error as error:
            raise LocalError(f"a field of {self} is out of range: {error}") from None


@dataclass(frozen=True, slots=True)
class CosemTime:
    """The fields of a COSEM time (4 octets); None where not specified."""

    hour: int | None = None
    minute: int | None = None
    second: int | None = None
    hundredths: int | None = None

    @classmethod
    def from_octets(cls, octets: bytes) -> CosemTime:
        """Read the 4 octets; DecodeError for another length."""
        if len(octets) != 4:
            raise DecodeError(f"a time has 4 octets, not {len(octets)}")
        return cls(*_specified(octets))

    def to_octets(self) -> bytes:
        """Return the 4 octets; LocalError when a field is out of range."""
        fields = (self.hour, self.minute, self.second, self.hundredths)
        try:
            return bytes(0xFF if field is None else field for field in fields)
        except ValueError as error:
            raise LocalError(f"a field of {self} is out of range: {error}") from None


def _specified(fields: Iterable[int]) -> Iterator[int | None]:
    return (None if field == 0xFF else field for field in fields)
