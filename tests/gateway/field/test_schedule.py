"""When meters are visited, and what a round of visits brings home."""

import asyncio
import contextlib
import itertools
import logging
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest
from hesper_contracts.readings import LOAD_PROFILE, REGISTER_SNAPSHOT, encode
from hesper_dlms import axdr, obis
from hesper_dlms.apdu import DataNotification
from hesper_dlms.server import ServerConnection, WrapperServerLink
from hesper_dlms.wrapper import wrap
from hesper_gateway.config import DialInLine, ScheduleConfig
from hesper_gateway.database import DatabaseError
from hesper_gateway.errors import CredentialsRefused, MeterSilent
from hesper_gateway.gathering import Find, Gathering
from hesper_gateway.lines.dial_in import DialIn
from hesper_gateway.lines.line import Line, Priority
from hesper_gateway.meter_state import MeterState
from hesper_gateway.outbox import OutboxFull
from hesper_gateway.schedule import Plan, Round, Stop, offset_s
from hesper_gateway.sessions.windows import OPEN_END_S, Stretch, Windows, stretch
from hesper_gateway.visit import Visitor, Work

NOON = 1_790_000_100.0


# --- the plan, pure


def test_everything_is_due_at_the_start_and_then_at_its_ticks():
    plan = Plan(ScheduleConfig(snapshot_s=60, events_s=300), offset_s=2.0, period_s=900)
    assert plan.due(NOON) == set(Work)
    for work in Work:
        plan.done(work, NOON)
    assert plan.due(NOON + 1) == set()
    assert plan.next_at() == NOON + 2
    for work in Work:
        plan.done(work, NOON + 2)
    assert plan.due(NOON + 61) == set()
    assert plan.due(NOON + 62) == {Work.SNAPSHOT}
    assert plan.due(NOON + 302) == {Work.SNAPSHOT, Work.EVENTS}
    assert plan.due(NOON + 902) == set(Work)


def test_a_missed_tick_stays_due_until_it_is_done():
    plan = Plan(ScheduleConfig(snapshot_s=60), offset_s=0)
    plan.done(Work.SNAPSHOT, NOON)
    for later_s in (60, 600, 86400):
        assert Work.SNAPSHOT in plan.due(NOON + later_s)
    plan.done(Work.SNAPSHOT, NOON + 86400)
    assert Work.SNAPSHOT not in plan.due(NOON + 86401)


def test_a_capture_during_a_visit_is_due_at_once_after_it():
    plan = Plan(ScheduleConfig(profile_s=5), offset_s=0)
    plan.done(Work.PROFILE, 1000.0)
    assert Work.PROFILE in plan.due(1005.5)


def test_the_profile_follows_the_period_that_the_meter_states():
    plan = Plan(ScheduleConfig(), offset_s=0)
    plan.period_s = 1800
    assert plan.interval_s(Work.PROFILE) == 1800
    assert Plan(ScheduleConfig(profile_s=60), 0, 1800).interval_s(Work.PROFILE) == 60


def test_captures_are_fetched_by_the_clock_that_made_them():
    plan = Plan(ScheduleConfig(), offset_s=2.0, period_s=900, drift_s=-40.0)
    plan.done(Work.PROFILE, NOON + 2)  # the meter's clock still says 38 s before noon
    assert plan._due_at[Work.PROFILE] == NOON + 42
    plan.done(Work.PROFILE, NOON + 42)
    assert plan._due_at[Work.PROFILE] == NOON + 942
    assert Work.PROFILE not in plan.due(NOON + 941)


def test_a_capture_that_was_not_filed_yet_is_looked_for_once_more_soon():
    plan = Plan(ScheduleConfig(), offset_s=0, period_s=900)
    for _ in range(2):
        plan.done(Work.PROFILE, NOON)
        plan.captured(newest=int(NOON) - 900, present=int(NOON), begun_at=NOON)
        assert plan._due_at[Work.PROFILE] == NOON + 10
        plan.done(Work.PROFILE, NOON + 10)
        plan.captured(newest=int(NOON) - 900, present=int(NOON) + 10, begun_at=NOON + 10)
        assert plan._due_at[Work.PROFILE] == NOON + 900
    plan.captured(newest=int(NOON), present=int(NOON) + 11, begun_at=NOON + 11)
    assert plan._due_at[Work.PROFILE] == NOON + 900


def test_a_gateway_clock_that_was_set_back_does_not_stop_the_reading():
    plan = Plan(ScheduleConfig(), offset_s=0)
    for work in Work:
        plan.done(work, NOON)
    assert plan.due(NOON - 10 * 86400) == set(Work)


def test_meters_are_spread_over_the_jitter_the_same_way_every_time():
    offsets = [offset_s(f"HES{n}", 5) for n in range(200)]
    assert offsets == [offset_s(f"HES{n}", 5) for n in range(200)]
    assert min(offsets) < 1 < 4 < max(offsets) <= 5


# --- windows, pure


def walk(wanted: Stretch, window_s: int, row_count: int, rows_in) -> list[tuple[int, int]]:
    windows, seen = Windows(wanted, window_s, row_count), []
    for start, end in windows:
        seen.append((start, end))
        windows.took(rows_in(start, end))
    return seen


def test_windows_cover_the_stretch_without_gap_or_overlap():
    wanted = stretch(None, 1_000_000, 400_000, 0)
    seen = walk(wanted, 10_000, 100, lambda start, end: 80)
    assert seen[0][0] == 400_000
    assert seen[-1][1] == 1_000_000 + OPEN_END_S
    assert all(before[1] + 1 == after[0] for before, after in itertools.pairwise(seen))
    assert all(end - start == 9_999 for start, end in seen[:-1])


def test_empty_years_cost_a_handful_of_windows():
    wanted = stretch(None, 1_790_000_000, 946_684_800, 0)
    assert len(walk(wanted, 500 * 900, 500, lambda start, end: 0)) < 50


def test_a_full_window_makes_the_next_one_shorter():
    wanted = Stretch(0, 100_000, 100_000)
    seen = walk(wanted, 10_000, 100, lambda start, end: 1000)
    assert seen[1][1] - seen[1][0] == 4_999


@pytest.mark.parametrize(
    ("mark", "back_s", "start"),
    [(None, 0, 500), (9_000, 0, 9_001), (9_000, 600, 8_401), (10_050, 0, 10_051), (99_999, 0, 500)],
)
def test_where_a_reading_begins(mark, back_s, start):
    assert stretch(mark, 10_000, 500, back_s).start == start


def test_rows_of_the_future_do_not_carry_the_mark():
    wanted = stretch(None, 10_000, 500, 0)
    assert wanted.mark([9_000, 9_900, 99_000]) == 9_900
    assert wanted.mark([99_000]) is None


# --- reachability


@dataclass
class Hands:
    time_s: float = NOON

    def now(self) -> float:
        return self.time_s


def test_a_meter_that_goes_is_told_once_and_once_when_it_is_back(caplog):
    caplog.set_level(logging.INFO)
    clock = Hands()
    state = MeterState("HES1", ScheduleConfig(back_off_s=5, back_off_max_s=60), clock.now)
    assert state.succeeded() is None
    pauses = []
    events = []
    for _ in range(8):
        events.append(state.failed(MeterSilent("no answer")))
        pauses.append(state.ready_at() - clock.time_s)
        assert state.ready_at() > clock.time_s
        clock.time_s = state.ready_at()
        assert state.ready_at() <= clock.time_s
    assert [event is not None for event in events] == [True] + [False] * 7
    assert events[0].code == "meter.unreachable"
    assert events[0].attributes["hop"] == "timeout"
    assert pauses[0] <= 5 * 1.25
    assert 60 <= max(pauses) <= 60 * 1.25
    assert pauses[:4] == sorted(pauses[:4])
    back = state.succeeded()
    assert back is not None
    assert back.code == "meter.reachable"
    assert state.ready_at() <= clock.time_s
    assert len(caplog.records) == 2


def test_refused_credentials_are_left_alone_for_longer():
    state = MeterState("HES1", ScheduleConfig(back_off_s=5), Hands().now)
    state.failed(CredentialsRefused("association rejected"))
    assert state.ready_at() - NOON >= 30


# --- gathering


async def test_what_several_visits_find_shares_sections_and_marks_follow_rows(bench):
    held = bench.held
    gathering = Gathering(held, window_s=0.01)
    running = asyncio.create_task(gathering.run())
    snapshots = []
    for number in range(3):
        _, server = bench.meter()
        async with bench.over_tcp(server) as line, bench.session(line).reading() as reading:
            section = (await reading.snapshot()).section(f"HES{number}", bench.now())
            snapshots.append(gathering.append([Find(section, 100 + number)]))
    await asyncio.gather(*snapshots)
    running.cancel()
    (section,) = held.sections
    assert [rows.meter for rows in section.rows] == ["HES0", "HES1", "HES2"]
    assert held.marks == {(f"HES{n}", REGISTER_SNAPSHOT): 100 + n for n in range(3)}


async def test_a_full_outbox_is_told_to_everyone_who_waits(bench):
    gathering = Gathering(bench.held, window_s=0)
    running = asyncio.create_task(gathering.run())
    bench.held.full = OutboxFull("no room")
    _, server = bench.meter()
    async with bench.over_tcp(server) as line, bench.session(line).reading() as reading:
        section = (await reading.snapshot()).section("HES1", bench.now())
    with pytest.raises(OutboxFull):
        await gathering.append([Find(section)])
    bench.held.full = None
    await gathering.append([Find(section)])
    running.cancel()
    assert len(bench.held.sections) == 1


# --- rounds


class Field:
    """A round over real lines, with everything that runs beside it."""

    def __init__(self, bench, schedule: ScheduleConfig) -> None:
        self.bench = bench
        self.schedule = schedule
        self.gathering = Gathering(bench.held, window_s=0.005)

    def stop(self, session) -> Stop:
        bench = self.bench
        visitor = Visitor(session, self.gathering, bench.held, bench.held, bench.now)
        state = MeterState(session.meter.id, self.schedule, bench.now)
        return Stop(visitor, Plan(self.schedule, 0.0), state)

    @asynccontextmanager
    async def going(self, name: str, *stops: Stop, beside=()):
        round_ = Round(name, stops, self.bench.held, self.bench.now)
        tasks = [asyncio.create_task(job) for job in (round_.run(), self.gathering.run(), *beside)]
        try:
            yield round_
        finally:
            for task in tasks:
                task.cancel()
            ended = await asyncio.gather(*tasks, return_exceptions=True)
            assert all(isinstance(each, asyncio.CancelledError) for each in ended), ended

    def later(self, round_: Round, seconds: float) -> None:
        """Let time pass and wake the round, as its own sleep would."""
        self.bench.time_s += seconds
        round_._nudged.set()


@pytest.fixture
def field(bench) -> Field:
    return Field(bench, ScheduleConfig(back_off_s=5, snapshot_s=60))


async def test_a_round_brings_the_buffer_then_what_is_new(bench, field):
    meter, server = bench.meter()
    meter.capture(1200, bench.START - 1200 * 900)
    held = bench.held
    async with bench.over_tcp(server) as line:
        stop = field.stop(bench.session(line))
        async with field.going("lan", stop) as round_:
            await held.until(lambda _: len(held.rows(LOAD_PROFILE)) == 1200)
            meter.capture(1, bench.START)
            field.later(round_, 901)
            await held.until(lambda _: len(held.rows(LOAD_PROFILE)) > 1200)
    assert held.rows(LOAD_PROFILE)[-1][0] == bench.START
    assert held.marks[bench.SERIAL, LOAD_PROFILE] == bench.START
    assert len(held.rows(LOAD_PROFILE)) == 1201
    (identified,) = [event for event in held.events if event.code == "meter.identified"]
    assert identified.attributes["logical_device_name"] == bench.NAME
    assert identified.attributes["capture_period_s"] == 900
    assert identified.attributes["firmware"] == "1.4.2"


async def test_an_outage_heals_by_itself(bench, field, caplog):
    meter, server = bench.meter()
    meter.capture(10, bench.START - 9000)
    held = bench.held
    async with bench.over_tcp(server) as line:
        stop = field.stop(bench.session(line))
        async with field.going("lan", stop) as round_:
            await held.until(lambda _: len(held.rows(LOAD_PROFILE)) == 10)
            bench.silent = True
            field.later(round_, 901)
            await held.until(lambda _: [e for e in held.events if e.code == "meter.unreachable"])
            meter.capture(50, bench.START)
            bench.silent = False
            field.later(round_, 50 * 900)
            await held.until(lambda _: held.events[-1].code == "meter.reachable")
    assert [at for at, *_ in held.rows(LOAD_PROFILE)] == [at for at, *_ in meter.rows]
    codes = [event.code for event in held.events]
    assert codes.count("meter.unreachable") == codes.count("meter.reachable") == 1


async def test_no_row_is_lost_while_the_outbox_is_full(bench, field, monkeypatch):
    monkeypatch.setattr("hesper_gateway.schedule.FULL_PAUSE_S", 0.02)
    meter, server = bench.meter()
    meter.capture(20, bench.START - 18000)
    held = bench.held
    held.full = OutboxFull("no room")
    async with (
        bench.over_tcp(server) as line,
        field.going("lan", field.stop(bench.session(line))),
    ):
        await held.until(lambda _: held.events)
        assert held.sections == []
        held.full = None
        await held.until(lambda _: len(held.rows(LOAD_PROFILE)) >= 20)
    assert sorted(set(held.rows(LOAD_PROFILE))) == [
        (at, energy, export) for at, _, energy, export in meter.rows
    ]


async def test_a_clock_that_was_set_back_loses_nothing(bench, field):
    meter, server = bench.meter(drift_s=3600)
    meter.capture(4, bench.START)
    held = bench.held
    async with (
        bench.over_tcp(server) as line,
        field.going("lan", field.stop(bench.session(line))) as round_,
    ):
        await held.until(lambda _: len(held.rows(LOAD_PROFILE)) == 4)
        meter.drift_s = 0
        meter.rows += [(bench.START + 900, 0, 7, 7), (bench.START + 1800, 0, 8, 8)]
        field.later(round_, 1801)
        await held.until(lambda _: (bench.START + 1800, 8, 8) in held.rows(LOAD_PROFILE))
    assert (bench.START + 900, 7, 7) in held.rows(LOAD_PROFILE)
    codes = [event.code for event in held.events]
    assert codes.count("clock.drift_exceeded") == 1
    assert codes.count("clock.drift_normal") == 1


async def test_a_meter_without_a_profile_or_a_log_is_read_all_the_same(bench, field, caplog):
    _, server = bench.meter(declines=frozenset({"1.0.99.1.0.255", "0.0.99.98.0.255"}))
    held = bench.held
    async with (
        bench.over_tcp(server) as line,
        field.going("lan", field.stop(bench.session(line))) as round_,
    ):
        await held.until(lambda _: len(held.rows(REGISTER_SNAPSHOT)) == 1)
        field.later(round_, 901)
        await held.until(lambda _: len(held.rows(REGISTER_SNAPSHOT)) == 2)
    assert {event.code for event in held.events} == {"meter.identified"}
    told = [each.getMessage() for each in caplog.records if each.levelname == "WARNING"]
    assert len(told) == 5  # once each: the profile and the four logs of the template


async def test_the_snapshot_of_a_round_tells_where_the_relay_stands(bench, field):
    _, server = bench.meter(output=False)
    held = bench.held
    async with (
        bench.over_tcp(server) as line,
        field.going("lan", field.stop(bench.session(line))),
    ):
        await held.until(lambda _: held.rows(REGISTER_SNAPSHOT))
    (section,) = [each for each in held.sections if each.profile == REGISTER_SNAPSHOT]
    values = {
        obis.text(quantity.logical_name): section.rows[0].values[index]
        for index, quantity in enumerate(section.quantities)
    }
    assert values["0.0.96.3.10.255"] == [0]


async def test_a_long_profile_lets_commands_and_other_meters_in(bench, field):
    meter, server = bench.meter()
    meter.capture(5000, bench.START - 5000 * 900)
    _, other_server = bench.meter()
    held, order = bench.held, []

    def buffer_asked() -> None:
        order.append("chunk")

    meter.before_buffer = buffer_asked

    async def command() -> None:
        order.append("command")

    async with bench.over_tcp(server) as line, bench.over_tcp(other_server) as second:
        shared = bench.session(line)
        other = Line("same", second.carrier)
        beside = bench.session(other, bench.config(id="HES2"))
        async with field.going("lan", field.stop(shared), field.stop(beside)):
            await held.until(lambda _: len(held.rows(LOAD_PROFILE)) > 0)
            await line.submit(command, Priority.COMMAND)
            await held.until(lambda _: len(held.rows(LOAD_PROFILE)) >= 5000, 30)
    assert order.index("command") < len(order) - 1
    assert len(set(held.rows(LOAD_PROFILE))) == 5000
    assert held.rows(REGISTER_SNAPSHOT, "HES2")


async def test_a_meter_that_calls_is_read_on_its_call(bench, field):
    meter, server = bench.meter()
    meter.capture(5, bench.START - 4500)
    held = bench.held
    config = bench.config(system_title=bench.TITLE.hex())
    listener = DialIn(DialInLine(name="cell", kind="dial-in", port=0), [config])
    line = Line("cell/1", listener)
    stop = field.stop(bench.session(line, config))
    async with field.going("cell", stop, beside=[listener.run()]) as round_:
        listener.on_call = round_.nudge
        await listener.listening.wait()
        await held.until(lambda _: [e for e in held.events if e.code == "meter.unreachable"])
        with pytest.raises(asyncio.IncompleteReadError):
            await hang_up_on(listener.port, b"\x00\x01\x00\x01\x00\x66\x00\x02\xff\xff")
        with pytest.raises(asyncio.IncompleteReadError):
            await hang_up_on(listener.port, wrap(1, 102, hello(b"stranger", "HSP")))
        calling = asyncio.create_task(call(bench, server, listener.port, bench.TITLE))
        await held.until(lambda _: len(held.rows(LOAD_PROFILE)) >= 5)
        assert listener.called(bench.SERIAL)
        assert listener.strangers_count == 2
        calling.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await calling


def hello(title: bytes, name: str) -> bytes:
    body = axdr.structure(axdr.octet_string(title), axdr.octet_string(name.encode()))
    return DataNotification(1, None, axdr.encode(body)).to_octets()


async def call(bench, server, port: int, title: bytes) -> None:
    """Dial in as a cellular meter does: say who it is, then answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(wrap(1, 102, hello(title, bench.NAME)))
    await bench.serve(ServerConnection(server, WrapperServerLink(1)), reader, writer)


async def hang_up_on(port: int, octets: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(octets)
    try:
        await reader.readexactly(1)
    except ConnectionResetError:
        raise asyncio.IncompleteReadError(b"", 1) from None
    finally:
        writer.close()


async def test_numbers_that_cannot_travel_are_told_once_and_stop_nothing(bench, field):
    meter, server = bench.meter()
    meter.capture(1)
    not_available = axdr.long64_unsigned(2**64 - 1)
    meter.rows.append((bench.START + 900, 0, not_available, axdr.float32(1.5)))
    meter.registers["1.0.1.8.0.255"] = (not_available, 0, 30)
    held = bench.held
    async with (
        bench.over_tcp(server) as line,
        field.going("lan", field.stop(bench.session(line))) as round_,
    ):
        await held.until(lambda _: len(held.rows(LOAD_PROFILE)) == 2)
        field.later(round_, 901)
        await held.until(lambda _: len(held.rows(REGISTER_SNAPSHOT)) == 2)
    assert held.rows(LOAD_PROFILE)[:2] == [
        (bench.START, 1000, 10),
        (bench.START + 900, None, None),
    ]
    (told,) = [event for event in held.events if event.code == "meter.values_left_out"]
    assert told.attributes["logical_names"] == "1.0.1.8.0.255, 1.0.2.8.0.255"
    for section in held.sections:
        encode([section])


async def test_a_line_does_not_wait_for_the_disk(bench, field):
    """What one meter brought is stored while the next one is read."""
    stored = asyncio.Event()
    keep = bench.held.append_readings

    async def slowly(sections, progress=None):
        await stored.wait()
        return await keep(sections, progress)

    bench.held.append_readings = slowly
    read = [asyncio.Event() for _ in range(3)]
    meters = {
        n: bench.meter(name=f"HSP000000000000{n}", before_buffer=each.set)
        for n, each in enumerate(read, start=1)
    }
    async with bench.over_hdlc({n: server for n, (_, server) in meters.items()}) as line:
        configs = [
            bench.config(
                id=f"HES{n}",
                physical_address=n,
                template="hesper-sim-hdlc",
                logical_device_name=f"HSP000000000000{n}",
            )
            for n in meters
        ]
        stops = [field.stop(bench.session(line, config)) for config in configs]
        async with field.going("bus", *stops):
            async with asyncio.timeout(10):
                await asyncio.gather(*(each.wait() for each in read))
            stored.set()
            await bench.held.until(lambda held: len(held.rows(REGISTER_SNAPSHOT, "HES3")) == 1)


async def test_a_database_that_is_gone_ends_the_round_as_such(bench, field):
    _, server = bench.meter()

    async def closed(new, progress=None):
        raise DatabaseError("closed")

    bench.held.append_events = closed
    async with bench.over_tcp(server) as line:
        round_ = Round("lan", [field.stop(bench.session(line))], bench.held, bench.now)
        with pytest.raises(DatabaseError):
            await asyncio.wait_for(round_.run(), 10)


async def test_a_visit_before_the_capture_was_filed_is_repeated_soon(bench, field):
    meter, server = bench.meter()
    meter.capture(3, bench.START - 2700)  # the row of START itself is not filed yet
    held = bench.held
    async with bench.over_tcp(server) as line:
        stop = field.stop(bench.session(line))
        async with field.going("lan", stop) as round_:
            await held.until(lambda _: len(held.rows(LOAD_PROFILE)) == 3)
            meter.capture(1)
            field.later(round_, 11)
            await held.until(lambda _: len(held.rows(LOAD_PROFILE)) > 3)
    assert held.rows(LOAD_PROFILE)[-1][0] == bench.START
