"""Captured pushes of real meters, through the push port, by the templates that ship."""

import asyncio
import itertools
import socket
from collections.abc import Callable
from datetime import datetime
from types import SimpleNamespace

import pytest
from hesper_contracts.quality import Quality
from hesper_contracts.readings import PUSH
from hesper_dlms import axdr, obis
from hesper_dlms.apdu import DataNotification
from hesper_dlms.hdlc.frames import Frame, Kind
from hesper_dlms.wrapper import wrap
from hesper_gateway import templates
from hesper_gateway.config import MeterConfig, PushTcpLine, PushUdpLine, ScheduleConfig
from hesper_gateway.database import StorageFull
from hesper_gateway.errors import ConfigError
from hesper_gateway.gathering import Gathering
from hesper_gateway.lines.listening import TcpEar, UdpEar
from hesper_gateway.meter_keys import MeterKeys
from hesper_gateway.meter_state import MeterState
from hesper_gateway.outbox import OutboxFull
from hesper_gateway.push import REPORT_S, SILENCE_S, PushPort
from hesper_gateway.push_owner import PushMeter
from hesper_sim import capture

TEMPLATES = {
    "iskra-am550": "push-iskra-am550",
    "landisgyr-e360": "push-landisgyr-e360",
    "landisgyr-e450": "push-landisgyr-e450",
    "landisgyr-zmf100": "push-landisgyr-zmf100",
    "aidon": "push-aidon",
    "kaifa-ma304h3e": "push-kaifa",
    "kaifa-ma309": "push-kaifa-mbus",
    "kamstrup-omnipower": "push-kamstrup-omnipower",
    "egd-xt211": "push-sagemcom-xt211",
    "energomera-event": "push",
    "salzburg-netz": "push-kaifa-mbus",
}
CAPTURES = {each.name: each for each in capture.load_all()}
SECONDS = itertools.count(1_790_000_000)
"""A sealed push needs an invocation counter of its own; it is made from the time of sending."""
LINES = sorted({each.push_line for each in CAPTURES.values()})


class NoEar:
    async def run(self, new_sink):
        """Tests speak to the sinks themselves."""


def meter_of(bench, each: capture.Capture) -> PushMeter:
    template = next(name for start, name in TEMPLATES.items() if each.name.startswith(start))
    title = each.identity.get("system_title")
    config = MeterConfig(
        id=each.meter,
        line="push",
        template=template,
        system_title=title,
        zone=each.meter_zone,
        authentication_key_unknown=each.encryption_key is not None
        and each.authentication_key is None,
    )
    keys = MeterKeys(
        *(
            bytes.fromhex(key) if key else None
            for key in (each.encryption_key, each.authentication_key)
        )
    )
    state = MeterState(each.meter, ScheduleConfig(), bench.now)
    return PushMeter(config, templates.load(template), keys, state)


@pytest.fixture
async def port(bench):
    """Make a port for captures, with what it needs running beside it."""
    running: list[asyncio.Task[None]] = []

    def make(*captures: capture.Capture, ear=None) -> PushPort:
        gathering = Gathering(bench.held, window_s=0)
        running.append(asyncio.create_task(gathering.run()))
        meters = [meter_of(bench, each) for each in captures]
        return PushPort("push", ear or NoEar(), meters, gathering, bench.held, bench.now)

    yield make
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)


def stored(bench) -> dict[tuple[str, int], tuple[int, dict[str, int]]]:
    """Return (meter, captured_at) → clock status and values by logical name."""
    found = {}
    for section in bench.held.sections:
        assert section.profile == PUSH
        for rows in section.rows:
            names = [obis.text(each.logical_name) for each in section.quantities]
            for index, captured_at in enumerate(rows.captured_at):
                values = [column[index] for column in rows.values]
                found[rows.meter, captured_at] = (
                    rows.clock_status[index],
                    dict(zip(names, values, strict=True)),
                )
    return found


@pytest.mark.parametrize("line", LINES)
@pytest.mark.parametrize("chunk", [1, 7, 100_000])
async def test_every_number_of_every_capture_is_stored_and_no_other(bench, port, line, chunk):
    captures = [each for each in CAPTURES.values() if each.push_line == line]
    bench.time_s = 1_790_000_000.0
    sink = port(*captures).new_sink()
    for each in captures:
        octets = each.octets(next(SECONDS))
        for start in range(0, len(octets), chunk):
            await sink(octets[start : start + chunk])
    expected = {}
    for each in captures:
        for row in each.expected:
            at = 1_790_000_000 if row.captured_at is None else row.captured_at
            status = 0x02 if row.clock_status is None else row.clock_status
            expected[each.meter, at] = (status, row.values)
    assert stored(bench) == expected


async def test_an_old_date_is_flagged_and_an_absent_one_assumed(bench, port):
    old, undated = CAPTURES["kaifa-ma304h3e"], CAPTURES["aidon-6515-1phase"]
    sink = port(old, undated).new_sink()
    await sink(old.octets(0) + undated.octets(0))
    quality = {
        rows.meter: rows.quality[0] for section in bench.held.sections for rows in section.rows
    }
    assert quality[old.meter] == Quality.TIME_FAR_OFF
    assert quality[undated.meter] == Quality.CLOCK_DOUBTFUL | Quality.TIME_ASSUMED


async def test_drops_are_counted_and_told_with_a_reason(bench, port):
    broken, good = CAPTURES["landisgyr-zmf100-bad-fcs"], CAPTURES["aidon-6515-1phase"]
    listener = port(broken, good)
    sink = listener.new_sink()
    await sink(broken.octets(0))
    assert listener.dropped.total() == 1
    (event,) = [each for each in bench.held.events if each.code == "push.dropped"]
    assert event.attributes["dropped_count"] == 1
    await sink(broken.octets(0) + good.octets(0))
    assert len([each for each in bench.held.events if each.code == "push.dropped"]) == 1
    assert {meter for meter, _ in stored(bench)} == {good.meter}


async def test_a_replayed_ciphered_push_is_dropped(bench, port):
    each = CAPTURES["kamstrup-omnipower"]
    listener = port(each)
    octets = each.octets(next(SECONDS))
    await listener.new_sink()(octets)
    await listener.new_sink()(octets)
    assert listener.dropped.total() == 1
    assert len(bench.held.sections) == 1


async def test_a_push_of_a_stranger_is_dropped(bench, port):
    known, stranger = CAPTURES["landisgyr-e360-cfg2026"], CAPTURES["iskra-am550-cfg2026"]
    listener = port(known)
    await listener.new_sink()(stranger.octets(0))
    assert bench.held.sections == []
    assert "ISK1030700000011" in next(iter(listener.dropped))


def notification(*values: object) -> bytes:
    body = axdr.structure(
        *(
            item
            for name, value in values
            for item in (axdr.octet_string(obis.parse(str(name))), value)
        )
    )
    return DataNotification(1, None, axdr.encode(body)).to_octets()


def wrapper_meter(bench, **settings) -> PushMeter:
    config = MeterConfig(id="HES1", line="push", template="push-wrapper", **settings)
    state = MeterState("HES1", ScheduleConfig(), bench.now)
    return PushMeter(config, templates.load("push-wrapper"), MeterKeys(), state)


@pytest.fixture
async def wrapper_port(bench):
    """Make a port for one meter of the generic template."""
    running: list[asyncio.Task[None]] = []

    def make(**settings) -> PushPort:
        gathering = Gathering(bench.held, window_s=0)
        running.append(asyncio.create_task(gathering.run()))
        meters = [wrapper_meter(bench, **settings)]
        return PushPort("push", NoEar(), meters, gathering, bench.held, bench.now)

    yield make
    for task in running:
        task.cancel()
    await asyncio.gather(*running, return_exceptions=True)


@pytest.mark.parametrize(
    ("status", "arrives", "captured", "quality"),
    [
        (0xFF, "00:30:05", "00:30:00", Quality(0)),
        (0xFF, "01:30:05", "01:30:00", Quality(0)),
        (0x00, "00:30:05", "00:30:00", Quality(0)),
        (0x00, "01:30:05", "01:30:00", Quality(0)),
        (0x80, "01:30:05", "00:30:00", Quality(0)),
        (0xFF, "05:30:05", "00:30:00", Quality.TIME_ASSUMED),
        (0x00, "05:30:05", "01:30:00", Quality(0)),
    ],
)
async def test_a_push_of_the_doubled_hour_is_placed_by_its_arrival(
    bench, wrapper_port, status, arrives, captured, quality
):
    bench.time_s = datetime.fromisoformat(f"2026-10-25T{arrives}Z").timestamp()
    clock = bytes.fromhex("07ea0a1907021e00ff8000") + bytes((status,))
    push = notification(
        ("0.0.1.0.0.255", axdr.octet_string(clock)),
        ("1.0.1.8.0.255", axdr.double_long_unsigned(7)),
    )
    await wrapper_port(zone="Europe/Vienna").new_sink()(wrap(1, 102, push))
    (rows,) = [rows for section in bench.held.sections for rows in section.rows]
    expected = datetime.fromisoformat(f"2026-10-25T{captured}Z").timestamp()
    assert rows.captured_at[0] == expected
    assert rows.quality[0] == quality


@pytest.mark.parametrize(
    ("items", "dropped"),
    [
        ([axdr.double_long_unsigned(7), axdr.unsigned(1)], ["2 numbers without logical names"]),
        ([axdr.octet_string(b"door open"), axdr.boolean(True)], []),
    ],
)
async def test_numbers_that_nothing_names_are_counted_and_told(bench, wrapper_port, items, dropped):
    listener = wrapper_port()
    body = axdr.encode(axdr.structure(*items))
    await listener.new_sink()(wrap(1, 102, DataNotification(1, None, body).to_octets()))
    assert bench.held.sections == []
    assert [reason.partition(":")[0] for reason in listener.dropped] == dropped
    told = [event for event in bench.held.events if event.code == "push.dropped"]
    assert len(told) == len(dropped)


async def test_drops_are_told_with_their_last_reason_also_after_the_clock_was_set_back(
    bench, wrapper_port, monkeypatch
):
    steady_s = 0.0
    monkeypatch.setattr("hesper_gateway.push.time", SimpleNamespace(monotonic=lambda: steady_s))
    sink = wrapper_port().new_sink()
    nameless, one_more = (
        wrap(1, 102, DataNotification(1, None, axdr.encode(axdr.structure(*items))).to_octets())
        for items in ([axdr.unsigned(1)] * 2, [axdr.unsigned(1)] * 3)
    )
    for octets in (nameless, one_more, nameless):
        await sink(octets)
    steady_s = REPORT_S
    bench.time_s -= 365 * 86400
    await sink(nameless)
    told = [event for event in bench.held.events if event.code == "push.dropped"]
    assert [event.attributes["dropped_count"] for event in told] == [1, 3]
    assert "because: 2 numbers" in told[-1].text


async def test_a_meter_that_has_keys_is_not_believed_in_the_clear(bench, port):
    listener = port(CAPTURES["kamstrup-omnipower"])
    each = CAPTURES["kamstrup-omnipower"]
    meter = wrapper_meter(bench, system_title="4b414d4500000003")
    meter = PushMeter(
        meter.meter,
        meter.template,
        MeterKeys(bytes.fromhex(each.encryption_key), bytes.fromhex(each.authentication_key)),
        meter.state,
    )
    listener = PushPort("push", NoEar(), [meter], Gathering(bench.held), bench.held, bench.now)
    plain = notification(("1.0.1.8.0.255", axdr.double_long_unsigned(7)))
    await listener.new_sink()(wrap(1, 102, plain))
    assert bench.held.sections == []
    assert "plain message" in next(iter(listener.dropped))


async def test_pushes_over_tcp_wait_for_room_in_the_outbox(bench, monkeypatch):
    monkeypatch.setattr("hesper_gateway.push.FULL_PAUSE_S", 0.01)
    ear = TcpEar(PushTcpLine(name="push", kind="push-tcp", port=0))
    gathering = Gathering(bench.held, window_s=0)
    meters = [wrapper_meter(bench)]
    listener = PushPort("push", ear, meters, gathering, bench.held, bench.now)
    bench.held.full = OutboxFull("no room")
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(gathering.run()), tasks.create_task(listener.run())]
        await ear.listening.wait()
        _, writer = await asyncio.open_connection("127.0.0.1", ear.port)
        plain = notification(("1.0.1.8.0.255", axdr.double_long_unsigned(7)))
        writer.write(wrap(1, 102, plain))
        await bench.held.until(lambda held: held.events)
        await asyncio.sleep(0.03)
        assert bench.held.sections == []
        bench.held.full = None
        await bench.held.until(lambda held: held.sections)
        writer.close()
        await writer.wait_closed()
        for task in running:
            task.cancel()
    (section,) = bench.held.sections
    assert (section.quantities[0].scaler, section.quantities[0].unit) == (0, 30)
    assert section.rows[0].values == [[7]]


async def test_the_rest_of_a_push_arrives_while_another_waits_for_room(
    bench, wrapper_port, monkeypatch
):
    steady_s = 0.0
    clock = SimpleNamespace(monotonic=lambda: steady_s)
    monkeypatch.setattr("hesper_gateway.push.FULL_PAUSE_S", 0)
    monkeypatch.setattr("hesper_gateway.push.time", clock)
    first, second = (
        wrap(1, 102, notification(("1.0.1.8.0.255", axdr.double_long_unsigned(number))))
        for number in (7, 8)
    )
    bench.held.full = OutboxFull("no room")
    listener = wrapper_port()
    sink = listener.new_sink()
    taking = asyncio.create_task(sink(first + second[:20]))
    await bench.held.until(lambda held: held.events)
    steady_s = SILENCE_S + 60
    bench.held.full = None
    await taking
    await sink(second[20:])
    assert [each.rows[0].values for each in bench.held.sections] == [[[7]], [[8]]]
    assert not listener.dropped


@pytest.mark.parametrize(
    ("hidden_count", "codes"), [(0, ["push.dropped"]), (1, ["meter.identified"])]
)
async def test_the_end_of_a_connection_ends_what_waits_for_its_rest(bench, hidden_count, codes):
    ear = TcpEar(PushTcpLine(name="push", kind="push-tcp", port=0))
    gathering = Gathering(bench.held, window_s=0)
    listener = PushPort("push", ear, [wrapper_meter(bench)], gathering, bench.held, bench.now)
    whole = wrap(1, 102, notification(("1.0.1.8.0.255", axdr.double_long_unsigned(7))))
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(gathering.run()), tasks.create_task(listener.run())]
        await ear.listening.wait()
        _, writer = await asyncio.open_connection("127.0.0.1", ear.port)
        writer.write(wrap(1, 102, bytes(300))[:12] + whole * hidden_count)
        writer.close()
        await bench.held.until(lambda held: len(held.sections) == hidden_count and held.events)
        for task in running:
            task.cancel()
    assert [event.code for event in bench.held.events] == codes


async def test_pushes_over_udp_are_stored_and_broken_datagrams_lose_themselves_alone(bench):
    ear = UdpEar(PushUdpLine(name="push", kind="push-udp", port=0))
    gathering = Gathering(bench.held, window_s=0)
    listener = PushPort("push", ear, [wrapper_meter(bench)], gathering, bench.held, bench.now)
    whole = wrap(1, 102, notification(("1.0.1.8.0.255", axdr.double_long_unsigned(7))))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as meter:
        async with asyncio.TaskGroup() as tasks:
            running = [tasks.create_task(gathering.run()), tasks.create_task(listener.run())]
            await ear.listening.wait()
            for datagram in (whole, whole[:20], whole):
                meter.sendto(datagram, ("127.0.0.1", ear.port))
            await bench.held.until(lambda held: len(held.sections) == 2)
            for task in running:
                task.cancel()
    assert [section.rows[0].values for section in bench.held.sections] == [[[7]], [[7]]]
    assert listener.dropped == {"a datagram was cut short": 1}
    told = [event.text for event in bench.held.events if event.code == "push.dropped"]
    assert told == ["1 pushes dropped on line push, the last because: a datagram was cut short"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (
            lambda meter: PushMeter(meter.meter, templates.load("hesper-sim"), meter.keys, None),
            "no push",
        ),
        (
            lambda meter: PushMeter(
                meter.meter, meter.template, MeterKeys(bytes(16), bytes(16)), None
            ),
            "system_title",
        ),
        (
            lambda meter: PushMeter(meter.meter, meter.template, MeterKeys(bytes(16)), None),
            "authentication_key",
        ),
    ],
)
def test_a_meter_that_cannot_be_heard_is_refused_at_the_start(
    bench, change: Callable[[PushMeter], PushMeter], says
):
    with pytest.raises(ConfigError, match=says):
        PushPort("push", NoEar(), [change(wrapper_meter(bench))], None, bench.held, bench.now)


async def test_a_full_disk_ends_no_stream_and_events_are_told_once_there_is_room(
    bench, monkeypatch
):
    async def full(new, progress=None):
        bench.held.refused += 1
        bench.held.changed.set()
        raise StorageFull("not even the ballast")

    with_room, bench.held.append_events = bench.held.append_events, full
    ear = TcpEar(PushTcpLine(name="push", kind="push-tcp", port=0))
    gathering = Gathering(bench.held, window_s=0)
    listener = PushPort("push", ear, [wrapper_meter(bench)], gathering, bench.held, bench.now)
    first, second = (
        wrap(1, 102, notification(("1.0.1.8.0.255", axdr.double_long_unsigned(number))))
        for number in (7, 8)
    )
    async with asyncio.TaskGroup() as tasks:
        running = [tasks.create_task(gathering.run()), tasks.create_task(listener.run())]
        await ear.listening.wait()
        _, writer = await asyncio.open_connection("127.0.0.1", ear.port)
        writer.write(first + second[:20])
        await bench.held.until(lambda held: held.refused and held.sections)
        bench.held.append_events = with_room
        writer.write(second[20:])
        await bench.held.until(lambda held: len(held.sections) == 2)
        writer.close()
        await writer.wait_closed()
        for task in running:
            task.cancel()
    assert [each.rows[0].values for each in bench.held.sections] == [[[7]], [[8]]]
    assert [each.code for each in bench.held.events] == ["meter.identified"]


def hdlc_push(source: int, *values: tuple[str, axdr.Data]) -> bytes:
    """Return a push in a UI frame from an address."""
    llc = bytes.fromhex("e6e700")
    return Frame(b"\xcf", bytes([source]), Kind.UI | 0x10, llc + notification(*values)).to_octets()


def bus_meter(bench, meter: str, **settings) -> PushMeter:
    config = MeterConfig(id=meter, line="push", template="push", **settings)
    state = MeterState(meter, ScheduleConfig(), bench.now)
    return PushMeter(config, templates.load("push"), MeterKeys(), state)


@pytest.mark.parametrize(
    ("serial", "owners"),
    [(None, ["METER1"]), (b"METER1", ["METER1"]), (b"METER2", ["METER2"]), (b"12642999", [])],
)
async def test_an_address_says_whose_a_push_is_only_where_the_push_does_not(bench, serial, owners):
    """An exchanged meter pushes from the address of the one before, under a name of its own."""
    gathering = Gathering(bench.held, window_s=0)
    meters = [bus_meter(bench, "METER1", source_address=0x21), bus_meter(bench, "METER2")]
    listener = PushPort("push", NoEar(), meters, gathering, bench.held, bench.now)
    named = [] if serial is None else [("0.0.96.1.0.255", axdr.octet_string(serial))]
    push = hdlc_push(0x21, *named, ("1.0.1.8.0.255", axdr.double_long_unsigned(7)))
    running = asyncio.create_task(gathering.run())
    await listener.new_sink()(push)
    running.cancel()
    assert [meter for meter, _ in stored(bench)] == owners
    assert ["12642999" in reason for reason in listener.dropped] == [True] * (not owners)


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ({"source_address": 0x21}, {"source_address": 0x21}),
        ({"logical_device_name": "KFM1"}, {"logical_device_name": "KFM1"}),
        ({"logical_device_name": "KFM1"}, {"identities": ("KFM1",)}),
        ({"system_title": "4b464d1020011269"}, {"system_title": "4b464d1020011269"}),
    ],
)
def test_two_meters_of_a_line_are_not_known_by_the_same(bench, first, second):
    meters = [bus_meter(bench, "METER1", **first), bus_meter(bench, "METER2", **second)]
    with pytest.raises(ConfigError, match="meters METER1 and METER2"):
        PushPort("push", NoEar(), meters, Gathering(bench.held), bench.held, bench.now)
