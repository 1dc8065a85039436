"""What the commands of `hesper-dlms` do with an open association."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from hesper_dlms import axdr, obis
from hesper_dlms.apdu import CosemAttribute, RangeSelector, read_capture_object
from hesper_dlms.association import ASSOCIATION_CLASS, CURRENT_ASSOCIATION
from hesper_dlms.axdr import Data
from hesper_dlms.cosem_time import CosemDateTime
from hesper_dlms.errors import DecodeError, ServiceError
from hesper_dlms.units import ScalerUnit

from hesper_gateway.dlms_desk import Desk
from hesper_gateway.dlms_objects import SCALED, Reading, name, readable
from hesper_gateway.dlms_ports import Trace

_PROFILE_CLASS = 7
_BUFFER, _CAPTURE_OBJECTS, _CAPTURE_PERIOD = 2, 3, 4
_OBJECT_LIST = CosemAttribute(ASSOCIATION_CLASS, CURRENT_ASSOCIATION, 2)
_VALUE = 2

__all__ = ["Listed", "Rows", "Trace", "name", "read", "read_objects", "read_profile"]


class Listed(NamedTuple):
    """One object of the association view."""

    class_id: int
    version: int
    logical_name: str


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


def read(desk: Desk, attributes: Sequence[CosemAttribute]) -> list[Reading]:
    """Read attributes, and scaler and unit of those that are values of registers."""
    values = desk.run(desk.client.get_many(attributes))
    return [
        Reading(
            attribute, value, None if isinstance(value, ServiceError) else _unit(desk, attribute)
        )
        for attribute, value in zip(attributes, values, strict=True)
    ]


def _unit(desk: Desk, attribute: CosemAttribute) -> ScalerUnit | None:
    scaler = SCALED.get(attribute.class_id)
    if scaler is None or attribute.attribute_id != _VALUE:
        return None
    where = CosemAttribute(attribute.class_id, attribute.logical_name, scaler)
    try:
        return ScalerUnit.from_data(desk.run(desk.client.get(where)))
    except (ServiceError, DecodeError):
        return None


def read_profile(desk: Desk, logical_name: str, start: datetime, end: datetime) -> Rows:
    """Read the rows of a profile between two aware times, both included."""
    profile = obis.parse(logical_name)

    def attribute(number: int) -> CosemAttribute:
        return CosemAttribute(_PROFILE_CLASS, profile, number)

    captured = desk.run(desk.client.get(attribute(_CAPTURE_OBJECTS))).as_items()
    columns = [name(read_capture_object(each)[0]) for each in captured]
    period = desk.run(desk.client.get(attribute(_CAPTURE_PERIOD))).as_int()
    between = RangeSelector(CosemDateTime.from_datetime(start), CosemDateTime.from_datetime(end))
    buffer = desk.run(desk.client.get(attribute(_BUFFER), between))
    return Rows(columns, period, [row.as_items() for row in buffer.as_items()])


def read_objects(desk: Desk) -> list[Listed]:
    """Read the association view."""
    listed = []
    for each in desk.run(desk.client.get(_OBJECT_LIST)).as_items():
        items = each.as_items()
        if len(items) < 3:
            raise DecodeError("an object of the association view has class, version and name")
        logical_name = obis.text(items[2].as_octets())
        listed.append(Listed(items[0].as_int(), items[1].as_int(), logical_name))
    return listed
