"""Columns of date-time fields to epoch seconds; a day (or an hour) is worked out only once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date, tzinfo
from typing import TypeVar

from hesper_dlms.cosem_time import DEVIATION_NOT_SPECIFIED, CosemDateTime
from hesper_dlms.errors import DecodeError

_UNIX_EPOCH_DAY = date(1970, 1, 1).toordinal()
_DAY_S = 86400

Key = TypeVar("Key")


def epoch_of(octets: bytes, zone: tzinfo, wrong_sign: bool) -> int | None:
    """Return the epoch seconds of one date-time; None when it names no instant."""
    try:
        moment = CosemDateTime.from_octets(octets).resolve(zone, wrong_sign).captured_at
    except DecodeError:
        return None
    return int(moment.timestamp() // 1)


class ClockColumn:
    """The clock fields of a run of rows, one sequence per field as `CLOCK_FIELDS` unpacks them."""

    def __init__(self, fields: Sequence[Sequence[int]], dates: Sequence[bytes]) -> None:
        self.dates = dates
        self.hours, self.minutes, self.seconds, self.deviations, self.statuses = fields

    def epochs(self, zone: tzinfo, wrong_sign: bool) -> list[int] | None:
        """Return the epoch seconds; None when some row needs to be looked at by itself."""
        if max(self.hours) > 23 or max(self.minutes) > 59 or max(self.seconds) > 59:
            return None
        try:
            if DEVIATION_NOT_SPECIFIED not in self.deviations:
                return self._by_deviation(-60 if wrong_sign else 60)
            return self._by_zone(zone)
        except (ValueError, _Irregular):
            return None

    def _by_deviation(self, minute_s: int) -> list[int]:
        if self.deviations.count(self.deviations[0]) == len(self.deviations):
            shift_s = self.deviations[0] * minute_s
            return self._add(
                self.dates, {octets: _midnight(octets) + shift_s for octets in set(self.dates)}
            )
        pairs = list(zip(self.dates, self.deviations, strict=True))
        return self._add(
            pairs, {pair: _midnight(pair[0]) + pair[1] * minute_s for pair in set(pairs)}
        )

    def _by_zone(self, zone: tzinfo) -> list[int]:
        keys = list(zip(self.dates, self.hours, self.deviations, self.statuses, strict=True))
        return self._add(keys, {key: _start_in_zone(key, zone) for key in set(keys)})

    def _add(self, keys: Iterable[Key], starts: dict[Key, int]) -> list[int]:
        return [
            starts[key] + hour * 3600 + minute * 60 + second
            for key, hour, minute, second in zip(
                keys, self.hours, self.minutes, self.seconds, strict=True
            )
        ]


class _Irregular(Exception):
    """The offset changes within an hour, or some rows carry a deviation and others do not."""


def _midnight(octets: bytes) -> int:
    day = date(octets[0] << 8 | octets[1], octets[2], octets[3])
    return (day.toordinal() - _UNIX_EPOCH_DAY) * _DAY_S


def _start_in_zone(key: tuple[bytes, int, int, int], zone: tzinfo) -> int:
    """Return what to add to the local seconds of day of every row in this hour."""
    octets, hour, deviation, status = key
    if deviation != DEVIATION_NOT_SPECIFIED:
        raise _Irregular
    tail = b"\xff\x80\x00" + bytes((status,))
    first = epoch_of(octets + bytes((0xFF, hour, 0, 0)) + tail, zone, wrong_sign=False)
    last = epoch_of(octets + bytes((0xFF, hour, 59, 59)) + tail, zone, wrong_sign=False)
    if first is None or last is None or last - first != 3599:
        raise _Irregular
    return first - hour * 3600
