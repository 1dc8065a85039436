"""`hesper-cloud ca …`, `gateway revoke` and `gateway certificate`: see `certificates`."""

from datetime import UTC
from pathlib import Path
from typing import Annotated

import typer

from hesper_cloud import certificates
from hesper_cloud.certificates import Desk
from hesper_cloud.config_option import DEFAULT, Config
from hesper_cloud.settings import Settings

ca = typer.Typer(no_args_is_help=True, help="The certificate authority of gateways and broker.")


@ca.command("init")
def init(
    name: Annotated[str, typer.Option(help="Its common name.")] = "Hesper",
    below_root: Annotated[
        bool, typer.Option(help="Print a request for a root elsewhere to sign instead.")
    ] = False,
    config: Config = DEFAULT,
) -> None:
    """Makes the authority's key and prints its certificate; restart the authority afterwards."""
    typer.echo(certificates.begin(_desk(config), name, below_root).decode(), nl=False)


@ca.command("install")
def install(
    file: Annotated[
        Path, typer.Argument(help="PEM: the authority's certificate first, root last.")
    ],
    config: Config = DEFAULT,
) -> None:
    """Takes the certificate that a root elsewhere made of the request of `init --below-root`."""
    certificates.install(_desk(config), file)
    typer.echo("the authority may sign; restart it")


@ca.command("server")
def server(
    names: Annotated[list[str], typer.Argument(help="Names and addresses; the first names files.")],
    out: Annotated[Path, typer.Option(help="Folder for NAME.key and NAME.pem.")] = Path(),
    config: Config = DEFAULT,
) -> None:
    """Makes key and certificate of a server: the broker, the console."""
    typer.echo(f"written: {certificates.server(_desk(config), names, out)}")


@ca.command("show")
def show(config: Config = DEFAULT) -> None:
    """Lists the certificates that are good, and those that ended and were not renewed."""
    desk = _desk(config)
    for row in certificates.show(desk):
        over = "" if row.not_after > desk.now else "  over"
        until = f"{row.not_after.astimezone(UTC):%F %R}Z"
        typer.echo(f"{until}  {row.kind:8}{row.serial:41}{row.name}{over}")


@ca.command("revoke")
def revoke(
    serial: str,
    reason: Annotated[str, typer.Option(help="Why; it is audited.")],
    config: Config = DEFAULT,
) -> None:
    """Ends one certificate; `gateway revoke` shuts a gateway out wholly."""
    name = certificates.revoke(_desk(config), serial, reason)
    typer.echo(f"the certificate of {name} is revoked")


@ca.command("crl")
def crl(config: Config = DEFAULT) -> None:
    """Prints the revocation list as PEM."""
    typer.echo(certificates.write_list(_desk(config)).decode(), nl=False)


def gateway_revoke(
    gateway_id: str,
    reason: Annotated[str, typer.Option(help="Why; it is audited.")],
    config: Config = DEFAULT,
) -> None:
    """Shuts a gateway out within a minute: certificates, password, key and tokens end."""
    desk = _desk(config)
    count = certificates.shut_out(desk, gateway_id, reason)
    typer.echo(f"{gateway_id} is shut out; {count} certificates are revoked")
    if desk.settings.enrolment.password_file is None:
        typer.echo("take its line, if it has one, out of the broker's password file, and reload")
    if count and desk.settings.certificates.list_file is None:
        typer.echo("give the broker the new list: hesper-cloud ca crl")


def gateway_certificate(
    gateway_id: str,
    csr: Annotated[bool, typer.Option("--csr", help="Print what is to be signed.")] = False,
    install: Annotated[
        Path | None, typer.Option(help="The certificate that came back, PEM.", dir_okay=False)
    ] = None,
    config: Config = DEFAULT,
) -> None:
    """Carries a request to an external authority, and its certificate back."""
    if csr == (install is not None):
        raise typer.BadParameter("give either --csr or --install FILE")
    desk = _desk(config)
    if install is None:
        typer.echo(certificates.request_of(desk, gateway_id).decode(), nl=False)
        return
    until = certificates.install_for(desk, gateway_id, install)
    typer.echo(f"{gateway_id} gets it when it asks again; good until {until:%F %R}Z")


def _desk(config: Path) -> Desk:
    return Desk.open(Settings.load(config))
