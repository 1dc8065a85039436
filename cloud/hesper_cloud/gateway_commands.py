"""`hesper-cloud gateway …`: which gateways are believed, and what is done for and to them."""

from typing import Annotated

import typer

from hesper_cloud import provision
from hesper_cloud.config_option import DEFAULT, Config
from hesper_cloud.later_commands import Later, with_later
from hesper_cloud.provision import Databases
from hesper_cloud.settings import Settings

_LATER = {
    "keep": Later(
        "hesper_cloud.enrolment_commands:keep",
        "Keeps a gateway's configuration, encrypted, for the device that enrols under its name.",
    ),
    "token": Later(
        "hesper_cloud.enrolment_commands:token",
        "Makes a token with which one device, once, takes this gateway's name.",
    ),
    "account": Later(
        "hesper_cloud.enrolment_commands:account",
        "Prints an enrolled gateway's line of the broker's password file, which holds a hash.",
    ),
    "revoke": Later(
        "hesper_cloud.certificate_commands:gateway_revoke",
        "Shuts a gateway out within a minute: certificates, password, key and tokens end.",
    ),
    "certificate": Later(
        "hesper_cloud.certificate_commands:gateway_certificate",
        "Carries a request to an external authority, and its certificate back.",
    ),
    "send-again": Later(
        "hesper_cloud.ingest_commands:send_again",
        "Asks a gateway for batches that it has receipts for already: after a restore.",
    ),
}
gateway = typer.Typer(
    cls=with_later(_LATER), no_args_is_help=True, help="Gateways and their public keys."
)


@gateway.command("add")
def add(
    gateway_id: str,
    public_key: Annotated[str, typer.Option("--public-key", help="64 hex digits, Ed25519.")],
    replace: Annotated[
        bool,
        typer.Option("--replace", help="Take another key's place; let in again who was shut out."),
    ] = False,
    config: Config = DEFAULT,
) -> None:
    """Puts a gateway's public key on record, so that its results are believed."""
    databases = Databases.open(Settings.load(config))
    provision.add_gateway(databases, gateway_id, public_key, replace=replace)
    typer.echo(f"{gateway_id} is on record")
