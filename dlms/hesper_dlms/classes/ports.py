"""Interface classes of local ports, HDLC and M-Bus (Blue Book part 2, clauses 4.7 and 4.8)."""

from __future__ import annotations

from enum import IntEnum
from typing import Annotated, NamedTuple

from hesper_dlms.axdr import Data, Tag
from hesper_dlms.classes.description import Dynamic, Static, versions
from hesper_dlms.classes.kinds import (
    DoubleLongUnsigned,
    Enum,
    LogicalName,
    LongUnsigned,
    Number,
    Octets,
    Unsigned,
)


class BaudRate(IntEnum):
    """Speeds of ports, in bit/s."""

    BAUD_300 = 0
    BAUD_600 = 1
    BAUD_1200 = 2
    BAUD_2400 = 3
    BAUD_4800 = 4
    BAUD_9600 = 5
    BAUD_19200 = 6
    BAUD_38400 = 7
    BAUD_57600 = 8
    BAUD_115200 = 9


Speed = Annotated[int, Number(Tag.ENUM, BaudRate)]


class IecLocalPortSetup(NamedTuple):
    """Class 19, IEC local port setup: default_mode 0 mode E with sign-on, 1 HDLC, 2 other."""

    logical_name: LogicalName
    default_mode: Static[Enum] = None
    default_baud: Static[Speed] = None
    prop_baud: Static[Speed] = None
    response_time: Static[Enum] = None
    device_addr: Static[Octets] = None
    pass_p1: Static[Octets] = None
    pass_p2: Static[Octets] = None
    pass_w5: Static[Octets] = None


class IecHdlcSetup(NamedTuple):
    """Class 23, IEC HDLC setup: inter_octet_time_out in ms, inactivity_time_out in s."""

    logical_name: LogicalName
    comm_speed: Static[Speed] = None
    window_size_transmit: Static[Unsigned] = None
    window_size_receive: Static[Unsigned] = None
    max_info_field_length_transmit: Static[LongUnsigned] = None
    max_info_field_length_receive: Static[LongUnsigned] = None
    inter_octet_time_out: Static[LongUnsigned] = None
    inactivity_time_out: Static[LongUnsigned] = None
    device_address: Static[LongUnsigned] = None


class MbusSlavePortSetup(NamedTuple):
    """Class 25, M-Bus slave port setup."""

    logical_name: LogicalName
    default_baud: Static[Speed] = None
    avail_baud: Static[Speed] = None
    addr_state: Static[Enum] = None
    bus_address: Static[Unsigned] = None


class MbusCapture(NamedTuple):
    """capture_definition_element: which data record is taken."""

    data_information_block: Octets
    value_information_block: Octets


class MbusClient(NamedTuple):
    """Class 72, M-Bus client; `capture_period` in seconds."""

    logical_name: LogicalName
    mbus_port_reference: Static[Octets] = None
    capture_definition: Static[tuple[MbusCapture, ...]] = None
    capture_period: Static[DoubleLongUnsigned] = None
    primary_address: Dynamic[Unsigned] = None
    identification_number: Dynamic[DoubleLongUnsigned] = None
    manufacturer_id: Dynamic[LongUnsigned] = None
    version: Dynamic[Unsigned] = None
    device_type: Dynamic[Unsigned] = None
    access_number: Dynamic[Unsigned] = None
    status: Dynamic[Unsigned] = None
    alarm: Dynamic[Unsigned] = None
    configuration: Dynamic[LongUnsigned] = None
    encryption_key_status: Dynamic[Enum] = None


class MbusMasterPortSetup(NamedTuple):
    """Class 74, M-Bus master port setup."""

    logical_name: LogicalName
    comm_speed: Static[Speed] = None


class MbusSent(NamedTuple):
    """A data record of data_send."""

    data_information_block: Octets
    value_information_block: Octets
    data: Data


class PortProtection(NamedTuple):
    """Class 124, communication port protection: a port that locks itself; times in seconds."""

    logical_name: LogicalName
    protection_mode: Static[Enum] = None
    allowed_failed_attempts: Static[LongUnsigned] = None
    initial_lockout_time: Static[DoubleLongUnsigned] = None
    steepness_factor: Static[Unsigned] = None
    max_lockout_time: Static[DoubleLongUnsigned] = None
    port_reference: Static[LogicalName] = None
    protection_status: Dynamic[Enum] = None
    failed_attempts: Dynamic[DoubleLongUnsigned] = None
    cumulative_failed_attempts: Dynamic[DoubleLongUnsigned] = None


_MBUS_METHODS = {
    "slave_install": Unsigned,
    "slave_deinstall": None,
    "capture": None,
    "reset_alarm": None,
    "synchronize_clock": None,
    "data_send": tuple[MbusSent, ...],
    "set_encryption_key": Octets,
    "transfer_key": Octets,
}

CLASSES = (
    *versions(19, "iec_local_port_setup", IecLocalPortSetup, {0: 9, 1: 9}),
    *versions(23, "iec_hdlc_setup", IecHdlcSetup, {0: 9, 1: 9}),
    *versions(25, "mbus_slave_port_setup", MbusSlavePortSetup),
    *versions(
        72,
        "mbus_client",
        MbusClient,
        {0: 12, 1: 14},
        methods=_MBUS_METHODS,
    ),
    *versions(74, "mbus_master_port_setup", MbusMasterPortSetup),
    *versions(124, "communication_port_protection", PortProtection, methods={"reset": None}),
)
