"""Interface classes that move or tell something: 40, 68, 70 and 71 (Blue Book part 2, clause 4.4).

The push setup is in clause 4.4.8, arbitrator, disconnect control and limiter in clause 4.5.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Annotated, NamedTuple

from hesper_dlms.apdu import CaptureObject
from hesper_dlms.axdr import Data, Tag
from hesper_dlms.classes.description import Dynamic, Static, versions
from hesper_dlms.classes.kinds import (
    BitText,
    Boolean,
    DoubleLongUnsigned,
    Enum,
    Integer,
    LogicalName,
    LongUnsigned,
    Number,
    Octets,
    Unsigned,
)
from hesper_dlms.classes.scheduling import ActionItem, ValueDefinition
from hesper_dlms.cosem_time import CosemDateTime


class ControlState(IntEnum):
    """control_state of a disconnect control."""

    DISCONNECTED = 0
    CONNECTED = 1
    READY_FOR_RECONNECTION = 2


class DisconnectControl(NamedTuple):
    """Class 70, disconnect control; `control_mode` 0 to 7 tells who may move it and how."""

    logical_name: LogicalName
    output_state: Dynamic[Boolean] = None
    control_state: Dynamic[Annotated[int, Number(Tag.ENUM, ControlState)]] = None
    control_mode: Static[Enum] = None


class EmergencyProfile(NamedTuple):
    """When which emergency threshold counts; `duration` in seconds."""

    emergency_profile_id: LongUnsigned
    emergency_activation_time: CosemDateTime
    emergency_duration: DoubleLongUnsigned


class LimiterActions(NamedTuple):
    """The scripts when the value is over and under the threshold long enough."""

    action_over_threshold: ActionItem
    action_under_threshold: ActionItem


class Limiter(NamedTuple):
    """Class 71, limiter; thresholds have the type of the value, durations are in seconds."""

    logical_name: LogicalName
    monitored_value: Static[ValueDefinition] = None
    threshold_active: Dynamic[Data] = None
    threshold_normal: Static[Data] = None
    threshold_emergency: Static[Data] = None
    min_over_threshold_duration: Static[DoubleLongUnsigned] = None
    min_under_threshold_duration: Static[DoubleLongUnsigned] = None
    emergency_profile: Static[EmergencyProfile] = None
    emergency_profile_group_id_list: Static[tuple[LongUnsigned, ...]] = None
    emergency_profile_active: Dynamic[Boolean] = None
    actions: Static[LimiterActions] = None


class Arbitrator(NamedTuple):
    """Class 68, arbitrator: which of several requesters decides what happens."""

    logical_name: LogicalName
    actions: Static[tuple[ActionItem, ...]] = None
    permissions_table: Static[tuple[BitText, ...]] = None
    weightings_table: Static[tuple[tuple[LongUnsigned, ...], ...]] = None
    most_recent_requests_table: Dynamic[tuple[BitText, ...]] = None
    last_outcome: Dynamic[Unsigned] = None


class ArbitratorRequest(NamedTuple):
    """What request_action takes: who asks for which actions."""

    request_actor: Unsigned
    request_action_list: BitText


class RestrictionType(IntEnum):
    """How a pushed profile is restricted."""

    NONE = 0
    BY_DATE = 1
    BY_ENTRY = 2


class Restriction(NamedTuple):
    """restriction_element: null-data, two dates or two entries, as the type says."""

    restriction_type: Annotated[int, Number(Tag.ENUM, RestrictionType)]
    restriction_value: Data


class PushObject(NamedTuple):
    """push_object_definition; version 1 adds the restriction, version 2 the columns."""

    class_id: LongUnsigned
    logical_name: LogicalName
    attribute_index: Integer
    data_index: LongUnsigned
    restriction: Restriction | None = None
    columns: tuple[CaptureObject, ...] | None = None


class TransportService(IntEnum):
    """What carries a push."""

    TCP = 0
    UDP = 1
    FTP = 2
    SMTP = 3
    SMS = 4
    HDLC = 5
    M_BUS = 6
    ZIGBEE = 7
    DLMS_GATEWAY = 8
    RELIABLE_COAP = 9
    UNRELIABLE_COAP = 10


class PushDestination(NamedTuple):
    """send_destination_and_method; message 0 is an A-XDR encoded APDU, 1 an XML encoded one."""

    transport_service: Annotated[int, Number(Tag.ENUM, TransportService)]
    destination: Octets
    message: Enum


class Window(NamedTuple):
    """From when to when something may be sent; open fields repeat."""

    start_time: CosemDateTime
    end_time: CosemDateTime


class RepetitionDelay(NamedTuple):
    """Version 2: how retries are spaced, `minimum` · exponent^n / 100 up to `maximum`, seconds."""

    minimum: LongUnsigned
    exponent: LongUnsigned
    maximum: LongUnsigned


class ProtectionParameters(NamedTuple):
    """push_protection_parameters: one layer of protection of the pushed data."""

    protection_type: Enum
    protection_options: Data


class ConfirmationParameters(NamedTuple):
    """Version 2: since when confirmations count, and for how many seconds."""

    confirmation_start_date: CosemDateTime
    confirmation_interval: DoubleLongUnsigned


class PushSetup(NamedTuple):
    """Class 40, push setup; intervals and delays in seconds."""

    logical_name: LogicalName
    push_object_list: Static[tuple[PushObject, ...]] = None
    send_destination_and_method: Static[PushDestination] = None
    communication_window: Static[tuple[Window, ...]] = None
    randomisation_start_interval: Static[LongUnsigned] = None
    number_of_retries: Static[Unsigned] = None
    repetition_delay: Static[LongUnsigned | RepetitionDelay] = None
    port_reference: Static[LogicalName] = None
    push_client_sap: Static[Integer] = None
    push_protection_parameters: Static[tuple[ProtectionParameters, ...]] = None
    push_operation_method: Static[Enum] = None
    confirmation_parameters: Static[ConfirmationParameters] = None
    last_confirmation_date_time: Dynamic[CosemDateTime] = None


_RELAY_METHODS = {"remote_disconnect": None, "remote_reconnect": None}

CLASSES = (
    *versions(
        40,
        "push_setup",
        PushSetup,
        {0: 7, 1: 10, 2: 13},
        methods={"push": None, "reset": None},
    ),
    *versions(
        68,
        "arbitrator",
        Arbitrator,
        methods={"request_action": ArbitratorRequest, "reset": None},
    ),
    *versions(
        70,
        "disconnect_control",
        DisconnectControl,
        {0: 4, 1: 4},
        methods=_RELAY_METHODS,
    ),
    *versions(71, "limiter", Limiter),
)
