"""`hesper-cloud init`: keys, databases and a policy, before anything runs."""

from pathlib import Path
from typing import Annotated

import typer

from hesper_cloud import provision
from hesper_cloud.settings import Settings

Config = Annotated[
    Path, typer.Option("--config", "-c", envvar="HESPER_CONFIG", help="The file cloud.toml.")
]
DEFAULT = Path("cloud.toml")


def init(policy: str | None = None, config: Config = DEFAULT) -> None:
    """Makes keys and databases and activates a named policy; safe to repeat."""
    settings = Settings.load(config)
    active = provision.initialise(settings, policy)
    typer.echo(f"ready in {settings.state}, policy {active}")
