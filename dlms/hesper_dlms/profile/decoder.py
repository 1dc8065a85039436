"""Decodes a profile buffer: runs of equal layout in one go, anything else row by row."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import tzinfo

from hesper_dlms import axdr
from hesper_dlms.axdr import Data, Tag
from hesper_dlms.errors import DecodeError
from hesper_dlms.profile.strided import Field
from hesper_dlms.profile.template import NUMBER_CODES, Column, RowTemplate, learn
from hesper_dlms.profile.times import ClockColumn, epoch_of

Cell = object
"""int, bool, float, str, bytes, a nested plain value, or None where nothing was captured."""


@dataclass(slots=True)
class ProfileColumns:
    """A decoded buffer, rows in the meter's order.

    captured_at: epoch seconds, UTC.
    clock_status: the clock's status octet of each row, 255 when not specified.
    columns: one list per capture object, in their order; the clock's own is `captured_at` again.
    undated: rows left out because their clock names no instant.
    """

    captured_at: list[int] = field(default_factory=list)
    clock_status: list[int] = field(default_factory=list)
    columns: list[list[Cell]] = field(default_factory=list)
    undated: int = 0


def decode_buffer(
    octets: bytes,
    capture_period_s: int,
    clock_column: int,
    meter_zone: tzinfo,
    *,
    wrong_sign: bool = False,
) -> ProfileColumns:
    """Decode the encoded buffer (attribute 2) of a profile generic.

    Args:
        octets: The whole value, as GET returned it.
        capture_period_s: Attribute 4; what null-data in the clock's column adds.
        clock_column: Index of the clock among the capture objects.
        meter_zone: For clocks whose deviation is not specified.
        wrong_sign: The meter writes deviations with the opposite sign.

    Raises:
        DecodeError: Not a buffer, rows of different width, a clock that is no date-time, or null in
            the clock's column while the capture period is 0.
    """
    decoder = _Decoder(capture_period_s, clock_column, meter_zone, wrong_sign)
    if octets[:1] == bytes((Tag.COMPACT_ARRAY,)):
        for row in axdr.decode(octets).as_items():
            decoder.add_row(row.as_items())
        return decoder.finish()
    if octets[:1] != bytes((Tag.ARRAY,)):
        raise DecodeError("a profile buffer is an array", 0)
    count, offset = axdr.read_length(octets, 1)
    if count > len(octets) - offset:
        raise DecodeError(f"{count} rows announced, {len(octets) - offset} octets left", offset)
    end = decoder.add_rows(octets, offset, count)
    if end != len(octets):
        raise DecodeError(f"{len(octets) - end} octets too many behind the rows", end)
    return decoder.finish()


class _Decoder:
    """Collects rows; remembers the row before, which null-data refers to."""

    def __init__(self, period_s: int, clock_column: int, zone: tzinfo, wrong_sign: bool) -> None:
        self.result = ProfileColumns()
        self._period_s = period_s
        self._clock_column = clock_column
        self._zone = zone
        self._wrong_sign = wrong_sign
        self._last: list[Cell] = []
        self._last_at: int | None = None
        self._last_status = 0xFF

    def add_rows(self, octets: bytes, offset: int, count: int) -> int:
        """Decode `count` rows from `offset` on; return the offset behind them."""
        while count:
            template = learn(octets, offset, self._clock_column)
            found = template.count(octets, offset, count) if template else 0
            if template is None or not found or not self._add_run(template, octets, offset, found):
                offset = self._add_each(octets, offset, max(found, 1))
                count -= max(found, 1)
                continue
            offset += found * template.size
            count -= found
        return offset

    def _add_each(self, octets: bytes, offset: int, count: int) -> int:
        for _ in range(count):
            row, offset = axdr.decode_prefix(octets, offset)
            self.add_row(row.as_items())
        return offset

    def finish(self) -> ProfileColumns:
        """Return what was decoded, the clock's own column in its place."""
        if self.result.columns:
            self.result.columns[self._clock_column] = list[Cell](self.result.captured_at)
        return self.result

    def _start(self, width: int) -> None:
        if not self._last:
            if self._clock_column >= width:
                raise DecodeError(f"a row of {width} columns has no column {self._clock_column}")
            self._last = [None] * width
            self.result.columns = [[] for _ in range(width)]
        if width != len(self._last):
            raise DecodeError(f"a row of {width} columns among rows of {len(self._last)}")

    def add_row(self, items: Sequence[Data]) -> None:
        """Add one row that was decoded generically."""
        self._start(len(items))
        clock = items[self._clock_column]
        if clock.value is None:
            times = self._next_times(1)
            self._last_at = None if times is None else times[0]
        else:
            time = clock.as_octets()
            if clock.tag not in (Tag.OCTET_STRING, Tag.DATE_TIME) or len(time) != 12:
                raise DecodeError("the clock's column holds no date-time")
            self._last_at = epoch_of(time, self._zone, self._wrong_sign)
            self._last_status = time[11]
        for index, item in enumerate(items):
            if item.value is not None and index != self._clock_column:
                self._last[index] = _cell(item)
        self._append_last()

    def _append_last(self) -> None:
        if self._last_at is None:
            self.result.undated += 1
            return
        self.result.captured_at.append(self._last_at)
        self.result.clock_status.append(self._last_status)
        for index, column in enumerate(self.result.columns):
            if index != self._clock_column:
                column.append(self._last[index])

    def _next_times(self, count: int) -> list[int] | None:
        if self._period_s <= 0:
            raise DecodeError("the clock is null and the capture period is 0: no time to count on")
        if self._last_at is None:
            return None
        start, step = self._last_at + self._period_s, self._period_s
        return list(range(start, start + count * step, step))

    def _add_run(self, template: RowTemplate, octets: bytes, offset: int, count: int) -> bool:
        """Add a run of rows of one layout; False when they must be looked at one by one."""
        self._start(len(template.columns))
        run = Field(octets, offset, template.size, count)
        times = self._run_times(template.columns[self._clock_column], run)
        if times is None:
            return False
        for index, column in enumerate(template.columns):
            if index == self._clock_column:
                continue
            values: Sequence[Cell] = [self._last[index]] * count
            if not column.is_null:
                values = _cells(column, run.shifted(column.offset))
            self.result.columns[index] += values
            self._last[index] = values[-1]
        self.result.captured_at += times
        self._last_at = times[-1]
        return True

    def _run_times(self, clock: Column, run: Field) -> list[int] | None:
        """Return the epoch seconds of a run and note the statuses; None: look at each row."""
        if clock.is_null:
            times = self._next_times(run.rows)
            if times is not None:
                self.result.clock_status += [self._last_status] * run.rows
            return times
        fields = ClockColumn.read(run.shifted(clock.offset))
        epochs = fields.epochs(self._zone, self._wrong_sign)
        if epochs is not None:
            statuses = fields.statuses
            self.result.clock_status += statuses
            self._last_status = statuses[-1]
        return epochs


def _cells(column: Column, field: Field) -> Sequence[Cell]:
    code = NUMBER_CODES.get(column.tag)
    if code is not None:
        return field.numbers(code)
    if column.tag == Tag.BOOLEAN:
        return [octet != 0 for octet in field.numbers("B")]
    raw = field.slices(column.size)
    if column.tag == Tag.VISIBLE_STRING:
        return [octets.decode("latin-1") for octets in raw]
    if column.tag == Tag.UTF8_STRING:
        return [octets.decode("utf-8", "backslashreplace") for octets in raw]
    return raw


def _cell(data: Data) -> Cell:
    return axdr.plain(data) if isinstance(data.value, tuple) else data.value
