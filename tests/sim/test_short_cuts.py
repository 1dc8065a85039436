"""A register asked for over the short cut is the register asked for among all objects."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from hesper_dlms.apdu import CosemAttribute, GetResponseNormal
from hesper_dlms.apdu.reader import Reader
from hesper_sim import memory
from hesper_sim.cosem import MANAGEMENT_CLIENT, PUBLIC_CLIENT, READING_CLIENT
from hesper_sim.fleet import FleetSettings, plan
from hesper_sim.registers import REGISTER_VALUES, REGISTERS, of_phase
from hesper_sim.served import MeterServer

NOON = 1_790_000_000


@pytest.fixture
def server(tmp_path: Path) -> Iterator[MeterServer]:
    fleet = plan(FleetSettings(tcp=1, shared=0, dial_in=0, rs485=0))
    district = memory.wake(fleet, tmp_path, 900, 1, lambda: float(NOON))
    yield MeterServer(district, next(iter(district.meters.values())))
    district.close()


def test_every_register_is_the_same_both_ways(server: MeterServer) -> None:
    assert len(REGISTER_VALUES) == len(REGISTERS)
    for descriptor in REGISTER_VALUES:
        attribute = CosemAttribute.read(Reader(descriptor))
        for client in (READING_CLIENT, MANAGEMENT_CLIENT):
            quick = server.quick_get(client, descriptor)
            assert quick == server.objects.get(client, attribute, None)
            assert quick is not None
            assert len(quick) <= 16
            assert GetResponseNormal(0xC1, quick).to_octets()[4:] == quick


def test_the_public_client_and_other_attributes_take_the_long_way(server: MeterServer) -> None:
    descriptor = next(iter(REGISTER_VALUES))
    assert server.quick_get(PUBLIC_CLIENT, descriptor) is None
    assert server.quick_get(READING_CLIENT, descriptor[:-1] + b"\x03") is None


def test_the_phases_make_up_the_whole(server: MeterServer) -> None:
    """And no two meters, nor two hours of one, show the same of everything."""
    meter, noon = server.meter, 1_790_000_100

    def value(name: bytes, at: int) -> int:
        return REGISTERS[name].value(meter, at)

    for kind, quantity in ((7, 1), (7, 3), (8, 1)):
        whole = bytes((1, 0, quantity, kind, 0, 255))
        phases = [value(of_phase(phase, quantity, kind), noon) for phase in range(3)]
        assert sum(phases) == value(whole, noon)
        assert min(phases) >= 0
    distortion = [value(of_phase(phase, 12, 7, 124), noon) for phase in range(3)]
    assert all(10 <= each <= 100 for each in distortion)
    assert len(REGISTERS) >= 34
    earlier = [value(name, noon) for name in REGISTERS]
    later = [value(name, noon + 6 * 3600) for name in REGISTERS]
    assert sum(a != b for a, b in zip(earlier, later, strict=True)) > 20
