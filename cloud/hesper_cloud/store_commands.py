"""``hesper-cloud store``: set a store up, and move readings from one to another."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from hesper_cloud.config_option import DEFAULT, Config
from hesper_cloud.settings import Settings

store = typer.Typer(no_args_is_help=True, help="Where readings live.")
Place = Annotated[
    str, typer.Argument(help="A .duckdb file, a cloud.toml, or http://host:8086/database.")
]


@store.command("init")
def init(config: Config = DEFAULT) -> None:
    """Makes the store with its retention: a file, databases, or buckets; safe to repeat."""
    from hesper_cloud.stores.opening import initialise  # heavy: the authority starts without

    typer.echo(initialise(Settings.load(config)))


@store.command("copy")
def copy(
    source: Place,
    target: Place,
    progress_file: Annotated[
        Path, typer.Option(help="Days that are done; a copy that was stopped goes on from it.")
    ] = Path("store-copy.json"),
    as_json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Copies all readings, verified day by day by count and hash; neither store may be in use."""
    from hesper_cloud.stores import copying  # heavy: the authority starts without
    from hesper_cloud.stores.opening import open_named

    if target.endswith(".toml"):
        _require_idle(Settings.load(Path(target)))
    stores = [open_named(source, is_there=True), open_named(target)]
    progress = copying.Progress(progress_file)
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    try:
        with Progress(*columns, console=Console(stderr=True), disable=as_json) as bar:
            task = bar.add_task("copying")

            def tell(done: int, days: int, content: copying.Content) -> None:
                text = f"day {done} of {days}, {content.readings} readings"
                bar.update(task, completed=done, total=days, description=text)

            copied = copying.copy(stores[0], stores[1], progress, tell)
    finally:
        for each in stores:
            each.close()
    progress.forget()
    if as_json:
        typer.echo(json.dumps({"from": source, "to": target, **asdict(copied)}))
    else:
        typer.echo(
            f"{copied.readings} readings, {copied.revisions} of them revisions, the same in both "
            f"(SHA-256 sum {copied.sha256[:16]}…)"
        )


def _require_idle(settings: Settings) -> None:
    """Refuses to write the InfluxDB of a head end that runs, and counts on being alone there.

    The sums and packed days that it keeps would not know what was copied. That it runs is known by
    its energy book; the embedded store is refused by itself.
    """
    from hesper_cloud.aggregates.book import EnergyBook  # heavy: the authority starts without
    from hesper_cloud.stores.opening import is_ours_alone
    from hesper_cloud.stores.port import StoreInUse

    if is_ours_alone(settings.store) and settings.energy_file.exists():
        try:
            EnergyBook(settings.energy_file).close()
        except StoreInUse as error:
            raise StoreInUse(
                f"the head end runs that writes the target; stop it: {error}"
            ) from None
