"""Communication objects: push setup, TCP and IP, GPRS, mobile diagnostics, a gas meter on M-Bus."""

from __future__ import annotations

import ipaddress
from typing import Final

from hesper_dlms import axdr, obis
from hesper_dlms.apdu import CLOCK_TIME, CosemAttribute

from hesper_sim.objects.clock import meter_time, time_of
from hesper_sim.objects.cosem_object import (
    AUTO_CONNECT,
    DATA,
    GPRS_SETUP,
    GSM_DIAGNOSTIC,
    IPV4_SETUP,
    MBUS_CLIENT,
    PUSH_SETUP,
    REGISTER,
    TCP_UDP_SETUP,
    CosemObject,
    Subject,
    computed,
    encoded,
    fixed,
)

TCP_UDP: Final = obis.parse("0.0.25.0.0.255")
IPV4: Final = obis.parse("0.0.25.1.0.255")
GPRS: Final = obis.parse("0.0.25.4.0.255")
DIAGNOSTIC: Final = obis.parse("0.0.25.6.0.255")
CONNECT: Final = obis.parse("0.0.2.1.0.255")
MBUS: Final = obis.parse("0.1.24.1.0.255")
PUSH_COLUMNS: Final = (
    CosemAttribute(DATA, obis.LOGICAL_DEVICE_NAME, 2),
    CLOCK_TIME,
    CosemAttribute(REGISTER, obis.ACTIVE_ENERGY_IMPORT, 2),
    CosemAttribute(REGISTER, obis.ACTIVE_ENERGY_EXPORT, 2),
    CosemAttribute(REGISTER, obis.ACTIVE_POWER_IMPORT, 2),
)
"""What a push carries, in this order, behind no list of its own."""


def _push_object(attribute: CosemAttribute) -> axdr.Data:
    return axdr.structure(
        axdr.long_unsigned(attribute.class_id),
        axdr.octet_string(attribute.logical_name),
        axdr.integer(attribute.attribute_id),
        axdr.long_unsigned(0),
    )


def _destination(subject: Subject) -> axdr.Data:
    settings = subject.district.fleet.settings
    where = f"{settings.data_push_host}:{settings.data_push_port}"
    return axdr.structure(axdr.enum(0), axdr.octet_string(where.encode()), axdr.enum(0))


def _push_now(subject: Subject, _parameters: bytes | None) -> None:
    subject.district.push_wanted(subject.meter)


def _address(subject: Subject) -> axdr.Data:
    host = subject.district.fleet.settings.host
    try:
        return axdr.double_long_unsigned(int(ipaddress.IPv4Address(host)))
    except ValueError:
        return axdr.double_long_unsigned(0)


def _port(subject: Subject) -> axdr.Data:
    plan = subject.meter.plan
    lines = subject.district.fleet.lines
    port = next((line.port for line in lines if line.name == plan.line), 0)
    return axdr.long_unsigned(port or 4059)


def _cell(subject: Subject) -> axdr.Data:
    """Return signal and cell: stronger for those near the head of their feeder, moving by hour."""
    hour = subject.district.now() // 3600
    signal = 8 + (subject.meter.plan.index * 7 + hour) % 20
    return axdr.structure(
        axdr.double_long_unsigned(20_480 + subject.meter.plan.feeder),
        axdr.long_unsigned(1021),
        axdr.unsigned(signal),
        axdr.unsigned(1),
        axdr.long_unsigned(262),
        axdr.long_unsigned(1),
        axdr.double_long_unsigned(3750),
    )


def _moment(subject: Subject) -> axdr.Data:
    return axdr.octet_string(time_of(subject, meter_time(subject)))


_EMPTY_ADDRESSES: Final = axdr.array()
COMMUNICATION: Final = (
    CosemObject(
        PUSH_SETUP,
        obis.PUSH_SETUP,
        readers={3: computed(_destination)},
        settings=encoded(
            a2=axdr.array(*(_push_object(each) for each in PUSH_COLUMNS)),
            a4=axdr.array(),
            a5=axdr.long_unsigned(0),
            a6=axdr.unsigned(3),
            a7=axdr.long_unsigned(60),
        ),
        fixed=frozenset({2}),
        methods={1: _push_now},
    ),
    CosemObject(
        TCP_UDP_SETUP,
        TCP_UDP,
        readers={2: computed(_port)},
        settings=encoded(
            a3=axdr.octet_string(IPV4),
            a4=axdr.long_unsigned(1400),
            a5=axdr.unsigned(4),
            a6=axdr.long_unsigned(120),
        ),
        fixed=frozenset({3, 5}),
    ),
    CosemObject(
        IPV4_SETUP,
        IPV4,
        readers={3: computed(_address), 4: fixed(_EMPTY_ADDRESSES), 5: fixed(_EMPTY_ADDRESSES)},
        settings=encoded(
            a2=axdr.octet_string(obis.parse("0.0.25.2.0.255")),
            a6=axdr.double_long_unsigned(0xFFFFFF00),
            a7=axdr.double_long_unsigned(0),
            a8=axdr.boolean(True),
            a9=axdr.double_long_unsigned(0),
            a10=axdr.double_long_unsigned(0),
        ),
    ),
    CosemObject(
        GPRS_SETUP,
        GPRS,
        settings=encoded(
            a2=axdr.octet_string(b"meters.example"),
            a3=axdr.long_unsigned(0),
            a4=axdr.structure(
                *(axdr.structure(*(axdr.unsigned(0) for _ in range(5))) for _ in range(2))
            ),
        ),
    ),
    CosemObject(
        GSM_DIAGNOSTIC,
        DIAGNOSTIC,
        1,
        readers={
            2: fixed(axdr.visible_string("Hesper Mobile")),
            3: fixed(axdr.enum(1)),
            4: fixed(axdr.enum(0)),
            5: fixed(axdr.enum(2)),
            6: computed(_cell),
            7: fixed(axdr.array()),
            8: computed(_moment),
        },
    ),
    CosemObject(
        AUTO_CONNECT,
        CONNECT,
        2,
        settings=encoded(
            a2=axdr.enum(101),
            a3=axdr.unsigned(3),
            a4=axdr.long_unsigned(60),
            a5=axdr.array(),
            a6=axdr.array(axdr.octet_string(b"")),
        ),
    ),
    CosemObject(
        MBUS_CLIENT,
        MBUS,
        readers={
            5: fixed(axdr.unsigned(1)),
            6: computed(
                lambda subject: axdr.double_long_unsigned(70_000_000 + subject.meter.plan.index)
            ),
            7: fixed(axdr.long_unsigned(0x2324)),
            8: fixed(axdr.unsigned(1)),
            9: fixed(axdr.unsigned(3)),
            10: fixed(axdr.unsigned(0)),
            11: fixed(axdr.unsigned(0)),
            12: fixed(axdr.unsigned(0)),
        },
        settings=encoded(
            a2=axdr.octet_string(obis.parse("0.0.24.6.0.255")),
            a3=axdr.array(),
            a4=axdr.double_long_unsigned(3600),
        ),
    ),
)
