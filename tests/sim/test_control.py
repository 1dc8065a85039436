"""The control socket and the command line, on a running simulator."""

from __future__ import annotations

import json
import socket

import pytest
from hesper_sim.cli import cli, main
from hesper_sim.errors import SimulatorError
from hesper_sim.fleet import FleetSettings
from typer.testing import CliRunner

pytestmark = pytest.mark.integration

SMALL = FleetSettings(tcp=2, shared=0, dial_in=0, rs485=1, push=False)


@pytest.fixture(scope="module")
def simulator(start_shared_simulator):
    return start_shared_simulator(SMALL, "--capture-period", "1", "--history-days", "0")


def faults_of(simulator, serial: str) -> list[str]:
    meters = simulator.ask(op="status")["meters"]
    return next(meter["faults"] for meter in meters if meter["meter"] == serial)


def test_a_fault_ends_by_itself_and_can_be_prolonged_and_cleared(simulator, wait_until):
    serial = simulator.fleet.meters[0].serial
    simulator.ask(op="fault", meter=serial, fault="cover_opened", seconds=0.05)
    wait_until(lambda: not faults_of(simulator, serial))
    codes = [row["code"] for row in simulator.journal("event") if row["meter"] == serial]
    assert codes == [44, 45]
    simulator.ask(op="fault", meter=serial, fault="silent", seconds=0.2)
    simulator.ask(op="fault", meter=serial, fault="silent", seconds=600)
    assert faults_of(simulator, serial) == ["silent"]
    simulator.ask(op="clear", meter=serial, fault="silent")
    assert faults_of(simulator, serial) == []


def test_latching_stops_and_starts_on_request(simulator, wait_until):
    wait_until(lambda: simulator.ask(op="status")["latched_rows"])
    stopped = simulator.ask(op="stop_latching")["latched_rows"]
    assert len(simulator.journal("latch")) == stopped
    simulator.ask(op="start_latching")
    wait_until(lambda: simulator.ask(op="status")["latched_rows"] > stopped)


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        ({"op": "explode"}, "no operation"),
        ({"op": "fault", "meter": "HES0", "fault": "silent"}, "no meter"),
        ({"op": "fault", "meter": "HES0", "fault": "bored"}, "no fault"),
        ({"op": "fault", "line": "rs486", "fault": "line_noise"}, "serial line"),
        ({"op": "fault", "meter": "HES0", "fault": "silent", "seconds": -1}, "above 0"),
        ({"op": "fault", "meter": 5}, "Expected"),
        ({"op": "status", "more": 1}, "more"),
        ({}, "op"),
    ],
)
def test_a_wrong_request_is_answered_with_the_reason(simulator, request_, reason):
    with pytest.raises(SimulatorError, match=reason):
        simulator.ask(**request_)


def test_garbage_on_the_socket_is_answered_and_harms_nobody(simulator):
    with socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(simulator.state / "control.sock"))
        connection.sendall(b"not json\n[]\n\xff\xfe\n")
        with connection.makefile("rb") as answers:
            told = [json.loads(answers.readline()) for _ in range(3)]
        connection.sendall(b"x" * 200_000)
    assert [answer["ok"] for answer in told] == [False] * 3
    assert simulator.ask(op="status")["ok"]


def test_the_command_line_breaks_and_shows(simulator):
    serial = simulator.fleet.meters[1].serial
    state = ["--state", str(simulator.state)]
    told = CliRunner().invoke(cli, ["fault", serial, "voltage-sag", "--seconds", "30", *state])
    assert json.loads(told.output)["fault"] == "voltage_sag"
    noisy = CliRunner().invoke(cli, ["fault", "rs485", "line_noise", *state])
    assert json.loads(noisy.output)["target"] == "rs485"
    shown = CliRunner().invoke(cli, ["status", "--json", *state])
    document = json.loads(shown.output)
    assert document["meters"][1]["faults"] == ["voltage_sag"]
    assert document["lines"] == {"rs485": ["line_noise"]}
    table = CliRunner().invoke(cli, ["status", *state])
    assert serial in table.output


def test_errors_are_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["hesper-sim", "status", "--state", str(tmp_path)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    assert capsys.readouterr().err.startswith("hesper-sim: ")


def test_a_second_simulator_on_the_same_state_is_refused(simulator, capfd):
    second = type(simulator)(simulator.folder, SMALL, "--capture-period", "1")
    with pytest.raises(AssertionError, match="did not come up"):
        second.start()
    assert second.stop() == 1
    assert simulator.ask(op="status")["ok"]
    assert "in use" in capfd.readouterr().err
