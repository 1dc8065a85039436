"""Associations that stay open between readings: what it saves, and who ends them."""

import asyncio
from contextlib import asynccontextmanager

import pytest
from hesper_dlms import axdr
from hesper_dlms.apdu import DataNotification
from hesper_dlms.server import ServerConnection, WrapperServerLink
from hesper_dlms.wrapper import wrap
from hesper_gateway.config import DialInLine
from hesper_gateway.database import StorageFull
from hesper_gateway.errors import MeterFailed, WrongMeter
from hesper_gateway.lines.building import Lines
from hesper_gateway.lines.dial_in import DialIn
from hesper_gateway.lines.line import Line
from hesper_gateway.lines.staying_open import StayingOpen
from hesper_gateway.meter_keys import MeterKeys
from hesper_gateway.sessions import MeterSession, RelayAction
from hesper_gateway.sessions.opened import Opened

KEPT = {"times": {"keep_open_s": 60}}


async def read(session):
    async def turn():
        async with session.reading() as reading:
            return (await reading.snapshot()).by_name()["1.0.1.8.0.255"][0]

    return await session.line.submit(turn)


def greetings(meter):
    return meter.asked.count("1:0.0.42.0.0.255:2")


@asynccontextmanager
async def watched(*lines):
    """Run what ends associations in time."""
    task = asyncio.create_task(StayingOpen(lines).run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


def data_notification(title):
    """Return what a meter says when it calls: its system title."""
    body = axdr.structure(axdr.octet_string(title), axdr.octet_string(b"HSP0112642984000"))
    return wrap(1, 102, DataNotification(1, b"", axdr.encode(body)).to_octets())


async def test_many_readings_take_one_association(bench):
    meter, server = bench.meter()
    async with bench.over_tcp(server) as line:
        session = bench.session(line, changed=KEPT)
        for value in range(5):
            meter.registers["1.0.1.8.0.255"] = (value, 0, 30)
            assert await read(session) == value
        assert bench.connections == 2  # the public one for the counter, and this
        assert greetings(meter) == 5
        await line.aclose()


async def test_without_the_capability_every_reading_has_its_own(bench):
    _, server = bench.meter()
    async with bench.over_tcp(server) as line:
        session = bench.session(line)
        for _ in range(3):
            await read(session)
    assert bench.connections == 4


async def test_it_is_released_in_order_when_its_time_is_over(bench):
    _, server = bench.meter()
    short = {"times": {"keep_open_s": 0.05}}
    async with bench.over_tcp(server) as line, watched(line):
        session = bench.session(line, changed=short)
        await read(session)
        assert bench.open_count == 1
        await bench.until_all_ended()
        assert line.open_until is None
        assert bench.released == 2
        await read(session)
        await line.aclose()
    assert bench.connections == 3


async def test_a_meter_that_ended_it_is_associated_anew_without_a_failure(bench):
    meter, server = bench.meter()
    async with bench.over_tcp(server) as line:
        session = bench.session(line, changed=KEPT)
        await read(session)
        before = meter.last_received()
        await bench.hang_up()
        assert await read(session) == 5000
        assert bench.connections == 3
        assert meter.last_received() > before
        await line.aclose()


async def test_a_meter_that_fell_silent_on_it_is_associated_anew(bench):
    _, server = bench.meter()
    async with bench.over_tcp(server) as line:
        session = bench.session(line, changed=KEPT, answers_within_s=1)
        await read(session)
        bench.deaf.update(bench.writers)
        assert await read(session) == 5000
        assert bench.connections == 3
        await line.aclose()


async def test_a_meter_that_does_not_come_back_fails_as_ever(bench):
    _, server = bench.meter()
    async with bench.over_tcp(server) as line:
        session = bench.session(line, changed=KEPT, answers_within_s=1)
        await read(session)
        bench.silent = True
        with pytest.raises(MeterFailed):
            await read(session)


async def test_another_meter_of_the_line_ends_it_first(bench):
    first, server = bench.meter()
    second, other = bench.meter()
    async with bench.over_hdlc({17: server, 18: other}) as line:
        sessions = [
            bench.session(
                line,
                bench.config(id=f"HES{n}", template="hesper-sim-hdlc", physical_address=n),
                changed=KEPT,
            )
            for n in (17, 18)
        ]
        for session in sessions * 3:
            assert await read(session) == 5000
        assert [greetings(meter) for meter in (first, second)] == [3, 3]
        for session in (sessions[0],) * 3:
            await read(session)
        associated = first.asked.count("16:0.0.43.1.0.255:2")
        assert associated == 1


async def test_meters_with_the_same_keys_are_not_taken_for_each_other(bench):
    meters, keys = {}, MeterKeys(bytes(range(16)), bytes(range(0xD0, 0xE0)))
    for physical, value in ((17, 1700), (18, 1800)):
        meter, server = bench.meter()
        meter.registers["1.0.1.8.0.255"] = (value, 0, 30)
        meters[physical] = server
    async with bench.over_hdlc(meters) as line:
        sessions = []
        for physical in meters:
            config = bench.config(
                id=f"HES{physical}", template="hesper-sim-hdlc", physical_address=physical
            )
            template = bench.session(line, config, changed=KEPT).template
            sessions.append(MeterSession(config, template, keys, line, bench.common()))
        assert [await read(session) for session in sessions * 2] == [1700, 1800, 1700, 1800]


async def test_a_meter_that_calls_again_is_read_on_its_new_call(bench):
    _, server = bench.meter()
    config = bench.config(system_title=bench.TITLE.hex())
    listener = DialIn(DialInLine(name="cell", kind="dial-in", port=0), [config])
    line = Line("cell/1", listener)
    session = bench.session(line, config, changed=KEPT, answers_within_s=1)
    title = data_notification(bench.TITLE)

    async def call():
        reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
        writer.write(title)
        link = ServerConnection(server, WrapperServerLink(1))
        await bench.serve(link, reader, writer)

    async with asyncio.TaskGroup() as tasks:
        listening = tasks.create_task(listener.run())
        await listener.listening.wait()
        first = tasks.create_task(call())
        assert await read(session) == 5000
        assert await read(session) == 5000
        bench.deaf.update(bench.writers)  # the old call is dead, and nobody has noticed
        second = tasks.create_task(call())
        assert await read(session) == 5000
        await line.aclose()
        for task in (listening, first, second):
            task.cancel()


async def test_another_client_ends_it_first(bench):
    _, server = bench.meter()
    async with bench.over_tcp(server) as line:
        session = bench.session(line, changed=KEPT)
        await read(session)
        await session.greet_publicly()
        assert bench.most_open == 1
        await read(session)
        await line.aclose()
        await bench.until_all_ended()


async def test_a_command_takes_it_up_and_releases_it(bench):
    meter, server = bench.meter()
    async with bench.over_tcp(server) as line:
        session = bench.session(line, changed=KEPT)
        await read(session)
        move = await session.move_relay(RelayAction.DISCONNECT, bench.NAME, lambda: None)
        assert move.confirmed
        assert not meter.output
        assert bench.connections == 2
        await bench.until_all_ended()


async def test_the_name_is_asked_before_every_write(bench):
    meter, server = bench.meter()
    async with bench.over_tcp(server) as line:
        session = bench.session(line, changed=KEPT)
        await read(session)
        meter.name = "HSP0000000000001"
        with pytest.raises(WrongMeter):
            await session.move_relay(RelayAction.DISCONNECT, bench.NAME, lambda: None)
        assert meter.output
        await bench.until_all_ended()


async def test_a_line_that_costs_by_the_minute_keeps_nothing(bench):
    _, server = bench.meter()
    async with bench.over_tcp(server) as line:
        call = Line("csd", line.carrier, may_stay_open=False)
        session = bench.session(call, changed=KEPT)
        await read(session)
        await read(session)
    assert bench.connections == 3


async def test_no_counter_is_refused_however_it_ended(bench):
    """The meter refuses a counter that is not higher; then its own would be asked for again."""
    meter, server = bench.meter()
    async with bench.over_tcp(server) as line:
        session = bench.session(line, changed=KEPT)
        for hung_up in (False, True, False, True, False):
            await read(session)
            if hung_up:
                await bench.hang_up()
        await line.aclose()
    assert meter.asked.count("16:0.0.43.1.0.255:2") == 1
    assert greetings(meter) == 5


class Kept:
    """The line and the association of something that stayed open; its release fails or hangs."""

    def __init__(self, error=None):
        self.given_back = []
        self.asked = asyncio.Event()
        self._error = error

    async def release(self, broken=None):
        if broken is not None:
            self.given_back.append(broken)
            return
        self.asked.set()
        if self._error is None:
            await asyncio.get_running_loop().create_future()
        raise self._error


def kept_open(line, kept):
    line.leave_open(Opened(kept, kept, "HES1", None, MeterKeys()), 0.0)


async def test_a_release_that_cannot_be_counted_gives_the_channel_back_and_ends_nothing():
    """Its request wants an invocation counter, which no full disk lets us reserve."""
    lines = [Line(name, None) for name in ("bus", "cell")]
    kepts = [Kept(StorageFull("the disk is full")), Kept(MeterFailed("silent"))]
    async with watched(*lines), asyncio.timeout(60):
        for line, kept in zip(lines, kepts, strict=True):
            kept_open(line, kept)
            await kept.asked.wait()
            await line.submit(line.vacate)
    assert [kept.given_back for kept in kepts] == [[True], [True]]


async def test_whoever_is_cancelled_while_it_is_released_gives_the_channel_back():
    line, kept = Line("bus", None), Kept()
    kept_open(line, kept)
    leaving = asyncio.create_task(line.submit(line.vacate))
    await kept.asked.wait()
    leaving.cancel()
    await asyncio.gather(leaving, return_exceptions=True)
    assert kept.given_back == [True]


async def test_a_gateway_that_stops_waits_for_all_silent_meters_at_once():
    """One after the other, a hundred of them would take longer than a service manager waits."""
    both = asyncio.Event()
    asked = []

    class Silent(Kept):
        async def release(self, broken=None):
            if broken is None:
                asked.append(self)
                if len(asked) == 2:
                    both.set()
                await both.wait()
                raise MeterFailed("silent")
            self.given_back.append(broken)

    class Carrier:
        async def aclose(self):
            """There is nothing to close."""

    lines = [Line(name, Carrier()) for name in ("one", "two")]
    kepts = [Silent(), Silent()]
    for line, kept in zip(lines, kepts, strict=True):
        kept_open(line, kept)
    async with asyncio.timeout(60):
        await Lines(by_meter=dict(zip(("M1", "M2"), lines, strict=True))).aclose()
    assert [kept.given_back for kept in kepts] == [[True], [True]]
