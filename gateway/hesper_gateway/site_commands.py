"""`hesper-gateway commission` and `support-bundle`: what an installer runs on site.

Exit codes of commission: 0 every hop that could be checked passed, 1 one failed.
"""

import asyncio
import base64
import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hesper_gateway.cli_options import DEFAULT, AsJson, ConfigPath, give_up, settings
from hesper_gateway.errors import ConfigError

if TYPE_CHECKING:
    from rich.table import Table

    from hesper_gateway.commissioning import Step

MeterId = Annotated[str, typer.Argument(metavar="METER", help="Its id in gateway.toml.")]
Wait = Annotated[
    float, typer.Option("--wait", min=1, help="Seconds to wait for a meter that calls or pushes.")
]
HERE = Path()
_COLOURS = {"pass": "green", "fail": "bold red", "not checked": "yellow"}


def commission(
    meter: MeterId, config: ConfigPath = DEFAULT, wait: Wait = 120.0, as_json: AsJson = False
) -> None:
    """Walk through a new meter hop by hop: line, association, name, reading, clock, relay.

    Writes nothing to the meter and works without the broker. The agent must not be running.
    """
    from rich.console import Console  # not loaded by the agent
    from rich.live import Live

    from hesper_gateway.commissioning import Outcome, Step, walk

    steps: list[Step] = []
    if as_json:
        asyncio.run(walk(config, meter, wait, steps.append))
    else:
        console = Console()
        with Live(console=console, auto_refresh=False) as live:

            def tell(step: Step) -> None:
                steps.append(step)
                live.update(_table(meter, steps), refresh=True)

            asyncio.run(walk(config, meter, wait, tell))
        if not console.is_terminal:
            console.line()  # where nothing is drawn anew, the last line is left open
    passed = all(step.outcome is not Outcome.FAILED for step in steps)
    if as_json:
        found = {"meter": meter, "passed": passed, "steps": [asdict(step) for step in steps]}
        typer.echo(json.dumps(found))
    raise typer.Exit(0 if passed else 1)


def witness(config: ConfigPath = DEFAULT) -> None:
    """Print what this gateway holds of the head end's audit log, a checkpoint a line.

    `hesper-cloud audit verify --witness FILE` compares it; no broker need be trusted for that.
    """
    from hesper_gateway.witness import FILE_NAME, held_in

    for payload in held_in(settings(config).state / FILE_NAME):
        typer.echo(base64.b64encode(payload).decode("ascii"))


def support_bundle(
    config: ConfigPath = DEFAULT,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for the archive.", file_okay=False)
    ] = HERE,
    log: Annotated[
        Path | None, typer.Option("--log", help="A log file, where there is no journal.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Collect versions, settings, statistics and log into one archive, without any secret.

    Works while the agent runs and when it cannot. Run it as the agent's account.
    """
    from hesper_gateway import support

    try:
        bundle = support.make(config, output, log)
    except ConfigError as error:
        give_up(error, 2)
    if as_json:
        typer.echo(json.dumps({"archive": str(bundle.path), "summary": bundle.summary}))
    else:
        typer.echo(f"{bundle.summary}\n{bundle.path}")


def _table(meter: str, steps: "list[Step]") -> "Table":
    from rich.table import Column, Table
    from rich.text import Text

    found_column = Column("found", overflow="fold")  # a path or a command is there to be copied
    table = Table("hop", "outcome", found_column, title=f"meter {meter}", title_justify="left")
    for step in steps:
        found = Text(step.found)
        if step.advice:
            found.append(f"\n→ {step.advice}", style="cyan")
        table.add_row(step.hop, Text(step.outcome, style=_COLOURS[step.outcome]), found)
    return table
