"""What ``./hesper`` runs once the environment is there."""

import json
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console

from hesper_lab.launched import is_launched
from hesper_lab.processes import Died, leave_in_order
from hesper_lab.site import HOME, LOOPBACK, STORES, InUse, NotASite, StoreKind, Wishes, forget
from hesper_lab.system import Missing

if TYPE_CHECKING:
    from hesper_lab.check import Report

app = typer.Typer(
    no_args_is_help=True, add_completion=False, help=__doc__, pretty_exceptions_enable=False
)
CONSOLE_PORT = 18080  # what the documents name; another when it is taken
_screen = Console(stderr=True)


@app.command()
def demo(
    check: Annotated[
        bool, typer.Option(help="Headless acceptance run: every value counted.")
    ] = False,
    json_: Annotated[bool, typer.Option("--json", help="With --check: JSON on stdout.")] = False,
    store: Annotated[str, typer.Option(help="duckdb or influx.")] = "duckdb",
    reset: Annotated[bool, typer.Option(help="Forget the state first.")] = False,
    install: Annotated[bool, typer.Option(help="May install a missing broker or store.")] = True,
    listen: Annotated[
        str,
        typer.Option(help="Loopback address of the console; others reach it by a tunnel (ssh -L)."),
    ] = LOOPBACK,
    state: Annotated[Path | None, typer.Option(help="Where the state lives.")] = None,
) -> None:
    """Broker, about 60 simulated meters, gateways, cloud and console on this machine.

    Nothing listens beyond loopback, where the console would need a certificate. The state is
    kept; --reset clears it. With --check the exit code is 0 when every promise held, 1 when one
    failed, 3 when the system could not run.
    """
    kind = _store(store)
    if check:
        raise typer.Exit(_check(kind, state, as_json=json_, install=install))
    from hesper_lab import demo as show

    folder = state or HOME / "demo"
    if reset:
        for each in STORES:
            forget(folder / each)
    wishes = Wishes(store=kind, console_host=listen, console_port=CONSOLE_PORT)
    show.run(folder / kind, wishes, _screen, install=install)


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def bench(
    context: typer.Context,
    name: str,
    json_: Annotated[bool, typer.Option("--json", help="Rows as JSON on stdout.")] = False,
) -> None:
    """Measure, side by side with peers where there are any.

    NAME is api, commands, console, dlms, gateway, import, ingest, sim or store. Some have options
    of their own: ask them, `./hesper bench ingest -h`.
    """
    from hesper_lab.bench import report

    report.run(name, context.args, as_json=json_)


@app.command()
def soak(
    minutes: Annotated[float, typer.Option(min=3, help="How long meters latch.")] = 60.0,
    json_: Annotated[bool, typer.Option("--json", help="JSON on stdout.")] = False,
    store: Annotated[str, typer.Option(help="duckdb or influx.")] = "duckdb",
    install: Annotated[bool, typer.Option(help="May install a missing broker or store.")] = True,
    state: Annotated[Path | None, typer.Option(help="Where the state lives.")] = None,
) -> None:
    """Run 100 meters on mixed lines through one gateway under a scenario of faults.

    Every reading is accounted for; the gateway's memory and processor time are told. Exit code 0:
    every promise held, 1: one failed, 3: the system could not run.
    """
    from hesper_lab.soak import report, run

    kind = _store(store)
    folder = state or HOME / f"soak-{kind}"
    forget(folder)
    tell = partial(_screen.print, style="dim")
    soaked = run.run(folder, minutes, tell, store=kind, install=install)
    if json_:
        typer.echo(json.dumps(soaked.to_json(), indent=1))
    else:
        report.show(soaked, Console())
    for reason in soaked.reasons:
        _screen.print(f"failed: {reason}", style="red", markup=False)
    raise typer.Exit(1 if soaked.reasons else 0)


@app.command()
def drill(
    json_: Annotated[bool, typer.Option("--json", help="The record as JSON on stdout.")] = False,
    install: Annotated[bool, typer.Option(help="May install a missing broker.")] = True,
    state: Annotated[Path | None, typer.Option(help="Where the state lives.")] = None,
) -> None:
    """Let an insider with two people's passwords try to cut every supply of a site of its own.

    Exit code 0: no more than the budget was cut and an alarm came within 60 s, 1: not so.
    """
    from hesper_lab import drill as insider

    folder = state or HOME / "drill"
    forget(folder)
    record = insider.run(folder, partial(_screen.print, style="dim"), install=install)
    if json_:
        typer.echo(insider.print_json(record))
    else:
        insider.show(record, Console())
    for reason in record.reasons:
        _screen.print(f"failed: {reason}", style="red", markup=False)
    raise typer.Exit(1 if record.reasons else 0)


@app.command()
def fuzz(
    name: Annotated[str, typer.Argument(help="A target; without one the list of them.")] = "",
    minutes: Annotated[float, typer.Option(min=0, help="How long.")] = 1.0,
    json_: Annotated[bool, typer.Option("--json", help="JSON on stdout.")] = False,
) -> None:
    """Feed a parser of the DLMS stack with octets that atheris makes up; exit code 1: one fell.

    Inputs that reach new code are kept in the corpus, which the tests replay.
    """
    from hesper_lab.fuzz import report

    raise typer.Exit(report.run(name, minutes, as_json=json_))


@app.command()
def interoperation() -> None:
    """Render what the interoperation tests recorded into docs/interoperation.md."""
    from hesper_lab import interoperation as record

    record.write()


@app.command()
def wheels() -> None:
    """Check that a gateway installs on ARM boards without compiling; asks the package index."""
    from hesper_lab import wheels as arm

    try:
        typer.echo(arm.told())
    except arm.Unresolved as error:
        _screen.print(str(error), style="red", markup=False)
        raise typer.Exit(1) from error


@app.command()
def client(
    out: Annotated[Path, typer.Option(help="Folder that gets the package hesper_client.")],
) -> None:
    """Generate a typed Python client of the REST API from its description."""
    from hesper_lab import client as generator

    try:
        typer.echo(generator.generate(out))
    except generator.NotGenerated as error:
        _screen.print(str(error), style="red", markup=False)
        raise typer.Exit(1) from error


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def test(context: typer.Context) -> None:
    """Run every check and test, or with arguments the tests that they name."""
    from hesper_lab import checks

    raise typer.Exit(checks.run(context.args))


def _check(store: StoreKind, state: Path | None, *, as_json: bool, install: bool) -> int:
    from hesper_lab import check as acceptance

    folder = state or HOME / f"check-{store}"
    forget(folder)
    report = acceptance.run(
        folder, store, lambda text: _screen.print(text, style="dim"), install=install
    )
    return conclude(report, as_json=as_json)


def conclude(report: "Report", *, as_json: bool) -> int:
    """Print what an acceptance run found; return the exit code."""
    from hesper_lab.check import print_json
    from hesper_lab.check_report import show

    if as_json:
        print_json(report)
    else:
        show(report, Console())
    for reason in report.reasons:
        _screen.print(f"failed: {reason}", style="red", markup=False)
    return 1 if report.reasons else 0


def _store(name: str) -> StoreKind:
    if name == "duckdb":
        return "duckdb"
    if name == "influx":
        return "influx"
    raise typer.BadParameter(f"{name!r}: duckdb or influx", param_hint="--store")


def main() -> None:
    """Run the command line; what a person can mend is said in one line."""
    leave_in_order()
    try:
        app(prog_name="./hesper" if is_launched() else None)
    except (Died, InUse, Missing, NotASite) as error:
        _screen.print(f"hesper: {error}", style="red", markup=False, highlight=False)
        sys.exit(3)
