"""How values and their names are found in the items of a push."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from hesper_dlms import axdr
from hesper_dlms.axdr import Data, Tag
from hesper_dlms.errors import DecodeError
from hesper_dlms.units import ScalerUnit

Objects = Mapping[int, Sequence[bytes]]
"""Count of values → their logical names in order, for pushes that carry none."""

_VALUE = 2


class PushedValue(NamedTuple):
    """One value of a push.

    logical_name: six octets, None where the push does not say and no list is known.
    value: int, bool, float, str, bytes or None; nested values in plain JSON form.
    scaler_unit: None where the push carries none.
    """

    logical_name: bytes | None
    attribute_id: int
    value: object
    scaler_unit: ScalerUnit | None = None


def is_name(data: Data) -> bool:
    """Whether an item looks like a logical name: six octets, the first a medium (0 to 15)."""
    value = data.value
    if data.tag is not Tag.OCTET_STRING or not isinstance(value, bytes):
        return False
    return len(value) == 6 and value[0] < 16


def _is_scaler_unit(data: Data) -> bool:
    items = data.value
    if not isinstance(items, tuple) or data.tag is not Tag.STRUCTURE or len(items) != 2:
        return False
    return items[0].tag is Tag.INTEGER and items[1].tag is Tag.ENUM


def _is_object(data: Data) -> bool:
    """Whether an item is a push object definition: class, logical name, attribute, index, …"""
    items = data.value
    if not isinstance(items, tuple) or len(items) < 4:
        return False
    return (
        items[0].tag is Tag.LONG_UNSIGNED
        and is_name(items[1])
        and items[2].tag is Tag.INTEGER
        and items[3].tag is Tag.LONG_UNSIGNED
    )


def _is_descriptor_row(items: tuple[Data, ...]) -> bool:
    """Whether a row is class, logical name, attribute and value."""
    return (
        len(items) == 4
        and items[0].tag is Tag.LONG_UNSIGNED
        and is_name(items[1])
        and items[2].tag is Tag.INTEGER
    )


def _value(data: Data) -> object:
    return axdr.plain(data) if isinstance(data.value, tuple) else data.value


def named(items: Sequence[Data], objects: Objects) -> list[PushedValue]:
    """Read names beside values: flat, in rows (nested ones too), or both mixed.

    A scaler_unit belongs to the value before it.
    """
    values: list[PushedValue] = []
    name: bytes | None = None
    for item in items:
        nested = item.value if isinstance(item.value, tuple) else None
        if name is not None:
            values.append(PushedValue(name, _VALUE, _value(item)))
            name = None
        elif is_name(item):
            name = item.as_octets()
        elif values and _is_scaler_unit(item):
            values[-1] = values[-1]._replace(scaler_unit=ScalerUnit.from_data(item))
        elif nested is not None and _is_descriptor_row(nested):
            row = nested[1].as_octets(), nested[2].as_int(), _value(nested[3])
            values.append(PushedValue(*row))
        elif nested is not None:
            values += named(nested, objects)
        else:
            values.append(PushedValue(None, _VALUE, _value(item)))
    if name is not None:
        values.append(PushedValue(None, _VALUE, name))
    return values


def object_list(items: Sequence[Data], _objects: Objects) -> list[PushedValue]:
    """Read a first item that lists the objects, and their values behind it.

    The list often begins with itself (push setup, attribute 2); then it is its own value.
    """
    definitions = items[0].value if items else None
    if (
        not isinstance(definitions, tuple)
        or not definitions
        or not all(_is_object(item) for item in definitions)
    ):
        raise DecodeError("the first item is no list of objects")
    values = items if len(definitions) == len(items) else items[1:]
    if len(definitions) != len(values):
        raise DecodeError(f"{len(definitions)} objects are listed, {len(values)} values follow")
    found = []
    for definition, value in zip(definitions, values, strict=True):
        fields = definition.as_items()
        if value is not items[0]:
            found.append(PushedValue(fields[1].as_octets(), fields[2].as_int(), _value(value)))
    return found


def positional(items: Sequence[Data], objects: Objects) -> list[PushedValue]:
    """Read values alone, named by the list for this many.

    Where there is none for this many, whatever names stand beside the values count: the same kind
    of meter pushes either in another country.
    """
    names = objects.get(len(items))
    if names is None or len(names) != len(items):
        return named(items, objects)
    return [
        PushedValue(bytes(name), _VALUE, _value(item))
        for name, item in zip(names, items, strict=True)
    ]


def auto(items: Sequence[Data], objects: Objects) -> list[PushedValue]:
    """Read by whichever layout fits the shape."""
    first = items[0].value if items else None
    if isinstance(first, tuple) and first and all(_is_object(item) for item in first):
        return object_list(items, objects)
    if len(items) in objects and not any(isinstance(item.value, tuple) for item in items):
        return positional(items, objects)
    return named(items, objects)


LAYOUTS: Mapping[str, Callable[[Sequence[Data], Objects], list[PushedValue]]] = {
    "auto": auto,
    "named": named,
    "object-list": object_list,
    "positional": positional,
}
"""Layout name → how to read the items of a body."""
