"""`hesper-cloud gateway keep|token|account`: what an operator does for a device that enrols."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from hesper_cloud import keeping
from hesper_cloud.config_option import DEFAULT, Config
from hesper_cloud.provision import Databases
from hesper_cloud.settings import Settings


def keep(
    gateway_id: str,
    file: Annotated[Path, typer.Argument(help="Its gateway.toml, with what it names beside it.")],
    config: Config = DEFAULT,
) -> None:
    """Keeps a gateway's configuration, encrypted, for the device that enrols under its name."""
    settings = Settings.load(config)
    version = keeping.keep(settings, Databases.open(settings), gateway_id, file, datetime.now(UTC))
    typer.echo(f"{gateway_id}: version {version} is kept; it is never shown again")


def token(
    gateway_id: str,
    hours: Annotated[int, typer.Option(help="For how long it is good.")] = 24,
    serial: Annotated[
        str | None, typer.Option(help="Of the one device that may use it, as on its label.")
    ] = None,
    config: Config = DEFAULT,
) -> None:
    """Makes a token with which one device, once, takes this gateway's name."""
    settings = Settings.load(config)
    databases, now = Databases.open(settings), datetime.now(UTC)
    typer.echo(keeping.make_token(settings, databases, gateway_id, hours, now, serial))


def account(gateway_id: str, config: Config = DEFAULT) -> None:
    """Prints an enrolled gateway's line of the broker's password file, which holds a hash."""
    typer.echo(keeping.account_line(Databases.open(Settings.load(config)), gateway_id))
