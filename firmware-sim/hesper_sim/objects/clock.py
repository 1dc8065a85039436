"""The clock (class 8): local time with deviation and status, zone and daylight saving as settings.

A meter's clock is true time, what it is ahead of it, and the rule in its own attributes; whoever
writes those moves its local time.
"""

from __future__ import annotations

from typing import Final

from hesper_dlms import axdr, obis
from hesper_dlms.apdu import ActionResult, DataAccessResult
from hesper_dlms.cosem_time import CosemDateTime
from hesper_dlms.errors import DecodeError, ServiceError

from hesper_sim.faults import Fault
from hesper_sim.objects.cosem_object import CLOCK, CosemObject, Subject, Writer, computed, refused
from hesper_sim.zones import ClockRule, clock_status, time_octets, zone_by

ZONE, STATUS, BEGIN, END, DEVIATION, ENABLED = 3, 4, 5, 6, 7, 8
_QUARTER_S: Final = 900
_MINUTE_S: Final = 60
_LONGEST_SHIFT_S: Final = 900
_FIRST_YEAR, _LAST_YEAR = 2000, 2099
"""What meters' clocks know; local times around have a date in every zone."""


def rule_of(subject: Subject) -> ClockRule:
    """Return the rule that a meter's clock follows now."""
    rule = subject.district.zone
    if Fault.DST_MISSING in subject.meter.faults:
        rule = rule._replace(enabled=False)
    if subject.district.known(subject.meter) is None:
        return rule
    for place, number in enumerate((ZONE, BEGIN, END, DEVIATION, ENABLED)):
        octets = CLOCK_OBJECT.setting(subject, number)
        if octets is not None:
            changed = list(rule)
            changed[place] = axdr.decode(octets).value
            rule = ClockRule._make(changed)
    return rule


def meter_time(subject: Subject) -> int:
    """Return what a meter takes for true time, epoch seconds."""
    return subject.district.now() + subject.district.drift_s(subject.meter)


def time_of(subject: Subject, at: int) -> bytes:
    """Return 12 octets: a moment as the meter's clock tells it."""
    return time_octets(at, rule_of(subject))


def _time(subject: Subject) -> axdr.Data:
    return axdr.octet_string(time_of(subject, meter_time(subject)))


def _status(subject: Subject) -> axdr.Data:
    return axdr.unsigned(clock_status(meter_time(subject), rule_of(subject)))


def _set_time(subject: Subject, octets: bytes) -> None:
    wanted = CosemDateTime.from_octets(axdr.decode(octets).as_octets())
    told = wanted.resolve(zone_by(rule_of(subject))).captured_at
    if not _FIRST_YEAR <= told.year <= _LAST_YEAR:
        raise ServiceError(DataAccessResult.OTHER_REASON)
    moment = int(told.timestamp())
    subject.district.set_clock(subject.meter, moment - subject.district.now())


def _adjust(subject: Subject, step_s: int) -> None:
    nearest = (meter_time(subject) + step_s // 2) // step_s * step_s
    subject.district.set_clock(subject.meter, nearest - subject.district.now())


def _to_quarter(subject: Subject, _parameters: bytes | None) -> None:
    _adjust(subject, _QUARTER_S)


def _to_minute(subject: Subject, _parameters: bytes | None) -> None:
    _adjust(subject, _MINUTE_S)


def _shift(subject: Subject, parameters: bytes | None) -> None:
    seconds = axdr.decode(parameters or b"").as_int()
    if abs(seconds) > _LONGEST_SHIFT_S:
        raise refused(ActionResult.OTHER_REASON)
    district = subject.district
    district.set_clock(subject.meter, district.drift_s(subject.meter) + seconds)


_TAGS: Final = {
    ZONE: axdr.Tag.LONG,
    BEGIN: axdr.Tag.OCTET_STRING,
    END: axdr.Tag.OCTET_STRING,
    DEVIATION: axdr.Tag.INTEGER,
    ENABLED: axdr.Tag.BOOLEAN,
}


def _keep(number: int) -> Writer:
    def write(subject: Subject, octets: bytes) -> None:
        value = axdr.decode(octets)
        if value.tag is not _TAGS[number]:
            raise ServiceError(DataAccessResult.TYPE_UNMATCHED)
        if number in (BEGIN, END):
            CosemDateTime.from_octets(value.as_octets())
        elif number == ZONE and abs(value.as_int()) > 720:
            raise DecodeError("a time zone is at most 720 minutes away from UTC")
        CLOCK_OBJECT.keep(subject, number, octets)

    return write


CLOCK_OBJECT: Final = CosemObject(
    CLOCK,
    obis.CLOCK,
    readers={
        2: computed(_time),
        3: computed(lambda subject: axdr.long_(rule_of(subject).time_zone)),
        4: computed(_status),
        5: computed(lambda subject: axdr.octet_string(rule_of(subject).begin)),
        6: computed(lambda subject: axdr.octet_string(rule_of(subject).end)),
        7: computed(lambda subject: axdr.integer(rule_of(subject).deviation)),
        8: computed(lambda subject: axdr.boolean(rule_of(subject).enabled)),
        9: computed(lambda _subject: axdr.enum(1)),
    },
    writers={2: _set_time, **{number: _keep(number) for number in _TAGS}},
    methods={1: _to_quarter, 3: _to_minute, 6: _shift},
)
