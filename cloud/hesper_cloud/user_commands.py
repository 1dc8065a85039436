"""`hesper-cloud user …`: accounts, by the operator of the authority's machine."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from hesper_cloud import provision
from hesper_cloud.config_option import DEFAULT, Config
from hesper_cloud.later_commands import Later, with_later
from hesper_cloud.provision import Databases
from hesper_cloud.settings import Settings

_LATER = {
    "factor": Later(
        "hesper_cloud.policy_commands:user_factor",
        "Gives an account a second factor: shows the secret and reads its first code from stdin.",
    )
}
user = typer.Typer(
    cls=with_later(_LATER), no_args_is_help=True, help="Accounts of people and programs."
)
_ASK = "-"


@user.command("add")
def add(
    username: str,
    role: Annotated[str, typer.Option(help="viewer, operator, approver, admin or auditor.")],
    password_file: Annotated[
        str,
        typer.Option("--password-file", help="A file with the password; -: asked for, or stdin."),
    ] = _ASK,
    config: Config = DEFAULT,
) -> None:
    """Adds an account, or sets its role and password anew and ends its sessions."""
    settings = Settings.load(config)
    password = _password(username, password_file)
    databases = Databases.open(settings)
    provision.add_user(databases.authority, username, role, password)
    typer.echo(f"{username} is {role}")


@user.command("disable")
def disable(username: str, config: Config = DEFAULT) -> None:
    """Disables an account; its sessions and tokens end at once."""
    databases = Databases.open(Settings.load(config))
    provision.disable_user(databases.authority, username)
    typer.echo(f"{username} is disabled")


def _password(username: str, place: str) -> str:
    """Returns the password of an account: from a file or a pipe, or of a person at a terminal."""
    if place != _ASK:
        return Path(place).read_text("utf-8").strip()
    if sys.stdin.isatty():
        asked: str = typer.prompt(
            f"Password of {username}", hide_input=True, confirmation_prompt=True
        )
        return asked.strip()
    return sys.stdin.readline().strip()
