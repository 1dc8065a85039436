"""Keys from a shipment to a meter and on: real broker, head end, simulated meters and agents.

Keys come in a manufacturer's file, reach a gateway by its enrolment, are changed by command, and go
to the gateway that takes the first one's place. Beside that each gateway witnesses the audit log.
"""

import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hesper_lab.rest import Rest
from hesper_lab.site import Account
from hesper_sim import secrets

sys.path.insert(0, str(Path(__file__).parent))
from enrolling_town import Town
from patience import PATIENCE_S, eventually

pytestmark = [pytest.mark.integration, pytest.mark.timeout(900)]
GATEWAY = "gw-7"
BEN = Account("ben", "approver", "second-pair-of-eyes")
COLUMNS = ("encryption_key", "authentication_key", "password")


@pytest.fixture
def town(tmp_path: Path, broker_factory: Callable[..., Any]) -> Iterator[Town]:
    town = Town(tmp_path, broker_factory, settings="[authority]\ncheckpoint_every_s = 1\n")
    town.start_broker()
    yield town
    town.stop()


def bring_shipment(town: Town) -> set[str]:
    """Writes what a manufacturer would send for the meters, and brings it; returns the keys."""
    lines, brought = ["Serial Number;GUEK;GAK;LLS;KEK"], set()
    for meter in town.meters:
        master = secrets.symmetric(7, meter["serial"], "master key", meter["security_suite"])
        fields = (meter["serial"], *(meter[name] for name in COLUMNS), master.hex())
        lines.append(";".join(fields))
        brought.update(fields[1:])
    shipment = town.folder / "shipment.csv"
    shipment.write_bytes("\r\n".join(lines).encode("utf-16"))
    assert town.tell("keys", "import", str(shipment)).startswith("2 meters, of 2")
    return brought


def keep(town: Town) -> None:
    """Keeps the gateway's configuration; its keys files say that the keys are in custody."""
    desk = town.keep(GATEWAY)
    for meter in town.meters:
        (desk / f"{meter['serial']}.json").write_text("{}")
    town.tell("gateway", "keep", GATEWAY, str(desk / "gateway.toml"))


def stored_after(town: Town, meter: str, moment: int) -> bool:
    return any(name == meter and at > moment for name, at in town.stored())


def wait_for_more(town: Town, meter: str) -> None:
    """Waits until a reading has come that was latched after now."""
    newest = max((at for name, at in town.latched() if name == meter), default=0)
    eventually(lambda: stored_after(town, meter, newest), f"{meter} is read")


def verified(town: Town, *more: str) -> "subprocess.CompletedProcess[str]":
    program = [str(Path(sys.executable).parent / "hesper-cloud"), "audit", "verify", *more]
    return subprocess.run(
        [*program, "-c", str(town.folder / "cloud.toml")],
        capture_output=True, text=True, check=False, timeout=PATIENCE_S,
    )  # fmt: skip


def change_keys(town: Town, meter: str) -> None:
    """Lets one ask for new keys and another approve; returns when the meter's proof is there."""
    assert town.rest is not None
    command = town.rest.request("keys.change", meter, {}, "once a year")
    ben = Rest(town.url, BEN)
    ben.approve(command)
    eventually(lambda: ben.command_state(command) == "confirmed", "the keys are changed")
    ben.close()


def replace_gateway(town: Town, dying: "subprocess.Popen[str]") -> Path:
    """Kills an agent and enrols another device under its name; returns its folder."""
    dying.send_signal(signal.SIGKILL)
    dying.wait()
    folder, told = town.enrol(GATEWAY, "second")
    assert "takes the place of another" in told
    return folder


def test_keys_go_from_a_shipment_to_the_meter_and_outlast_a_change_and_a_gateway(
    town: Town,
) -> None:
    town.start_meters()
    town.start_head_end()
    town.tell("user", "add", BEN.username, "--role", BEN.role, "--password-file", "-",
              text=BEN.password)  # fmt: skip
    shipped = bring_shipment(town)
    keep(town)
    first, _ = town.enrol(GATEWAY, "first")
    agent, meter = town.agent(first), town.meters[0]["serial"]
    wait_for_more(town, meter)

    change_keys(town, meter)
    shown = town.tell("keys", "show", meter)
    assert [line.split()[:2] for line in shown.splitlines()] == [["1", "past"], ["2", "current"]]
    wait_for_more(town, meter)

    second = replace_gateway(town, agent)
    assert town.meters[0]["encryption_key"] not in (second / f"{meter}.json").read_text()
    witnessing = town.agent(second)
    wait_for_more(town, meter)
    logs = "".join(path.read_text() for path in town.folder.rglob("*log") if path.is_file())
    assert not [key for key in shipped if key in logs]

    eventually((second / "state" / "witness").exists, "the gateway witnesses the audit log")
    printed = town.folder / "gw-7.witness"
    printed.write_text(town.run("hesper-gateway", "witness", "-c", second / "gateway.toml"))
    for process in town.processes:
        if process is not witnessing:
            process.kill()
            process.wait()
    intact = verified(town)
    assert (intact.returncode, "0 of them held" in intact.stdout) == (0, False), intact.stdout
    cut_tail(town)
    assert verified(town, "--no-gateways").stdout.startswith("intact")
    for way in ((), ("--no-gateways", "--witness", str(printed))):
        found = verified(town, *way)
        assert (found.returncode, found.stdout[:6]) == (1, "BROKEN"), found.stdout + found.stderr
        assert "rows; 3 are left" in found.stdout


def cut_tail(town: Town) -> None:
    """Leaves three rows of the audit log, and the checkpoints that fit them."""
    database = sqlite3.connect(town.folder / "state" / "authority.db")
    with database:
        database.execute("DELETE FROM audit WHERE sequence > 3")
        database.execute("DELETE FROM audit_checkpoints WHERE sequence > 3")
    database.close()
