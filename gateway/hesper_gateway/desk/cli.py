"""`hesper-dlms`: meters and captured frames on an engineer's desk.

Exit codes: 0 done, 1 nothing decoded or the meter refused, 2 wrong usage.
"""

from __future__ import annotations

import sys

import typer
from hesper_dlms.errors import DlmsError, LocalError
from rich.console import Console

from hesper_gateway.desk import capture_commands, change_commands, meter_commands
from hesper_gateway.desk.advice import advice

app = typer.Typer(
    name="hesper-dlms",
    help="Read and write a DLMS/COSEM meter, or take captured frames apart.\n\n"
    "decode and explain need no meter; read, write, invoke, profile and objects take --host or "
    "--serial. Each has examples: hesper-dlms COMMAND --help.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    add_completion=False,
    pretty_exceptions_enable=False,
)
capture_commands.register(app)
meter_commands.register(app)
change_commands.register(app)


def main() -> None:
    """Run the command line; errors of the stack become a line of text and an exit code."""
    try:
        app()
    except LocalError as error:
        _say("usage:", error)
        sys.exit(2)
    except DlmsError as error:
        _say("failed:", error)
        tried = advice(error)
        if tried:
            Console(stderr=True, highlight=False, soft_wrap=True).print(
                f"try: {tried}", markup=False
            )
        sys.exit(1)


def _say(what: str, error: DlmsError) -> None:
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    console.print(f"[red]{what}[/]", end=" ")
    console.print(str(error), markup=False)
