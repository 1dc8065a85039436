"""Who a meter is and what it runs: data objects (class 1), and the registers of the two tariffs."""

from __future__ import annotations

from typing import Final

from hesper_dlms import axdr, obis

from hesper_sim.faults import Fault
from hesper_sim.meter import FIRMWARE_VERSION
from hesper_sim.objects.cosem_object import Subject, data

METER_MODEL: Final = obis.parse("0.0.96.1.1.255")
ACTIVE_CALENDAR: Final = obis.parse("1.0.0.2.2.255")
POWER_FAILURES: Final = obis.parse("0.0.96.7.21.255")
_POWER_DOWN: Final = 1
_ALWAYS: Final = 1 << 40


def _device_name(subject: Subject) -> axdr.Data:
    name = subject.meter.plan.logical_device_name
    if Fault.WRONG_NAME in subject.meter.faults:
        name = name[:5] + name[:-4:-1] + name[8:]
    return axdr.octet_string(name.encode())


def firmware_of(subject: Subject) -> str:
    """Return the version of the firmware that a meter runs."""
    kept = subject.district.known(subject.meter)
    return FIRMWARE_VERSION if kept is None or kept.firmware is None else kept.firmware


def _power_failures(subject: Subject) -> axdr.Data:
    rows = subject.meter.events.between(0, _ALWAYS)
    return axdr.long_unsigned(sum(row.values[0] == _POWER_DOWN for row in rows))


IDENTITY: Final = (
    data(obis.LOGICAL_DEVICE_NAME, _device_name),
    data(obis.SERIAL_NUMBER, lambda subject: axdr.octet_string(subject.meter.serial.encode())),
    data(
        METER_MODEL,
        lambda subject: axdr.octet_string(f"Hesper HSP-3 {subject.meter.plan.kind}".encode()),
    ),
    data(obis.METER_TYPE, lambda _subject: axdr.octet_string(b"HSP-3")),
    data(obis.FIRMWARE_VERSION, lambda subject: axdr.octet_string(firmware_of(subject).encode())),
    data(ACTIVE_CALENDAR, lambda _subject: axdr.octet_string(b"HSP-DAY-NIGHT")),
    data(obis.EVENT_CODE, lambda subject: axdr.long_unsigned(subject.meter.event_code)),
    data(POWER_FAILURES, _power_failures),
)
