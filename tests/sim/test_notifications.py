"""Pushes of the simulated meters themselves, over every link, and the optical head."""

from __future__ import annotations

import itertools
import os
import select
import socket
import tty
from datetime import UTC

import pytest
from hesper_dlms import obis
from hesper_dlms.oneshot import PushedMessage, PushReceiver
from hesper_dlms.push import read_push
from hesper_dlms.security import SecuritySettings
from hesper_sim.district import District
from hesper_sim.fleet import FleetSettings, PushLink, plan
from hesper_sim.history import History
from hesper_sim.journal import Forgetful
from hesper_sim.notifications import notification, on_link
from hesper_sim.served import MeterServer

NOW = 1_795_000_000
FLEET = plan(FleetSettings(tcp=3, shared=0, dial_in=0, rs485=1, push=False, suites=(0, 2)))


def receiver(link: str) -> PushReceiver:
    keys = {
        meter.system_title: SecuritySettings(
            meter.suite, meter.encryption_key, meter.authentication_key
        )
        for meter in FLEET.meters
    }
    return PushReceiver(link, keys)


def messages(found) -> list[PushedMessage]:
    return [each for each in found if isinstance(each, PushedMessage)]


def check(message: PushedMessage, meter) -> dict[str, object]:
    pushed = read_push(message.notification, "auto", {}, zone=UTC)
    values = {
        obis.text(each.logical_name): each.value
        for each in pushed.values
        if each.logical_name is not None
    }
    assert meter.logical_device_name in pushed.identities
    assert values["1.0.1.8.0.255"] > 0
    return values


@pytest.mark.parametrize("block", [0, 64])
@pytest.mark.parametrize("ciphered", [False, True])
@pytest.mark.parametrize("link", PushLink)
def test_a_push_arrives_over_every_link(link, ciphered, block):
    district = District(FLEET, History(NOW, 900, 0), Forgetful(), lambda: NOW)
    decoder = receiver(link)
    for meter in district.meters.values():
        server = MeterServer(district, meter)
        apdu = notification(district, server, ciphered)
        (message,) = messages(decoder.receive(on_link(server, apdu, link, block)))
        check(message, meter.plan)
        assert (message.ciphering is not None) == ciphered
        if ciphered:
            replayed = decoder.receive(on_link(server, apdu, link, block))
            assert messages(replayed) == []


@pytest.mark.integration
def test_meters_push_on_schedule_and_when_they_are_opened(start_simulator):
    with socket.create_server(("127.0.0.1", 0)) as head_end:
        head_end.settimeout(20)
        port = head_end.getsockname()[1]
        simulator = start_simulator(
            FleetSettings(
                tcp=3, shared=0, dial_in=0, rs485=1, push=False, suites=(0, 2),
                data_push_port=port, data_push_s=2,
            ),
            "--history-days", "0",
        )  # fmt: skip
        seen = {each.plan_name for each in itertools.islice(_calls(head_end), 6)}
        assert seen == {meter.logical_device_name for meter in simulator.fleet.meters}
    with socket.create_server(("127.0.0.1", 0)) as head_end:
        head_end.settimeout(20)
        rare = FleetSettings(
            tcp=1, shared=0, dial_in=0, rs485=0, push=False,
            data_push_port=head_end.getsockname()[1], data_push_s=3600,
        )  # fmt: skip
        simulator = start_simulator(rare, "--history-days", "0")
        calls = _calls(head_end)
        next(calls)
        serial = simulator.fleet.meters[0].serial
        simulator.ask(op="fault", meter=serial, fault="cover_opened", seconds=600)
        assert next(calls).plan_name == simulator.fleet.meters[0].logical_device_name


class _Call:
    def __init__(self, octets: bytes) -> None:
        (message,) = messages(receiver("wrapper").receive(octets))
        assert message.ciphering is not None
        pushed = read_push(message.notification, "auto", {}, zone=UTC)
        (self.plan_name,) = [text for text in pushed.identities if text.startswith("HSP")]


def _calls(head_end: socket.socket):
    while True:
        connection, _ = head_end.accept()
        with connection:
            octets = b""
            while chunk := connection.recv(65536):
                octets += chunk
        yield _Call(octets)


@pytest.mark.integration
def test_pushes_leave_on_a_serial_line_while_somebody_listens(start_simulator):
    settings = FleetSettings(
        tcp=3, shared=0, dial_in=0, rs485=1, push=False, suites=(0, 2),
        data_push_link=PushLink.MBUS, data_push_s=1, data_push_block=80,
    )  # fmt: skip
    simulator = start_simulator(settings, "--history-days", "0")
    port = os.open(simulator.ready["ports"]["data-push"], os.O_RDWR | os.O_NOCTTY)
    try:
        tty.setraw(port)
        decoder, heard = receiver("mbus"), []
        while len(heard) < 5:
            assert select.select([port], [], [], 10)[0]
            heard += messages(decoder.receive(os.read(port, 65536)))
    finally:
        os.close(port)
    assert len({each.ciphering.system_title for each in heard}) == 4


@pytest.mark.integration
def test_an_optical_head_signs_on_and_then_speaks_hdlc(
    start_simulator, client, channel_over, attribute
):
    settings = FleetSettings(tcp=0, shared=0, dial_in=0, rs485=0, optical=1, push=False)
    simulator = start_simulator(settings, "--history-days", "0")
    (meter,) = simulator.fleet.meters
    port = os.open(simulator.ready["ports"]["optical-1"], os.O_RDWR | os.O_NOCTTY)
    try:
        tty.setraw(port)
        channel = channel_over(port)
        for address in (16, 1):
            channel.write(b"/?!\r\n")
            assert channel.read(5) == b"/HSP5\\2HSP-3\r\n"
            channel.write(b"\x06252\r\n")
            assert channel.read(5) == b"\x06252\r\n"
            reading = client(meter, address)
            channel.run(reading.connect())
            name = channel.run(reading.get(attribute(1, "0.0.42.0.0.255")))
            assert name.as_text() == meter.logical_device_name
            channel.run(reading.release())
    finally:
        os.close(port)
