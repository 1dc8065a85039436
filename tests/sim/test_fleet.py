"""The plan of a fleet is pure, complete and refuses what cannot be."""

from __future__ import annotations

import json
from codecs import BOM_UTF8

import pytest
from hesper_sim.cli import cli
from hesper_sim.errors import FleetError
from hesper_sim.fleet import Access, FleetSettings, Kind, load, plan
from typer.testing import CliRunner


def test_the_demo_fleet_has_sixty_meters_of_every_kind_on_every_way():
    fleet = plan()
    ways = (Access.TCP, Access.SHARED, Access.DIAL_IN, Access.RS485)
    count = {access: sum(m.access is access for m in fleet.meters) for access in ways}
    assert count == {Access.TCP: 24, Access.SHARED: 16, Access.DIAL_IN: 12, Access.RS485: 8}
    assert sum(count.values()) == len(fleet.meters)
    for access in ways:
        assert {m.kind for m in fleet.meters if m.access is access} == set(Kind)


def test_identities_are_unique_and_well_formed():
    meters = plan(FleetSettings(tcp=10_000)).meters
    for name in ("serial", "logical_device_name", "system_title", "encryption_key"):
        assert len({getattr(meter, name) for meter in meters}) == len(meters)
    for meter in meters:
        assert len(meter.serial) == 11
        assert len(meter.logical_device_name) == 16
        assert meter.system_title.hex().endswith(meter.serial.removeprefix("HES"))
        assert meter.serial.removeprefix("HES") in meter.logical_device_name


def test_the_plan_is_a_function_of_the_seed():
    assert plan() == plan()
    assert plan(FleetSettings(seed=2)).meters[0].serial != plan().meters[0].serial


def test_keys_never_show():
    meter = plan().meters[0]
    assert meter.password not in repr(meter)
    assert str(meter.encryption_key) not in repr(meter)


def test_a_mark_of_an_editor_of_windows_is_no_mistake(tmp_path):
    path = tmp_path / "fleet.toml"
    path.write_bytes(BOM_UTF8 + b"seed = 5\r\ntcp = 1\r\n")
    assert load(path).settings.seed == 5


def test_settings_survive_their_file(tmp_path):
    settings = FleetSettings(tcp=2, tcp_ports=(4001, 4002), dial_in_port=4100, push=False)
    path = tmp_path / "fleet.toml"
    path.write_text(settings.to_toml())
    assert load(path).settings == settings


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("tcp = 'many'", "int"),
        ("meters = 5", "meters"),
        ("tcp = -1", "negative"),
        ("rs485 = 40", "32"),
        ("tcp_ports = [1, 2]", "24 ports"),
        ("shared_port = 70000", "range"),
        ("replay_s = 0.1", "replay_s"),
        ("seed = ", "Invalid value"),
    ],
)
def test_an_impossible_fleet_is_refused_with_the_reason(tmp_path, text, reason):
    path = tmp_path / "fleet.toml"
    path.write_text(text)
    with pytest.raises(FleetError, match=reason):
        load(path)


def test_the_plan_command_prints_what_a_gateway_needs():
    printed = CliRunner().invoke(cli, ["plan", "--json"])
    document = json.loads(printed.output)
    assert printed.exit_code == 0
    assert document["meters"][0]["serial"] == plan().meters[0].serial
    assert CliRunner().invoke(cli, ["plan"]).exit_code == 0
