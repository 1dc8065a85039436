"""The command `hesper-sim`: serve a fleet, break it, ask it, show its plan and its keys."""

from __future__ import annotations

import json
import os
import socket
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from hesper_sim import faults as faults_known
from hesper_sim import fleet, report, scenario
from hesper_sim.errors import SimulatorError
from hesper_sim.fleet import Fleet
from hesper_sim.orders import CONTROL_NAME, Served

cli = typer.Typer(
    help="Simulated DLMS/COSEM meters that behave, and misbehave, like real ones.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
_STATE = Path(os.environ.get("XDG_STATE_HOME", "~/.local/state")).expanduser() / "hesper-sim"
FleetFile = Annotated[
    Path | None,
    typer.Option("--fleet", help="fleet.toml: how many meters, which access, ports, suites."),
]
StateFolder = Annotated[
    Path,
    typer.Option(
        "--state",
        help="Folder of the journal, the ports and the control socket.",
        show_default="~/.local/state/hesper-sim",
    ),
]
ScenarioFile = Annotated[
    Path | None, typer.Option("--scenario", help="faults.toml: what goes wrong, where and when.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
_ANSWER_TIMEOUT_S = 10
_SERVE_HELP = (
    "Serve a fleet until Ctrl-C or SIGTERM, and print how each meter is reached.\n\n"
    "Without --fleet a small fleet comes up on known ports, in which every way in, every client "
    "and every security suite can be tried: port 4059 is one address for three meters (wPorts 1 "
    "to 3), 4060 to 4065 are one meter each (4065 by short names), 4066 is UDP, 4067 to 4069 are "
    "HDLC over TCP, and an RS-485 line and an optical head are pseudo-terminals in the state "
    "folder.\n\n"
    "[bold]A first read[/bold], in another terminal, of a meter's name as the public client:\n\n"
    "[dim]hesper-dlms read --host 127.0.0.1 --port 4060 1:0.0.42.0.0.255:2[/]\n\n"
    "[bold]Clients[/bold]: 16 public, 2 reading (LLS), 1 management (HLS GMAC, ciphered); where "
    'roles = "all" also 3 MD5, 4 SHA-1, 5 GMAC without ciphering, 6 SHA-256, 7 ECDSA. Passwords '
    "and keys are test secrets, derived from the seed: hesper-sim keys SERIAL prints them, with "
    "--client 1 as a keys file for hesper-dlms.\n\n"
    "[bold]Faults[/bold]: hesper-sim faults lists them, hesper-sim fault SERIAL NAME begins one, "
    "--scenario FILE plays a plan of them. What the meters remember is in the state folder and is "
    "there again after a crash."
)


def main() -> None:
    """Run the command line; an error of ours is one line on stderr and exit code 1."""
    try:
        cli()
    except (SimulatorError, OSError) as error:
        sys.stderr.write(f"hesper-sim: {error}\n")
        raise SystemExit(1) from None


@cli.command(help=_SERVE_HELP)
def serve(
    state: StateFolder = _STATE,
    fleet_file: FleetFile = None,
    scenario_file: ScenarioFile = None,
    capture_period: Annotated[
        int, typer.Option(min=1, help="Seconds between two rows of the load profile.")
    ] = 900,
    history_days: Annotated[
        int, typer.Option(min=0, help="Days of load profile from before the first start.")
    ] = 30,
    host: Annotated[str, typer.Option(help="Address to listen on, without --fleet.")] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=1, max=65_525, help="First of eleven ports, without --fleet.")
    ] = fleet.FIRST_PORT,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON line when the fleet is up.")
    ] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v")] = False,
) -> None:
    served = Served(
        state=str(state),
        fleet_file=None if fleet_file is None else str(fleet_file),
        scenario_file=None if scenario_file is None else str(scenario_file),
        capture_period_s=capture_period,
        history_days=history_days,
        host=host,
        port=port,
        as_json=as_json,
        verbose=verbose,
    )
    sys.stdout.flush()
    os.execv(sys.executable, served.command())  # noqa: S606 - our own interpreter and module


@cli.command()
def fault(
    target: Annotated[str, typer.Argument(help="Serial number of a meter, or name of a line.")],
    name: Annotated[str, typer.Argument(help="What to break: see `hesper-sim faults`.")],
    state: StateFolder = _STATE,
    seconds: Annotated[float, typer.Option(help="How long.")] = 60,
    value: Annotated[float | None, typer.Option(help="The fault's number, if it has one.")] = None,
    clear: Annotated[bool, typer.Option("--clear", help="End it now.")] = False,
) -> None:
    """Break a meter or a line for a while."""
    chosen = faults_known.parse(name)
    key = "line" if chosen in faults_known.LINE_FAULTS else "meter"
    request = {"op": "clear" if clear else "fault", key: target, "fault": chosen}
    answer = ask(state, request | ({} if clear else {"seconds": seconds, "value": value}))
    typer.echo(json.dumps(answer))


@cli.command()
def faults(
    state: Annotated[
        Path | None, typer.Option("--state", help="Show what is broken in this running fleet.")
    ] = None,
    scenario_file: ScenarioFile = None,
    fleet_file: FleetFile = None,
    as_json: AsJson = False,
) -> None:
    """List every fault; with --state what is broken now, with --scenario check a file."""
    if scenario_file is not None:
        checked = scenario.load(scenario_file, _fleet(fleet_file))
        for entry in checked.entries:
            typer.echo(f"{entry.number + 1}: {entry.fault}, {len(entry.targets)} targets")
    elif state is not None:
        answer = ask(state, {"op": "faults"})
        if as_json:
            typer.echo(json.dumps(answer))
        else:
            report.print_faults(answer)
    elif as_json:
        keys = ("fault", "default", "help")
        rows = [
            dict(zip(keys, scenario.describe(each), strict=True)) for each in faults_known.Fault
        ]
        typer.echo(json.dumps(rows, indent=1))
    else:
        report.print_catalogue()


@cli.command()
def keys(
    serial: Annotated[str | None, typer.Argument(help="Serial number; without it, all.")] = None,
    state: StateFolder = _STATE,
    fleet_file: FleetFile = None,
    client: Annotated[
        int | None,
        typer.Option(help="Print the secrets of this client alone, as hesper-dlms takes them."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Print identities and test keys: of the running fleet, or as a fleet.toml plans them.

    With --client it is a keys file: hesper-sim keys SERIAL --client 1 > keys.json
    """
    from hesper_sim import credentials  # with all that a meter is

    if client is not None and serial is None:
        raise typer.BadParameter("say which meter: keys SERIAL --client ADDRESS")
    if fleet_file is None:
        answer = ask(state, {"op": "keys"} | ({"meter": serial} if serial else {}))
    else:
        answer = _planned_keys(fleet.load(fleet_file), serial)
    if client is not None:
        secrets = credentials.keys_file(answer["meters"][0], answer["head_end"], client)
        typer.echo(json.dumps(secrets, indent=1))
    elif as_json:
        typer.echo(json.dumps(answer, indent=1))
    else:
        report.print_keys(answer)


@cli.command()
def image(
    file: Annotated[Path, typer.Argument(help="Where to write it.")],
    version: Annotated[str, typer.Option(help="The version it installs, and its identifier.")],
    size: Annotated[int, typer.Option(min=64, help="Octets.")] = 65_536,
) -> None:
    """Write a firmware image that the simulated meters accept."""
    from hesper_sim.objects import image_transfer

    file.write_bytes(image_transfer.build(version, size))


@cli.command()
def button(
    serial: Annotated[str, typer.Argument(help="Serial number.")], state: StateFolder = _STATE
) -> None:
    """Press the button at a meter: it reconnects one that is ready, or disconnects by hand."""
    typer.echo(json.dumps(ask(state, {"op": "button", "meter": serial})))


@cli.command()
def status(state: StateFolder = _STATE, as_json: AsJson = False) -> None:
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
        try:
            connection.connect(str(state / CONTROL_NAME))
        except (FileNotFoundError, ConnectionRefusedError):
            raise SimulatorError(
                f"no fleet is running in {state}: start hesper-sim serve, or name its --state"
            ) from None
        connection.sendall(json.dumps(request).encode() + b"\n")
        with connection.makefile("rb") as answers:
            answer: dict[str, Any] = json.loads(answers.readline() or b"{}")
    if not answer.get("ok"):
        raise SimulatorError(answer.get("error", "the fleet did not answer"))
    return answer


def _fleet(path: Path | None) -> Fleet:
    return fleet.plan() if path is None else fleet.load(path)


def _planned_keys(planned: Fleet, serial: str | None) -> dict[str, Any]:
    from hesper_sim import credentials
    from hesper_sim.district import District
    from hesper_sim.history import History
    from hesper_sim.journal import Forgetful

    district = District(planned, History(0, 900, 0), Forgetful(), lambda: 0.0)
    chosen = district.meters.values() if serial is None else [district.meter(serial)]
    return {
        "meters": [credentials.of_meter(district, meter) for meter in chosen],
        "head_end": credentials.of_head_end(planned.settings),
    }


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
                "security_suite": meter.suite,
                "encryption_key": meter.encryption_key.hex(),
                "authentication_key": meter.authentication_key.hex(),
                "password": meter.password,
            }
            for meter in planned.meters
        ],
    }
