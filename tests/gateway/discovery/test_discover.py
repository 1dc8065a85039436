"""`hesper-gateway discover` beside simulated meters, as an installer runs it."""

import json
import tomllib

import pytest
from hesper_gateway.cli import app
from hesper_gateway.config import load
from hesper_gateway.database import Database
from typer.testing import CliRunner

pytestmark = pytest.mark.integration
QUICK = ("--silence", 0.1)


def line_of(town, access):
    return town.meters(access)[0]["line"]


def names(text):
    return [meter["logical_device_name"] for meter in json.loads(text)["meters"]]


def test_every_meter_of_a_bus_is_found_by_address_and_name(town):
    code, out, _ = town.discover("rs485", "--json", "--physical", "15-20", *QUICK)
    found = json.loads(out)["meters"]
    there = {meter["physical_address"]: meter for meter in town.meters("rs485")}
    assert code == 0
    assert {each["physical_address"] for each in found} == set(there) == {17, 18, 19}
    for each in found:
        meter = there[each["physical_address"]]
        assert each["logical_device_name"] == meter["logical_device_name"]
        assert each["serial_number"] == meter["serial"]
        assert (each["link"], each["template"]) == ("hdlc", "hesper-sim-hdlc")
        assert each["configured_as"] is None


def test_the_proposal_makes_a_gateway_toml_that_loads(town, tmp_path):
    output = tmp_path / "found.toml"
    code, _, err = town.discover("rs485", "--physical", "17-18", "-o", output, *QUICK)
    assert code == 0
    assert "3 places, 2 s if nobody answers" in err
    proposed = tomllib.loads(output.read_text())["meters"]
    assert [meter["physical_address"] for meter in proposed] == [17, 18]
    whole = tmp_path / "gateway.toml"
    whole.write_text(town.path.read_text() + output.read_text())
    assert [meter.id for meter in load(whole).meters] == [meter["id"] for meter in proposed]
    known = town.ended("hesper-gateway", "discover", "rs485", "-c", whole, "--json", "--physical",
                       "17-19", "--silence", 0.1)  # fmt: skip
    told = {
        each["physical_address"]: each["configured_as"]
        for each in json.loads(known.stdout)["meters"]
    }
    assert told == {17: proposed[0]["id"], 18: proposed[1]["id"], 19: None}
    assert known.stdout.count("[[meters]]") == 1


def test_a_meter_that_lists_its_logical_devices_is_asked_once(town):
    code, out, _ = town.discover(
        "rs485", "--json", "--logical", "1,16-20", "--physical", "17", *QUICK
    )
    (found,) = json.loads(out)["meters"]
    assert (code, found["server_address"]) == (0, 1)
    assert found["logical_devices"] == {found["logical_device_name"]: 1}


def test_a_tcp_address_is_asked_by_wrapper_and_by_hdlc(town):
    code, out, _ = town.discover(line_of(town, "tcp"), "--json", "--physical", "16", *QUICK)
    assert code == 0
    assert names(out) == [town.meters("tcp")[0]["logical_device_name"]]
    (meter,) = town.meters("hdlc-tcp")
    physical = meter["physical_address"]
    code, out, _ = town.discover(meter["line"], "--json", "--physical", physical or 16, *QUICK)
    (found,) = json.loads(out)["meters"]
    assert (code, found["link"]) == (0, "hdlc")
    assert found["logical_device_name"] == meter["logical_device_name"]


def test_the_meters_behind_one_address_are_found_by_wrapper_port(town):
    code, out, _ = town.discover(
        line_of(town, "shared"), "--json", "--link", "wrapper", "--logical", "1-3", *QUICK
    )
    assert code == 0
    assert names(out) == [meter["logical_device_name"] for meter in town.meters("shared")]


def test_a_meter_behind_an_optical_head_is_signed_on_to(town):
    (meter,) = town.meters("optical")
    code, out, _ = town.discover(meter["line"], "--json", "--silence", 0.3, "--physical", "16-17")
    (found,) = json.loads(out)["meters"]
    assert code == 0
    assert found["identification"].startswith("HSP")
    assert found["logical_device_name"] == meter["logical_device_name"]


def test_nobody_is_told_as_such(town):
    code, out, _ = town.discover(
        "rs485", "--json", "--physical", "40-42", "--address-octets", 2, *QUICK
    )
    assert (code, json.loads(out)["meters"]) == (1, [])


def test_the_agent_has_the_line(town):
    database = Database(town.folder / "state" / "gateway.db", 0)
    try:
        code, out, err = town.discover("rs485", "--physical", "17", *QUICK)
    finally:
        database.close()
    assert (code, out) == (3, "")
    assert "the agent runs and holds line rs485; nothing was sent" in err


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("nowhere",), "has no line 'nowhere'; it has: "),
        (("cell",), "meters are looked for on lines of kind tcp, udp and serial"),
        (("rs485", "--link", "wrapper"), "no wrapper there"),
        (("rs485", "--physical", "5-x"), "'5-x' is no number or range"),
        (("rs485", "--physical", "20-16"), "'20-16' ends before it begins"),
        (("rs485", "--physical", "0-99999999999"), "addresses lie between 0 and 16383"),
        (("rs485", "--physical", "20000"), "addresses lie between 0 and 16383"),
        (("rs485", "--address-octets", "3"), "1, 2 or 4 octets"),
        (("rs485", "-o", "nowhere/meters.toml"), "nowhere is no folder; make it first"),
    ],
)
def test_wrong_usage_is_explained(town, options, says):
    ended = CliRunner().invoke(app, ["discover", "-c", str(town.path), *options])
    assert ended.exit_code == 2
    assert says in " ".join(ended.output.replace("│", " ").split())
