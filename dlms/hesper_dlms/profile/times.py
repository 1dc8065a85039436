"""Columns of date-times to epoch seconds; a day and a time of day are worked out only once each."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, tzinfo
from operator import add
from typing import Generic, NamedTuple, TypeAlias, TypeVar

from hesper_dlms.cosem_time import DEVIATION_NOT_SPECIFIED, CosemDateTime
from hesper_dlms.errors import DecodeError
from hesper_dlms.profile.rules import BufferRules
from hesper_dlms.profile.strided import Field

_UNIX_EPOCH_DAY = date(1970, 1, 1).toordinal()
_DAY_S = 86400
_FIRST_YEAR, _LAST_YEAR = 2, 9998
"""Within these no deviation leads out of the calendar."""

EARLIEST_S = (date.min.toordinal() - _UNIX_EPOCH_DAY) * _DAY_S
LATEST_S = (date.max.toordinal() - _UNIX_EPOCH_DAY) * _DAY_S
"""Epoch seconds that have a date."""

_DEVIATION_NOT_SPECIFIED = DEVIATION_NOT_SPECIFIED & 0xFFFF

Key = TypeVar("Key")


def epoch_of(octets: bytes, zone: tzinfo, wrong_sign: bool) -> int | None:
    """Return the epoch seconds of one date-time; None when it names no instant."""
    try:
        moment = CosemDateTime.from_octets(octets).resolve(zone, wrong_sign).captured_at
    except DecodeError:
        return None
    return int(moment.timestamp() // 1)


class RowTime(NamedTuple):
    """When a row was captured; the epoch is None where its clock names no instant."""

    epoch_s: int | None
    status: int
    deviation: int | None
    how: str


def row_time(octets: bytes, zone: tzinfo, rules: BufferRules, last: int | None) -> RowTime:
    """Return the time of a row by itself.

    In the doubled hour of autumn, where the clock status does not tell, the order does: `last` is
    the epoch time of the row before.
    """
    time = CosemDateTime.from_octets(octets)
    before = None if last is None else datetime.fromtimestamp(last, UTC)
    try:
        found = time.resolve_in_order(zone, rules.wrong_sign, before, rules.newest_first)
    except DecodeError:
        return RowTime(None, octets[11], time.deviation, "")
    return RowTime(int(found.captured_at.timestamp() // 1), octets[11], time.deviation, found.how)


class _Irregular(Exception):
    """Some row must be looked at by itself."""


class _Worked(dict[Key, int], Generic[Key]):
    """Results of a function, each worked out when it is first asked for."""

    def __init__(self, work: Callable[[Key], int]) -> None:
        super().__init__()
        self._work = work

    def __missing__(self, key: Key) -> int:
        result = self._work(key)
        self[key] = result
        return result


Circumstances: TypeAlias = tuple[list[int], list[int | None], list[str]]


class ClockColumn(NamedTuple):
    """The date-times of a run of rows, each field a number.

    dates: year, month, day of month. times: hour, minute, second. ends: deviation, clock status.
    """

    dates: list[int]
    times: list[int]
    ends: list[int]

    @classmethod
    def read(cls, clock: Field) -> ClockColumn:
        """Take the parts of the date-times that begin at a field."""
        return cls(
            clock.numbers("I"),
            clock.shifted(5).numbers("I", 3),
            clock.shifted(9).numbers("I", 3),
        )

    def circumstances(self, wrong_sign: bool) -> Circumstances:
        """Return clock status, deviation and how the instant is found, of each row."""
        rows = len(self.ends)
        named = "deviation-reversed" if wrong_sign else "deviation"
        if self.ends.count(self.ends[0]) == rows:
            minutes = _deviation(self.ends[0])
            how = "zone" if minutes is None else named
            return [self.ends[0] & 0xFF] * rows, [minutes] * rows, [how] * rows
        deviations = [_deviation(end) for end in self.ends]
        hows = ["zone" if minutes is None else named for minutes in deviations]
        return [end & 0xFF for end in self.ends], deviations, hows

    def epochs(self, zone: tzinfo, wrong_sign: bool) -> list[int] | None:
        """Return the epoch seconds; None when some row needs to be looked at by itself."""
        try:
            if self.ends.count(self.ends[0]) == len(self.ends):
                return self._of_one_kind(self.ends[0], zone, wrong_sign)
            starts = _Worked[tuple[int, int]](lambda pair: _day_start(pair, zone, wrong_sign))
            return self._add(map(starts.__getitem__, zip(self.dates, self.ends, strict=True)))
        except (ValueError, _Irregular):
            return None

    def _of_one_kind(self, end: int, zone: tzinfo, wrong_sign: bool) -> list[int]:
        """Return the epoch seconds of rows that share deviation and status, as most do."""
        starts = _Worked[int](lambda day: _day_start((day, end), zone, wrong_sign))
        return self._add(map(starts.__getitem__, self.dates))

    def _add(self, starts: Iterable[int]) -> list[int]:
        seconds = _Worked[int](_second_of_day)
        return list(map(add, starts, map(seconds.__getitem__, self.times)))


def _deviation(end: int) -> int | None:
    minutes = end >> 8
    if minutes == _DEVIATION_NOT_SPECIFIED:
        return None
    return minutes - 0x10000 if minutes & 0x8000 else minutes


def _second_of_day(time: int) -> int:
    hour, minute, second = time >> 16, time >> 8 & 0xFF, time & 0xFF
    if hour > 23 or minute > 59 or second > 59:
        raise _Irregular
    return hour * 3600 + minute * 60 + second


def _day_start(date_and_end: tuple[int, int], zone: tzinfo, wrong_sign: bool) -> int:
    """Return the epoch seconds that a day's times of day are added to."""
    day, end = date_and_end
    minutes = _deviation(end)
    if minutes is None:
        return _day_start_in_zone(day, end & 0xFF, zone)
    local = date(day >> 16, day >> 8 & 0xFF, day & 0xFF)
    if not _FIRST_YEAR <= local.year <= _LAST_YEAR:
        raise _Irregular
    seconds = (local.toordinal() - _UNIX_EPOCH_DAY) * _DAY_S
    return seconds + (-60 if wrong_sign else 60) * minutes


def _day_start_in_zone(day: int, status: int, zone: tzinfo) -> int:
    octets, end = day.to_bytes(4, "big"), bytes((0xFF, 0x80, 0x00, status))
    first = epoch_of(octets + b"\xff\x00\x00\x00" + end, zone, wrong_sign=False)
    last = epoch_of(octets + b"\xff\x17\x3b\x3b" + end, zone, wrong_sign=False)
    if first is None or last is None or last - first != _DAY_S - 1:
        raise _Irregular  # the day on which the clocks change
    return first
