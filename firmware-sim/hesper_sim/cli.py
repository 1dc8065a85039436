"""The command `hesper-sim`: serve a fleet, break it, ask it, show its plan."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from hesper_sim import app, faults, fleet
from hesper_sim.errors import SimulatorError
from hesper_sim.fleet import Fleet

cli = typer.Typer(
    help="Simulated DLMS meters: household, shop, solar; faults on request.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
FleetFile = Annotated[
    Path | None, typer.Option("--fleet", help="fleet.toml; without it the demo's 60 meters.")
]
StateFolder = Annotated[
    Path, typer.Option("--state", help="Folder of the journal, the ports and the control socket.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
_ANSWER_TIMEOUT_S = 10


def main() -> None:
    """Run the command line; an error of ours is one line on stderr and exit code 1."""
    try:
        cli()
    except (SimulatorError, OSError) as error:
        sys.stderr.write(f"hesper-sim: {error}\n")
        raise SystemExit(1) from None


@cli.command()
def serve(
    state: StateFolder,
    fleet_file: FleetFile = None,
    capture_period: Annotated[
        int, typer.Option(min=1, help="Seconds between two rows of the load profile.")
    ] = 900,
    history_days: Annotated[
        int, typer.Option(min=0, help="Days of load profile from before the first start.")
    ] = 30,
    verbose: Annotated[bool, typer.Option("--verbose", "-v")] = False,
) -> None:
    """Serve the fleet until SIGTERM or Ctrl-C; prints one JSON line when it is up."""
    logging.basicConfig(level=logging.DEBUG if verbose else logging.WARNING, stream=sys.stderr)
    options = app.Options(state, capture_period, history_days)
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(app.serve(_fleet(fleet_file), options))


@cli.command()
def fault(
    target: Annotated[str, typer.Argument(help="Serial number of a meter, or name of a line.")],
    name: Annotated[str, typer.Argument(help=f"One of: {', '.join(faults.Fault)}.")],
    state: StateFolder,
    seconds: Annotated[float, typer.Option(help="How long.")] = 60,
    clear: Annotated[bool, typer.Option("--clear", help="End it now.")] = False,
) -> None:
    """Break a meter or a line for a while."""
    chosen = faults.parse(name)
    key = "line" if chosen in faults.LINE_FAULTS else "meter"
    request = {"op": "clear" if clear else "fault", key: target, "fault": chosen}
    answer = ask(state, request | ({} if clear else {"seconds": seconds}))
    typer.echo(json.dumps(answer))


@cli.command()
def status(state: StateFolder, as_json: AsJson = False) -> None:
    """Show every meter of a running fleet."""
    answer = ask(state, {"op": "status"})
    if as_json:
        typer.echo(json.dumps(answer))
        return
    latching = "latching" if answer["latching"] else "latching stopped"
    table = Table(title=f"{len(answer['meters'])} meters, {latching}")
    for column in ("meter", "kind", "line", "W", "relay", "faults"):
        table.add_column(column, justify="right" if column == "W" else "left")
    for meter in answer["meters"]:
        relay = "connected" if meter["output"] else "disconnected"
        cells = (meter["meter"], meter["kind"], meter["line"], str(meter["power_w"]), relay)
        table.add_row(*cells, " ".join(meter["faults"]))
    Console().print(table)


@cli.command()
def plan(fleet_file: FleetFile = None, as_json: AsJson = False) -> None:
    """Show the fleet that a fleet.toml describes; the JSON form carries the meters' keys."""
    planned = _fleet(fleet_file)
    if as_json:
        typer.echo(json.dumps(_plan_json(planned), indent=1))
        return
    table = Table(title=f"{len(planned.meters)} meters, seed {planned.settings.seed}")
    for column in ("meter", "logical device name", "system title", "kind", "line", "address"):
        table.add_column(column)
    for meter in planned.meters:
        physical = "" if meter.physical_address is None else f", {meter.physical_address}"
        table.add_row(
            meter.serial,
            meter.logical_device_name,
            meter.system_title.hex(),
            meter.kind,
            meter.line,
            f"{meter.server_address}{physical}",
        )
    Console().print(table)


def ask(state: Path, request: dict[str, Any]) -> dict[str, Any]:
    """Send one request to the fleet running in `state`; SimulatorError when it refuses."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(_ANSWER_TIMEOUT_S)
        connection.connect(str(state / app.CONTROL_NAME))
        connection.sendall(json.dumps(request).encode() + b"\n")
        with connection.makefile("rb") as answers:
            answer: dict[str, Any] = json.loads(answers.readline() or b"{}")
    if not answer.get("ok"):
        raise SimulatorError(answer.get("error", "the fleet did not answer"))
    return answer


def _fleet(path: Path | None) -> Fleet:
    return fleet.plan() if path is None else fleet.load(path)


def _plan_json(planned: Fleet) -> dict[str, Any]:
    return {
        "seed": planned.settings.seed,
        "lines": [
            {"name": line.name, "access": line.access, "host": line.host, "port": line.port}
            for line in planned.lines
        ],
        "meters": [
            {
                "serial": meter.serial,
                "logical_device_name": meter.logical_device_name,
                "system_title": meter.system_title.hex(),
                "kind": meter.kind,
                "access": meter.access,
                "line": meter.line,
                "server_address": meter.server_address,
                "physical_address": meter.physical_address,
                "encryption_key": meter.encryption_key.hex(),
                "authentication_key": meter.authentication_key.hex(),
                "password": meter.password,
            }
            for meter in planned.meters
        ],
    }


def _loop_factory() -> Any:
    try:
        import uvloop
    except ImportError:
        return asyncio.new_event_loop
    return uvloop.new_event_loop
