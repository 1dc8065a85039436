"""What the commands of `hesper-dlms` do with an open association."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, tzinfo
from typing import NamedTuple

from hesper_dlms import obis
from hesper_dlms.apdu import (
    CaptureObject,
    CosemAttribute,
    EntrySelector,
    RangeSelector,
)
from hesper_dlms.association import ASSOCIATION_CLASS, CURRENT_ASSOCIATION
from hesper_dlms.axdr import Data
from hesper_dlms.classes import registry
from hesper_dlms.client.profiles import (
    PROFILE_GENERIC,
    Profile,
    ProfileColumn,
    ProfileShape,
    read_rows,
    read_shape,
)
from hesper_dlms.errors import DecodeError, LocalError, ServiceError
from hesper_dlms.short_names import OBJECT_LIST
from hesper_dlms.units import ScalerUnit, symbol

from hesper_gateway.desk.association import Desk
from hesper_gateway.desk.objects import SCALED, Reading, name, plain_value, scaled
from hesper_gateway.explain.readable import printable

BUFFER = 2
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
        return registry.by_id(self.class_id, self.version).name

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
    """Rows of a profile, each with its instant."""

    profile: Profile
    columns: tuple[ProfileColumn, ...]

    def to_json(self) -> dict[str, object]:
        """Return the rows in plain JSON: integers, with scaler and unit of each column apart."""
        return {
            "profile": obis.text(self.profile.shape.logical_name),
            "capture_period_s": self.profile.shape.capture_period_s,
            "columns": [name(column.captured.attribute) for column in self.columns],
            "units": [_unit_to_json(column.scaler_unit) for column in self.columns],
            "rows": list(zip(*map(self._cells, self.columns), strict=True)),
            "clock_status": self.profile.clock_status,
            "undated": self.profile.undated,
        }

    def to_text(self) -> list[list[str]]:
        """Return the rows for people, scaled; the units are in the headings."""
        columns = [self._texts(column) for column in self.columns]
        return [list(row) for row in zip(*columns, strict=True)]

    def headings(self) -> list[str]:
        """Return what stands above each column, in three lines: A-B, C.D.E and F, unit."""
        return [_heading(column) for column in self.columns]

    def _texts(self, column: ProfileColumn) -> list[str]:
        if self._is_clock(column):
            return [f"{datetime.fromtimestamp(at, UTC):%F %TZ}" for at in self.profile.captured_at]
        return [_text(cell, column) for cell in self._cells(column)]

    def _cells(self, column: ProfileColumn) -> list[object]:
        if self._is_clock(column):
            return [datetime.fromtimestamp(at, UTC).isoformat() for at in self.profile.captured_at]
        return [plain_value(value) for value in column.values]

    def _is_clock(self, column: ProfileColumn) -> bool:
        shape = self.profile.shape
        return column.captured == shape.capture_objects[shape.clock_column()]


def _heading(column: ProfileColumn) -> str:
    attribute, unit = column.captured.attribute, column.scaler_unit
    a, b, *rest, f = obis.text(attribute.logical_name).split(".")
    quantity = ".".join(rest) + (f"*{f}" if f != "255" else "")
    if attribute.attribute_id != _VALUE:
        quantity += f":{attribute.attribute_id}"
    return f"{a}-{b}:\n{quantity}\n{'' if unit is None else symbol(unit.unit)}"


def _text(cell: object, column: ProfileColumn) -> str:
    if cell is None:
        return "null"
    found = column.scaler_unit
    if found is None or not isinstance(cell, int):
        return printable(str(cell))
    return f"{scaled(cell, found.scaler)}"


def _unit_to_json(found: ScalerUnit | None) -> dict[str, object] | None:
    if found is None:
        return None
    return {"scaler": found.scaler, "unit": int(found.unit), "unit_symbol": symbol(found.unit)}


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
    is_buffer = attribute.class_id == PROFILE_GENERIC and attribute.attribute_id == BUFFER
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
    desk: Desk,
    logical_name: str,
    wanted: Wanted,
    chosen: Sequence[CosemAttribute] = (),
    zone: tzinfo = UTC,
) -> Rows:
    """Read rows of a profile, of the clock and the chosen columns alone when some are given.

    Args:
        desk: The open association.
        logical_name: Of the profile.
        wanted: Which rows.
        chosen: Columns beside the clock.
        zone: The meter's, for clocks that name no deviation.

    Raises:
        LocalError: The profile does not capture a chosen column.
        DecodeError: It captures no clock, or its rows are not what it promises.
    """
    shape = desk.run(read_shape(desk.client, obis.parse(logical_name)))
    captured = _columns(shape, chosen)
    if chosen and isinstance(wanted, RangeSelector):
        wanted = wanted._replace(columns=captured)
    found = desk.run(read_rows(desk.client, shape, zone, wanted))
    return Rows(found, tuple(each for each in found.columns if each.captured in captured))


def _columns(shape: ProfileShape, chosen: Sequence[CosemAttribute]) -> tuple[CaptureObject, ...]:
    columns = [each.attribute for each in shape.capture_objects]
    missing = [each for each in chosen if each not in columns]
    if missing:
        there = ", ".join(map(name, columns))
        raise LocalError(f"{name(missing[0])} is no column of this profile; there are: {there}")
    if not chosen:
        return shape.capture_objects
    kept = {*chosen, columns[shape.clock_column()]}
    return tuple(each for each in shape.capture_objects if each.attribute in kept)


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
