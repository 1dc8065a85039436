"""Short names: how older meters number attributes and methods (Green Book, 9.1.4.3; Blue Book, 4).

Every object has a base name of 16 bits. Its attribute n is base + 8·(n−1); its methods follow at an
offset of its class (`hesper_dlms.method_offsets`), 8 apart as well. The association object of class
12 is always at 0xFA00, and its attribute object_list holds everybody's base name: the association
view that a client reads when it has no table of its own. Four base names are reserved:

    FA00  association SN (current)      FC00  SAP assignment
    FB00  script table (broadcast)      FD00  logical device name
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

from hesper_dlms import axdr
from hesper_dlms.apdu import (
    AccessSelection,
    CosemAttribute,
    CosemMethod,
    DataAccessResult,
    access_error,
)
from hesper_dlms.axdr import Data
from hesper_dlms.errors import DecodeError
from hesper_dlms.method_offsets import SHORT_NAME_STEP, first_method

BaseNames = Mapping[tuple[int, bytes], int]
"""(class_id, logical name) → base name."""

ASSOCIATION_SN: Final = 12
ASSOCIATION_SN_NAME: Final = bytes((0, 0, 40, 0, 0, 255))
CURRENT_ASSOCIATION_BASE: Final = 0xFA00
OBJECT_LIST: Final = CosemAttribute(ASSOCIATION_SN, ASSOCIATION_SN_NAME, 2)
SHORT_NAME_REPLY_TO_HLS: Final = CosemMethod(ASSOCIATION_SN, ASSOCIATION_SN_NAME, 8)

_BY_CLASS, _BY_NAME = 1, 2
_LAST_NAME = 0xFFFF
_LAST_NUMBER = 0x7F
_BASE_NAMES_SIGNED = 1 << 16

_FIRST_ASSOCIATION_METHOD = 3

METHODS_WITH_RESULT: Final = frozenset(
    {(7, 3), (7, 4), (12, 3), (12, 8), (42, 3), (64, 3), (64, 5), (64, 7)}
)
"""(class_id, method) that return something: they are invoked by a read, the others by a write."""


class NamedObject(NamedTuple):
    """One element of the association view."""

    base_name: int
    class_id: int
    version: int
    logical_name: bytes

    def to_data(self) -> Data:
        """Return the objectlist_element; the standard made the base name a signed long."""
        signed = self.base_name - (_BASE_NAMES_SIGNED if self.base_name & 0x8000 else 0)
        return axdr.structure(
            axdr.long_(signed),
            axdr.long_unsigned(self.class_id),
            axdr.unsigned(self.version),
            axdr.octet_string(self.logical_name),
        )

    @classmethod
    def from_data(cls, data: Data) -> NamedObject:
        """Read an objectlist_element; DecodeError for anything else."""
        items = data.as_items()
        if len(items) < 4 or len(items[3].as_octets()) != 6:
            raise DecodeError("an object is {base name, class, version, logical name}")
        base, class_id, version = (item.as_int() for item in items[:3])
        return cls(base & _LAST_NAME, class_id, version, items[3].as_octets())


_OURSELVES = NamedObject(CURRENT_ASSOCIATION_BASE, ASSOCIATION_SN, 2, ASSOCIATION_SN_NAME)


class ShortNames:
    """The base names of one meter's objects, looked up in both directions.

    A whole fleet of one model shares one instance. The current association is always in it.
    """

    __slots__ = ("_bases", "_by_name", "_objects")

    def __init__(self, objects: Iterable[NamedObject]) -> None:
        by_base = {_OURSELVES.base_name: _OURSELVES}
        by_base.update((each.base_name, each) for each in objects)
        self._bases = sorted(by_base)
        self._objects = [by_base[base] for base in self._bases]
        self._by_name = {(each.class_id, each.logical_name): each for each in self._objects}

    @classmethod
    def from_base_names(cls, base_names: BaseNames, version: int = 1) -> ShortNames:
        """Return the names of a plain table, where class versions are not known."""
        return cls(
            NamedObject(base, class_id, version, logical_name)
            for (class_id, logical_name), base in base_names.items()
        )

    @classmethod
    def from_object_list(cls, object_list: Data) -> ShortNames:
        """Return the names of an association view; DecodeError when it is none."""
        return cls(NamedObject.from_data(each) for each in object_list.as_items())

    def object_list(self) -> Data:
        """Return the association view: attribute object_list of class 12."""
        return axdr.array(*(each.to_data() for each in self._objects))

    def select(self, selection: AccessSelection) -> Data:
        """Return a part of the association view.

        Selector 1 names a class and gives an array of its objects; selector 2 is {class, logical
        name} and gives one element (jDLMS asks so for every object).

        Raises:
            ServiceError: There is no such object.
            DecodeError: It is another selector.
        """
        parameters = selection.parameters
        if selection.selector == _BY_CLASS:
            class_id = parameters.as_int()
            return axdr.array(
                *(each.to_data() for each in self._objects if each.class_id == class_id)
            )
        items = parameters.as_items() if selection.selector == _BY_NAME else ()
        if len(items) != 2:
            raise DecodeError(f"selector {selection.selector} is none of the association view's")
        return self._object(items[0].as_int(), items[1].as_octets()).to_data()

    @property
    def objects(self) -> tuple[NamedObject, ...]:
        """All objects, by base name."""
        return tuple(self._objects)

    def of_attribute(self, attribute: CosemAttribute) -> int:
        """Return an attribute's short name; ServiceError where the meter has no such object."""
        base = self._object(attribute.class_id, attribute.logical_name).base_name
        return _checked(
            base + SHORT_NAME_STEP * (attribute.attribute_id - 1), attribute.attribute_id
        )

    def of_method(self, method: CosemMethod) -> int:
        """Return a method's short name; ServiceError where object or class has none."""
        named = self._object(method.class_id, method.logical_name)
        first = first_method(named.class_id, named.version)
        if first is None:
            raise access_error(DataAccessResult.OBJECT_UNAVAILABLE)
        return _checked(
            named.base_name + first + SHORT_NAME_STEP * (method.method_id - 1), method.method_id
        )

    def resolve(self, name: int) -> CosemAttribute | CosemMethod | None:
        """Return what a short name stands for; None for one between or outside the objects."""
        at = bisect_right(self._bases, name) - 1
        if at < 0 or (name - self._bases[at]) % SHORT_NAME_STEP:
            return None
        named, offset = self._objects[at], name - self._bases[at]
        first = begins = first_method(named.class_id, named.version)
        if begins is not None and named.class_id == ASSOCIATION_SN:
            begins += SHORT_NAME_STEP * (_FIRST_ASSOCIATION_METHOD - 1)
        if first is None or begins is None or offset < begins:
            number = offset // SHORT_NAME_STEP + 1
            if number > _LAST_NUMBER:
                return None
            return CosemAttribute(named.class_id, named.logical_name, number)
        number = (offset - first) // SHORT_NAME_STEP + 1
        if number > _LAST_NUMBER:
            return None
        return CosemMethod(named.class_id, named.logical_name, number)

    def _object(self, class_id: int, logical_name: bytes) -> NamedObject:
        named = self._by_name.get((class_id, logical_name))
        if named is None:
            raise access_error(DataAccessResult.OBJECT_UNDEFINED)
        return named


def _checked(name: int, number: int) -> int:
    if number < 1 or name > _LAST_NAME:
        raise access_error(DataAccessResult.OBJECT_UNAVAILABLE)
    return name
