"""The COSEM objects of a meter but its registers: one table for all meters, and its list."""

from __future__ import annotations

from functools import cache
from itertools import chain
from typing import Final

from hesper_dlms import axdr, obis
from hesper_dlms.apdu import AccessSelection
from hesper_dlms.association import ASSOCIATION_CLASS, Authentication
from hesper_dlms.short_names import NamedObject, ShortNames

from hesper_sim.objects.clock import CLOCK_OBJECT
from hesper_sim.objects.communication import COMMUNICATION
from hesper_sim.objects.cosem_object import REGISTER, CosemObject, Subject, computed
from hesper_sim.objects.demand import DEMANDS
from hesper_sim.objects.identity import IDENTITY
from hesper_sim.objects.image_transfer import IMAGES
from hesper_sim.objects.profiles import PROFILES
from hesper_sim.objects.security import (
    SECURITY,
    application_context,
    mechanism,
    partners,
    xdlms_context,
)
from hesper_sim.objects.switching import SWITCHING
from hesper_sim.objects.tariff import TARIFFS
from hesper_sim.registers import REGISTERS

_NO_ACCESS, _READ, _READ_WRITE = 0, 1, 3
_ASSOCIATED: Final = 2

_TABLE: Final = (CLOCK_OBJECT, *IDENTITY, *SECURITY, *PROFILES, *DEMANDS, *SWITCHING, *TARIFFS)

PUBLIC_OBJECTS: Final = frozenset(
    {
        obis.LOGICAL_DEVICE_NAME,
        obis.SERIAL_NUMBER,
        obis.INVOCATION_COUNTER,
        bytes((0, 0, 43, 1, 1, 255)),
        obis.CLOCK,
        obis.SAP_ASSIGNMENT,
        obis.CURRENT_ASSOCIATION,
    }
)
"""What a client without authentication may read."""

_Keyed = dict[tuple[int, bytes], CosemObject]


def may_read(authentication: Authentication, logical_name: bytes) -> bool:
    """Return whether a client that authenticates like this reads an object."""
    return authentication is not Authentication.NONE or logical_name in PUBLIC_OBJECTS


def may_change(authentication: Authentication) -> bool:
    """Return whether a client that authenticates like this writes and invokes."""
    return authentication.is_high


def _registers() -> list[CosemObject]:
    return [CosemObject(REGISTER, name, settings={2: b"", 3: b""}) for name in REGISTERS]


@cache
def _object_list(authentication: Authentication) -> bytes:
    every = chain(OBJECTS.values(), _registers())
    listed = (
        _listed(each, may_change(authentication))
        for each in every
        if may_read(authentication, each.logical_name)
    )
    return axdr.encode(axdr.array(*listed))


def _listed(each: CosemObject, manages: bool) -> axdr.Data:
    attributes = (
        axdr.structure(
            axdr.integer(number),
            axdr.enum(
                _READ_WRITE
                if manages and each.class_id != REGISTER and each.is_writable(number)
                else _READ
            ),
            axdr.null_data(),
        )
        for number in (1, *each.attributes)
    )
    methods = (
        axdr.structure(axdr.integer(number), axdr.enum(int(manages))) for number in each.methods
    )
    return axdr.structure(
        axdr.long_unsigned(each.class_id),
        axdr.unsigned(each.version),
        axdr.octet_string(each.logical_name),
        axdr.structure(axdr.array(*attributes), axdr.array(*methods)),
    )


def _view(subject: Subject, _selection: AccessSelection | None) -> bytes:
    return _object_list(subject.clients[subject.client].authentication)


@cache
def base_names() -> ShortNames:
    """Return the short names of all objects, the same in every meter.

    Registers lie close together from 0x0400 on, other objects from 0x2000 on; two have the base
    names that the standard gives them.
    """
    reserved: dict[bytes, int] = {obis.SAP_ASSIGNMENT: 0xFC00, obis.LOGICAL_DEVICE_NAME: 0xFD00}
    others = [each for each in OBJECTS.values() if each.class_id != ASSOCIATION_CLASS]
    placed = [
        *((0x0400 + 0x40 * place, each) for place, each in enumerate(_registers())),
        *((0x2000 + 0x100 * place, each) for place, each in enumerate(others)),
    ]
    return ShortNames(
        NamedObject(
            reserved.get(each.logical_name, base), each.class_id, each.version, each.logical_name
        )
        for base, each in placed
    )


ASSOCIATION: Final = CosemObject(
    ASSOCIATION_CLASS,
    obis.CURRENT_ASSOCIATION,
    1,
    readers={
        2: _view,
        3: computed(partners),
        4: computed(application_context),
        5: computed(xdlms_context),
        6: computed(mechanism),
        8: computed(lambda _subject: axdr.enum(_ASSOCIATED)),
        9: computed(lambda _subject: axdr.octet_string(obis.SECURITY_SETUP)),
    },
)

OBJECTS: Final[_Keyed] = {
    (each.class_id, each.logical_name): each
    for each in (*_TABLE, *COMMUNICATION, *IMAGES, ASSOCIATION)
}
"""Every object but the registers, by class and logical name."""
