"""What meters do by themselves, and what their settings change; clock injected, no sockets."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hesper_dlms import axdr, obis
from hesper_dlms.apdu import CosemAttribute, CosemMethod, RangeSelector
from hesper_dlms.classes.control import ControlState
from hesper_dlms.classes.keys_and_images import SecurityPolicy
from hesper_dlms.classes.registry import by_id
from hesper_dlms.cosem_time import CosemDateTime
from hesper_dlms.errors import DecodeError, ServiceError
from hesper_sim import memory, schedule
from hesper_sim.cosem import CosemMeter
from hesper_sim.district import District
from hesper_sim.faults import Fault
from hesper_sim.fleet import FleetSettings, plan
from hesper_sim.objects.switching import push_button

FLEET = plan(FleetSettings(tcp=2, shared=0, dial_in=0, rs485=0, push=False, zone="Europe/Berlin"))
START = datetime(2026, 7, 15, 10, 7, 30, tzinfo=UTC)
MANAGEMENT, READING, PUBLIC = 1, 2, 16
RELAY, LIMITER, CALENDAR = "0.0.96.3.10.255", "0.0.17.0.0.255", "0.0.13.0.0.255"
SCRIPTS = "0.0.10.0.106.255"
SPECIAL_DAYS, IMAGE, SECURITY = "0.0.11.0.0.255", "0.0.44.0.0.255", "0.0.43.0.0.255"


class World:
    """A district with a clock that a test moves, and one meter of it."""

    def __init__(self, folder) -> None:
        self.now = START.timestamp()
        self.folder = folder
        self.district: District = memory.wake(FLEET, folder, 900, 400, lambda: self.now)
        self._meet()

    def _meet(self) -> None:
        self.meter = next(iter(self.district.meters.values()))
        self.subject = CosemMeter(self.district, self.meter)

    def restart(self) -> None:
        self.district.close()
        self.district = memory.wake(FLEET, self.folder, 900, 400, lambda: self.now)
        self._meet()

    def get(self, class_id: int, name: str, number: int, client: int = MANAGEMENT) -> axdr.Data:
        wanted = CosemAttribute(class_id, obis.parse(name), number)
        return axdr.decode(self.subject.get(client, wanted, None))

    def set(self, class_id: int, name: str, number: int, value: axdr.Data, client=MANAGEMENT):
        wanted = CosemAttribute(class_id, obis.parse(name), number)
        self.subject.set(client, wanted, axdr.encode(value))

    def act(self, class_id: int, name: str, number: int, parameters: axdr.Data | None = None):
        wanted = CosemMethod(class_id, obis.parse(name), number)
        octets = axdr.encode(parameters or axdr.integer(0))
        return self.subject.action(MANAGEMENT, wanted, octets)

    def pass_s(self, seconds: float) -> None:
        self.now += seconds
        schedule.attend(self.district)

    def codes(self) -> list[int]:
        return [row.values[0] for row in self.meter.events.between(0, 1 << 40)]


@pytest.fixture
def world(tmp_path):
    world = World(tmp_path)
    yield world
    world.district.close()


@pytest.mark.parametrize("mode", range(7))
def test_control_modes(world, mode):
    world.set(70, RELAY, 4, axdr.enum(mode))
    if mode == 0:
        with pytest.raises(ServiceError):
            world.act(70, RELAY, 1)
        return
    world.act(70, RELAY, 1)
    assert world.meter.control is ControlState.DISCONNECTED
    world.act(70, RELAY, 2)
    if mode in (2, 4):
        assert world.meter.control is ControlState.CONNECTED
    else:
        assert world.meter.control is ControlState.READY_FOR_RECONNECTION
        assert world.get(70, RELAY, 2).value is False
        world.restart()
        assert world.meter.control is ControlState.READY_FOR_RECONNECTION
        assert push_button(world.district, world.meter)
        assert world.get(70, RELAY, 2).value is True
    assert push_button(world.district, world.meter) is (mode in (1, 2, 5))
    if mode in (1, 2, 5):
        assert world.meter.control is ControlState.READY_FOR_RECONNECTION
        world.restart()
        assert push_button(world.district, world.meter)
        assert world.meter.control is ControlState.CONNECTED


@pytest.mark.parametrize("mode", [1, 3, 5, 6])
def test_a_script_connects_nobody_where_a_reconnection_waits_for_the_button(world, mode):
    world.set(70, RELAY, 4, axdr.enum(mode))
    for number in (1, 2):
        world.act(9, SCRIPTS, 1, axdr.long_unsigned(number))
    assert world.meter.control is ControlState.READY_FOR_RECONNECTION
    assert not world.meter.output


def test_a_script_says_that_the_relay_was_not_moved(world):
    world.set(70, RELAY, 4, axdr.enum(0))
    with pytest.raises(ServiceError):
        world.act(9, SCRIPTS, 1, axdr.long_unsigned(1))
    world.set(70, RELAY, 4, axdr.enum(4))
    world.district.begin(world.meter, Fault.RELAY_REJECTED)
    with pytest.raises(ServiceError):
        world.act(9, SCRIPTS, 1, axdr.long_unsigned(1))
    assert world.meter.output


def test_the_limiter_opens_the_relay_after_its_time(world):
    power = world.meter.power_w(int(world.now)).active_import
    world.set(71, LIMITER, 4, axdr.double_long_unsigned(max(power // 4, 1)))
    world.set(71, LIMITER, 6, axdr.double_long_unsigned(30))
    world.pass_s(1)
    world.pass_s(28)
    assert world.meter.output
    world.pass_s(5)
    assert not world.meter.output
    assert world.codes()[-1] == 64
    assert world.meter.control is ControlState.READY_FOR_RECONNECTION
    assert push_button(world.district, world.meter)


def script(number):
    return axdr.structure(axdr.octet_string(obis.parse(SCRIPTS)), axdr.long_unsigned(number))


def test_the_limiter_obeys_the_control_mode_and_its_own_actions(world):
    world.set(71, LIMITER, 4, axdr.double_long_unsigned(1))
    assert world.get(71, LIMITER, 3).value == 1
    world.set(70, RELAY, 4, axdr.enum(0))
    world.pass_s(60)
    world.set(70, RELAY, 4, axdr.enum(2))
    world.set(71, LIMITER, 11, axdr.structure(script(0), script(0)))
    world.pass_s(60)
    assert world.meter.output
    world.set(71, LIMITER, 11, axdr.structure(script(1), script(0)))
    world.pass_s(60)
    assert not world.meter.output


def plan_single_action(world, due):
    when = axdr.structure(
        axdr.octet_string(bytes((due.hour, due.minute, due.second, 0))),
        axdr.octet_string(due.year.to_bytes(2, "big") + bytes((due.month, due.day, 0xFF))),
    )
    world.set(22, "0.0.15.0.1.255", 4, axdr.array(when))


def test_a_single_action_is_executed_once_and_also_when_it_was_slept_through(world):
    due = (START + timedelta(minutes=5)).astimezone(ZoneInfo("Europe/Berlin"))
    plan_single_action(world, due)
    world.pass_s(200)
    assert world.meter.output
    world.now += 200
    world.restart()
    schedule.attend(world.district)
    assert not world.meter.output
    world.act(70, RELAY, 2)
    world.restart()
    world.pass_s(3600)
    assert world.meter.output


def test_the_passive_calendar_takes_over_at_its_time(world):
    world.set(20, CALENDAR, 6, axdr.octet_string(b"WINTER"))
    with pytest.raises(ServiceError):
        world.set(20, CALENDAR, 2, axdr.octet_string(b"NOW"))
    at = CosemDateTime.from_datetime(START + timedelta(hours=1)).to_octets()
    world.set(20, CALENDAR, 10, axdr.octet_string(at))
    world.pass_s(3000)
    assert world.get(20, CALENDAR, 2).as_octets() == b"HSP-DAY-NIGHT"
    world.pass_s(700)
    assert world.get(20, CALENDAR, 2).as_octets() == b"WINTER"
    assert world.codes()[-1] == 9
    world.restart()
    assert world.get(20, CALENDAR, 2).as_octets() == b"WINTER"


def test_schedules_go_by_the_meters_own_clock(world):
    due = (START + timedelta(minutes=5)).astimezone(ZoneInfo("Europe/Berlin"))
    plan_single_action(world, due)
    local = CosemDateTime.from_datetime(due).without_deviation().to_octets()
    world.set(20, CALENDAR, 6, axdr.octet_string(b"WINTER"))
    world.set(20, CALENDAR, 10, axdr.octet_string(local))
    world.pass_s(200)
    assert world.meter.output
    world.act(8, "0.0.1.0.0.255", 6, axdr.long_(120))
    world.pass_s(1)
    assert not world.meter.output
    assert world.get(20, CALENDAR, 2).as_octets() == b"WINTER"


def test_a_range_without_a_deviation_is_of_the_meters_local_time(world):
    end = START.replace(minute=0, second=0).astimezone(ZoneInfo("Europe/Berlin"))
    bounds = [CosemDateTime.from_datetime(at) for at in (end - timedelta(hours=1), end)]
    told = RangeSelector(*bounds).to_selection()
    local = RangeSelector(*(each.without_deviation() for each in bounds)).to_selection()
    buffer = CosemAttribute(7, obis.LOAD_PROFILE_1, 2)
    rows = world.subject.get(MANAGEMENT, buffer, told)
    assert len(axdr.decode(rows).as_items()) == 5
    assert world.subject.get(MANAGEMENT, buffer, local) == rows


@pytest.mark.parametrize("name", [obis.LOAD_PROFILE_1, obis.LOAD_PROFILE_2, obis.EVENT_LOG])
def test_a_range_at_the_end_of_the_calendar_has_no_rows(world, name):
    last = CosemDateTime(9999, 12, 31, None, 23, 59, 59, 0, 0, 0)
    asked = RangeSelector(last, last).to_selection()
    rows = world.subject.get(MANAGEMENT, CosemAttribute(7, name, 2), asked)
    assert axdr.decode(rows).as_items() == ()


@pytest.mark.parametrize("year", [1, 1999, 2100, 9999])
def test_a_clock_does_not_leave_its_century(world, year):
    before = world.get(8, "0.0.1.0.0.255", 2)
    at = CosemDateTime(year, 1, 1, None, 0, 0, 0, 0, 0, 0)
    with pytest.raises(ServiceError):
        world.set(8, "0.0.1.0.0.255", 2, axdr.octet_string(at.to_octets()))
    assert world.get(8, "0.0.1.0.0.255", 2) == before


MALFORMED = [
    axdr.structure(),
    axdr.array(axdr.unsigned(1)),
    axdr.structure(axdr.long_unsigned(1)),
    axdr.structure(axdr.double_long_unsigned(1), axdr.octet_string(b""), axdr.unsigned(1)),
    axdr.structure(axdr.octet_string(b"x"), axdr.octet_string(b"x")),
    axdr.structure(axdr.integer(-1), axdr.octet_string(bytes(200))),
]


@pytest.mark.parametrize("number", range(len(MALFORMED)))
@pytest.mark.parametrize(("class_id", "name"), [(11, SPECIAL_DAYS), (18, IMAGE)])
def test_parameters_of_another_shape_are_refused(world, class_id, name, number):
    days = world.get(11, SPECIAL_DAYS, 2)
    for method in (1, 2):
        with pytest.raises((ServiceError, DecodeError)):
            world.act(class_id, name, method, MALFORMED[number])
    assert world.get(11, SPECIAL_DAYS, 2) == days


def test_the_security_policy_is_told_in_the_bits_of_its_class(world):
    listed = world.get(15, "0.0.40.0.0.255", 2).as_items()
    version = next(item.as_items()[1].value for item in listed if item.as_items()[0].value == 64)
    policy = SecurityPolicy(
        by_id(64, version).decode("security_policy", world.get(64, SECURITY, 2))
    )
    assert policy == 0x6C
    assert SecurityPolicy.ENCRYPTED_RESPONSE in policy
    world.act(64, SECURITY, 1, axdr.enum(policy))
    for weaker in (0, 3, policy & ~SecurityPolicy.ENCRYPTED_REQUEST):
        with pytest.raises(ServiceError):
            world.act(64, SECURITY, 1, axdr.enum(weaker))


def test_special_days_are_inserted_and_deleted(world):
    name = "0.0.11.0.0.255"
    before = len(world.get(11, name, 2).as_items())
    day = axdr.structure(
        axdr.long_unsigned(77), axdr.octet_string(b"\x07\xeb\x0a\x03\xff"), axdr.unsigned(2)
    )
    world.act(11, name, 1, day)
    assert world.get(11, name, 2).as_items()[-1] == day
    world.act(11, name, 2, axdr.long_unsigned(77))
    assert len(world.get(11, name, 2).as_items()) == before


def test_settings_keep_their_type_and_outlive_a_restart(world):
    name = "0.0.25.4.0.255"
    world.set(45, name, 2, axdr.octet_string(b"internet"))
    for wrong in (axdr.integer(1), axdr.visible_string("internet")):
        with pytest.raises(ServiceError) as refused:
            world.set(45, name, 2, wrong)
        assert refused.value.code == 12
    for client in (READING, PUBLIC):
        with pytest.raises(ServiceError) as refused:
            world.set(45, name, 2, axdr.octet_string(b"no"), client)
        assert refused.value.code == 3
    world.restart()
    assert world.get(45, name, 2).as_octets() == b"internet"


def test_the_clock_tells_local_time_and_follows_its_own_settings(world):
    def told() -> CosemDateTime:
        return CosemDateTime.from_octets(world.get(8, "0.0.1.0.0.255", 2).as_octets())

    assert (told().hour, told().deviation, told().clock_status) == (12, -120, 0x80)
    world.now = datetime(2026, 12, 1, 10, tzinfo=UTC).timestamp()
    assert (told().hour, told().deviation, told().clock_status) == (11, -60, 0)
    world.set(8, "0.0.1.0.0.255", 3, axdr.long_(-330))
    world.set(8, "0.0.1.0.0.255", 8, axdr.boolean(False))
    world.now = START.timestamp()
    assert (told().hour, told().minute, told().deviation) == (15, 37, -330)
    assert told().resolve(UTC).captured_at == START
    bare = CosemDateTime.from_datetime(START + timedelta(minutes=333)).to_octets()
    bare = bare[:9] + b"\x80\x00\xff"
    world.set(8, "0.0.1.0.0.255", 2, axdr.octet_string(bare))
    assert told().resolve(UTC).captured_at == START + timedelta(minutes=3)


def test_daylight_saving_can_be_missing(world):
    world.district.begin(world.meter, Fault.DST_MISSING)
    told = CosemDateTime.from_octets(world.get(8, "0.0.1.0.0.255", 2).as_octets())
    assert (told.hour, told.clock_status) == (11, 0)


def test_daily_and_monthly_values_are_those_of_the_registers(world):
    def rows(name: str):
        return [
            (
                CosemDateTime.from_octets(row.as_items()[0].as_octets()).resolve(UTC).captured_at,
                row.as_items()[1].as_int(),
            )
            for row in world.get(7, name, 2).as_items()
        ]

    days, months = rows("1.0.99.2.0.255"), rows("0.0.98.1.0.255")
    assert 399 <= len(days) <= 401
    assert len(months) == 13
    assert dict(months).items() <= dict(days).items()
    for at, energy in days[::37]:
        assert energy == world.meter.energy_wh(int(at.timestamp())).active_import
        assert at.astimezone(tz=None) is not None
    assert {at.hour for at, _ in days} == {22, 23}
    world.act(70, RELAY, 1)
    world.pass_s(86_400 * 3)
    world.act(70, RELAY, 2)
    world.pass_s(86_400 * 3)
    late = rows("1.0.99.2.0.255")
    assert late[: len(days)] == days
    used = [b[1] - a[1] for a, b in zip(late[-6:], late[-5:], strict=False)]
    assert used[:2] == [0, 0]
    assert used[-1] > 0


def test_demands_and_logs_of_one_kind(world):
    maximum = world.get(4, "1.0.1.6.0.255", 2).as_int()
    assert maximum >= world.get(5, "1.0.1.4.0.255", 3).as_int() > 0
    world.district.begin(world.meter, Fault.COVER_OPENED)
    world.district.begin(world.meter, Fault.MAGNETIC_FIELD)
    world.district.begin(world.meter, Fault.VOLTAGE_SAG)
    world.act(70, RELAY, 1)
    logs = {name: len(world.get(7, f"0.0.99.98.{name}.255", 2).as_items()) for name in (0, 1, 2, 4)}
    assert logs == {0: 4, 1: 2, 2: 1, 4: 1}


def test_the_tariffs_add_up(world):
    total, first, second = (
        world.get(3, f"1.0.1.8.{tariff}.255", 2).as_int() for tariff in (0, 1, 2)
    )
    assert total == first + second


def test_the_view_tells_each_client_what_it_may(world):
    def view(client: int):
        return {
            (item.as_items()[0].as_int(), item.as_items()[2].as_octets()): item.as_items()[3]
            for item in world.get(15, "0.0.40.0.0.255", 2, client).as_items()
        }

    public, reading, managing = (view(client) for client in (PUBLIC, READING, MANAGEMENT))
    assert len(public) == 7
    assert reading.keys() == managing.keys()
    assert len(managing) > 60
    relay = 70, obis.parse(RELAY)
    modes = [
        {each.as_items()[1].as_int() for each in rights[relay].as_items()[1].as_items()}
        for rights in (reading, managing)
    ]
    assert modes == [{0}, {1}]
    for client in (PUBLIC, READING, MANAGEMENT):
        partner = world.get(15, "0.0.40.0.0.255", 3, client).as_items()[0].as_int()
        assert partner == client


def test_a_meter_that_nobody_wrote_to_remembers_nothing(world):
    other = list(world.district.meters.values())[1]
    world.set(45, "0.0.25.4.0.255", 2, axdr.octet_string(b"internet"))
    assert world.district.known(world.meter) is not None
    assert world.district.known(other) is None
