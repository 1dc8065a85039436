"""Interface classes of time and events (Blue Book part 2, clause 4.5): 8 to 11 and 20 to 22."""

from __future__ import annotations

from enum import IntEnum
from typing import Annotated, NamedTuple

from hesper_dlms.axdr import Data, Tag
from hesper_dlms.classes.description import Dynamic, Static, versions
from hesper_dlms.classes.kinds import (
    BitText,
    Boolean,
    Enum,
    Integer,
    LogicalName,
    Long,
    LongUnsigned,
    Number,
    Octets,
    Unsigned,
)
from hesper_dlms.cosem_time import CosemDate, CosemDateTime, CosemTime


class ClockBase(IntEnum):
    """What a clock counts."""

    NOT_DEFINED = 0
    INTERNAL_CRYSTAL = 1
    MAINS_50_HZ = 2
    MAINS_60_HZ = 3
    GPS = 4
    RADIO_CONTROLLED = 5


class Clock(NamedTuple):
    """Class 8, clock.

    time_zone: minutes from local normal time to UTC (Central European Time: -60).
    daylight_savings_begin, _end: local time, usually a pattern (see `recurrence`).
    daylight_savings_deviation: minutes added to local time meanwhile.
    """

    logical_name: LogicalName
    time: Dynamic[CosemDateTime] = None
    time_zone: Static[Long] = None
    status: Dynamic[Unsigned] = None
    daylight_savings_begin: Static[CosemDateTime] = None
    daylight_savings_end: Static[CosemDateTime] = None
    daylight_savings_deviation: Static[Integer] = None
    daylight_savings_enabled: Static[Boolean] = None
    clock_base: Static[Annotated[int, Number(Tag.ENUM, ClockBase)]] = None


class PresetTime(NamedTuple):
    """preset_adjusting_time: the time to take, and when adjusting to it is still right."""

    preset_time: CosemDateTime
    validity_interval_start: CosemDateTime
    validity_interval_end: CosemDateTime


class ScriptService(IntEnum):
    """What an action of a script does."""

    WRITE_ATTRIBUTE = 1
    EXECUTE_METHOD = 2


class ScriptAction(NamedTuple):
    """action_specification: an attribute to write or a method to execute."""

    service_id: Annotated[int, Number(Tag.ENUM, ScriptService)]
    class_id: LongUnsigned
    logical_name: LogicalName
    member_id: Integer
    parameter: Data


class Script(NamedTuple):
    """A script and its actions."""

    script_identifier: LongUnsigned
    actions: tuple[ScriptAction, ...]


class ScriptTable(NamedTuple):
    """Class 9, script table."""

    logical_name: LogicalName
    scripts: Static[tuple[Script, ...]] = None


class ScheduleEntry(NamedTuple):
    """schedule_table_entry: `validity_window` in minutes, 0xFFFF without limit."""

    entry_index: LongUnsigned
    enable: Boolean
    script_logical_name: LogicalName
    script_selector: LongUnsigned
    switch_time: CosemTime
    validity_window: LongUnsigned
    exec_weekdays: BitText
    exec_specdays: BitText
    begin_date: CosemDate
    end_date: CosemDate


class Schedule(NamedTuple):
    """Class 10, schedule."""

    logical_name: LogicalName
    entries: Static[tuple[ScheduleEntry, ...]] = None


class EntriesSwitched(NamedTuple):
    """What enable/disable of a schedule takes: entries to switch off and on, 0 for none."""

    first_disabled: LongUnsigned
    last_disabled: LongUnsigned
    first_enabled: LongUnsigned
    last_enabled: LongUnsigned


class EntriesDeleted(NamedTuple):
    """What delete of a schedule takes."""

    first_index: LongUnsigned
    last_index: LongUnsigned


class SpecialDay(NamedTuple):
    """spec_day_entry: a date, possibly a pattern, that has the day profile `day_id`."""

    entry_index: LongUnsigned
    specialday_date: CosemDate
    day_id: Unsigned


class SpecialDaysTable(NamedTuple):
    """Class 11, special days table."""

    logical_name: LogicalName
    entries: Static[tuple[SpecialDay, ...]] = None


class SeasonProfile(NamedTuple):
    """A season, when it starts (usually a pattern) and its week."""

    season_profile_name: Octets
    season_start: CosemDateTime
    week_name: Octets


class WeekProfile(NamedTuple):
    """A week: the day profile of each weekday."""

    week_profile_name: Octets
    monday: Unsigned
    tuesday: Unsigned
    wednesday: Unsigned
    thursday: Unsigned
    friday: Unsigned
    saturday: Unsigned
    sunday: Unsigned


class DayAction(NamedTuple):
    """day_profile_action: the script that a time of day starts."""

    start_time: CosemTime
    script_logical_name: LogicalName
    script_selector: LongUnsigned


class DayProfile(NamedTuple):
    """A day and its switching times."""

    day_id: Unsigned
    day_schedule: tuple[DayAction, ...]


class ActivityCalendar(NamedTuple):
    """Class 20, activity calendar: the active one and the passive one that will replace it."""

    logical_name: LogicalName
    calendar_name_active: Static[Octets] = None
    season_profile_active: Static[tuple[SeasonProfile, ...]] = None
    week_profile_table_active: Static[tuple[WeekProfile, ...]] = None
    day_profile_table_active: Static[tuple[DayProfile, ...]] = None
    calendar_name_passive: Static[Octets] = None
    season_profile_passive: Static[tuple[SeasonProfile, ...]] = None
    week_profile_table_passive: Static[tuple[WeekProfile, ...]] = None
    day_profile_table_passive: Static[tuple[DayProfile, ...]] = None
    activate_passive_calendar_time: Static[CosemDateTime] = None


class ValueDefinition(NamedTuple):
    """value_definition: an attribute that is watched."""

    class_id: LongUnsigned
    logical_name: LogicalName
    attribute_index: Integer


class ActionItem(NamedTuple):
    """A script of a script table."""

    script_logical_name: LogicalName
    script_selector: LongUnsigned


class ActionSet(NamedTuple):
    """What happens when a threshold is passed upwards and downwards."""

    action_up: ActionItem
    action_down: ActionItem


class RegisterMonitor(NamedTuple):
    """Class 21, register monitor: one set of actions per threshold."""

    logical_name: LogicalName
    thresholds: Static[tuple[Data, ...]] = None
    monitored_value: Static[ValueDefinition] = None
    actions: Static[tuple[ActionSet, ...]] = None


class ExecutionTime(NamedTuple):
    """When a single-action schedule executes; open fields repeat."""

    time: CosemTime
    date: CosemDate


class SingleActionSchedule(NamedTuple):
    """Class 22, single action schedule."""

    logical_name: LogicalName
    executed_script: Static[ActionItem] = None
    type: Static[Enum] = None
    execution_time: Static[tuple[ExecutionTime, ...]] = None


_CLOCK_METHODS = {
    "adjust_to_quarter": None,
    "adjust_to_measuring_period": None,
    "adjust_to_minute": None,
    "adjust_to_preset_time": None,
    "preset_adjusting_time": PresetTime,
    "shift_time": Long,
}
_SCHEDULE_METHODS = {
    "enable_disable": EntriesSwitched,
    "insert": ScheduleEntry,
    "delete": EntriesDeleted,
}
_DAYS_METHODS = {"insert": SpecialDay, "delete": LongUnsigned}

CLASSES = (
    *versions(8, "clock", Clock, methods=_CLOCK_METHODS),
    *versions(9, "script_table", ScriptTable, methods={"execute": LongUnsigned}),
    *versions(10, "schedule", Schedule, methods=_SCHEDULE_METHODS),
    *versions(11, "special_days_table", SpecialDaysTable, methods=_DAYS_METHODS),
    *versions(
        20,
        "activity_calendar",
        ActivityCalendar,
        methods={"activate_passive_calendar": None},
    ),
    *versions(21, "register_monitor", RegisterMonitor),
    *versions(22, "single_action_schedule", SingleActionSchedule),
)
