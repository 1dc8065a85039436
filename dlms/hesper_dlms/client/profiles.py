"""Reading a profile generic (Blue Book part 2, class 7) as columns with units.

    shape   = capture objects (3), period (4), order (5, 6), scaler and unit of each column
    buffer  = selected by range or by entry, whole columns or some, decoded by the shape

A meter that takes a list of columns but sends them all anyhow is noticed by the width of its rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import tzinfo
from typing import NamedTuple

from hesper_dlms.apdu import (
    CLOCK_TIME,
    CaptureObject,
    CosemAttribute,
    EntrySelector,
    RangeSelector,
    Selector,
)
from hesper_dlms.axdr import Data
from hesper_dlms.client.client import Client
from hesper_dlms.errors import DecodeError, LocalError, ServiceError
from hesper_dlms.exchange import Exchange
from hesper_dlms.profile import BufferRules, decode_buffer, row_width
from hesper_dlms.units import SCALER_UNIT_OF, ScalerUnit

PROFILE_GENERIC = 7
_BUFFER, _CAPTURE_OBJECTS, _CAPTURE_PERIOD, _SORT_METHOD, _SORT_OBJECT = 2, 3, 4, 5, 6
_LONGEST_PERIOD_S = 366 * 86400


@dataclass(frozen=True, slots=True)
class ProfileShape:
    """What a profile captures.

    capture_objects: the columns in order.
    scaler_units: of each column; None where it has none or the meter does not tell.
    capture_period_s: 0 where captures are not periodic.
    rules: the order of the rows; a template may add what else the meter does differently.
    """

    logical_name: bytes
    capture_objects: tuple[CaptureObject, ...]
    scaler_units: tuple[ScalerUnit | None, ...]
    capture_period_s: int
    rules: BufferRules

    def clock_column(self) -> int:
        """Return where the clock is; DecodeError when it is not captured."""
        for index, captured in enumerate(self.capture_objects):
            if _is_clock(captured):
                return index
        raise DecodeError("the profile captures no clock")


class ProfileColumn(NamedTuple):
    """One column: what it is, its scaler and unit, and a value per row (None: nothing captured)."""

    captured: CaptureObject
    scaler_unit: ScalerUnit | None
    values: list[object]


class Profile(NamedTuple):
    """Rows of a profile in the meter's order, see `hesper_dlms.profile.ProfileColumns`.

    octets: the buffer as it came, so that it can be decoded again.
    """

    shape: ProfileShape
    captured_at: list[int]
    clock_status: list[int]
    deviation: list[int | None]
    how: list[str]
    columns: tuple[ProfileColumn, ...]
    undated: int
    octets: bytes


def read_shape(
    client: Client, logical_name: bytes, known: BufferRules | None = None
) -> Exchange[ProfileShape]:
    """Read what a profile captures, with scalers and units.

    Args:
        client: With an open association.
        logical_name: Of the profile.
        known: What its meters do differently; its order is used where the meter does not tell.

    Raises:
        DecodeError: The attributes make no sense.
        ServiceError: The meter refuses capture objects or period.
    """
    numbers = (_CAPTURE_OBJECTS, _CAPTURE_PERIOD, _SORT_METHOD, _SORT_OBJECT)
    objects, period, method, sorted_by = yield from client.get_many(
        [CosemAttribute(PROFILE_GENERIC, logical_name, number) for number in numbers]
    )
    captured = tuple(map(CaptureObject.from_data, _given(objects).as_items()))
    period_s = _given(period).as_int()
    if not 0 <= period_s <= _LONGEST_PERIOD_S:
        raise DecodeError(f"a capture period of {period_s} s")
    rules = known or BufferRules()
    if isinstance(method, Data) and method.value is not None:
        order = BufferRules.of_sort_method(method.as_int(), _sorts_by_clock(sorted_by))
        rules = replace(rules, newest_first=order.newest_first)
    units = yield from _read_units(client, captured)
    return ProfileShape(logical_name, captured, units, period_s, rules)


def read_rows(
    client: Client, shape: ProfileShape, zone: tzinfo, selector: Selector | None = None
) -> Exchange[Profile]:
    """Read rows of a profile.

    Args:
        client: With an open association.
        shape: Of the profile, read before.
        zone: The meter's, for clocks without a deviation.
        selector: Which rows and columns; None reads all. Columns must include the clock.

    Raises:
        DecodeError: The buffer is not what the shape promises.
        LocalError: The selection leaves out the clock or names what is not captured.
        ServiceError: The meter refuses.
    """
    chosen = _chosen(shape, selector)
    if isinstance(selector, RangeSelector) and selector.clock == CLOCK_TIME:
        clock = shape.capture_objects[shape.clock_column()].attribute
        selector = selector._replace(clock=clock)
    buffer = CosemAttribute(PROFILE_GENERIC, shape.logical_name, _BUFFER)
    octets = yield from client.get_octets(buffer, selector)
    return _decode(shape, chosen, octets, zone)


def read_profile(
    client: Client, logical_name: bytes, zone: tzinfo, selector: Selector | None = None
) -> Exchange[Profile]:
    """Read the shape of a profile, then rows of it; see `read_shape` and `read_rows`."""
    shape = yield from read_shape(client, logical_name)
    return (yield from read_rows(client, shape, zone, selector))


def _decode(shape: ProfileShape, chosen: Sequence[int], octets: bytes, zone: tzinfo) -> Profile:
    every = range(len(shape.capture_objects))
    width = row_width(octets)
    sent: Sequence[int] = every if width == len(every) else chosen
    if width not in (None, len(sent)):
        raise DecodeError(f"rows of {width} columns where {len(sent)} were expected")
    clock = sent.index(shape.clock_column())
    found = decode_buffer(octets, shape.capture_period_s, clock, zone, shape.rules)
    columns = []
    for index in chosen:
        values = found.columns[sent.index(index)] if found.columns else []
        columns.append(
            ProfileColumn(shape.capture_objects[index], shape.scaler_units[index], values)
        )
    return Profile(
        shape,
        found.captured_at,
        found.clock_status,
        found.deviation,
        found.how,
        tuple(columns),
        found.undated,
        octets,
    )


def _chosen(shape: ProfileShape, selector: Selector | None) -> Sequence[int]:
    """Return the columns that a selector asks for, in the order of capture."""
    every = range(len(shape.capture_objects))
    chosen: Sequence[int] = every
    if isinstance(selector, RangeSelector) and selector.columns:
        if unknown := set(selector.columns) - set(shape.capture_objects):
            raise LocalError(f"the profile does not capture {unknown}")
        chosen = [index for index in every if shape.capture_objects[index] in selector.columns]
    if isinstance(selector, EntrySelector):
        chosen = every[max(selector.from_column - 1, 0) : selector.to_column or None]
    if shape.clock_column() not in chosen:
        raise LocalError("without the clock's column rows have no time")
    return chosen


def _read_units(
    client: Client, captured: Sequence[CaptureObject]
) -> Exchange[tuple[ScalerUnit | None, ...]]:
    places = [_scaler_place(each) for each in captured]
    wanted = list(dict.fromkeys(place for place in places if place is not None))
    answers = yield from client.get_many(wanted)
    units = dict(zip(wanted, map(_unit, answers), strict=True))
    return tuple(None if place is None else units[place] for place in places)


def _scaler_place(captured: CaptureObject) -> CosemAttribute | None:
    scaler = SCALER_UNIT_OF.get((captured.class_id, captured.attribute_id))
    if scaler is None:
        return None
    return CosemAttribute(captured.class_id, captured.logical_name, scaler)


def _unit(answer: Data | ServiceError) -> ScalerUnit | None:
    try:
        return ScalerUnit.from_data(_given(answer))
    except (DecodeError, ServiceError):
        return None


def _is_clock(captured: CaptureObject) -> bool:
    return (captured.class_id, captured.attribute_id) == (8, 2)


def _sorts_by_clock(sorted_by: Data | ServiceError) -> bool:
    """Return whether a profile is sorted by its clock; it is, where the meter does not tell."""
    try:
        return _is_clock(CaptureObject.from_data(_given(sorted_by)))
    except (DecodeError, ServiceError):
        return True


def _given(answer: Data | ServiceError) -> Data:
    if isinstance(answer, ServiceError):
        raise answer
    return answer
