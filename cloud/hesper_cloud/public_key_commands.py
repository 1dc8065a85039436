"""`hesper-cloud key …`: the public keys that gateways are to trust."""

from typing import Literal

import typer
from hesper_contracts.signing import key_id

from hesper_cloud import keys
from hesper_cloud.config_option import DEFAULT, Config
from hesper_cloud.settings import Settings

key = typer.Typer(no_args_is_help=True, help="The cloud's public keys.")


@key.command("show")
def show(which: Literal["commands", "receipts"], config: Config = DEFAULT) -> None:
    """Prints key id and public key, as gateways need them."""
    settings = Settings.load(config)
    if which == "commands":
        public = keys.command_public_key(settings)
    else:
        public = keys.receipt_signer(settings.keys).public_key
    typer.echo(f"{key_id(public)} {public.hex()}")


@key.command("make-in-token")
def make_in_token(config: Config = DEFAULT) -> None:
    """Makes the command key in the token that [hsm] names; prints key id and public key."""
    public = keys.make_in_token(Settings.load(config))
    typer.echo(f"{key_id(public)} {public.hex()}")
