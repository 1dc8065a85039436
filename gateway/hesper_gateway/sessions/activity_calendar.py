"""The activity calendar (IEC 62056-6-2, class 20): the passive one is written, then activated.

Theory of operation
-------------------
::

    no activation time ──→ passive name, seasons, weeks, days ──→ read back ──equal──→ activation
                                                                     └ differs: stopped here

A calendar that is half written must never become the active one, so the activation time is taken
away first and set last, after all was compared. An activation at once is the method, and then the
active calendar is compared.
"""

from datetime import datetime

from hesper_contracts.calendars import Day, Season, Switch, Week, WriteCalendar
from hesper_dlms import axdr, obis
from hesper_dlms.apdu import CosemAttribute, CosemMethod
from hesper_dlms.axdr import Data
from hesper_dlms.classes.registry import of_record
from hesper_dlms.classes.scheduling import (
    ActivityCalendar,
    DayAction,
    DayProfile,
    SeasonProfile,
    WeekProfile,
)
from hesper_dlms.cosem_time import CosemDateTime, CosemTime
from hesper_dlms.errors import ServiceError

from hesper_gateway.errors import MeterFailed, WriteUncertain
from hesper_gateway.sessions import settings_written
from hesper_gateway.sessions.association import Association
from hesper_gateway.sessions.reading import Reading
from hesper_gateway.sessions.settings_written import Setting
from hesper_gateway.templates.model import MeterTemplate

_CLASS = of_record(ActivityCalendar)
_ACTIVE, _PASSIVE, _ACTIVATION_TIME, _ACTIVATE = 2, 6, 10, 1
_NEVER = CosemDateTime(None, None, None, None, None, None, None, None, None, None)
_NOTHING = axdr.integer(0)


class Calendar:
    """One calendar for one meter.

    Args:
        wanted: What the command says.
        template: Where the meter has its calendar and its tariff scripts.
    """

    def __init__(self, wanted: WriteCalendar, template: MeterTemplate) -> None:
        self._wanted = wanted
        self._where = template.objects.activity_calendar
        self._scripts = obis.LogicalName(template.objects.tariff_scripts)

    async def write(self, reading: Reading) -> str:
        """Write, compare and activate; return what is wrong, or nothing.

        Raises:
            WriteUncertain: the meter fell silent; nobody knows which calendar it holds.
        """
        association = reading.association
        time = self._activation_time(reading)
        never = self._setting("the activation time", _ACTIVATION_TIME, _encoded_time(_NEVER))
        wrong = await settings_written.write(association, [never, *self._tables(_PASSIVE)])
        if wrong:
            return f"{wrong}; it is not activated"
        if time is not None:
            return await settings_written.write(association, [time])
        return await self._activate(association)

    async def is_there(self, reading: Reading) -> str:
        """Return what of the calendar, as it is or will be active, the meter holds otherwise.

        Raises:
            MeterFailed: it cannot be read.
        """
        association, time = reading.association, self._activation_time(reading)
        active = await settings_written.differing(association, self._tables(_ACTIVE))
        if not active or time is None:
            return active
        return await settings_written.differing(association, [*self._tables(_PASSIVE), time])

    async def _activate(self, association: Association) -> str:
        try:
            try:
                await association.action(
                    CosemMethod(_CLASS.class_id, self._where, _ACTIVATE), _NOTHING
                )
            except ServiceError as error:
                return f"written; the meter declines to activate it: {error}"
            names = await settings_written.differing(association, self._tables(_ACTIVE))
        except MeterFailed as error:
            raise WriteUncertain(f"the calendar was activated, then: {error}") from error
        return f"activated; the meter holds other {names}" if names else ""

    def _activation_time(self, reading: Reading) -> Setting | None:
        at = self._wanted.activate_at
        if at is None:
            return None
        value = _encoded_time(_by_the_meter(at, reading))
        return self._setting("the activation time", _ACTIVATION_TIME, value)

    def _tables(self, first: int) -> list[Setting]:
        """Return name, seasons, weeks and days, which are attributes in a row."""
        wanted = self._wanted
        values = (
            ("calendar name", wanted.name.encode("latin-1")),
            ("seasons", tuple(map(_season, wanted.seasons))),
            ("weeks", tuple(map(_week, wanted.weeks))),
            ("days", tuple(self._day(day) for day in wanted.days)),
        )
        return [
            self._setting(name, attribute_id, _CLASS.encode(attribute_id, value))
            for attribute_id, (name, value) in enumerate(values, first)
        ]

    def _day(self, day: Day) -> DayProfile:
        return DayProfile(day.day_id, tuple(map(self._action, day.switches)))

    def _action(self, switch: Switch) -> DayAction:
        at = CosemTime(switch.at.hour, switch.at.minute, switch.at.second, 0)
        return DayAction(at, self._scripts, switch.script)

    def _setting(self, name: str, attribute_id: int, value: Data) -> Setting:
        return Setting(name, CosemAttribute(_CLASS.class_id, self._where, attribute_id), value)


def _season(season: Season) -> SeasonProfile:
    start = CosemDateTime(season.year, season.month, season.day, None, 0, 0, 0, 0, None, None)
    return SeasonProfile(season.name.encode("latin-1"), start, season.week.encode("latin-1"))


def _week(week: Week) -> WeekProfile:
    return WeekProfile(week.name.encode("latin-1"), *week.day_ids)


def _by_the_meter(at: datetime, reading: Reading) -> CosemDateTime:
    """Return an instant by the meter's local time, with no deviation where its clock sends none."""
    local = CosemDateTime.from_datetime(at.astimezone(reading.policy.zone))
    plain = reading.clock.deviation_minutes is None or reading.policy.wrong_sign
    return local.without_deviation() if plain else local


def _encoded_time(time: CosemDateTime) -> Data:
    return axdr.octet_string(time.to_octets())
