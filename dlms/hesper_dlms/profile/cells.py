"""Cells of a profile buffer: numbers, octets and texts of a run, and what differences stand for.

A delta type holds the difference to the value before in the same column (Green Book, the Data
type).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

from hesper_dlms import axdr
from hesper_dlms.axdr import Data, Tag
from hesper_dlms.errors import DecodeError
from hesper_dlms.profile.strided import Field
from hesper_dlms.profile.template import NUMBER_CODES, Column

Cell = object
"""int, bool, float, str, bytes, a nested plain value, or None where nothing was captured."""

_DELTAS = range(Tag.DELTA_INTEGER, Tag.DELTA_DOUBLE_LONG_UNSIGNED + 1)


def run_cells(column: Column, run: Field, before: Cell) -> Sequence[Cell]:
    """Return the cells of one column of a run of rows.

    Args:
        column: The column; not one that is null.
        run: The rows.
        before: The value that the column had before, which differences count from.

    Raises:
        DecodeError: A difference without a number before it.
    """
    field = run.shifted(column.offset)
    code = NUMBER_CODES.get(column.tag)
    if code is not None:
        numbers = field.numbers(code)
        if column.tag in _DELTAS:
            return list(accumulate(numbers, initial=_base(before)))[1:]
        return numbers
    if column.tag == Tag.BOOLEAN:
        return [octet != 0 for octet in field.numbers("B")]
    raw = field.slices(column.size)
    if column.tag == Tag.VISIBLE_STRING:
        return [octets.decode("latin-1") for octets in raw]
    if column.tag == Tag.UTF8_STRING:
        return [octets.decode("utf-8", "backslashreplace") for octets in raw]
    return raw


def cell(data: Data, before: Cell) -> Cell:
    """Return one cell that is not null; DecodeError for a difference without a number before."""
    if isinstance(data.value, tuple):
        return axdr.plain(data)
    if data.tag in _DELTAS:
        return _base(before) + data.as_int()
    return data.value


def _base(before: Cell) -> int:
    if isinstance(before, int) and not isinstance(before, bool):
        return before
    raise DecodeError("a difference without a number before it")
