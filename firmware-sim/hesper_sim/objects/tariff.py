"""Tariff objects: activity calendar, special days, scripts and the schedule that switches.

The registers 1.8.1 and 1.8.2 split the total by a fixed share; which calendar is active is shown
and can be changed, it does not move the split.
"""

from __future__ import annotations

from datetime import tzinfo
from typing import Final

from hesper_dlms import axdr, obis
from hesper_dlms.classes.scheduling import SpecialDay
from hesper_dlms.classes.structure import kind_of
from hesper_dlms.cosem_time import CosemDateTime
from hesper_dlms.errors import DecodeError

from hesper_sim.district import District
from hesper_sim.event_codes import EventCode
from hesper_sim.meter import Meter
from hesper_sim.objects.cosem_object import (
    ACTIVITY_CALENDAR,
    SCRIPT_TABLE,
    SINGLE_ACTION_SCHEDULE,
    SPECIAL_DAYS,
    CosemObject,
    Subject,
    encoded,
)
from hesper_sim.objects.switching import DISCONNECT_SCRIPTS
from hesper_sim.zones import NOT_SPECIFIED

CALENDAR: Final = obis.parse("0.0.13.0.0.255")
SPECIAL_DAYS_NAME: Final = obis.parse("0.0.11.0.0.255")
TARIFF_SCRIPTS: Final = obis.parse("0.0.10.0.100.255")
DISCONNECT_SCHEDULE: Final = obis.parse("0.0.15.0.1.255")
IMAGE_SCHEDULE: Final = obis.parse("0.0.15.0.2.255")
IMAGE_SCRIPTS: Final = obis.parse("0.0.10.0.107.255")
_ACTIVE_TO_PASSIVE: Final = 4
"""Attribute 2 is the active calendar's name, 6 the passive one's, and so on to 5 and 9."""
_ALWAYS: Final = b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x80\x00\xff"


def _day_action(hour: int, script: int) -> axdr.Data:
    return axdr.structure(
        axdr.octet_string(bytes((hour, 0, 0, 0))),
        axdr.octet_string(TARIFF_SCRIPTS),
        axdr.long_unsigned(script),
    )


_SEASONS: Final = axdr.array(
    axdr.structure(
        axdr.octet_string(b"\x01"), axdr.octet_string(_ALWAYS), axdr.octet_string(b"\x01")
    )
)
_WEEKS: Final = axdr.array(
    axdr.structure(axdr.octet_string(b"\x01"), *(axdr.unsigned(day) for day in (1,) * 5 + (2,) * 2))
)
_DAYS: Final = axdr.array(
    axdr.structure(
        axdr.unsigned(1), axdr.array(_day_action(0, 2), _day_action(7, 1), _day_action(21, 2))
    ),
    axdr.structure(axdr.unsigned(2), axdr.array(_day_action(0, 2))),
)


def activate_calendar_of(district: District, meter: Meter) -> None:
    """Let the passive calendar take the place of the active one."""
    for active in range(2, 6):
        passive = active + _ACTIVE_TO_PASSIVE
        octets = district.written(meter, (ACTIVITY_CALENDAR, CALENDAR, passive))
        default = CALENDAR_OBJECT.settings[passive]
        district.write(meter, (ACTIVITY_CALENDAR, CALENDAR, active), octets or default)
    never = axdr.encode(axdr.octet_string(NOT_SPECIFIED))
    district.write(meter, (ACTIVITY_CALENDAR, CALENDAR, 10), never)
    district.log_event([meter], EventCode.CALENDAR_ACTIVATED)


def _activate_calendar(subject: Subject, _parameters: bytes | None) -> None:
    activate_calendar_of(subject.district, subject.meter)


def calendar_due_at(octets: bytes, zone: tzinfo) -> int | None:
    """Return when a calendar is to be activated, epoch seconds; None for a time left open.

    Without a deviation it is a local time in `zone`.
    """
    try:
        time = CosemDateTime.from_octets(axdr.decode(octets).as_octets())
        return int(time.resolve(zone).captured_at.timestamp())
    except DecodeError:
        return None


CALENDAR_OBJECT: Final = CosemObject(
    ACTIVITY_CALENDAR,
    CALENDAR,
    settings=encoded(
        a2=axdr.octet_string(b"HSP-DAY-NIGHT"),
        a3=_SEASONS,
        a4=_WEEKS,
        a5=_DAYS,
        a6=axdr.octet_string(b"HSP-PASSIVE"),
        a7=_SEASONS,
        a8=_WEEKS,
        a9=_DAYS,
        a10=axdr.octet_string(NOT_SPECIFIED),
    ),
    fixed=frozenset(range(2, 6)),
    methods={1: _activate_calendar},
)


_SPECIAL_DAY: Final = kind_of(SpecialDay)


def _edit_special_day(subject: Subject, parameters: bytes | None, insert: bool) -> None:
    given = axdr.decode(parameters or b"")
    index = _SPECIAL_DAY.decode(given).entry_index if insert else given.as_int()
    listed = axdr.decode(SPECIAL_DAYS_OBJECT.get(subject, 2)).as_items()
    kept = [day for day in listed if day.as_items()[0].as_int() != index]
    days = [*kept, given] if insert else kept
    SPECIAL_DAYS_OBJECT.keep(subject, 2, axdr.encode(axdr.array(*days)))


SPECIAL_DAYS_OBJECT: Final = CosemObject(
    SPECIAL_DAYS,
    SPECIAL_DAYS_NAME,
    settings=encoded(
        a2=axdr.array(
            *(
                axdr.structure(
                    axdr.long_unsigned(number),
                    axdr.octet_string(b"\xff\xff" + bytes((month, day, 0xFF))),
                    axdr.unsigned(2),
                )
                for number, (month, day) in enumerate(((1, 1), (5, 1), (12, 25), (12, 26)), 1)
            )
        )
    ),
    methods={
        1: lambda subject, parameters: _edit_special_day(subject, parameters, True),
        2: lambda subject, parameters: _edit_special_day(subject, parameters, False),
    },
)


def _schedule(logical_name: bytes, scripts: bytes, script: int) -> CosemObject:
    return CosemObject(
        SINGLE_ACTION_SCHEDULE,
        logical_name,
        settings=encoded(
            a2=axdr.structure(axdr.octet_string(scripts), axdr.long_unsigned(script)),
            a3=axdr.enum(1),
            a4=axdr.array(
                axdr.structure(axdr.octet_string(b"\xff" * 4), axdr.octet_string(b"\xff" * 5))
            ),
        ),
    )


def _tariff_script(number: int) -> axdr.Data:
    return axdr.structure(axdr.long_unsigned(number), axdr.array())


DISCONNECT_SCHEDULE_OBJECT: Final = _schedule(DISCONNECT_SCHEDULE, DISCONNECT_SCRIPTS, 1)
IMAGE_SCHEDULE_OBJECT: Final = _schedule(IMAGE_SCHEDULE, IMAGE_SCRIPTS, 1)
TARIFFS: Final = (
    CALENDAR_OBJECT,
    SPECIAL_DAYS_OBJECT,
    CosemObject(
        SCRIPT_TABLE,
        TARIFF_SCRIPTS,
        settings=encoded(a2=axdr.array(_tariff_script(1), _tariff_script(2))),
        fixed=frozenset({2}),
        methods={1: lambda _subject, _parameters: None},
    ),
    DISCONNECT_SCHEDULE_OBJECT,
    IMAGE_SCHEDULE_OBJECT,
)
