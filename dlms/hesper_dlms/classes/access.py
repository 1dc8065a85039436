"""Interface classes of access to a meter (Blue Book part 2, clause 4.4): 12, 15, 17."""

from __future__ import annotations

from enum import IntEnum
from typing import Annotated, NamedTuple

from hesper_dlms.axdr import Data, Tag
from hesper_dlms.classes.description import Dynamic, Static, versions
from hesper_dlms.classes.kinds import (
    BaseName,
    BitText,
    Enum,
    Integer,
    LogicalName,
    LongUnsigned,
    Number,
    Octets,
    Oid,
    Text,
    Unsigned,
)


class AttributeAccess(NamedTuple):
    """attribute_access_item: `access_mode` is a number in versions 0 to 2, bits in version 3."""

    attribute_id: Integer
    access_mode: Enum
    access_selectors: tuple[Integer, ...] | None


class MethodAccess(NamedTuple):
    """method_access_item; version 0 writes a boolean."""

    method_id: Integer
    access_mode: Enum


class AccessRights(NamedTuple):
    """access_right: what this association may do with an object."""

    attribute_access: tuple[AttributeAccess, ...]
    method_access: tuple[MethodAccess, ...]


class ObjectListElement(NamedTuple):
    """An object of the association view, referred to by its logical name."""

    class_id: LongUnsigned
    version: Unsigned
    logical_name: LogicalName
    access_rights: AccessRights


class ShortNameElement(NamedTuple):
    """An object of the association view, referred to by its base name."""

    base_name: BaseName
    class_id: LongUnsigned
    version: Unsigned
    logical_name: LogicalName


class ShortNameAccess(NamedTuple):
    """access_right of an object with a base name."""

    base_name: BaseName
    attribute_access: tuple[AttributeAccess, ...]
    method_access: tuple[MethodAccess, ...]


class User(NamedTuple):
    """A user of a client."""

    user_id: Unsigned
    user_name: Text


class ShortNameRead(NamedTuple):
    """attribute_id of read_by_logicalname; `attribute_index` 0 reads all."""

    class_id: LongUnsigned
    logical_name: LogicalName
    attribute_index: Integer


class AssociationShortName(NamedTuple):
    """Class 12, association SN."""

    logical_name: LogicalName
    object_list: Static[tuple[ShortNameElement, ...]] = None
    access_rights_list: Static[tuple[ShortNameAccess, ...]] = None
    security_setup_reference: Static[LogicalName] = None
    user_list: Static[tuple[User, ...]] = None
    current_user: Dynamic[User] = None


class AssociatedPartners(NamedTuple):
    """Client and server of an association."""

    client_sap: Integer
    server_sap: LongUnsigned


class XdlmsContext(NamedTuple):
    """xDLMS_context_info: `conformance` is 24 bits; the sizes are octets, 0 without limit."""

    conformance: BitText
    max_receive_pdu_size: LongUnsigned
    max_send_pdu_size: LongUnsigned
    dlms_version_number: Unsigned
    quality_of_service: Integer
    cyphering_info: Octets


class AssociationStatus(IntEnum):
    """How far an association is."""

    NON_ASSOCIATED = 0
    ASSOCIATION_PENDING = 1
    ASSOCIATED = 2


class AssociationLogicalName(NamedTuple):
    """Class 15, association LN."""

    logical_name: LogicalName
    object_list: Static[tuple[ObjectListElement, ...]] = None
    associated_partners_id: Static[AssociatedPartners] = None
    application_context_name: Static[Oid] = None
    xdlms_context_info: Static[XdlmsContext] = None
    authentication_mechanism_name: Static[Oid] = None
    secret: Static[Octets] = None
    association_status: Dynamic[Annotated[int, Number(Tag.ENUM, AssociationStatus)]] = None
    security_setup_reference: Static[LogicalName] = None
    user_list: Static[tuple[User, ...]] = None
    current_user: Dynamic[User] = None


class AssignedSap(NamedTuple):
    """A logical device and its address."""

    sap: LongUnsigned
    logical_device_name: Octets


class SapAssignment(NamedTuple):
    """Class 17, SAP assignment: the logical devices of a physical device."""

    logical_name: LogicalName
    sap_assignment_list: Static[tuple[AssignedSap, ...]] = None


_SHORT_NAME_METHODS = {
    "getlist_by_classid": Data,
    "getobj_by_logicalname": Data,
    "read_by_logicalname": tuple[ShortNameRead, ...],
    "get_attributes_methods": Data,
    "change_lls_secret": Octets,
    "change_hls_secret": Octets,
    "reserved_7": Data,
    "reply_to_hls_authentication": Octets,
    "add_user": User,
    "remove_user": User,
}
_ASSOCIATION_METHODS = {
    "reply_to_hls_authentication": Octets,
    "change_hls_secret": Octets,
    "add_object": ObjectListElement,
    "remove_object": ObjectListElement,
    "add_user": User,
    "remove_user": User,
}
CLASSES = (
    *versions(
        12,
        "association_sn",
        AssociationShortName,
        {0: 2, 1: 3, 2: 4, 3: 6, 4: 6},
        methods=_SHORT_NAME_METHODS,
    ),
    *versions(
        15,
        "association_ln",
        AssociationLogicalName,
        {0: 8, 1: 9, 2: 11, 3: 11},
        methods=_ASSOCIATION_METHODS,
    ),
    *versions(
        17,
        "sap_assignment",
        SapAssignment,
        methods={"connect_logical_device": AssignedSap},
    ),
)
