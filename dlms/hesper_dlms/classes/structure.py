"""Structures of the Blue Book as named tuples whose annotations tell how each field travels."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from types import NoneType, UnionType
from typing import (
    Annotated,
    Any,
    NamedTuple,
    TypeAlias,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

from hesper_dlms import axdr
from hesper_dlms.axdr import Data, Tag
from hesper_dlms.classes.kinds import ArrayOf, Kind, Moment, Nullable, Raw
from hesper_dlms.cosem_time import CosemDate, CosemDateTime, CosemTime
from hesper_dlms.errors import DecodeError, LocalError

RecordType: TypeAlias = Any
"""A NamedTuple class (there is no type that says so)."""


class Field(NamedTuple):
    """One field of a record."""

    name: str
    kind: Kind
    has_default: bool


@dataclass(frozen=True, slots=True)
class StructureOf:
    """A structure as a record: a NamedTuple class whose fields are annotated with kinds.

    Fields at the end that have a default may be absent: later versions of a class added them.
    """

    record: RecordType

    @property
    def name(self) -> str:
        """How the standard spells the type."""
        return f"structure {self.record.__name__}"

    def decode(self, data: Data) -> Any:
        """Return the record."""
        fields = fields_of(self.record)
        if data.tag is not Tag.STRUCTURE:
            raise DecodeError(f"a structure was expected, not {data.tag.name.lower()}")
        items = data.as_items()
        required = sum(not field.has_default for field in fields)
        if not required <= len(items) <= len(fields):
            raise DecodeError(f"{self.record.__name__} has {len(fields)} items, not {len(items)}")
        pairs = zip(fields, items, strict=False)
        return self.record(*(field.kind.decode(item) for field, item in pairs))

    def encode(self, value: Any) -> Data:
        """Return the structure, without the optional fields at its end that are None."""
        if not isinstance(value, self.record):
            raise LocalError(f"{value!r} is no {self.record.__name__}")
        pairs = list(zip(fields_of(self.record), tuple(value), strict=True))
        while pairs and pairs[-1][0].has_default and pairs[-1][1] is None:
            pairs.pop()
        return axdr.structure(*(field.kind.encode(item) for field, item in pairs))


@dataclass(frozen=True, slots=True)
class Converted:
    """A class that knows its own data: it has `from_data` and `to_data`."""

    type_: type[Any]

    @property
    def name(self) -> str:
        """How the standard spells the type."""
        return f"structure {self.type_.__name__}"

    def decode(self, data: Data) -> Any:
        """Return the value."""
        return self.type_.from_data(data)

    def encode(self, value: Any) -> Data:
        """Return the data."""
        if not isinstance(value, self.type_):
            raise LocalError(f"{value!r} is no {self.type_.__name__}")
        data: Data = value.to_data()
        return data


@dataclass(frozen=True, slots=True)
class Either:
    """A structure or something simpler, as one version or another of a class has it."""

    structure: StructureOf
    simple: Kind

    @property
    def name(self) -> str:
        """How the standard spells the types."""
        return f"{self.simple.name} or {self.structure.name}"

    def decode(self, data: Data) -> Any:
        """Return a record or the simple value."""
        return (self.structure if data.tag is Tag.STRUCTURE else self.simple).decode(data)

    def encode(self, value: Any) -> Data:
        """Return the data of whichever it is."""
        is_record = isinstance(value, self.structure.record)
        return (self.structure if is_record else self.simple).encode(value)


@cache
def fields_of(record: RecordType) -> tuple[Field, ...]:
    """Return the fields of a record in their order on the wire."""
    hints = get_type_hints(record, include_extras=True)
    defaults = record._field_defaults
    return tuple(Field(name, kind_of(hints[name]), name in defaults) for name in record._fields)


_SIMPLE: dict[Any, Callable[[], Kind]] = {
    Data: Raw,
    CosemDateTime: lambda: Moment(CosemDateTime),
    CosemDate: lambda: Moment(CosemDate),
    CosemTime: lambda: Moment(CosemTime),
}


def kind_of(annotation: Any) -> Kind:
    """Return the kind that an annotation stands for.

    `Annotated[…, kind]` is that kind, `X | None` may be null-data, `tuple[X, ...]` is an array, a
    NamedTuple a structure, `Data` anything.
    """
    origin = get_origin(annotation)
    if origin is Annotated:
        inner, *extras = get_args(annotation)
        return next((each for each in extras if hasattr(each, "decode")), None) or kind_of(inner)
    if origin in (Union, UnionType):
        return _union(get_args(annotation))
    if origin is tuple:
        return ArrayOf(kind_of(get_args(annotation)[0]))
    if annotation in _SIMPLE:
        return _SIMPLE[annotation]()
    if hasattr(annotation, "from_data"):
        return Converted(annotation)
    if hasattr(annotation, "_fields"):
        return StructureOf(annotation)
    raise LocalError(f"{annotation!r} does not say how it travels")


def _union(choices: tuple[Any, ...]) -> Kind:
    kinds = [kind_of(choice) for choice in choices if choice is not NoneType]
    structures = [kind for kind in kinds if isinstance(kind, StructureOf)]
    if len(kinds) == 2 and len(structures) == 1:
        simple = next(kind for kind in kinds if kind is not structures[0])
        kinds = [Either(structures[0], simple)]
    if len(kinds) != 1:
        raise LocalError("a field is one type, or a structure or one other type")
    return Nullable(kinds[0]) if NoneType in choices else kinds[0]
