"""`hesper-cloud init`: keys, databases and a policy, before anything runs."""

import typer

from hesper_cloud import provision
from hesper_cloud.config_option import DEFAULT, Config
from hesper_cloud.settings import Settings


def init(policy: str | None = None, config: Config = DEFAULT) -> None:
    """Makes keys and databases and activates a named policy; safe to repeat."""
    settings = Settings.load(config)
    active = provision.initialise(settings, policy)
    typer.echo(f"ready in {settings.state}, policy {active}")
