"""What services refer to: attributes, methods and selective access (IEC 62056-5-3, clause 8.4)."""

from __future__ import annotations

import struct
from typing import NamedTuple

from hesper_dlms import axdr, obis
from hesper_dlms.apdu.reader import Reader
from hesper_dlms.apdu.writer import u8
from hesper_dlms.axdr import Data
from hesper_dlms.cosem_time import CosemDateTime
from hesper_dlms.errors import DecodeError, LocalError

_DESCRIPTOR = struct.Struct(">H6sb")

RANGE = 1
ENTRY = 2


def _descriptor(class_id: int, logical_name: bytes, index: int) -> bytes:
    if len(logical_name) != 6:
        raise LocalError(f"a logical name has 6 octets, not {len(logical_name)}")
    try:
        return _DESCRIPTOR.pack(class_id, logical_name, index)
    except struct.error as error:
        raise LocalError(f"class {class_id} or index {index} is out of range: {error}") from None


class CosemAttribute(NamedTuple):
    """cosem-attribute-descriptor: class, logical name (6 octets) and attribute."""

    class_id: int
    logical_name: bytes
    attribute_id: int

    def to_octets(self) -> bytes:
        """Return the 9 octets of the descriptor."""
        return _descriptor(self.class_id, self.logical_name, self.attribute_id)

    @classmethod
    def read(cls, reader: Reader) -> CosemAttribute:
        """Read the 9 octets of the descriptor."""
        return cls(*_DESCRIPTOR.unpack(reader.take(_DESCRIPTOR.size)))

    def __str__(self) -> str:
        return f"{self.class_id}/{obis.text(self.logical_name)}/{self.attribute_id}"


class CosemMethod(NamedTuple):
    """cosem-method-descriptor: class, logical name (6 octets) and method."""

    class_id: int
    logical_name: bytes
    method_id: int

    def to_octets(self) -> bytes:
        """Return the 9 octets of the descriptor."""
        return _descriptor(self.class_id, self.logical_name, self.method_id)

    @classmethod
    def read(cls, reader: Reader) -> CosemMethod:
        """Read the 9 octets of the descriptor."""
        return cls(*_DESCRIPTOR.unpack(reader.take(_DESCRIPTOR.size)))

    def __str__(self) -> str:
        return f"{self.class_id}/{obis.text(self.logical_name)}/method {self.method_id}"


class AccessSelection(NamedTuple):
    """Selective access as it travels: the selector's number and its parameters."""

    selector: int
    parameters: Data


def write_selection(selection: AccessSelection | None) -> bytes:
    """Return the optional access-selection of a request."""
    if selection is None:
        return b"\x00"
    return u8(1, selection.selector) + axdr.encode(selection.parameters)


def read_selection(reader: Reader) -> AccessSelection | None:
    """Read the optional access-selection of a request."""
    if not reader.flag():
        return None
    return AccessSelection(reader.u8(), reader.data())


class CaptureObject(NamedTuple):
    """capture_object_definition (Blue Book, profile generic): an attribute, or a part of one.

    `attribute_id` 0 captures all attributes in order. `data_index` 0 is the whole attribute, n the
    nth element of a structure or array.
    """

    class_id: int
    logical_name: bytes
    attribute_id: int
    data_index: int = 0

    @property
    def attribute(self) -> CosemAttribute:
        """The attribute without its index."""
        return CosemAttribute(self.class_id, self.logical_name, self.attribute_id)

    @classmethod
    def of(cls, attribute: CosemAttribute, data_index: int = 0) -> CaptureObject:
        """Return the definition of an attribute."""
        return cls(attribute.class_id, attribute.logical_name, attribute.attribute_id, data_index)

    @classmethod
    def from_data(cls, data: Data) -> CaptureObject:
        """Read the structure of 4; DecodeError for another shape."""
        items = data.as_items()
        if len(items) < 4 or len(items[1].as_octets()) != 6:
            raise DecodeError("a capture object is {class, logical name, attribute, data index}")
        return cls(items[0].as_int(), items[1].as_octets(), items[2].as_int(), items[3].as_int())

    def to_data(self) -> Data:
        """Return the structure of 4."""
        return axdr.structure(
            axdr.long_unsigned(self.class_id),
            axdr.octet_string(self.logical_name),
            axdr.integer(self.attribute_id),
            axdr.long_unsigned(self.data_index),
        )


SelectedAttribute = tuple[CosemAttribute, AccessSelection | None]
"""cosem-attribute-descriptor-with-selection: what lists of attributes are made of."""


def write_attributes(attributes: tuple[SelectedAttribute, ...]) -> bytes:
    """Return a list of attributes, each with its selection or none."""
    parts = [axdr.write_length(len(attributes))]
    for attribute, selection in attributes:
        parts += attribute.to_octets(), write_selection(selection)
    return b"".join(parts)


def read_attributes(reader: Reader) -> tuple[SelectedAttribute, ...]:
    """Read a list of attributes, each with its selection or none."""
    return tuple(
        (CosemAttribute.read(reader), read_selection(reader)) for _ in range(reader.count())
    )


def write_methods(methods: tuple[CosemMethod, ...]) -> bytes:
    """Return a list of methods."""
    return axdr.write_length(len(methods)) + b"".join(method.to_octets() for method in methods)


def read_methods(reader: Reader) -> tuple[CosemMethod, ...]:
    """Read a list of methods."""
    return tuple(CosemMethod.read(reader) for _ in range(reader.count()))


def capture_object(attribute: CosemAttribute, data_index: int = 0) -> Data:
    """Return the capture_object_definition of an attribute."""
    return CaptureObject.of(attribute, data_index).to_data()


def read_capture_object(data: Data) -> tuple[CosemAttribute, int]:
    """Return the attribute and data index of a capture_object_definition; DecodeError if none."""
    captured = CaptureObject.from_data(data)
    return captured.attribute, captured.data_index


CLOCK_TIME = CosemAttribute(8, obis.CLOCK, 2)
"""Class clock, attribute time: what most profiles are ordered by."""


class RangeSelector(NamedTuple):
    """range_descriptor of a profile: the rows whose clock lies within [from_, to].

    `columns` are those wanted, in the meter's order of capture; none means all.
    """

    from_: CosemDateTime
    to: CosemDateTime
    clock: CosemAttribute = CLOCK_TIME
    columns: tuple[CaptureObject, ...] = ()

    def to_selection(self) -> AccessSelection:
        """Return the selection as it travels (selector 1)."""
        return AccessSelection(
            RANGE,
            axdr.structure(
                capture_object(self.clock),
                axdr.octet_string(self.from_.to_octets()),
                axdr.octet_string(self.to.to_octets()),
                axdr.array(*(column.to_data() for column in self.columns)),
            ),
        )

    @classmethod
    def from_selection(cls, selection: AccessSelection) -> RangeSelector:
        """Read selector 1; DecodeError for another one, or bounds that are no date-times."""
        if selection.selector != RANGE:
            raise DecodeError(f"selector {selection.selector} is no range")
        items = selection.parameters.as_items()
        if len(items) < 3:
            raise DecodeError(f"a range has 4 items, not {len(items)}")
        clock, _ = read_capture_object(items[0])
        from_, to = (CosemDateTime.from_octets(item.as_octets()) for item in items[1:3])
        wanted = items[3].as_items() if len(items) > 3 and items[3].value is not None else ()
        return cls(from_, to, clock, tuple(map(CaptureObject.from_data, wanted)))


class EntrySelector(NamedTuple):
    """entry_descriptor of a profile: rows and columns from 1; an upper bound of 0 is the last."""

    from_entry: int
    to_entry: int = 0
    from_column: int = 1
    to_column: int = 0

    def to_selection(self) -> AccessSelection:
        """Return the selection as it travels (selector 2)."""
        return AccessSelection(
            ENTRY,
            axdr.structure(
                axdr.double_long_unsigned(self.from_entry),
                axdr.double_long_unsigned(self.to_entry),
                axdr.long_unsigned(self.from_column),
                axdr.long_unsigned(self.to_column),
            ),
        )

    @classmethod
    def from_selection(cls, selection: AccessSelection) -> EntrySelector:
        """Read selector 2; DecodeError for another one."""
        items = selection.parameters.as_items()
        if selection.selector != ENTRY or len(items) != 4:
            raise DecodeError(f"selector {selection.selector} is no entry range")
        return cls(*(item.as_int() for item in items))


Selector = RangeSelector | EntrySelector


def selector_of(selection: AccessSelection) -> Selector:
    """Return the range or entry selector that a request carries; DecodeError for any other."""
    if selection.selector == ENTRY:
        return EntrySelector.from_selection(selection)
    return RangeSelector.from_selection(selection)
