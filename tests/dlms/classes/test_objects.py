"""Objects by name through an association with our own server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hesper_dlms import axdr, obis
from hesper_dlms.apdu import CosemAttribute
from hesper_dlms.classes.metering import Register
from hesper_dlms.classes.registry import by_name
from hesper_dlms.classes.scheduling import Clock
from hesper_dlms.client import Client
from hesper_dlms.client.objects import (
    invoke,
    read_attribute,
    read_object,
    read_object_list,
    write_attribute,
)
from hesper_dlms.cosem_time import CosemDateTime
from hesper_dlms.errors import DecodeError, LocalError, ServiceError
from hesper_dlms.server import LogicalServer, ServerConnection, WrapperServerLink
from hesper_dlms.units import ScalerUnit

TIME = CosemDateTime.from_octets(bytes.fromhex("07ea0b1506040000ffffc400"))


@pytest.fixture
def meter(bench: Any) -> Any:
    return bench.Meter()


@pytest.fixture
def client(bench: Any) -> Client:
    settings = bench.settings(1)
    return Client(settings.over_wrapper(), settings)


@pytest.fixture
def run(bench: Any, meter: Any, client: Client) -> Callable[[Any], Any]:
    connection = ServerConnection(LogicalServer(meter), WrapperServerLink(1))

    def run(exchange: Any) -> Any:
        return bench.run(exchange, connection.receive)

    run(client.connect())
    return run


def test_a_register_as_a_record(run: Callable[[Any], Any], client: Client) -> None:
    read = run(read_object(client, Register, obis.ACTIVE_ENERGY_IMPORT))
    assert read.record == Register(
        obis.ACTIVE_ENERGY_IMPORT, axdr.double_long_unsigned(1234567), ScalerUnit(-3, 30)
    )
    assert read.refused == {}


def test_what_is_refused_or_does_not_decode_is_told(
    run: Callable[[Any], Any], client: Client, meter: Any
) -> None:
    clock = by_name("clock")
    meter.values[CosemAttribute(8, obis.CLOCK, 2)] = axdr.encode(clock.encode("time", TIME))
    meter.values[CosemAttribute(8, obis.CLOCK, 3)] = axdr.encode(axdr.octet_string(b"CET"))
    read = run(read_object(client, Clock, obis.CLOCK))
    assert read.record == Clock(obis.CLOCK, time=TIME)
    assert isinstance(read.refused["time_zone"], DecodeError)
    assert isinstance(read.refused["clock_base"], ServiceError)
    assert len(read.refused) == 7


def test_attributes_by_name(run: Callable[[Any], Any], client: Client) -> None:
    run(write_attribute(client, "clock:0.0.1.0.0.255:time", TIME))
    assert run(read_attribute(client, "clock:0.0.1.0.0.255:time")) == TIME
    assert run(read_attribute(client, "3:1.0.1.8.0.255:scaler_unit")) == ScalerUnit(-3, 30)
    with pytest.raises(LocalError):
        run(write_attribute(client, "clock:0.0.1.0.0.255:time", "noon"))


def test_methods_by_name(run: Callable[[Any], Any], client: Client, meter: Any) -> None:
    run(invoke(client, "clock:0.0.1.0.0.255:shift_time", -5))
    run(invoke(client, "clock:0.0.1.0.0.255:adjust_to_minute"))
    assert meter.actions == [axdr.encode(axdr.long_(-5)), axdr.encode(axdr.integer(0))]


def test_the_association_view(run: Callable[[Any], Any], client: Client) -> None:
    listed = run(read_object_list(client))
    assert [(each.class_id, each.version, each.logical_name) for each in listed] == [
        (3, 0, obis.ACTIVE_ENERGY_IMPORT),
        (8, 0, obis.CLOCK),
    ]
