"""What a round of visits brings home."""

import asyncio
import contextlib
from datetime import UTC, datetime

import pytest
from hesper_contracts.quality import Quality
from hesper_contracts.readings import LOAD_PROFILE, REGISTER_SNAPSHOT, encode
from hesper_dlms import axdr, obis
from hesper_dlms.apdu import DataNotification
from hesper_dlms.server import ServerConnection, WrapperServerLink
from hesper_dlms.wrapper import wrap
from hesper_gateway.config import DialInLine
from hesper_gateway.database import DatabaseError
from hesper_gateway.errors import DialLimit
from hesper_gateway.lines.dial_in import DialIn
from hesper_gateway.lines.line import Line, Priority
from hesper_gateway.outbox import OutboxFull
from hesper_gateway.schedule import Round


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
        stop = field.stop(bench.session(line, answers_within_s=1))
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


async def _room() -> None:
    """There was room when somebody asked."""


async def test_a_full_outbox_leaves_meters_alone_until_there_is_room(
    bench, field, monkeypatch, caplog
):
    monkeypatch.setattr("hesper_gateway.schedule.FULL_PAUSE_S", 0.01)
    meter, server = bench.meter()
    meter.capture(20, bench.START - 18000)
    held = bench.held
    held.full = OutboxFull("no room")
    async with (
        bench.over_tcp(server) as line,
        field.going("lan", field.stop(bench.session(line))),
    ):
        await held.until(lambda _: held.refused >= 5)
        assert bench.connections == 0
        held.full = None
        await held.until(lambda _: len(held.rows(LOAD_PROFILE)) == 20)
    told = [each.getMessage() for each in caplog.records if each.name.endswith("schedule")]
    assert told == [
        "line lan: no meter is read: no room",
        "line lan: there is room again, meters are read",
    ]


@pytest.mark.parametrize("year", [1, 1969, 9001, 9999])
async def test_a_clock_out_of_all_time_ends_no_round(bench, field, year):
    meter, server = bench.meter(drift_s=datetime(year, 6, 1, tzinfo=UTC).timestamp() - bench.START)
    meter.capture(4, bench.START - 3600)
    at = int(datetime(year, 6, 1, tzinfo=UTC).timestamp())
    meter.rows.insert(0, (at, 0, 7, 7))
    meter.log = [(at, 1), (bench.START - 60, 2)]
    held = bench.held
    async with (
        bench.over_tcp(server) as line,
        field.going("lan", field.stop(bench.session(line))),
    ):
        await held.until(lambda _: held.rows(REGISTER_SNAPSHOT))
        await held.until(lambda _: len(held.rows(LOAD_PROFILE)) >= 4)
        await held.until(lambda _: [e for e in held.events if e.code == "power.up"])
    assert held.marks[bench.SERIAL, LOAD_PROFILE] == bench.START - 900
    (snapshot, *_) = [each for each in held.sections if each.profile == REGISTER_SNAPSHOT]
    assert snapshot.rows[0].quality == [Quality.TIME_ASSUMED]
    assert all(event.occurred_at.year == 2026 for event in held.events)


async def test_no_row_is_lost_while_the_outbox_is_full(bench, field, monkeypatch):
    monkeypatch.setattr("hesper_gateway.schedule.FULL_PAUSE_S", 0.02)
    meter, server = bench.meter()
    meter.capture(20, bench.START - 18000)
    held = bench.held
    held.full = OutboxFull("no room")
    monkeypatch.setattr(held, "require_room", _room)
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


async def test_a_gateway_whose_clock_is_set_right_does_not_read_the_buffer_again(bench, field):
    """It starts in 1970; else it would ask for every month since then."""
    bench.set_clock(-bench.START)
    meter, server = bench.meter()
    meter.now = lambda: bench.now() - bench.set_s
    meter.capture(4, bench.START - 2700)
    held = bench.held
    async with (
        bench.over_tcp(server) as line,
        field.going("lan", field.stop(bench.session(line))) as round_,
    ):
        await held.until(lambda _: len(held.rows(REGISTER_SNAPSHOT)) == 1)
        asked_before = len(meter.asked)
        bench.set_clock(bench.START)
        meter.capture(1, bench.START + 900)
        field.later(round_, 960)
        await held.until(lambda _: len(held.rows(REGISTER_SNAPSHOT)) == 2)
    assert [at - bench.START for at, *_ in held.rows(LOAD_PROFILE)] == [-2700, -1800, -900, 0, 900]
    assert meter.asked[asked_before:].count("1:1.0.99.1.0.255:2") == 1


async def test_a_meter_that_is_set_back_with_its_gateway_loses_nothing(bench, field):
    meter, server = bench.meter()
    bench.set_clock(7200)
    meter.now = lambda: bench.now() - bench.set_s
    meter.capture(4, bench.START - 2700)
    held = bench.held
    async with (
        bench.over_tcp(server) as line,
        field.going("lan", field.stop(bench.session(line))) as round_,
    ):
        await held.until(lambda _: len(held.rows(LOAD_PROFILE)) == 4)
        bench.set_clock(-7200)
        meter.drift_s = -3600
        meter.rows += [(bench.START - 1800, 0, 7, 7)]
        field.later(round_, 5400)
        await held.until(lambda _: (bench.START - 1800, 7, 7) in held.rows(LOAD_PROFILE))


async def test_a_clock_that_names_no_time_is_not_told_as_right_again(bench, field):
    meter, server = bench.meter(drift_s=3600)
    held = bench.held

    def told(_):
        return [event.code for event in held.events if event.code.startswith("clock.")]

    def qualities(_):
        snapshots = [each for each in held.sections if each.profile == REGISTER_SNAPSHOT]
        return [section.rows[0].quality[0] for section in snapshots]

    async with (
        bench.over_tcp(server) as line,
        field.going("lan", field.stop(bench.session(line))) as round_,
    ):
        await held.until(qualities)
        meter.drift_s = datetime(9001, 6, 1, tzinfo=UTC).timestamp() - bench.START
        field.later(round_, 61)
        await held.until(lambda _: Quality.TIME_ASSUMED in qualities(held))
        assert told(held) == ["clock.drift_exceeded"]
        meter.drift_s = 0
        field.later(round_, 61)
        await held.until(lambda _: len(told(held)) == 2)
    assert told(held) == ["clock.drift_exceeded", "clock.drift_normal"]


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
    assert {event.code for event in held.events} == {"meter.identified", "meter.profile_refused"}
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
            await held.until(lambda _: len(held.rows(LOAD_PROFILE)) >= 5000)
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
            async with asyncio.timeout(60):
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


class Limited:
    """A carrier whose cell has had its calls at first."""

    def __init__(self, carrier, limit: DialLimit) -> None:
        self.carrier = carrier
        self.limit: DialLimit | None = limit
        self.refused = asyncio.Event()

    async def open(self, meter, timeout_s):
        if self.limit is not None:
            self.refused.set()
            raise self.limit
        return await self.carrier.open(meter, timeout_s)


async def test_a_meter_whose_cell_has_had_its_calls_is_read_when_there_is_room(bench, field):
    _, server = bench.meter()
    held = bench.held
    async with bench.over_tcp(server) as lan:
        carrier = Limited(lan.carrier, DialLimit("north: 1 calls in 1 h are made already", 900))
        stop = field.stop(bench.session(Line("csd", carrier)))
        async with field.going("csd", stop) as round_:
            await carrier.refused.wait()
            carrier.limit = None
            field.later(round_, 899)
            assert not held.rows(REGISTER_SNAPSHOT)
            field.later(round_, 2)
            await held.until(lambda _: held.rows(REGISTER_SNAPSHOT))
    assert not [event for event in held.events if event.code.startswith("meter.unreachable")]
    assert stop.state.failure_count == 0
