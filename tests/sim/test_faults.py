"""Every fault of an answer or a link, seen by our client over a real socket."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from hesper_dlms import axdr
from hesper_dlms.apdu import DataAccessResult
from hesper_dlms.client import AssociationSettings, Authentication, Client, SecuritySettings
from hesper_dlms.cosem_time import CosemDateTime
from hesper_dlms.errors import (
    AssociationRejected,
    DlmsError,
    LinkError,
    RemoteError,
    SecurityError,
    ServiceError,
)
from hesper_dlms.profile import decode_buffer
from hesper_sim.fleet import FleetSettings

pytestmark = pytest.mark.integration

SETTINGS = FleetSettings(tcp=3, shared=2, dial_in=0, rs485=0, hdlc_tcp=1, udp=1, push=False)
LDN, PROFILE, CLOCK, ENERGY = "0.0.42.0.0.255", "1.0.99.1.0.255", "0.0.1.0.0.255", "1.0.1.8.0.255"


@pytest.fixture(scope="module")
def simulator(start_shared_simulator):
    return start_shared_simulator(SETTINGS, "--history-days", "3")


@pytest.fixture
def broken(simulator) -> Iterator:
    """Break a meter for one test: `broken(meter, fault, value)`."""
    begun = []

    def begin(meter, fault: str, value: float | None = None) -> None:
        simulator.ask(op="fault", meter=meter.serial, fault=fault, seconds=600, value=value)
        begun.append((meter.serial, fault))

    yield begin
    for serial, fault in begun:
        simulator.ask(op="clear", meter=serial, fault=fault)


@pytest.fixture
def meter(simulator):
    return simulator.fleet.meters[0]


def test_an_answer_comes_late(simulator, meter, associated, attribute, broken):
    broken(meter, "slow", 0.2)
    with associated(simulator, meter, 16) as (channel, client):
        before = time.monotonic()
        channel.run(client.get(attribute(1, LDN)))
        assert time.monotonic() - before >= 0.2


def test_an_answer_trickles(simulator, associated, attribute, broken):
    meter = next(each for each in simulator.fleet.meters if each.line == "hdlc-1")
    broken(meter, "slow_octets", 1)
    with associated(simulator, meter, 16) as (channel, client):
        before = time.monotonic()
        assert channel.run(client.get(attribute(1, LDN))).as_text().startswith("HSP")
        assert time.monotonic() - before >= 0.02


def test_noise_and_echo_do_not_stop_a_client_on_hdlc(simulator, associated, attribute, broken):
    meter = next(each for each in simulator.fleet.meters if each.line == "hdlc-1")
    for fault in ("noise", "echo"):
        broken(meter, fault)
    for _ in range(5):
        with associated(simulator, meter, 1) as (channel, client):
            assert channel.run(client.get(attribute(1, LDN)), 1).as_text().startswith("HSP")


def test_a_counter_used_before_is_noticed(simulator, meter, client, attribute, broken):
    received: dict[bytes, int] = {}
    for _ in range(2):
        with simulator.channel(meter) as channel:
            first = client(meter, 1, received_counters=received)
            channel.run(first.connect())
            channel.run(first.get(attribute(1, LDN)))
    broken(meter, "wrong_counter")
    with simulator.channel(meter) as channel, pytest.raises(SecurityError):
        channel.run(client(meter, 1, received_counters=received).connect())


@pytest.mark.parametrize("fault", ["blocks_lost", "blocks_doubled", "blocks_reordered"])
def test_damaged_block_transfers_never_become_values(
    simulator, meter, associated, attribute, broken, fault
):
    broken(meter, "short_pdu", 256)
    with associated(simulator, meter, 2) as (channel, client):
        whole = channel.run(client.get_octets(attribute(15, "0.0.40.0.0.255")))
    broken(meter, fault, 3)
    with simulator.channel(meter) as channel:
        client = _small_client(meter)
        channel.run(client.connect())
        with pytest.raises(DlmsError):
            channel.run(client.get_octets(attribute(15, "0.0.40.0.0.255")), 0.3)
    simulator.ask(op="clear", meter=meter.serial, fault=fault)
    with simulator.channel(meter) as channel:
        client = _small_client(meter)
        channel.run(client.connect())
        assert channel.run(client.get_octets(attribute(15, "0.0.40.0.0.255"))) == whole


def _small_client(meter):
    settings = AssociationSettings(
        client_address=2,
        server_address=meter.server_address,
        authentication=Authentication.LOW,
        password=meter.password.encode(),
        max_pdu=200,
    )
    return Client(settings.over_wrapper(), settings)


def test_a_short_pdu_is_announced_and_kept(simulator, meter, associated, attribute, broken):
    broken(meter, "short_pdu", 100)
    many = [attribute(3, ENERGY)] * 20
    with associated(simulator, meter, 2) as (channel, client):
        assert len(channel.run(client.get_many(many))) == 20


def test_a_meter_that_refuses_lists_is_asked_one_by_one(
    simulator, meter, associated, attribute, broken
):
    broken(meter, "refuse_with_list")
    asked = [attribute(3, ENERGY), attribute(1, LDN)]
    with associated(simulator, meter, 2) as (channel, client):
        energy, name = channel.run(client.get_many(asked))
        assert energy.as_int() > 0
        assert name.as_text() == meter.logical_device_name
        before = channel.requests
        channel.run(client.get_many(asked))
        assert channel.requests - before == len(asked)


def test_an_aare_without_user_information(simulator, meter, client, broken):
    broken(meter, "bare_aare")
    with simulator.channel(meter) as channel, pytest.raises(DlmsError):
        channel.run(client(meter, 16).connect(), 0.5)


def test_too_many_wrong_passwords_lock_the_meter(simulator, client, broken):
    meter, other = simulator.fleet.meters[1], simulator.fleet.meters[0]
    broken(meter, "lock_out", 3)
    for _ in range(3):
        wrong = client(other, 2)
        with simulator.channel(meter) as channel, pytest.raises(RemoteError):
            channel.run(wrong.connect(), 0.5)
    with simulator.channel(meter) as channel, pytest.raises(AssociationRejected):
        channel.run(client(meter, 2).connect(), 0.5)
    simulator.ask(op="clear", meter=meter.serial, fault="lock_out")
    codes = [row["code"] for row in simulator.journal("event") if row["meter"] == meter.serial]
    assert codes == [46]
    with simulator.channel(meter) as channel:
        channel.run(client(meter, 2).connect())


def test_a_bad_counter_ends_the_link(simulator, meter, client, broken):
    broken(meter, "counter_hang_up")
    with simulator.channel(meter) as channel:
        first = client(meter, 1)
        channel.run(first.connect())
        channel.run(first.release())
    with simulator.channel(meter) as channel:
        stale = _stale_client(meter)
        with pytest.raises(LinkError):
            channel.run(stale.connect(), 0.5)
        assert channel.read(2) == b""


def _stale_client(meter):
    settings = AssociationSettings(
        client_address=1,
        server_address=meter.server_address,
        authentication=Authentication.HIGH_GMAC,
        system_title=b"HSPGW\x00\x00\x01",
        security=SecuritySettings(0, meter.encryption_key, meter.authentication_key),
        invocation_counter=lambda: 0,
        meter_system_title=meter.system_title,
    )
    return Client(settings.over_wrapper(), settings)


def test_another_name_answers_and_the_registers_lie(
    simulator, meter, associated, attribute, broken
):
    def read():
        with associated(simulator, meter, 2) as (channel, client):
            name = channel.run(client.get(attribute(1, LDN))).as_text()
            return name, channel.run(client.get(attribute(3, ENERGY))).as_int()

    name, energy = read()
    broken(meter, "wrong_name")
    broken(meter, "register_back", 500)
    other, back = read()
    assert (name, other) == (meter.logical_device_name, other) != (name, name)
    assert len(other) == len(name)
    assert energy - 500 <= back < energy
    simulator.ask(op="clear", meter=meter.serial, fault="register_back")
    broken(meter, "register_wrap", 50)
    _, near_the_end = read()
    assert (1 << 32) - 60 < near_the_end < 1 << 32


def test_null_rows_decode_to_the_same(simulator, meter, associated, attribute, broken):
    def read():
        with associated(simulator, meter, 2) as (channel, client):
            octets = channel.run(client.get_octets(attribute(7, PROFILE)), 20)
        decoded = decode_buffer(octets, 900, 0, UTC)
        return octets, list(decoded.captured_at), [list(each) for each in decoded.columns[1:]]

    plain = read()
    broken(meter, "null_rows")
    with_nulls = read()
    assert with_nulls[1:] == plain[1:]
    assert len(with_nulls[0]) < len(plain[0])


def test_a_refused_profile_is_refused_to_whoever_reads_the_rest(
    simulator, meter, associated, attribute, broken
):
    broken(meter, "profile_refused")
    with associated(simulator, meter, 2) as (channel, client):
        with pytest.raises(ServiceError) as refused:
            channel.run(client.get(attribute(7, PROFILE)))
        assert refused.value.code == DataAccessResult.READ_WRITE_DENIED
        assert channel.run(client.get(attribute(3, ENERGY))).as_int() > 0


def test_clocks_jump_and_run_fast(simulator, meter, associated, attribute, broken):
    def ahead() -> float:
        with associated(simulator, meter, 16) as (channel, client):
            told = channel.run(client.get(attribute(8, CLOCK))).as_octets()
        return (
            CosemDateTime.from_octets(told).resolve(UTC).captured_at - datetime.now(UTC)
        ).total_seconds()

    broken(meter, "clock_jump", -7200)
    assert -7203 < ahead() < -7197
    simulator.ask(op="clear", meter=meter.serial, fault="clock_jump")
    broken(meter, "clock_rate", 86_400 * 10_000)
    first = ahead()
    assert ahead() > first


def test_an_outage_ends_links_and_a_meter_comes_back(
    simulator, meter, client, associated, attribute, wait_until
):
    with simulator.channel(meter) as channel:
        before = client(meter, 16)
        channel.run(before.connect())
        simulator.ask(op="fault", meter=meter.serial, fault="reboot", seconds=60, value=0.1)
        with pytest.raises(LinkError):
            channel.run(before.get(attribute(1, LDN)), 0.05)
    wait_until(lambda: not simulator.ask(op="faults")["meters"])
    with associated(simulator, meter, 16) as (channel, again):
        assert channel.run(again.get(attribute(1, LDN))).as_text()
    codes = [row["code"] for row in simulator.journal("event") if row["meter"] == meter.serial]
    assert codes[-2:] == [1, 2]


def test_the_public_client_learns_the_time_in_every_way_in(simulator, associated, attribute):
    ways = {meter.access for meter in simulator.fleet.meters}
    assert {"tcp", "shared", "hdlc-tcp"} <= ways
    for meter in simulator.fleet.meters:
        if meter.access != "udp":
            with associated(simulator, meter, 16) as (channel, client):
                assert channel.run(client.get(attribute(8, CLOCK))).tag is axdr.Tag.OCTET_STRING


def test_one_meter_starts_anew_behind_a_shared_address_and_the_others_go_on(
    simulator, client, attribute, wait_until
):
    first, second = [each for each in simulator.fleet.meters if each.access == "shared"]
    with simulator.channel(first) as channel:
        clients = [client(each, 16) for each in (first, second)]
        for each in clients:
            channel.run(each.connect())
        simulator.ask(op="fault", meter=first.serial, fault="reboot", seconds=60, value=0.05)
        assert channel.run(clients[1].get(attribute(1, LDN))).as_text().startswith("HSP")
        wait_until(lambda: not simulator.ask(op="faults")["meters"])
        with pytest.raises(DlmsError):
            channel.run(clients[0].get(attribute(1, LDN)), 0.5)
        again = client(first, 16)
        channel.run(again.connect())
        assert channel.run(again.get(attribute(1, LDN))).as_text() == first.logical_device_name
        assert channel.run(clients[1].get(attribute(1, LDN))).as_text().startswith("HSP")
