"""All interface classes by number and by name."""

from __future__ import annotations

from typing import Final

from hesper_dlms import obis
from hesper_dlms.apdu import CosemAttribute, CosemMethod
from hesper_dlms.classes import (
    access,
    control,
    keys_and_images,
    metering,
    networks,
    ports,
    scheduling,
)
from hesper_dlms.classes.description import InterfaceClass, generic
from hesper_dlms.classes.structure import RecordType
from hesper_dlms.errors import LocalError

_ALL: Final = (
    *metering.CLASSES,
    *scheduling.CLASSES,
    *access.CLASSES,
    *keys_and_images.CLASSES,
    *control.CLASSES,
    *ports.CLASSES,
    *networks.CLASSES,
)

REGISTRY: Final[dict[tuple[int, int], InterfaceClass]] = {
    (each.class_id, each.version): each for each in _ALL
}
"""(class_id, version) → its description."""

_NEWEST: Final[dict[int, InterfaceClass]] = {each.class_id: each for each in _ALL}
_NAMED: Final[dict[str, InterfaceClass]] = {each.name: each for each in _ALL}


def by_id(class_id: int, version: int | None = None) -> InterfaceClass:
    """Return a class; without a version, or for one that is not known, the newest of ours.

    A class that is not in the tables gives a generic description.
    """
    if version is not None and (class_id, version) in REGISTRY:
        return REGISTRY[class_id, version]
    return _NEWEST.get(class_id) or generic(class_id, version or 0)


def by_name(name: str, version: int | None = None) -> InterfaceClass:
    """Return the class of a name such as `register`, or of its number as text.

    Raises:
        LocalError: There is no such name.
    """
    if name.isdecimal() and len(name) < 6:
        return by_id(int(name), version)
    found = _NAMED.get(name.strip().lower().replace("-", "_").replace(" ", "_"))
    if found is None:
        raise LocalError(f"{name!r} is no interface class; there are {', '.join(_NAMED)}")
    return by_id(found.class_id, version)


def of_record(record: RecordType, version: int | None = None) -> InterfaceClass:
    """Return the class whose attributes a record holds, the newest version by default.

    Raises:
        LocalError: It is no record of a class, or there is no such version of it.
    """
    described = [each for each in _ALL if each.record is record]
    chosen = [each for each in described if version in (None, each.version)]
    if not chosen:
        raise LocalError(f"{record!r} is no interface class, or none of version {version}")
    return chosen[-1]


def attribute_name(class_id: int, attribute_id: int, version: int | None = None) -> str:
    """Return the name of an attribute, `attribute_9` where the tables have none."""
    for attribute in by_id(class_id, version).attributes:
        if attribute.attribute_id == attribute_id:
            return attribute.name
    return f"attribute_{attribute_id}"


def method_name(class_id: int, method_id: int, version: int | None = None) -> str:
    """Return the name of a method, `method_9` where the tables have none."""
    for method in by_id(class_id, version).methods:
        if method.method_id == method_id:
            return method.name
    return f"method_{method_id}"


def method_offset(class_id: int, method_id: int, version: int | None = None) -> int:
    """Return the short name of a method above its object's base name; LocalError if unknown."""
    return by_id(class_id, version).method_offset(method_id)


def parse_attribute(text: str) -> CosemAttribute:
    """Return the attribute of `CLASS:OBIS:ATTRIBUTE`, each by name or by number.

    `register:1.0.1.8.0.255:value` and `3:1-0:1.8.0*255:2` are the same.

    Raises:
        LocalError: No such class, code or attribute.
    """
    described, logical_name, named = _split(text, "value")
    number = _number(named)
    if number is None:
        number = described.attribute(named).attribute_id
    return CosemAttribute(described.class_id, logical_name, number)


def parse_method(text: str) -> CosemMethod:
    """Return the method of `CLASS:OBIS:METHOD`, each by name or by number; see the attribute."""
    described, logical_name, named = _split(text, "reset")
    number = _number(named)
    if number is None:
        number = described.method(named).method_id
    return CosemMethod(described.class_id, logical_name, number)


def _split(text: str, example: str) -> tuple[InterfaceClass, bytes, str]:
    class_name, _, rest = text.partition(":")
    code, _, named = rest.rpartition(":")
    if not class_name or not code or not named:
        raise LocalError(f"{text!r} is not like register:1.0.1.8.0.255:{example}")
    named = named.strip()
    if _number(named) is None:
        named = named.lower().replace("-", "_").replace(" ", "_")
    return by_name(class_name), obis.parse(code), named


def _number(text: str) -> int | None:
    digits = text.removeprefix("-")
    return int(text) if digits.isascii() and digits.isdecimal() and len(digits) < 4 else None
