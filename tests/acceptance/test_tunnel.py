"""A vendor's program reads a simulated meter through authority, broker, gateway and tunnel."""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from patience import PATIENCE_S

pytest.importorskip("gurux_dlms", reason="gurux-dlms is not installed")
pytestmark = pytest.mark.acceptance
GATEWAY = "gw-lan"
GURUX_READER = Path(__file__).parents[1] / "peers" / "gurux_reader.py"


@contextmanager
def tunnelled(hesper: Any, meter: str) -> Iterator[tuple[str, int]]:
    """Has a tunnel asked for and approved; yields the command and the tool's local port."""
    hesper.wait_until_commandable(meter)
    command = hesper.operator.request_tunnel(meter, 60, "the vendor looks at the clock")
    assert hesper.operator.command_state(command) == "awaiting_approval"
    hesper.approver.approve(command)
    tool = [Path(sys.executable).parent / "hesper-cloud", "tunnel", command]
    options = ["--gateway", GATEWAY, "--listen", "127.0.0.1:0", "--wait", "60"]
    config = ["--config", hesper.site.cloud / "cloud.toml"]
    process = subprocess.Popen([*tool, *options, *config], stdout=subprocess.PIPE, text=True)
    watch = threading.Timer(90, process.kill)
    watch.start()
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("the tunnel is open at 127.0.0.1:"), line
        yield command, int(line.rpartition(":")[2])
    finally:
        process.terminate()
        process.communicate()
        watch.cancel()


def by_hesper_dlms(plan: Any, port: int) -> int:
    """Reads the active energy with our own client, as its reading client."""
    words = ["read", "--host", "127.0.0.1", "--port", str(port), "--client", "2"]
    words += ["--authentication", "lls", "--json"]
    done = subprocess.run(
        [Path(sys.executable).parent / "hesper-dlms", *words, "3:1.0.1.8.0.255:2"],
        env=os.environ | {"HESPER_DLMS_PASSWORD": plan.password},
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=True,
    )
    (answer,) = json.loads(done.stdout)
    return int(answer["value"])


def by_gurux(plan: Any, port: int) -> int:
    """Reads all objects with gurux, in a ciphered association; returns how many attributes."""
    options = {
        "port": port,
        "link": "wrapper",
        "client": 1,
        "server": 1,
        "authentication": "gmac",
        "system_title": b"VENDOR01".hex(),
        "encryption_key": plan.encryption_key.hex(),
        "authentication_key": plan.authentication_key.hex(),
        "counter": 2**20,
    }
    done = subprocess.run(
        [sys.executable, GURUX_READER, json.dumps(options)],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=True,
    )
    return len(json.loads(done.stdout.splitlines()[-1])["read"])  # gurux prints more before


def in_order(hesper: Any) -> list[Any]:
    """Plans of meters behind the gateway that nobody protects and that have a line of their own."""
    fleet = hesper.processes.fleet.meters
    alone = [each for each in fleet if each.access == "tcp"]
    assert len(alone) > 1
    return [
        each
        for each in alone
        if not hesper.operator.get(f"/meters/{each.serial}").get("life_support")
    ]


def wait_for_result(hesper: Any, command: str) -> dict[str, Any]:
    state = hesper.operator.command_state
    hesper.eventually(lambda: state(command) not in ("sent", "executing"), "the tunnel's result")
    row: dict[str, Any] = hesper.operator.get(f"/commands/{command}")
    return row


def test_a_meter_is_read_through_the_broker(hesper: Any) -> None:
    plan = in_order(hesper)[0]
    with tunnelled(hesper, plan.serial) as (command, port):
        assert by_hesper_dlms(plan, port) > 0
        assert by_gurux(plan, port) > 100
    row = wait_for_result(hesper, command)
    assert row["state"] == "confirmed"
    assert row["approver"] != row["requester"]
    assert (row["relay_before"], row["relay_after"]) == (True, True)
    assert "the tool has ended" in row["detail"]


def test_without_approval_nothing_answers(hesper: Any) -> None:
    plan = in_order(hesper)[1]
    hesper.wait_until_commandable(plan.serial)
    command = hesper.operator.request_tunnel(plan.serial, 60, "alone")
    words = ["tunnel", command, "--gateway", GATEWAY, "--listen", "127.0.0.1:0", "--wait", "2"]
    config = ["--config", hesper.site.cloud / "cloud.toml"]
    done = subprocess.run(
        [Path(sys.executable).parent / "hesper-cloud", *words, *config],
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )
    assert done.returncode == 1
    assert "the gateway did not answer within 2 s" in done.stderr


def test_meters_are_read_on_after_a_tunnel(hesper: Any) -> None:
    hesper.wait_until_flowing()
    hesper.reconcile()
