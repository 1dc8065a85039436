"""`hesper-cloud meter …`: meters enter the registry, and what is stored of them is erased."""

from pathlib import Path
from typing import Annotated

import typer

from hesper_cloud.commissioning import MeterPaper, commission, read_papers
from hesper_cloud.config_option import DEFAULT, Config
from hesper_cloud.later_commands import Later, with_later
from hesper_cloud.provision import Databases, require_gateways
from hesper_cloud.settings import Settings

_LATER = {
    "erase": Later(
        "hesper_cloud.erasure.commands:erase",
        "Erases what is stored of a meter; a head end that runs is asked to do it.",
    )
}
meter = typer.Typer(cls=with_later(_LATER), no_args_is_help=True, help="Commissioning of meters.")


@meter.command("add")
def add(
    serial: str,
    gateway_id: Annotated[str, typer.Option("--gateway")],
    logical_device_name: Annotated[str | None, typer.Option()] = None,
    customer: str | None = None,
    address: str | None = None,
    life_support: bool = False,
    config: Config = DEFAULT,
) -> None:
    """Commissions one meter, or corrects what is known of it."""
    paper = MeterPaper(
        id=serial,
        gateway=gateway_id,
        logical_device_name=logical_device_name,
        customer=customer,
        address=address,
        life_support=life_support,
    )
    databases = Databases.open(Settings.load(config))
    require_gateways(databases, gateway_id)
    commission(databases, [paper])
    typer.echo(f"{serial} is commissioned behind {gateway_id}")


@meter.command("import")
def import_(file: Path, config: Config = DEFAULT) -> None:
    """Commissions the meters of a JSON file, all or none; safe to repeat."""
    papers = read_papers(file)
    databases = Databases.open(Settings.load(config))
    require_gateways(databases, *(paper.gateway for paper in papers))
    count = commission(databases, papers)
    typer.echo(f"{count} meters are commissioned")
