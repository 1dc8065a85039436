"""The fleet that `hesper-sim serve` starts: every client, suite and way in, by our own client."""

from __future__ import annotations

import itertools
import select
import socket
from dataclasses import replace

import msgspec
import pytest
from hesper_dlms.association import Referencing
from hesper_dlms.client import AssociationSettings, Authentication, Client, SecuritySettings
from hesper_dlms.errors import DlmsError
from hesper_dlms.security.key_pairs import PeerKeys, PrivateKey, PublicKey
from hesper_lab.ports import free_ports
from hesper_sim.fleet import Access, starter

pytestmark = pytest.mark.integration

LDN = "0.0.42.0.0.255"
COUNTERS = itertools.count(1)
MECHANISMS = {
    16: Authentication.NONE,
    2: Authentication.LOW,
    1: Authentication.HIGH_GMAC,
    3: Authentication.HIGH_MD5,
    4: Authentication.HIGH_SHA1,
    5: Authentication.HIGH_GMAC,
    6: Authentication.HIGH_SHA256,
    7: Authentication.HIGH_ECDSA,
}


@pytest.fixture(scope="module")
def simulator(start_shared_simulator):
    ports = tuple(free_ports(11))
    settings = msgspec.structs.replace(
        starter(),
        shared_port=ports[0],
        tcp_ports=ports[1:7],
        hdlc_ports=ports[7:10],
        udp_ports=ports[10:],
    )
    return start_shared_simulator(settings, "--history-days", "0")


@pytest.fixture(scope="module")
def credentials(simulator):
    answer = simulator.ask(op="keys")
    return {each["serial"]: each for each in answer["meters"]}, answer["head_end"]


def security(plan, meter: dict, head_end: dict) -> SecuritySettings:
    keys = SecuritySettings(
        plan.suite,
        bytes.fromhex(meter["global_unicast_key"]),
        bytes.fromhex(meter["authentication_key"]),
    )
    if not plan.suite:
        return keys
    ours = [
        PrivateKey.from_scalar(
            plan.suite, bytes.fromhex(head_end[f"suite_{plan.suite}_{use}"]["private_key"])
        )
        for use in ("signing", "agreement")
    ]
    theirs = [
        PublicKey(plan.suite, bytes.fromhex(meter[f"{use}_public_key"]))
        for use in ("signing", "agreement")
    ]
    return replace(keys, signing_key=ours[0], agreement_key=ours[1], peer=PeerKeys(*theirs))


def client_of(plan, address: int, credentials) -> Client:
    meter, head_end = credentials[0][plan.serial], credentials[1]
    mechanism = MECHANISMS[address]
    with_keys = mechanism in (Authentication.HIGH_GMAC, Authentication.HIGH_ECDSA)
    secret = meter["password"] if address == 2 else meter["hls_secret"]
    settings = AssociationSettings(
        client_address=address,
        server_address=plan.server_address,
        authentication=mechanism,
        password=secret.encode() if address in (2, 3, 4, 6) else None,
        system_title=bytes.fromhex(head_end["system_title"]) if address != 16 else None,
        security=security(plan, meter, head_end) if with_keys else None,
        ciphered=address == 1,
        invocation_counter=lambda: next(COUNTERS),
        meter_system_title=plan.system_title if with_keys else None,
        referencing=Referencing.SHORT_NAME if plan.short_names else Referencing.LOGICAL_NAME,
    )
    if plan.physical_address is None:
        return Client(settings.over_wrapper(), settings)
    return Client(settings.over_hdlc(plan.physical_address), settings)


def reachable(simulator):
    ways = (Access.TCP, Access.SHARED, Access.HDLC_TCP, Access.RS485)
    for plan in simulator.fleet.meters:
        if plan.access in ways:
            yield plan


@pytest.mark.parametrize("address", MECHANISMS)
def test_every_client_gets_in_everywhere(simulator, credentials, attribute, address):
    opened = set()
    for plan in reachable(simulator):
        if address == 7 and not plan.suite:
            continue
        with simulator.channel(plan) as channel:
            client = client_of(plan, address, credentials)
            channel.run(client.connect())
            name = channel.run(client.get(attribute(1, LDN))).as_text()
            assert name == plan.logical_device_name
            channel.run(client.release())
        opened.add((plan.access, plan.suite, plan.short_names))
    assert {access for access, _, _ in opened} == {"tcp", "shared", "hdlc-tcp", "rs485"}
    assert {suite for _, suite, _ in opened} == ({1, 2} if address == 7 else {0, 1, 2})
    if address != 7:
        assert any(short for _, _, short in opened)


@pytest.mark.parametrize("address", [2, 3, 4, 6, 5, 7, 1])
def test_secrets_of_another_meter_open_nothing(simulator, credentials, address):
    first, second = [
        plan for plan in reachable(simulator) if plan.suite == 1 and plan.physical_address is None
    ][:2]
    mixed = {first.serial: credentials[0][second.serial]}
    with simulator.channel(first) as channel, pytest.raises(DlmsError):
        channel.run(client_of(first, address, (mixed, credentials[1])).connect(), 0.5)


def test_udp(simulator, credentials, attribute):
    plan = next(each for each in simulator.fleet.meters if each.access is Access.UDP)
    host, port = simulator.ready["listeners"][plan.line].split(":")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as connection:
        connection.connect((host, int(port)))
        connection.send(b"\x00\x02garbage")
        for address in (16, 2, 1):
            client = client_of(plan, address, credentials)
            _over_datagrams(connection, client.connect())
            value = _over_datagrams(connection, client.get(attribute(1, LDN)))
            assert value.as_text() == plan.logical_device_name


def _over_datagrams(connection: socket.socket, exchange):
    octets = next(exchange)
    try:
        while True:
            if octets:
                connection.send(octets)
            assert select.select([connection], [], [], 5)[0]
            octets = exchange.send(connection.recv(65536))
    except StopIteration as end:
        return end.value


def test_the_ready_line_names_everything_but_secrets(simulator, credentials):
    told = {each["serial"]: each for each in simulator.ready["fleet"]}
    assert told.keys() == credentials[0].keys()
    for serial, meter in told.items():
        assert not {"password", "master_key", "global_unicast_key"} & meter.keys()
        assert meter["clients"] == credentials[0][serial]["clients"]
        assert meter["reach"]
