"""`hesper-cloud tunnel`: a vendor's program reaches a meter; needs the broker alone."""

import asyncio
from typing import Annotated

import typer

from hesper_cloud import tunnel as tool
from hesper_cloud.config_option import DEFAULT, Config
from hesper_cloud.settings import Settings


def tunnel(
    command_id: str,
    gateway_id: Annotated[str, typer.Option("--gateway", help="Where the meter's line is.")],
    listen: Annotated[
        str, typer.Option(help="host:port for the vendor's program; loopback unless you mean it.")
    ] = "127.0.0.1:4059",
    wait_s: Annotated[float, typer.Option("--wait", min=1, help="For the gateway, s.")] = 120,
    config: Config = DEFAULT,
) -> None:
    """Leads a local TCP port through the broker to the meter of an approved tunnel.open."""
    host, _, port = listen.rpartition(":")
    if not host or not port.isdigit():
        raise typer.BadParameter("is to be host:port", param_hint="--listen")
    broker = Settings.load(config).broker
    try:
        reason = asyncio.run(
            tool.serve(
                broker, tool.Wanted(gateway_id, command_id, host, int(port), wait_s), typer.echo
            )
        )
    except (tool.NoTunnel, OSError) as error:
        typer.echo(f"no tunnel: {error}", err=True)
        raise typer.Exit(1) from None
    typer.echo(f"the tunnel is closed: {reason}")
