"""What the commands of `hesper-gateway` share: their options, and how they give up."""

from pathlib import Path
from typing import Annotated, NoReturn

import typer

from hesper_gateway.config import GatewayConfig, load
from hesper_gateway.errors import ConfigError, GatewayError

ConfigPath = Annotated[
    Path, typer.Option("--config", "-c", help="The gateway's file.", show_default=True)
]
AsJson = Annotated[bool, typer.Option("--json", help="JSON on stdout instead of text.")]
DEFAULT = Path("gateway.toml")


def settings(path: Path) -> GatewayConfig:
    """Returns the configuration, or ends the program with exit code 2 and the reason."""
    must_exist(path)
    try:
        return load(path)
    except ConfigError as error:
        give_up(error, 2)


def must_exist(path: Path) -> None:
    """Ends the program with exit code 2, and says how another file is named, where this is none."""
    if not path.exists():
        give_up(ConfigError(f"there is no {path}; another one is named by --config"), 2)


def give_up(error: GatewayError, code: int) -> NoReturn:
    """Ends the program: one line for a person on stderr, and an exit code."""
    typer.echo(str(error), err=True)
    raise typer.Exit(code) from error
