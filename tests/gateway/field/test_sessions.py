"""Sessions against our own DLMS server over real sockets and pseudo-terminals."""

import pytest
from hesper_contracts.readings import REGISTER_SNAPSHOT
from hesper_dlms import obis
from hesper_gateway.database import StorageFull
from hesper_gateway.errors import (
    CommandExpired,
    Hop,
    LineDown,
    MeterFailed,
    MeterSilent,
    RelayUncertain,
    WrongMeter,
)
from hesper_gateway.sessions import RelayAction
from hesper_gateway.sessions.reading import Past

FIRST = Past(first=True, set_back_s=0)
LATER = Past(first=False, set_back_s=0)


def granted():
    """A command whose time is not over."""


async def profile_rows(session, mark, past):
    """Return all rows since the mark, the sizes of the chunks, and the new mark."""
    rows, sizes = [], []
    async with session.reading() as reading:
        shape = await reading.shape(obis.LOAD_PROFILE_1)
        async for chunk in reading.profile(shape, mark, past):
            (found,) = chunk.section.rows
            sizes.append(len(found.captured_at))
            rows += zip(found.captured_at, *found.values, strict=True)
            mark = chunk.mark or mark
    return rows, sizes, mark


async def test_a_first_reading_takes_the_whole_buffer_in_chunks(bench):
    meter, server = bench.meter()
    meter.capture(1300, bench.START - 1300 * 900)
    async with bench.over_tcp(server) as line:
        rows, sizes, mark = await profile_rows(bench.session(line), None, FIRST)
    assert rows == [(at, energy, export) for at, _, energy, export in meter.rows]
    assert max(sizes) <= 500
    assert mark == meter.rows[-1][0]


async def test_a_later_reading_takes_what_is_new(bench):
    meter, server = bench.meter()
    meter.capture(10, bench.START - 9000)
    async with bench.over_tcp(server) as line:
        session = bench.session(line)
        _, _, mark = await profile_rows(session, None, FIRST)
        meter.capture(2, bench.START)
        bench.time_s += 1000
        rows, _, mark = await profile_rows(session, mark, LATER)
    assert [at for at, *_ in rows] == [bench.START, bench.START + 900]
    assert mark == bench.START + 900


async def test_after_a_restart_the_last_hour_is_read_again(bench):
    meter, server = bench.meter()
    meter.capture(10, bench.START - 9000)
    async with bench.over_tcp(server) as line:
        rows, _, _ = await profile_rows(bench.session(line), meter.rows[-1][0], FIRST)
    assert [at for at, *_ in rows] == [at for at, *_ in meter.rows[-4:]]


async def test_rows_captured_after_the_clock_was_set_back_are_read(bench):
    meter, server = bench.meter()
    meter.capture(4, bench.START)
    meter.capture(1, bench.START + 900)
    bench.time_s = bench.START + 1800
    async with bench.over_tcp(server) as line:
        session = bench.session(line)
        rows, _, _ = await profile_rows(session, bench.START + 1800, Past(False, 1800.0))
    assert bench.START + 900 in [at for at, *_ in rows]


async def test_a_mark_in_the_meters_future_reads_the_whole_buffer_and_comes_back(bench):
    meter, server = bench.meter()
    meter.capture(5, bench.START - 4500)
    meter.rows.append((bench.START + 10 * 86400, 0, 1, 1))
    async with bench.over_tcp(server) as line:
        session = bench.session(line)
        rows, _, mark = await profile_rows(session, bench.START + 10 * 86400, LATER)
    assert len(rows) == 6
    assert mark == bench.START - 900


async def test_a_meter_without_entry_access_is_searched_by_time(bench):
    meter, server = bench.meter(refuse_entry=True)
    meter.capture(3, bench.START - 20 * 86400)
    async with bench.over_tcp(server) as line:
        rows, _, _ = await profile_rows(bench.session(line), None, FIRST)
    assert len(rows) == 3


async def test_an_empty_buffer_is_no_error(bench):
    _, server = bench.meter()
    async with bench.over_tcp(server) as line:
        assert await profile_rows(bench.session(line), None, FIRST) == ([], [], None)


async def test_a_snapshot_carries_the_meters_time_and_its_units(bench):
    meter, server = bench.meter(drift_s=-7)
    async with bench.over_tcp(server) as line, bench.session(line).reading() as reading:
        snapshot = await reading.snapshot()
        section = snapshot.section(bench.SERIAL, bench.now())
    assert section.profile == REGISTER_SNAPSHOT
    assert section.rows[0].captured_at == [bench.START - 7]
    assert reading.clock.drift_s == -7
    assert snapshot.by_name() == {
        "1.0.1.8.0.255": (5000, 0, 30),
        "1.0.32.7.0.255": (2301, -1, 35),
    }
    assert reading.identity.serial_number == bench.SERIAL
    assert meter.asked.count("1:1.0.1.8.0.255:3") == 1


async def test_scaler_and_unit_are_read_once_for_a_kind_of_meter(bench):
    meter, server = bench.meter()
    meter.capture(3)
    async with bench.over_tcp(server) as line:
        session = bench.session(line)
        for _ in range(3):
            await profile_rows(session, None, FIRST)
            async with session.reading() as reading:
                await reading.snapshot()
    assert meter.asked.count("1:1.0.1.8.0.255:3") == 1
    assert meter.asked.count("1:1.0.72.7.0.255:3") == 1


async def logged(session, mark: int | None):
    """What a visit finds in the event log from a mark on, and the new mark."""
    async with session.reading() as reading:
        shape = await reading.shape(obis.EVENT_LOG)
        found = [each async for each in reading.events("standard", shape, mark, LATER)]
    return [each.attributes["meter_code"] for chunk in found for each in chunk.events], [
        chunk.mark for chunk in found
    ]


@pytest.mark.parametrize("newest_first", [False, True])
async def test_events_of_one_second_are_all_told_in_their_order(bench, newest_first):
    meter, server = bench.meter()
    second = bench.START - 50
    meter.log = [(second, 44), (second, 42), (second, 45), (second, 43)]
    if newest_first:
        meter.log.reverse()
        meter.sort_method = 2
    async with bench.over_tcp(server) as line:
        codes, marks = await logged(bench.session(line), None)
    assert (codes, marks) == ([44, 42, 45, 43], [second])


async def test_an_event_in_the_second_of_the_visit_is_told_by_the_next(bench):
    meter, server = bench.meter()
    now = int(meter.now())
    meter.log = [(now - 9, 1), (now, 44)]
    async with bench.over_tcp(server) as line:
        codes, marks = await logged(bench.session(line), now - 20)
        assert (codes, marks[-1]) == ([1, 44], now - 9)
        meter.log.append((now, 42))
        codes, _ = await logged(bench.session(line), marks[-1])
    assert codes == [44, 42]


async def test_the_event_log_becomes_events_with_lasting_ids(bench):
    meter, server = bench.meter()
    meter.log = [(bench.START - 50, 44), (bench.START - 20, 45)]
    async with bench.over_tcp(server) as line, bench.session(line).reading() as reading:
        shape = await reading.shape(obis.EVENT_LOG)
        found = [each async for each in reading.events("standard", shape, None, FIRST)]
    events = [event for chunk in found for event in chunk.events]
    assert [event.id for event in events] == [
        f"{bench.SERIAL}/{bench.START - 50}/44",
        f"{bench.SERIAL}/{bench.START - 20}/45",
    ]
    assert events[0].code == "tamper.cover_opened"
    assert found[-1].mark == bench.START - 20


async def test_a_gateway_with_a_new_database_asks_the_meter_how_far_it_has_counted(bench):
    _, server = bench.meter()
    server.received_counters[b"another1"] = 0
    async with bench.over_tcp(server) as line:
        session = bench.session(line)
        async with session.reading():
            pass
        (counter,) = bench.counters.counters.values()
        used = counter.next
        counter.next = 1
        async with bench.session(line).reading():
            pass
    assert counter.next > used


async def test_a_refused_counter_is_read_again_and_tried_once_more(bench):
    _, server = bench.meter()
    async with bench.over_tcp(server) as line:
        session = bench.session(line)
        async with session.reading():
            pass
        (counter,) = bench.counters.counters.values()
        counter.next = 1
        before = bench.connections
        async with session.reading() as reading:
            assert reading.identity.logical_device_name == bench.NAME
        assert bench.connections - before == 3


async def test_wrong_keys_fail_at_the_association_and_once(bench):
    _, server = bench.meter()
    async with bench.over_tcp(server) as line:
        session = bench.session(line, encryption_key=bytes(16))
        with pytest.raises(MeterFailed) as failure:
            async with session.reading():
                pass
    assert failure.value.hop is Hop.ASSOCIATION
    assert bench.connections == 2


async def test_a_meter_that_is_gone_fails_at_the_line(bench):
    _, server = bench.meter()
    async with bench.over_tcp(server) as line:
        session = bench.session(line)
    with pytest.raises(LineDown):
        async with session.reading():
            pass


async def test_meters_on_one_bus_are_told_apart(bench):
    first, first_server = bench.meter()
    second, second_server = bench.meter(name="HSP0112642985000")
    first.capture(30)
    second.capture(2)
    config = bench.config(template="hesper-sim-hdlc", physical_address=17)
    other = bench.config(
        template="hesper-sim-hdlc",
        physical_address=18,
        logical_device_name="HSP0112642985000",
        id="HES2",
    )
    bench.time_s += 86400
    async with bench.over_hdlc({17: first_server, 18: second_server}) as line:
        rows, _, _ = await profile_rows(bench.session(line, config), None, FIRST)
        assert len(rows) == 30
        rows, _, _ = await profile_rows(bench.session(line, other), None, FIRST)
        assert len(rows) == 2
        silent = bench.config(template="hesper-sim-hdlc", physical_address=19)
        with pytest.raises(MeterSilent):
            async with bench.session(line, silent, answers_within_s=0.3).reading():
                pass
        rows, _, _ = await profile_rows(bench.session(line, config), None, FIRST)
        assert len(rows) == 30


async def test_readings_are_never_taken_from_another_meter(bench):
    _, server = bench.meter(name="HSP0199999999000")
    async with bench.over_tcp(server) as line:
        with pytest.raises(WrongMeter, match="HSP0199999999000"):
            async with bench.session(line).reading():
                pass


async def test_a_relay_is_moved_and_read_back(bench):
    meter, server = bench.meter()
    async with bench.over_tcp(server) as line:
        session = bench.session(line)
        cut = await session.move_relay(RelayAction.DISCONNECT, bench.NAME, granted)
        assert (cut.before.output, cut.after.output, cut.confirmed) == (True, False, True)
        assert cut.registers["1.0.1.8.0.255"] == (5000, 0, 30)
        assert not (await session.read_relay()).output
        back = await session.move_relay(RelayAction.RECONNECT, bench.NAME, granted)
        assert back.confirmed
    assert [each for each in meter.asked if "method" in each] == [
        "1:0.0.96.3.10.255:method 1",
        "1:0.0.96.3.10.255:method 2",
    ]


@pytest.mark.parametrize(
    ("answers", "configured", "commanded"),
    [
        ("HSP0199999999000", "HSP0112642984000", "HSP0112642984000"),
        ("HSP0199999999000", "HSP0199999999000", "HSP0112642984000"),
        ("HSP0112642984000", "HSP0199999999000", "HSP0112642984000"),
        ("HSP0112642984000", None, None),
        ("HSP0112642984000", None, "HSP0199999999000"),
    ],
)
async def test_nothing_is_written_to_another_meter(bench, answers, configured, commanded):
    meter, server = bench.meter(name=answers)
    async with bench.over_tcp(server) as line:
        session = bench.session(line, bench.config(logical_device_name=configured))
        with pytest.raises(WrongMeter):
            await session.move_relay(RelayAction.DISCONNECT, commanded, granted)
    assert meter.output
    assert not [each for each in meter.asked if "method" in each]


async def test_time_that_ran_out_since_the_line_was_ours_is_noticed_before_the_write(bench):
    meter, server = bench.meter()
    asked_before: list[str] = []

    def over():
        asked_before.extend(meter.asked)
        raise CommandExpired

    async with bench.over_tcp(server) as line:
        session = bench.session(line)
        with pytest.raises(CommandExpired):
            await session.move_relay(RelayAction.DISCONNECT, bench.NAME, over)
        assert (await session.read_relay()).output
    assert any("0.0.96.3.10.255" in each for each in asked_before)
    assert not [each for each in meter.asked if "method" in each]


async def test_a_jammed_relay_is_told_as_it_stands(bench):
    meter, server = bench.meter(jammed=True)
    async with bench.over_tcp(server) as line:
        move = await bench.session(line).move_relay(RelayAction.DISCONNECT, bench.NAME, granted)
    assert not move.confirmed
    assert move.after.output
    assert len([each for each in meter.asked if "method" in each]) == 1


async def test_a_meter_that_falls_silent_after_the_method_leaves_it_uncertain(bench):
    meter, server = bench.meter()
    act = meter.action

    def then_silent(client, method, octets):
        bench.silent = True
        return act(client, method, octets)

    meter.action = then_silent
    async with bench.over_tcp(server) as line:
        session = bench.session(line, answers_within_s=1)
        with pytest.raises(RelayUncertain):
            await session.move_relay(RelayAction.DISCONNECT, bench.NAME, granted)
    assert not meter.output
    assert len([each for each in meter.asked if "method" in each]) == 1


async def test_a_counter_that_cannot_be_reserved_leaves_no_connection_open(bench):
    _, server = bench.meter()

    class Full:
        def reserve(self, meter, key_name):
            raise StorageFull("the disk is full")

    async with bench.over_tcp(server) as line:
        bench.counters = Full()
        session = bench.session(line)
        with pytest.raises(StorageFull):
            async with session.reading():
                pass
        await bench.until_all_ended()
