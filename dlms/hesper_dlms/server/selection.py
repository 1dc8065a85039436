"""Columns of a profile's buffer that a request selects (Blue Book part 2, profile generic).

A range lists the columns that it wants (selector 1), an entry range gives the first and the last
(selector 2). Which rows are wanted is up to the meter, that knows how it keeps them.
"""

from __future__ import annotations

from collections.abc import Sequence

from hesper_dlms import axdr
from hesper_dlms.apdu import (
    AccessSelection,
    CaptureObject,
    DataAccessResult,
    EntrySelector,
    RangeSelector,
    selector_of,
)
from hesper_dlms.errors import ServiceError


def select_columns(
    buffer: bytes, selection: AccessSelection | None, capture_objects: bytes
) -> bytes:
    """Return a buffer with the selected columns alone, in the order of capture.

    Args:
        buffer: An array of rows, encoded; null-data in it stays what it was.
        selection: As it came with the request.
        capture_objects: Attribute 3, encoded.

    Raises:
        ServiceError: scope-of-access-violated, for columns that are not captured.
        DecodeError: The selection is no selection.
    """
    selector = None if selection is None else selector_of(selection)
    if isinstance(selector, RangeSelector) and selector.columns:
        captured = _captured(capture_objects)
        if not set(selector.columns) <= set(captured):
            raise ServiceError(DataAccessResult.SCOPE_OF_ACCESS_VIOLATED)
        wanted = [place for place, each in enumerate(captured) if each in selector.columns]
        return _only(buffer, wanted)
    if isinstance(selector, EntrySelector) and (selector.from_column, selector.to_column) != (1, 0):
        last = selector.to_column or len(_captured(capture_objects))
        if not 1 <= selector.from_column <= last <= len(_captured(capture_objects)):
            raise ServiceError(DataAccessResult.SCOPE_OF_ACCESS_VIOLATED)
        return _only(buffer, range(selector.from_column - 1, last))
    return buffer


def _captured(capture_objects: bytes) -> list[CaptureObject]:
    return [CaptureObject.from_data(each) for each in axdr.decode(capture_objects).as_items()]


def _only(buffer: bytes, columns: Sequence[int]) -> bytes:
    rows = (row.as_items() for row in axdr.decode(buffer).as_items())
    return axdr.encode(
        axdr.array(*(axdr.structure(*(row[column] for column in columns)) for row in rows))
    )
