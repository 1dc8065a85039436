"""The journal and what a district remembers of it, also after the process was killed."""

from __future__ import annotations

import signal
from pathlib import Path

import pytest
from hesper_dlms import axdr, obis
from hesper_dlms.apdu import CosemMethod
from hesper_sim import ledger, memory
from hesper_sim.errors import JournalError
from hesper_sim.event_codes import EventCode
from hesper_sim.faults import Fault
from hesper_sim.fleet import FleetSettings, plan
from hesper_sim.journal import Journal, read
from hesper_sim.load import ANCHOR

SMALL = FleetSettings(tcp=3, shared=0, dial_in=0, rs485=0, push=False)
NOON = ANCHOR + 700 * 86_400 + 12 * 3600


class Time:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.now = float(NOON)

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Time:
    return Time()


def wake(folder: Path, clock: Time, period: int = 900):
    return memory.wake(plan(SMALL), folder, period, 2, clock)


def state_of(district, now: int):
    return [
        (
            district.history.rows(meter, 0, now),
            meter.events.between(0, now)[: len(meter.events)],
            meter.output,
            meter.control,
            meter.invocations,
            meter.energy_j(now),
        )
        for meter in district.meters.values()
    ]


def test_records_come_back_in_order(tmp_path):
    journal = Journal(tmp_path / "j")
    journal.append([{"k": "a"}, {"k": "b"}])
    journal.append([])
    journal.append([{"k": "c"}])
    assert [record["k"] for record in journal.read()] == ["a", "b", "c"]
    journal.close()


@pytest.mark.parametrize("torn", [b'{"k":"late', b"{", b'{"k":"x"}'])
def test_a_torn_last_line_is_cut_off(tmp_path, torn):
    path = tmp_path / "j"
    path.write_bytes(b'{"k":"a"}\n' + torn)
    assert [record["k"] for record in read(path)] == ["a"]
    journal = Journal(path)
    journal.append([{"k": "b"}])
    journal.close()
    assert [record["k"] for record in read(path)] == ["a", "b"]


def test_a_journal_that_is_torn_from_its_first_line_begins_anew(tmp_path):
    (tmp_path / "j").write_bytes(b'{"k":"bo')
    journal = Journal(tmp_path / "j")
    journal.close()
    assert (tmp_path / "j").read_bytes() == b""


@pytest.mark.parametrize("damage", [b"garbage\n", b"[1]\n", b'{"no":"kind"}\n'])
def test_damage_before_the_end_is_reported(tmp_path, damage):
    (tmp_path / "j").write_bytes(b'{"k":"a"}\n' + damage + b'{"k":"b"}\n')
    with pytest.raises(JournalError, match="line 2"):
        list(read(tmp_path / "j"))


def test_one_process_at_a_time(tmp_path):
    journal = Journal(tmp_path / "j")
    with pytest.raises(JournalError, match="in use"):
        Journal(tmp_path / "j")
    journal.close()


def test_a_district_wakes_as_it_was(tmp_path, clock):
    district = wake(tmp_path, clock)
    first, second, third = district.meters.values()
    district.latch([NOON + 900, NOON + 1800])
    clock.now += 2000
    assert district.move_relay(first, connect=False)
    district.begin(second, Fault.COVER_OPENED)
    clock.now += 1000
    district.latch([NOON + 2700])
    district.move_relay(third, connect=False)
    clock.now += 100
    district.move_relay(third, connect=True)
    later = NOON + 9000
    before = state_of(district, later)
    district.close()

    clock.now += 900
    again = wake(tmp_path, clock)
    after = state_of(again, later)
    for old, new in zip(before, after, strict=True):
        assert new[0] == old[0]
        assert new[1][: len(old[1])] == old[1]
        assert [row.values[0] for row in new[1][len(old[1]) :]] == [
            EventCode.POWER_DOWN,
            EventCode.POWER_UP,
        ]
        assert new[2:] == old[2:]
    again.close()


def test_a_reversed_meter_is_turned_back_by_a_restart(tmp_path, clock):
    district = wake(tmp_path, clock)
    meter = next(iter(district.meters.values()))
    district.begin(meter, Fault.REVERSE_ENERGY)
    clock.now += 3600
    reading = meter.energy_j(district.now())
    district.close()
    again = wake(tmp_path, clock)
    woken = next(iter(again.meters.values()))
    assert woken.energy_j(again.now()) == reading
    clock.now += 3600
    assert woken.energy_j(again.now()).active_import > reading.active_import
    again.close()


def test_the_ledger_says_what_the_meters_answer(tmp_path, clock):
    district = wake(tmp_path, clock)
    district.latch([NOON + 900])
    first = next(iter(district.meters.values()))
    district.move_relay(first, connect=False)
    rows = {
        (meter.serial, row.captured_at): list(row.values)
        for meter in district.meters.values()
        for row in district.history.rows(meter, 0, NOON + 900)
    }
    district.close()
    told = [*ledger.history(plan(SMALL), tmp_path), *ledger.records(tmp_path, "latch")]
    assert {(r["meter"], r["captured_at"]): list(r["values"].values()) for r in told} == rows
    assert [record["output"] for record in ledger.records(tmp_path, "relay")] == [False]


def test_nothing_is_latched_while_latching_is_stopped(tmp_path, clock):
    district = wake(tmp_path, clock)
    district.latching = False
    assert district.latch([NOON + 900]) == 0
    assert [record["k"] for record in read(tmp_path / "journal.jsonl")] == ["born"]
    district.close()


def test_another_fleet_or_period_is_refused(tmp_path, clock):
    wake(tmp_path, clock).close()
    with pytest.raises(JournalError, match="capture_period_s 900, not 5"):
        wake(tmp_path, clock, period=5)
    with pytest.raises(JournalError, match="seed"):
        memory.wake(plan(FleetSettings(seed=9)), tmp_path, 900, 2, clock)


@pytest.mark.integration
def test_sigkill_loses_nothing_that_was_readable(
    start_simulator, associated, attribute, wait_until
):
    simulator = start_simulator(SMALL, "--capture-period", "1", "--history-days", "0")
    meter = simulator.fleet.meters[0]
    profile, relay = attribute(7, "1.0.99.1.0.255"), attribute(70, "0.0.96.3.10.255")
    disconnect = CosemMethod(70, obis.DISCONNECT_CONTROL, 1)
    seen: list[bytes] = []
    for kill in range(3):
        rows = len(simulator.journal("latch"))
        wait_until(lambda rows=rows: len(simulator.journal("latch")) > rows)
        with associated(simulator, meter) as (channel, client):
            if kill == 0:
                channel.run(client.action(disconnect, axdr.integer(0)))
            octets = channel.run(client.get_octets(profile))
            seen.append(octets)
        simulator.stop(signal.SIGKILL)
        simulator.start()
        with associated(simulator, meter) as (channel, client):
            assert channel.run(client.get(relay)).value is False
            again = channel.run(client.get_octets(profile))
        old, new = axdr.decode(octets).as_items(), axdr.decode(again).as_items()
        assert new[: len(old)] == old
    rows = [row for row in simulator.journal("latch") if row["meter"] == meter.serial]
    assert len({row["captured_at"] for row in rows}) == len(rows)
    assert len({row["values"]["1.0.1.8.0.255"] for row in rows[2:]}) == 1


@pytest.mark.integration
def test_the_meter_never_repeats_an_invocation_counter(start_simulator, client, attribute):
    simulator = start_simulator(SMALL, "--history-days", "0")
    meter = simulator.fleet.meters[0]
    received: dict[bytes, int] = {}
    for _ in range(3):
        with simulator.channel(meter) as channel:
            reading = client(meter, 1, received_counters=received)
            channel.run(reading.connect())
            channel.run(reading.get(attribute(1, "0.0.42.0.0.255")))
        simulator.stop(signal.SIGKILL)
        simulator.start()
    assert max(received.values()) > 10_000
