"""`hesper-sim serve` as a person meets it, keys, images, and meters in memory."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator

import pytest
from hesper_sim import in_memory
from hesper_sim.cli import cli
from hesper_sim.errors import FleetError
from hesper_sim.faults import Fault
from hesper_sim.fleet import FleetSettings, plan, starter
from hesper_sim.objects.image_transfer import version_of
from typer.testing import CliRunner


def base_port() -> int:
    """Return a port behind which ten more are free now."""
    for port in range(24_000, 32_000, 16):
        with contextlib.ExitStack() as stack, contextlib.suppress(OSError):
            for each in range(port, port + 11):
                stack.enter_context(socket.create_server(("127.0.0.1", each)))
            return port
    raise AssertionError("no ports are free")


@contextlib.contextmanager
def serve(tmp_path, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "hesper_sim", "serve", "--state", str(tmp_path / "state")]
    with subprocess.Popen(
        [*command, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.integration
def test_a_plain_serve_shows_how_to_reach_every_meter(tmp_path):
    port = base_port()
    with serve(tmp_path, "--port", str(port), "--history-days", "0") as process:
        assert process.stdout is not None
        lines = []
        while not lines or "Ctrl-C" not in lines[-1]:
            lines.append(process.stdout.readline())
            assert lines[-1], process.stderr.read() if process.stderr else ""
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0
    shown = "".join(lines)
    for meter in plan(starter(port=port)).meters:
        assert meter.serial in shown
    assert f"--port {port + 6} --referencing short-name" in shown
    assert f"--port {port + 7} --udp" in shown
    assert f"--port {port + 8} --link hdlc --physical 17" in shown
    assert "optical-1 --mode-e --physical 17" in shown
    assert "hesper-sim keys" in shown
    outside = [line for line in lines if len(line.rstrip()) > 80 and str(tmp_path) not in line]
    assert outside == []


@pytest.mark.integration
def test_a_taken_port_is_told_in_one_line(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = min(taken.getsockname()[1], 65_525)
        with serve(tmp_path, "--port", str(port)) as process:
            _, errors = process.communicate(timeout=30)
    assert process.returncode == 1
    assert errors.startswith("hesper-sim: ")
    assert errors.endswith("; other ports: --port, or in the fleet.toml\n")
    assert errors.count("\n") == 1


def test_the_starter_fleet_has_every_suite_behind_every_kind_of_address():
    fleet = plan(starter())
    suites: dict[str, set[int]] = {}
    for meter in fleet.meters:
        suites.setdefault(meter.access, set()).add(meter.suite)
    assert suites["tcp"] == suites["shared"] == suites["hdlc-tcp"] == suites["rs485"] == {0, 1, 2}
    assert suites["udp"] == suites["optical"] == {0}
    (short,) = [meter for meter in fleet.meters if meter.short_names]
    assert (short.suite, short.line) == (0, "lan-6")
    assert fleet.lines[0].port == 4060


def test_keys_of_a_planned_fleet(tmp_path):
    path = tmp_path / "fleet.toml"
    path.write_text(FleetSettings(tcp=2, shared=0, dial_in=0, rs485=0, suites=(2,)).to_toml())
    told = json.loads(CliRunner().invoke(cli, ["keys", "--fleet", str(path), "--json"]).output)
    assert [len(bytes.fromhex(each["global_unicast_key"])) for each in told["meters"]] == [32, 32]
    assert len(bytes.fromhex(told["head_end"]["suite_2_signing"]["private_key"])) == 48
    serial = told["meters"][0]["serial"]
    shown = CliRunner().invoke(cli, ["keys", serial, "--fleet", str(path)])
    assert serial in shown.output


@pytest.mark.parametrize(
    ("client", "entries"),
    [
        (16, []),
        (2, ["password"]),
        (1, ["agreement_key", "authentication_key", "encryption_key", "master_key",
             "meter_agreement_key", "meter_signing_key", "password", "signing_key"]),
    ],
)  # fmt: skip
def test_keys_of_a_client_are_a_keys_file(tmp_path, client, entries):
    path = tmp_path / "fleet.toml"
    path.write_text(FleetSettings(tcp=1, shared=0, dial_in=0, rs485=0, suites=(1,)).to_toml())
    serial = plan(FleetSettings(tcp=1, shared=0, dial_in=0, rs485=0, suites=(1,))).meters[0].serial
    arguments = ["keys", serial, "--fleet", str(path), "--client", str(client)]
    assert sorted(json.loads(CliRunner().invoke(cli, arguments).output)) == entries


def test_keys_of_an_unknown_client_and_of_no_fleet(tmp_path):
    path = tmp_path / "fleet.toml"
    path.write_text(FleetSettings(tcp=1, shared=0, dial_in=0, rs485=0).to_toml())
    serial = json.loads(CliRunner().invoke(cli, ["keys", "--fleet", str(path), "--json"]).output)[
        "meters"
    ][0]["serial"]
    refused = CliRunner().invoke(cli, ["keys", serial, "--fleet", str(path), "--client", "99"])
    assert "knows no client 99" in str(refused.exception)
    alone = CliRunner().invoke(cli, ["keys", "--client", "1", "--fleet", str(path)])
    assert alone.exit_code == 2
    nowhere = CliRunner().invoke(cli, ["status", "--state", str(tmp_path)])
    assert "no fleet is running" in str(nowhere.exception)


def test_an_image_can_be_written(tmp_path):
    path = tmp_path / "image.bin"
    done = CliRunner().invoke(cli, ["image", str(path), "--version", "HSP-FW 2.0", "--size", "500"])
    assert done.exit_code == 0
    assert version_of(path.read_bytes()) == "HSP-FW 2.0"
    assert len(path.read_bytes()) >= 500


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"zone": "Mars/Olympus"}, "no time zone"),
        ({"zone": "America/New_York"}, "European Union"),
        ({"suites": (3,)}, "suites"),
        ({"short_names": 99}, "short_names"),
        ({"udp": 2, "udp_ports": (1,)}, "udp_ports must name 2"),
        ({"shared_lines": 0}, "listener"),
        ({"data_push_block": 8}, "data_push_block"),
    ],
)
def test_what_cannot_be_is_refused(settings, reason):
    with pytest.raises(FleetError, match=reason):
        plan(FleetSettings(**settings))


def test_ten_thousand_meters_behind_a_few_listeners():
    fleet = plan(FleetSettings(tcp=0, shared=10_000, shared_lines=4, dial_in=0, rs485=0))
    lines = [line.name for line in fleet.lines]
    assert lines == ["shared", "shared-2", "shared-3", "shared-4"]
    for line in lines:
        addresses = [meter.server_address for meter in fleet.on_line(line)]
        assert addresses == list(range(1, 2501))


def test_meters_in_memory(client, attribute):
    settings = FleetSettings(tcp=1, shared=0, dial_in=0, rs485=1, push=False)
    for serial, meter in in_memory.meters(settings, history_days=1).items():
        reading = client(plan(settings).meter(serial), 1)
        for exchange in (reading.connect(), reading.get(attribute(1, "0.0.42.0.0.255"))):
            value = run(exchange, meter)
        assert value.as_text().startswith("HSP")
        meter.server.meter.faults = {Fault.SILENT: 1.0}
        assert meter.receive(next(reading.get(attribute(1, "0.0.42.0.0.255")))) == b""


def run(exchange, meter):
    octets = next(exchange)
    try:
        while True:
            octets = exchange.send(meter.receive(octets))
    except StopIteration as end:
        return end.value
