"""A real simulator process under DLMS clients: every way in, every client, relay and faults."""

from __future__ import annotations

import signal
import socket
from datetime import UTC, datetime
from itertools import pairwise

import pytest
from hesper_dlms import axdr, obis
from hesper_dlms.apdu import CosemAttribute, CosemMethod, DataNotification, RangeSelector
from hesper_dlms.cosem_time import CosemDateTime
from hesper_dlms.errors import LinkError, RemoteError, ServiceError
from hesper_dlms.profile import decode_buffer
from hesper_dlms.wrapper import WrapperReader
from hesper_sim.fleet import Access, FleetSettings

pytestmark = pytest.mark.integration

SMALL = FleetSettings(tcp=2, shared=3, dial_in=0, rs485=8, push=False)
DISCONNECT = CosemMethod(70, obis.DISCONNECT_CONTROL, 1)
RECONNECT = CosemMethod(70, obis.DISCONNECT_CONTROL, 2)
LDN, PROFILE, RELAY = "0.0.42.0.0.255", "1.0.99.1.0.255", "0.0.96.3.10.255"
EVENTS = "0.0.99.98.0.255"


def selector(start: int, end: int) -> RangeSelector:
    bounds = (datetime.fromtimestamp(at, UTC) for at in (start, end))
    return RangeSelector(*(CosemDateTime.from_datetime(bound) for bound in bounds))


def columns(octets: bytes, period: int):
    """Return the times of the rows, and the columns behind the clock."""
    decoded = decode_buffer(octets, period, 0, UTC)
    return list(decoded.captured_at), [list(column) for column in decoded.columns[1:]]


@pytest.fixture(scope="module")
def simulator(start_shared_simulator):
    return start_shared_simulator(SMALL, "--capture-period", "1", "--history-days", "0")


def test_every_meter_says_who_it_is_to_the_public(simulator, associated, attribute):
    for meter in simulator.fleet.meters:
        with associated(simulator, meter, 16) as (channel, client):
            name = channel.run(client.get(attribute(1, LDN)))
            with pytest.raises(ServiceError):
                channel.run(client.get(attribute(3, "1.0.1.8.0.255")))
        assert name.as_text() == meter.logical_device_name


@pytest.mark.parametrize("access", [Access.TCP, Access.SHARED, Access.RS485])
@pytest.mark.parametrize("address", [2, 1])
def test_registers_are_read_with_lls_and_with_hls(
    simulator, associated, attribute, access, address
):
    meter = next(each for each in simulator.fleet.meters if each.access is access)
    wanted = [
        attribute(3, f"1.0.{code}.255")
        for code in ("1.8.0", "2.8.0", "3.8.0", "9.8.0", "1.7.0", "32.7.0", "52.7.0", "72.7.0")
    ]
    wanted += [attribute(3, f"1.0.{code}.7.0.255") for code in (31, 51, 71, 13, 14)]
    with associated(simulator, meter, address) as (channel, client):
        values = [value.as_int() for value in channel.run(client.get_many(wanted))]
        unit = channel.run(client.get(attribute(3, "1.0.32.7.0.255", 3)))
        clock = channel.run(client.get(attribute(8, "0.0.1.0.0.255")))
    assert min(values[5:8]) > 2070
    assert max(values[5:8]) < 2530
    assert 4990 <= values[12] <= 5010
    assert axdr.plain(unit) == [-1, 35]
    told = CosemDateTime.from_octets(clock.as_octets()).resolve(UTC).captured_at
    assert abs((told - datetime.now(UTC)).total_seconds()) < 3


def test_every_listed_attribute_can_be_read(simulator, associated, attribute):
    meter = simulator.fleet.meters[0]
    with associated(simulator, meter, 2) as (channel, client):
        listed = channel.run(client.get(attribute(15, "0.0.40.0.0.255")))
        refused = []
        for entry in listed.as_items():
            class_id, _, name, rights = entry.as_items()
            for right in rights.as_items()[0].as_items():
                number = right.as_items()[0].as_int()
                wanted = CosemAttribute(class_id.as_int(), name.as_octets(), number)
                try:
                    channel.run(client.get(wanted))
                except ServiceError:
                    refused.append(wanted)
    assert len(listed.as_items()) >= 28
    assert refused == []


@pytest.mark.parametrize(
    ("class_id", "name", "number", "code"),
    [(3, "1.0.99.9.0.255", 2, 4), (1, "1.0.1.8.0.255", 2, 9), (3, "1.0.1.8.0.255", 9, 11)],
)
def test_what_does_not_exist_is_refused_with_the_reason(
    simulator, associated, attribute, class_id, name, number, code
):
    meter = simulator.fleet.meters[0]
    with (
        associated(simulator, meter, 2) as (channel, client),
        pytest.raises(ServiceError) as refused,
    ):
        channel.run(client.get(attribute(class_id, name, number)))
    assert refused.value.code == code


def test_the_load_profile_by_range_is_what_the_journal_says(
    simulator, associated, attribute, wait_until
):
    simulator.ask(op="start_latching")
    wait_until(lambda: len(simulator.journal("latch")) >= 4 * len(simulator.fleet.meters))
    simulator.ask(op="stop_latching")
    for meter in simulator.fleet.meters[1::4]:
        rows = [r for r in simulator.journal("latch") if r["meter"] == meter.serial]
        chosen = rows[1:]
        bounds = selector(chosen[0]["captured_at"], chosen[-1]["captured_at"])
        with associated(simulator, meter, 1) as (channel, client):
            octets = channel.run(client.get_octets(attribute(7, PROFILE), bounds))
        times, values = columns(octets, 1)
        assert times == [row["captured_at"] for row in chosen]
        assert list(zip(*values, strict=True)) == [tuple(row["values"].values()) for row in chosen]


def test_a_month_of_history_is_there_from_the_start(start_simulator, associated, attribute):
    simulator = start_simulator(
        FleetSettings(tcp=1, shared=0, dial_in=0, rs485=0, push=False), "--history-days", "30"
    )
    (meter,) = simulator.fleet.meters
    with associated(simulator, meter, 2) as (channel, client):
        octets = channel.run(client.get_octets(attribute(7, PROFILE)), 20)
        in_use = channel.run(client.get(attribute(7, PROFILE, 7))).as_int()
    times, (energy, *_) = columns(octets, 900)
    assert in_use == len(times) >= 30 * 96 - 1
    assert {later - earlier for earlier, later in pairwise(times)} == {900}
    assert energy == sorted(energy)
    assert energy[-1] - energy[0] > 100_000


def test_a_relay_cuts_the_load_and_gives_it_back(simulator, associated, attribute):
    meter = simulator.fleet.meters[-1]
    assert meter.access is Access.RS485
    relay, power = attribute(70, RELAY), attribute(3, "1.0.1.7.0.255")
    with associated(simulator, meter) as (channel, client):
        channel.run(client.action(DISCONNECT, axdr.integer(0)))
        off = [channel.run(client.get(each)).value for each in (relay, power)]
        control = channel.run(client.get(attribute(70, RELAY, 3))).as_int()
        channel.run(client.action(RECONNECT, axdr.integer(0)))
        on = [channel.run(client.get(each)).value for each in (relay, power)]
    assert off == [False, 0]
    assert control == 0
    assert on[0] is True
    assert on[1] > 0
    moved = [
        (record["output"], record["invocation"], record["result"])
        for record in simulator.journal("relay")
        if record["meter"] == meter.serial
    ]
    assert moved == [(False, 1, "moved"), (True, 2, "moved")]


def test_only_the_management_client_moves_anything(simulator, associated):
    meter = simulator.fleet.meters[2]
    for address in (16, 2):
        with associated(simulator, meter, address) as (channel, client):
            with pytest.raises(ServiceError) as refused:
                channel.run(client.action(DISCONNECT, axdr.integer(0)))
            assert refused.value.code == 3
    assert meter.serial not in {record["meter"] for record in simulator.journal("relay")}


def test_relay_faults(simulator, associated, attribute):
    rejecting, welded = simulator.fleet.meters[:2]
    simulator.ask(op="fault", meter=rejecting.serial, fault="relay_rejected")
    simulator.ask(op="fault", meter=welded.serial, fault="relay_welded")
    with associated(simulator, rejecting) as (channel, client), pytest.raises(ServiceError):
        channel.run(client.action(DISCONNECT, axdr.integer(0)))
    with associated(simulator, welded) as (channel, client):
        channel.run(client.action(DISCONNECT, axdr.integer(0)))
        assert channel.run(client.get(attribute(70, RELAY))).value is True
        assert channel.run(client.get(attribute(3, "1.0.1.7.0.255"))).as_int() > 0
        simulator.ask(op="clear", meter=welded.serial, fault="relay_welded")
        channel.run(client.action(RECONNECT, axdr.integer(0)))


def test_a_silent_meter_is_silent_alone(simulator, associated, client, attribute):
    on_line = [each for each in simulator.fleet.meters if each.access is Access.RS485]
    simulator.ask(op="fault", meter=on_line[0].serial, fault="silent")
    with simulator.channel(on_line[0]) as channel, pytest.raises(LinkError):
        channel.run(client(on_line[0], 16).connect(), timeout=0.05)
    with associated(simulator, on_line[1], 16) as (channel, other):
        assert channel.run(other.get(attribute(1, LDN))).as_text().startswith("HSP")
    simulator.ask(op="clear", meter=on_line[0].serial, fault="silent")
    with associated(simulator, on_line[0], 16) as (channel, other):
        assert channel.run(other.get(attribute(1, LDN))).as_text().startswith("HSP")


@pytest.mark.parametrize("fault", ["line_noise", "line_echo"])
def test_a_disturbed_line_still_reads(simulator, associated, attribute, fault):
    simulator.ask(op="fault", line="rs485", fault=fault)
    for meter in simulator.fleet.on_line("rs485"):
        with associated(simulator, meter, 1) as (channel, client):
            name = channel.run(client.get(attribute(1, LDN)), 0.5)
        assert name.as_text() == meter.logical_device_name
    simulator.ask(op="clear", line="rs485", fault=fault)


def test_sag_cover_reversal_and_drift_show(simulator, associated, attribute):
    meter = simulator.fleet.meters[3]
    for fault in ("voltage_sag", "cover_opened", "reverse_energy", "clock_drift"):
        simulator.ask(op="fault", meter=meter.serial, fault=fault)
    with associated(simulator, meter) as (channel, client):
        voltage = channel.run(client.get(attribute(3, "1.0.32.7.0.255"))).as_int()
        delivered = channel.run(client.get(attribute(3, "1.0.2.7.0.255"))).as_int()
        _, (codes,) = columns(channel.run(client.get_octets(attribute(7, EVENTS))), 0)
        clock = attribute(8, "0.0.1.0.0.255")
        ahead = channel.run(client.get(clock)).as_octets()
        now = CosemDateTime.from_datetime(datetime.now(UTC)).to_octets()
        channel.run(client.set(clock, axdr.octet_string(now)))
        after = channel.run(client.get(clock)).as_octets()
    assert voltage < 2070
    assert delivered > 0
    assert codes == [76, 44, 91]
    seconds = [
        (CosemDateTime.from_octets(o).resolve(UTC).captured_at - datetime.now(UTC)).total_seconds()
        for o in (ahead, after)
    ]
    assert 290 < seconds[0] < 310
    assert abs(seconds[1]) < 3


def test_wrong_keys_and_passwords_open_nothing(simulator, client):
    first, second = simulator.fleet.meters[:2]
    for address in (1, 2):
        with simulator.channel(first) as channel, pytest.raises(RemoteError):
            channel.run(client(second, address).connect(), 0.5)


def test_garbage_ends_the_connection_and_nothing_else(simulator, associated, attribute):
    meter = simulator.fleet.meters[0]
    with simulator.channel(meter) as channel:
        channel.write(b"\xff" * 64)
        assert channel.read(5) == b""
    with associated(simulator, meter, 16) as (channel, client):
        assert channel.run(client.get(attribute(1, LDN))).as_text()


def test_meters_that_dial_in_say_who_they_are_and_call_again(
    start_simulator, client, attribute, channel_over
):
    with socket.create_server(("127.0.0.1", 0)) as gateway:
        gateway.settimeout(10)
        settings = FleetSettings(
            tcp=0, shared=0, dial_in=3, rs485=0, push=False, dial_in_port=gateway.getsockname()[1]
        )
        simulator = start_simulator(settings, "--history-days", "0")
        callers = {meter.system_title: meter for meter in simulator.fleet.meters}
        calls = []
        for _ in range(6):
            connection, _ = gateway.accept()
            with connection:
                channel = channel_over(connection.fileno())
                meter = callers[_greeting(channel.read(5))]
                answering = client(meter, 1)
                channel.run(answering.connect())
                name = channel.run(answering.get(attribute(1, LDN))).as_text()
                assert name == meter.logical_device_name
                calls.append(meter.serial)
    assert set(calls) == {meter.serial for meter in simulator.fleet.meters}


def _greeting(octets: bytes) -> bytes:
    (frame,) = WrapperReader().receive(octets)
    body = DataNotification.from_octets(frame.apdu).body
    title, name = axdr.decode(body).as_items()
    assert frame.source == 1
    assert len(name.as_text()) == 16
    return title.as_octets()


def test_sigterm_stops_cleanly_and_leaves_no_links(start_simulator):
    simulator = start_simulator(SMALL)
    assert simulator.stop(signal.SIGTERM) == 0
    assert [path.name for path in simulator.state.iterdir()] == ["journal.jsonl"]
