"""What the commands of `hesper-dlms` do with an open association."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from hesper_dlms import axdr, classes, obis
from hesper_dlms.apdu import (
    CaptureObject,
    CosemAttribute,
    EntrySelector,
    RangeSelector,
    read_capture_object,
)
from hesper_dlms.association import ASSOCIATION_CLASS, CURRENT_ASSOCIATION
from hesper_dlms.axdr import Data
from hesper_dlms.errors import DecodeError, LocalError, ServiceError
from hesper_dlms.short_names import OBJECT_LIST
from hesper_dlms.units import ScalerUnit

from hesper_gateway.dlms_desk import Desk
from hesper_gateway.dlms_objects import SCALED, Reading, name, readable

PROFILE_CLASS = 7
BUFFER = 2
_CAPTURE_OBJECTS, _CAPTURE_PERIOD = 3, 4
_OBJECT_LIST = CosemAttribute(ASSOCIATION_CLASS, CURRENT_ASSOCIATION, 2)
_VALUE = 2
_BASE_NAME_MASK = 0xFFFF

Wanted = RangeSelector | EntrySelector | None
"""Which rows of a profile; None for all."""


class Listed(NamedTuple):
    """One object of the association view; `base_name` where short names are used."""

    class_id: int
    version: int
    logical_name: str
    base_name: int | None = None

    @property
    def class_name(self) -> str:
        """The interface class by name."""
        return classes.by_id(self.class_id, self.version).name

    def to_json(self) -> dict[str, object]:
        """Return the object in plain JSON."""
        shown: dict[str, object] = {
            "class_id": self.class_id,
            "class": self.class_name,
            "version": self.version,
            "logical_name": self.logical_name,
        }
        if self.base_name is not None:
            shown["base_name"] = self.base_name
        return shown


class Rows(NamedTuple):
    """Rows of a profile; columns are named `CLASS:OBIS:ATTRIBUTE`."""

    columns: list[str]
    capture_period_s: int
    rows: list[tuple[Data, ...]]

    def to_json(self) -> dict[str, object]:
        """Return the rows in the typed form of values."""
        return {
            "columns": self.columns,
            "capture_period_s": self.capture_period_s,
            "rows": [[axdr.plain(value) for value in row] for row in self.rows],
        }

    def to_text(self) -> list[list[str]]:
        """Return the rows for people."""
        return [[readable(value) for value in row] for row in self.rows]


def read(desk: Desk, attributes: Sequence[CosemAttribute], wanted: Wanted = None) -> list[Reading]:
    """Read attributes, and scaler and unit of those that are values of registers.

    Args:
        desk: The open association.
        attributes: What to read, in order.
        wanted: Rows of profile buffers among them.
    """
    if wanted is None:
        values = desk.run(desk.client.get_many(attributes))
    else:
        values = [_read_one(desk, attribute, wanted) for attribute in attributes]
    return [
        Reading(
            attribute, value, None if isinstance(value, ServiceError) else _unit(desk, attribute)
        )
        for attribute, value in zip(attributes, values, strict=True)
    ]


def _read_one(desk: Desk, attribute: CosemAttribute, wanted: Wanted) -> Data | ServiceError:
    is_buffer = attribute.class_id == PROFILE_CLASS and attribute.attribute_id == BUFFER
    try:
        return desk.run(desk.client.get(attribute, wanted if is_buffer else None))
    except ServiceError as error:
        return error


def _unit(desk: Desk, attribute: CosemAttribute) -> ScalerUnit | None:
    scaler = SCALED.get(attribute.class_id)
    if scaler is None or attribute.attribute_id != _VALUE:
        return None
    where = CosemAttribute(attribute.class_id, attribute.logical_name, scaler)
    try:
        return ScalerUnit.from_data(desk.run(desk.client.get(where)))
    except (ServiceError, DecodeError):
        return None


def read_profile(
    desk: Desk, logical_name: str, wanted: Wanted, chosen: Sequence[CosemAttribute] = ()
) -> Rows:
    """Read rows of a profile, of the chosen columns alone when some are given.

    Raises:
        LocalError: The profile does not capture a chosen column.
    """
    profile = obis.parse(logical_name)

    def attribute(number: int) -> CosemAttribute:
        return CosemAttribute(PROFILE_CLASS, profile, number)

    captured = desk.run(desk.client.get(attribute(_CAPTURE_OBJECTS))).as_items()
    columns = [read_capture_object(each)[0] for each in captured]
    period = desk.run(desk.client.get(attribute(_CAPTURE_PERIOD))).as_int()
    places = _places(columns, chosen)
    buffer = desk.run(desk.client.get(attribute(BUFFER), _of_columns(wanted, columns, places)))
    rows = [row.as_items() for row in buffer.as_items()]
    if places:
        rows = [_pick(row, places, len(columns)) for row in rows]
        columns = [columns[place] for place in places]
    return Rows([name(each) for each in columns], period, rows)


def _places(columns: Sequence[CosemAttribute], chosen: Sequence[CosemAttribute]) -> list[int]:
    missing = [each for each in chosen if each not in columns]
    if missing:
        there = ", ".join(name(each) for each in columns)
        raise LocalError(f"{name(missing[0])} is no column of this profile; there are: {there}")
    return sorted(columns.index(each) for each in chosen)


def _of_columns(wanted: Wanted, columns: Sequence[CosemAttribute], places: Sequence[int]) -> Wanted:
    """Return a selection by time with the columns in it.

    One by number asks for all of them, as many meters refuse to cut those.
    """
    if not places or not isinstance(wanted, RangeSelector):
        return wanted
    return wanted._replace(columns=tuple(CaptureObject(*columns[place], 0) for place in places))


def _pick(row: tuple[Data, ...], places: Sequence[int], count: int) -> tuple[Data, ...]:
    """Return the chosen cells; a meter sends those alone, or all."""
    if len(row) == len(places):
        return row
    if len(row) != count:
        raise DecodeError(f"a row has {len(row)} cells, neither all nor those asked for")
    return tuple(row[place] for place in places)


def read_objects(desk: Desk, short_names: bool = False) -> list[Listed]:
    """Read the association view."""
    if short_names:
        return [_short(each) for each in desk.run(desk.client.get(OBJECT_LIST)).as_items()]
    listed = []
    for each in desk.run(desk.client.get(_OBJECT_LIST)).as_items():
        items = each.as_items()
        if len(items) < 3:
            raise DecodeError("an object of the association view has class, version and name")
        logical_name = obis.text(items[2].as_octets())
        listed.append(Listed(items[0].as_int(), items[1].as_int(), logical_name))
    return listed


def _short(data: Data) -> Listed:
    items = data.as_items()
    if len(items) < 4:
        raise DecodeError("an object of this view has base name, class, version and logical name")
    base_name = items[0].as_int() & _BASE_NAME_MASK
    logical_name = obis.text(items[3].as_octets())
    return Listed(items[1].as_int(), items[2].as_int(), logical_name, base_name)
