"""Decodes a profile buffer: runs of equal layout in one go, anything else row by row."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import tzinfo

from hesper_dlms.axdr import Data, Tag
from hesper_dlms.errors import DecodeError
from hesper_dlms.profile.cells import Cell, cell, run_cells
from hesper_dlms.profile.columns import COUNTED, ProfileColumns
from hesper_dlms.profile.doubled_hour import DOUBLED, place_by_order
from hesper_dlms.profile.rows import Rows, TaggedRows, UntaggedRows
from hesper_dlms.profile.rules import BufferRules
from hesper_dlms.profile.strided import Field
from hesper_dlms.profile.template import Column, RowTemplate
from hesper_dlms.profile.times import EARLIEST_S, LATEST_S, ClockColumn, RowTime, row_time

_DEFAULT_RULES = BufferRules()
_NO_TIME = RowTime(None, 0xFF, None, "")


def decode_buffer(
    octets: bytes,
    capture_period_s: int,
    clock_column: int,
    meter_zone: tzinfo,
    rules: BufferRules = _DEFAULT_RULES,
) -> ProfileColumns:
    """Decode the encoded buffer (attribute 2) of a profile generic.

    Args:
        octets: The whole value, as GET returned it.
        capture_period_s: Attribute 4; what null-data in the clock's column adds.
        clock_column: Index of the clock among the columns that were asked for.
        meter_zone: For clocks whose deviation is not specified.
        rules: Order of the rows, and what the meter does differently.

    Raises:
        DecodeError: Not a buffer, rows of different width, a clock that is no date-time, null in
            the clock's column while the capture period is 0, or a difference to no number.
    """
    decoder = _Decoder(capture_period_s, clock_column, meter_zone, rules)
    if octets[:1] == bytes((Tag.COMPACT_ARRAY,)):
        decoder.add_rows(UntaggedRows(octets))
        return decoder.finish()
    if octets[:1] != bytes((Tag.ARRAY,)):
        raise DecodeError("a profile buffer is an array", 0)
    rows = TaggedRows(octets)
    decoder.add_rows(rows)
    if rows.offset != len(octets):
        behind = len(octets) - rows.offset
        raise DecodeError(f"{behind} octets too many behind the rows", rows.offset)
    return decoder.finish()


class _Decoder:
    """Collects rows; remembers the row before, which null-data refers to."""

    def __init__(self, period_s: int, clock_column: int, zone: tzinfo, rules: BufferRules) -> None:
        self.result = ProfileColumns()
        self._step_s = -period_s if rules.newest_first else period_s
        self._clock_column = clock_column
        self._zone = zone
        self._rules = rules
        self._last: list[Cell] = []
        self._last_time = _NO_TIME
        self._doubled: list[int] = []

    def add_rows(self, rows: Rows) -> None:
        """Decode all rows."""
        while rows.left:
            template = rows.template(self._clock_column)
            found = 0
            if template is not None:
                found = template.count(rows.octets, rows.offset, rows.left)
            if template is not None and found and self._add_run(template, rows, found):
                rows.skip(template, found)
                continue
            for _ in range(max(found, 1)):
                self._add_row(rows.take())

    def finish(self) -> ProfileColumns:
        """Return what was decoded, the clock's own column in its place."""
        place_by_order(self.result, self._doubled, self._step_s, self._zone, self._rules.present_s)
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

    def _add_row(self, items: Sequence[Data]) -> None:
        """Add one row that was decoded generically."""
        self._start(len(items))
        clock = items[self._clock_column]
        if clock.value is None:
            times = self._next_times(1)
            epoch_s = times[0] if times else None
            self._last_time = self._last_time._replace(epoch_s=epoch_s, how=COUNTED)
        else:
            time = clock.as_octets()
            if clock.tag not in (Tag.OCTET_STRING, Tag.DATE_TIME) or len(time) != 12:
                raise DecodeError("the clock's column holds no date-time")
            self._last_time = row_time(time, self._zone, self._rules, self._last_time.epoch_s)
        self._append(items)

    def _append(self, items: Sequence[Data]) -> None:
        """Append the cells of a row beside its time, if it has one."""
        epoch_s, status, deviation, how = self._last_time
        dated = epoch_s is not None
        if epoch_s is not None:
            if how in DOUBLED:
                self._doubled.append(len(self.result.captured_at))
            self.result.captured_at.append(epoch_s)
            self.result.clock_status.append(status)
            self.result.deviation.append(deviation)
            self.result.how.append(how)
        self.result.undated += not dated
        for index, item in enumerate(items):
            if index == self._clock_column:
                continue
            if item.value is not None:
                self._last[index] = cell(item, self._last[index])
            if dated:
                padding = item.value is None and self._rules.null_is_padding
                self.result.columns[index].append(None if padding else self._last[index])

    def _next_times(self, count: int) -> list[int] | None:
        step = self._step_s
        if step == 0:
            raise DecodeError("the clock is null and the capture period is 0: no time to count on")
        if self._last_time.epoch_s is None:
            return None
        start = self._last_time.epoch_s + step
        if not EARLIEST_S <= start + (count - 1) * step <= LATEST_S:
            raise DecodeError("the clock is null and counting on leads out of the calendar")
        return list(range(start, start + count * step, step))

    def _add_run(self, template: RowTemplate, rows: Rows, count: int) -> bool:
        """Add a run of rows of one layout; False when they must be looked at one by one."""
        self._start(len(template.columns))
        run = Field(rows.octets, rows.offset, template.size, count)
        times = self._run_times(template.columns[self._clock_column], run)
        if times is None:
            return False
        for index, column in enumerate(template.columns):
            if index == self._clock_column:
                continue
            if column.is_null:
                value = None if self._rules.null_is_padding else self._last[index]
                self.result.columns[index] += [value] * count
                continue
            values = run_cells(column, run, self._last[index])
            self.result.columns[index] += values
            self._last[index] = values[-1]
        self.result.captured_at += times
        return True

    def _run_times(self, clock: Column, run: Field) -> list[int] | None:
        """Return the epoch seconds of a run and note the rest; None: look at each row."""
        result, last = self.result, self._last_time
        if clock.is_null:
            times = self._next_times(run.rows)
            if times is not None:
                result.clock_status += [last.status] * run.rows
                result.deviation += [last.deviation] * run.rows
                result.how += [COUNTED] * run.rows
                self._last_time = last._replace(epoch_s=times[-1], how=COUNTED)
            return times
        fields = ClockColumn.read(run.shifted(clock.offset))
        epochs = fields.epochs(self._zone, self._rules.wrong_sign)
        if epochs is not None:
            statuses, deviations, how = fields.circumstances(self._rules.wrong_sign)
            result.clock_status += statuses
            result.deviation += deviations
            result.how += how
            self._last_time = RowTime(epochs[-1], statuses[-1], deviations[-1], how[-1])
        return epochs
