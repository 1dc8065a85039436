"""Associations, SAP assignment and security setup (classes 15, 17 and 64)."""

from __future__ import annotations

from typing import Final

from hesper_dlms import axdr, obis
from hesper_dlms.apdu import ActionResult
from hesper_dlms.classes.keys_and_images import SecurityPolicy
from hesper_dlms.errors import DecodeError

from hesper_sim import key_change
from hesper_sim.event_codes import EventCode
from hesper_sim.fleet import CLIENT_TITLE
from hesper_sim.objects.cosem_object import (
    DATA,
    SAP_ASSIGNMENT,
    SECURITY_SETUP,
    CosemObject,
    Subject,
    computed,
    encoded,
    fixed,
    refused,
)

_CONTEXT_PREFIX: Final = (2, 16, 756, 5, 8)
_CONFORMANCE_BITS: Final = 24
_POLICY: Final = (
    SecurityPolicy.AUTHENTICATED_REQUEST
    | SecurityPolicy.ENCRYPTED_REQUEST
    | SecurityPolicy.AUTHENTICATED_RESPONSE
    | SecurityPolicy.ENCRYPTED_RESPONSE
)
"""In bits, as version 1 of the class has them (Blue Book, 4.4.7)."""


def partners(subject: Subject) -> axdr.Data:
    """Return attribute 3 of an association: client and server address."""
    plan = subject.meter.plan
    return axdr.structure(axdr.integer(subject.client), axdr.long_unsigned(plan.server_address))


def _object_identifier(kind: int, number: int) -> axdr.Data:
    country, *rest = _CONTEXT_PREFIX[2:]
    return axdr.structure(
        axdr.unsigned(_CONTEXT_PREFIX[0]),
        axdr.unsigned(_CONTEXT_PREFIX[1]),
        axdr.long_unsigned(country),
        *(axdr.unsigned(each) for each in (*rest, kind, number)),
    )


def application_context(subject: Subject) -> axdr.Data:
    """Return attribute 4: the name of the application context."""
    ciphered = subject.clients[subject.client].ciphered
    return _object_identifier(1, 3 if ciphered else 1)


def xdlms_context(_subject: Subject) -> axdr.Data:
    """Return attribute 5: conformance, sizes, version, quality of service and ciphering."""
    return axdr.structure(
        axdr.bit_string(f"{0x00181F:0{_CONFORMANCE_BITS}b}"),
        axdr.long_unsigned(0xFFFF),
        axdr.long_unsigned(0xFFFF),
        axdr.unsigned(6),
        axdr.integer(0),
        axdr.octet_string(b""),
    )


def mechanism(subject: Subject) -> axdr.Data:
    """Return attribute 6: the name of the authentication mechanism."""
    return _object_identifier(2, int(subject.clients[subject.client].authentication))


def _key_transfer(subject: Subject, parameters: bytes | None) -> None:
    given = axdr.decode(parameters or b"")
    try:
        key_change.take(subject.district, subject.meter, given.as_items())
    except key_change.WrongWrap:
        subject.district.log_event([subject.meter], EventCode.ASSOCIATION_FAILED)
        raise refused(ActionResult.READ_WRITE_DENIED) from None
    except (DecodeError, ValueError):
        raise refused(ActionResult.TYPE_UNMATCHED) from None


def _activate(subject: Subject, parameters: bytes | None) -> None:
    """Security is only ever strengthened: these meters ask for everything already."""
    del subject
    if axdr.decode(parameters or b"").as_int() != _POLICY:
        raise refused(ActionResult.READ_WRITE_DENIED)


def counter_object(number: int) -> CosemObject:
    """Return the object that shows the last invocation counter taken from clients."""
    return CosemObject(
        DATA,
        bytes((0, 0, 43, 1, number, 255)),
        readers={
            2: computed(lambda subject: axdr.double_long_unsigned(subject.last_received_counter))
        },
    )


def _sap(subject: Subject) -> axdr.Data:
    name = subject.meter.plan.logical_device_name.encode()
    address = subject.meter.plan.server_address
    return axdr.array(axdr.structure(axdr.long_unsigned(address), axdr.octet_string(name)))


SECURITY: Final = (
    CosemObject(SAP_ASSIGNMENT, obis.SAP_ASSIGNMENT, readers={2: computed(_sap)}),
    CosemObject(
        SECURITY_SETUP,
        obis.SECURITY_SETUP,
        1,
        readers={
            2: fixed(axdr.enum(_POLICY)),
            3: computed(lambda subject: axdr.enum(subject.meter.plan.suite)),
            4: computed(lambda _subject: axdr.octet_string(CLIENT_TITLE)),
            5: computed(lambda subject: axdr.octet_string(subject.meter.plan.system_title)),
        },
        settings=encoded(a6=axdr.array()),
        fixed=frozenset({6}),
        methods={1: _activate, 2: _key_transfer},
    ),
    counter_object(0),
    counter_object(1),
)
