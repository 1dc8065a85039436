"""Interface classes that hold what is measured (Blue Book part 2, clause 4.3)."""

from __future__ import annotations

from enum import IntEnum
from typing import Annotated, NamedTuple

from hesper_dlms.apdu import CaptureObject
from hesper_dlms.axdr import Data, Tag
from hesper_dlms.classes.description import Dynamic, Static, versions
from hesper_dlms.classes.kinds import (
    DoubleLongUnsigned,
    Enum,
    Integer,
    LogicalName,
    LongUnsigned,
    Number,
    Octets,
    Unsigned,
)
from hesper_dlms.cosem_time import CosemDateTime
from hesper_dlms.units import ScalerUnit


class DataObject(NamedTuple):
    """Class 1, data: one value of any type."""

    logical_name: LogicalName
    value: Dynamic[Data] = None


class Register(NamedTuple):
    """Class 3, register."""

    logical_name: LogicalName
    value: Dynamic[Data] = None
    scaler_unit: Static[ScalerUnit] = None


class ExtendedRegister(NamedTuple):
    """Class 4, extended register: a value with a status and when it was captured."""

    logical_name: LogicalName
    value: Dynamic[Data] = None
    scaler_unit: Static[ScalerUnit] = None
    status: Dynamic[Data] = None
    capture_time: Dynamic[CosemDateTime] = None


class DemandRegister(NamedTuple):
    """Class 5, demand register: averages over a sliding or block interval; `period` in seconds."""

    logical_name: LogicalName
    current_average_value: Dynamic[Data] = None
    last_average_value: Dynamic[Data] = None
    scaler_unit: Static[ScalerUnit] = None
    status: Dynamic[Data] = None
    capture_time: Dynamic[CosemDateTime] = None
    start_time_current: Dynamic[CosemDateTime] = None
    period: Static[DoubleLongUnsigned] = None
    number_of_periods: Static[LongUnsigned] = None


class ObjectDefinition(NamedTuple):
    """An object named by class and logical name."""

    class_id: LongUnsigned
    logical_name: LogicalName


class RegisterMask(NamedTuple):
    """register_act_mask: which of the assigned registers count while it is active, from 1."""

    mask_name: Octets
    index_list: tuple[Unsigned, ...]


class RegisterActivation(NamedTuple):
    """Class 6, register activation: tariff registers switched by mask."""

    logical_name: LogicalName
    register_assignment: Static[tuple[ObjectDefinition, ...]] = None
    mask_list: Static[tuple[RegisterMask, ...]] = None
    active_mask: Dynamic[Octets] = None


class SortMethod(IntEnum):
    """How a profile is ordered, and which entry is pushed out when it is full."""

    FIFO = 1
    LIFO = 2
    LARGEST = 3
    SMALLEST = 4
    NEAREST_TO_ZERO = 5
    FARTHEST_FROM_ZERO = 6


class ProfileGeneric(NamedTuple):
    """Class 7, profile generic; `capture_period` in seconds, 0 where captures are not periodic.

    The buffer is read with `hesper_dlms.client.profiles` rather than as a value.
    """

    logical_name: LogicalName
    buffer: Dynamic[Data] = None
    capture_objects: Static[tuple[CaptureObject, ...]] = None
    capture_period: Static[DoubleLongUnsigned] = None
    sort_method: Static[Annotated[int, Number(Tag.ENUM, SortMethod)]] = None
    sort_object: Static[CaptureObject] = None
    entries_in_use: Dynamic[DoubleLongUnsigned] = None
    profile_entries: Static[DoubleLongUnsigned] = None


class TableCells(NamedTuple):
    """table_cell_definition: the objects that differ from `logical_name` in their E alone."""

    class_id: LongUnsigned
    logical_name: LogicalName
    group_e_values: tuple[Unsigned, ...]
    attribute_index: Integer


class RegisterTable(NamedTuple):
    """Class 61, register table: one value per E of a group of objects, with one scaler_unit."""

    logical_name: LogicalName
    table_cell_values: Dynamic[tuple[Data, ...]] = None
    table_cell_definition: Static[TableCells] = None
    scaler_unit: Static[ScalerUnit] = None


class CompactData(NamedTuple):
    """Class 62, compact data: captured values without tags, described by a template.

    template_description is the encoded type of `buffer`, as in a compact-array.
    """

    logical_name: LogicalName
    buffer: Dynamic[Octets] = None
    capture_objects: Static[tuple[CaptureObject, ...]] = None
    template_id: Static[Unsigned] = None
    template_description: Dynamic[Octets] = None
    capture_method: Static[Enum] = None


class StatusTable(NamedTuple):
    """mapping_table: the reference table, and the first entry of it or one per bit."""

    ref_table_id: Unsigned
    ref_table_mapping: Data


class StatusMapping(NamedTuple):
    """Class 63, status mapping: what the bits of a status word refer to."""

    logical_name: LogicalName
    status_word: Dynamic[Data] = None
    mapping_table: Static[StatusTable] = None


class ChangedParameter(NamedTuple):
    """The attribute that was changed last, and its new value."""

    class_id: LongUnsigned
    logical_name: LogicalName
    attribute_index: Integer
    attribute_value: Data


class Parameter(NamedTuple):
    """An attribute whose changes are watched."""

    class_id: LongUnsigned
    logical_name: LogicalName
    attribute_index: Integer


class ParameterMonitor(NamedTuple):
    """Class 65, parameter monitor: what was written last, and when."""

    logical_name: LogicalName
    changed_parameter: Dynamic[ChangedParameter] = None
    capture_time: Dynamic[CosemDateTime] = None
    parameter_list: Static[tuple[Parameter, ...]] = None


class RangeRequest(NamedTuple):
    """range_descriptor: rows whose restricting value lies within the bounds; no column: all."""

    restricting_object: CaptureObject
    from_value: Data
    to_value: Data
    selected_values: tuple[CaptureObject, ...]


class EntryRequest(NamedTuple):
    """entry_descriptor: rows and columns from 1; an upper bound of 0 is the last."""

    from_entry: DoubleLongUnsigned
    to_entry: DoubleLongUnsigned
    from_selected_value: LongUnsigned
    to_selected_value: LongUnsigned


_CAPTURED = {"reset": None, "capture": None}
_PARAMETERS = {"add_parameter": Parameter, "delete_parameter": Parameter}
_ADD_REGISTER = {"add_register": ObjectDefinition, "add_mask": RegisterMask, "delete_mask": Octets}
_PROFILE_METHODS = {
    "reset": None,
    "capture": None,
    "get_buffer_by_range": RangeRequest,
    "get_buffer_by_index": EntryRequest,
}

CLASSES = (
    *versions(1, "data", DataObject),
    *versions(3, "register", Register, methods={"reset": None}),
    *versions(4, "extended_register", ExtendedRegister, methods={"reset": None}),
    *versions(
        5,
        "demand_register",
        DemandRegister,
        methods={"reset": None, "next_period": None},
    ),
    *versions(6, "register_activation", RegisterActivation, methods=_ADD_REGISTER),
    *versions(
        7,
        "profile_generic",
        ProfileGeneric,
        {0: 8, 1: 8},
        methods=_PROFILE_METHODS,
    ),
    *versions(61, "register_table", RegisterTable, methods=_CAPTURED),
    *versions(62, "compact_data", CompactData, methods=_CAPTURED),
    *versions(63, "status_mapping", StatusMapping),
    *versions(65, "parameter_monitor", ParameterMonitor, methods=_PARAMETERS),
)
