"""What an interface class is: attributes and methods with their numbers, names and kinds.

Short names of attributes and methods are those of `hesper_dlms.method_offsets`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Annotated, Any, NamedTuple, TypeAlias, TypeVar, get_args, get_type_hints

from hesper_dlms import axdr
from hesper_dlms.axdr import Data
from hesper_dlms.classes.kinds import Kind, LogicalName, Nullable, OctetString, Raw
from hesper_dlms.classes.structure import RecordType, kind_of
from hesper_dlms.errors import DecodeError, LocalError
from hesper_dlms.method_offsets import SHORT_NAME_STEP, first_method

T = TypeVar("T")

STATIC, DYNAMIC = "static", "dynamic"
Static: TypeAlias = Annotated[T | None, STATIC]
"""An attribute that the meter itself does not change; None while it was not read."""
Dynamic: TypeAlias = Annotated[T | None, DYNAMIC]
"""An attribute that changes with what is measured; None while it was not read."""


class Attribute(NamedTuple):
    """One attribute of a class."""

    attribute_id: int
    name: str
    kind: Kind
    is_static: bool


class Method(NamedTuple):
    """One method of a class; `parameters` is None where it takes integer(0)."""

    method_id: int
    name: str
    parameters: Kind | None

    def encode(self, value: Any = None) -> Data:
        """Return the method's parameters; integer(0) where it has none."""
        if self.parameters is None:
            if value is not None:
                raise LocalError(f"{self.name} has no parameters")
            return axdr.integer(0)
        return self.parameters.encode(value)


@dataclass(frozen=True)
class InterfaceClass:
    """One version of an interface class.

    Args:
        class_id: As in the standard.
        version: As in the standard.
        name: As in the standard, in lower case with underscores.
        record: NamedTuple of the attributes from number 1 on.
        attribute_count: How many of them this version has.
        method_table: Names of the methods from number 1 on; how their parameters are annotated.
    """

    class_id: int
    version: int
    name: str
    record: RecordType
    attribute_count: int
    method_table: Mapping[str, Any] = field(default_factory=dict, hash=False)

    @property
    def attributes(self) -> tuple[Attribute, ...]:
        """The attributes in order, logical_name first."""
        return _attributes(self.record)[: self.attribute_count]

    @property
    def methods(self) -> tuple[Method, ...]:
        """The methods in order."""
        return tuple(
            Method(number, name, None if hint is None else kind_of(hint))
            for number, (name, hint) in enumerate(self.method_table.items(), 1)
        )

    def attribute(self, named: str | int) -> Attribute:
        """Return the attribute of a name or number; LocalError when there is none."""
        for attribute in self.attributes:
            if named in (attribute.name, attribute.attribute_id):
                return attribute
        raise self._unknown("attribute", named, [each.name for each in self.attributes])

    def method(self, named: str | int) -> Method:
        """Return the method of a name or number; LocalError when there is none."""
        for method in self.methods:
            if named in (method.name, method.method_id):
                return method
        raise self._unknown("method", named, [each.name for each in self.methods])

    def _unknown(self, what: str, named: str | int, there: list[str]) -> LocalError:
        known = f"; there are {', '.join(there)}" if there else ""
        return LocalError(f"{self.name} (version {self.version}) has no {what} {named!r}{known}")

    def decode(self, attribute: str | int, data: Data) -> Any:
        """Return the typed value of an attribute; DecodeError says which one does not fit."""
        described = self.attribute(attribute)
        try:
            return described.kind.decode(data)
        except DecodeError as error:
            raise DecodeError(f"{self.name}.{described.name}: {error}") from None

    def encode(self, attribute: str | int, value: Any) -> Data:
        """Return an attribute's value as it travels; LocalError when it does not fit."""
        return self.attribute(attribute).kind.encode(value)

    def attribute_offset(self, attribute_id: int) -> int:
        """Return the short name of an attribute above the base name."""
        return SHORT_NAME_STEP * (attribute_id - 1)

    def method_offset(self, method_id: int) -> int:
        """Return the short name of a method above the base name; LocalError when unknown."""
        first = first_method(self.class_id, self.version)
        if first is None or not 1 <= method_id <= len(self.method_table):
            raise LocalError(f"{self.name} has no short name of method {method_id}")
        return first + SHORT_NAME_STEP * (method_id - 1)


@cache
def _attributes(record: RecordType) -> tuple[Attribute, ...]:
    hints = get_type_hints(record, include_extras=True)
    described = [Attribute(1, "logical_name", OctetString(6), is_static=True)]
    for number, name in enumerate(record._fields[1:], 2):
        optional, *marks = get_args(hints[name])
        kind = kind_of(optional)
        if kind == Nullable(Raw()):
            kind = Raw()
        described.append(Attribute(number, name, kind, STATIC in marks))
    return tuple(described)


class GenericObject(NamedTuple):
    """An object of a class that is not in the tables: every attribute is what it is."""

    logical_name: LogicalName


_GENERIC_ATTRIBUTES = 127


@dataclass(frozen=True)
class GenericClass(InterfaceClass):
    """A class that is not in the tables: `attribute_2` … `attribute_127`, `method_1` …."""

    @property
    def attributes(self) -> tuple[Attribute, ...]:
        """All attributes that there can be; logical_name is the only one known."""
        return (
            *_attributes(self.record),
            *(
                Attribute(number, f"attribute_{number}", Raw(), is_static=False)
                for number in range(2, _GENERIC_ATTRIBUTES + 1)
            ),
        )

    @property
    def methods(self) -> tuple[Method, ...]:
        """All methods that there can be."""
        return tuple(
            Method(number, f"method_{number}", Raw())
            for number in range(1, _GENERIC_ATTRIBUTES + 1)
        )


def generic(class_id: int, version: int = 0) -> GenericClass:
    """Return the description of a class that is not in the tables."""
    return GenericClass(class_id, version, f"class_{class_id}", GenericObject, _GENERIC_ATTRIBUTES)


def versions(
    class_id: int,
    name: str,
    record: RecordType,
    attribute_counts: Mapping[int, int] | None = None,
    methods: Mapping[str, Any] | None = None,
) -> tuple[InterfaceClass, ...]:
    """Return the versions of a class that share one record.

    Args:
        class_id: As in the standard.
        name: As in the standard.
        record: NamedTuple of the attributes of the newest version.
        attribute_counts: Version → how many attributes it has; by default version 0 with all.
        methods: Names, and the annotation of the parameters or None.
    """
    every = len(record._fields)
    return tuple(
        InterfaceClass(
            class_id,
            version,
            name,
            record,
            count,
            methods or {},
        )
        for version, count in (attribute_counts or {0: every}).items()
    )
