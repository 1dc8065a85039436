"""What meters do by themselves at their time: schedules, calendars, limits.

Called every second or so; only meters that somebody wrote to are looked at. A single action is
executed once at each of its times, and times that were slept through are made up for. Times are by
the meter's own clock, and local where they carry no deviation, as those of schedules never do.
"""

from __future__ import annotations

from datetime import datetime, tzinfo
from typing import Final

from hesper_dlms import axdr, obis
from hesper_dlms.errors import DlmsError, ServiceError

from hesper_sim.cosem import CosemMeter
from hesper_sim.district import District
from hesper_sim.meter import Meter
from hesper_sim.objects import image_transfer
from hesper_sim.objects.clock import meter_time, rule_of
from hesper_sim.objects.cosem_object import ACTIVITY_CALENDAR, SINGLE_ACTION_SCHEDULE
from hesper_sim.objects.switching import DISCONNECT_SCRIPTS, run_disconnect_script, watch_limit
from hesper_sim.objects.tariff import (
    CALENDAR,
    DISCONNECT_SCHEDULE,
    IMAGE_SCHEDULE,
    IMAGE_SCRIPTS,
    activate_calendar_of,
    calendar_due_at,
)
from hesper_sim.zones import zone_by

_SCRIPT, _TIMES, _CALENDAR_TIME = 2, 4, 10
_DEFAULT_SCRIPT: Final = 1


def attend(district: District) -> None:
    """Do what is due in every meter that has something to do."""
    for meter, _ in district.with_settings():
        watch_limit(district, meter)
        _activate_calendar(district, meter)
        for name in (DISCONNECT_SCHEDULE, IMAGE_SCHEDULE):
            _execute(district, meter, name)


def _activate_calendar(district: District, meter: Meter) -> None:
    octets = district.written(meter, (ACTIVITY_CALENDAR, CALENDAR, _CALENDAR_TIME))
    if octets is None:
        return
    due = calendar_due_at(octets, _zone(district, meter))
    if due is not None and due <= _time(district, meter):
        activate_calendar_of(district, meter)


def _zone(district: District, meter: Meter) -> tzinfo:
    return zone_by(rule_of(CosemMeter(district, meter)))


def _time(district: District, meter: Meter) -> int:
    return meter_time(CosemMeter(district, meter))


def _execute(district: District, meter: Meter, name: bytes) -> None:
    octets = district.written(meter, (SINGLE_ACTION_SCHEDULE, name, _TIMES))
    if octets is None:
        return
    kept = district.remembered(meter)
    last = kept.executed_at.get(name, 0)
    now = _time(district, meter)
    due = [at for at in _moments(octets, _zone(district, meter)) if last < at <= now]
    if not due:
        return
    district.record(meter, "executed", schedule=obis.text(name), due=max(due))
    kept.executed_at[name] = max(due)
    scripts, number = _chosen(district, meter, name)
    try:
        if scripts == IMAGE_SCRIPTS:
            image_transfer.begin_activation(district, meter)
        elif scripts == DISCONNECT_SCRIPTS:
            run_disconnect_script(district, meter, number)
    except ServiceError:
        return  # nothing verified to activate, no such script: a meter has nobody to tell


def _chosen(district: District, meter: Meter, name: bytes) -> tuple[bytes, int]:
    octets = district.written(meter, (SINGLE_ACTION_SCHEDULE, name, _SCRIPT))
    if octets is None:
        scripts = IMAGE_SCRIPTS if name == IMAGE_SCHEDULE else DISCONNECT_SCRIPTS
        return scripts, _DEFAULT_SCRIPT
    scripts_data, number = axdr.decode(octets).as_items()
    return scripts_data.as_octets(), number.as_int()


def _moments(octets: bytes, zone: tzinfo) -> list[int]:
    """Return the execution times that name one instant, epoch seconds, of a meter in `zone`."""
    moments = []
    for each in axdr.decode(octets).as_items():
        try:
            time, day = (item.as_octets() for item in each.as_items())
            year = int.from_bytes(day[:2], "big")
            moment = datetime(year, day[2], day[3], time[0], time[1], time[2], tzinfo=zone)
            moments.append(int(moment.timestamp()))
        except (DlmsError, ValueError, IndexError, OverflowError):
            continue
    return moments
