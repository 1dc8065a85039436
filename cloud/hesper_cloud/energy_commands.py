"""``hesper-cloud energy``: have days validated and summed again."""

from datetime import UTC, datetime
from typing import Annotated

import typer
from sqlalchemy import select

from hesper_cloud.aggregates.whole import whole_from
from hesper_cloud.config_option import DEFAULT, Config
from hesper_cloud.db.engines import reading, writing
from hesper_cloud.db.registry import Meter
from hesper_cloud.provision import Databases
from hesper_cloud.settings import Settings

energy = typer.Typer(no_args_is_help=True, help="Validation and the energy book.")
_DAY_S = 86_400
Day = Annotated[datetime, typer.Argument(formats=["%Y-%m-%d"])]


@energy.callback()
def main() -> None:
    """Validation and the energy book."""


@energy.command("again")
def again(
    first: Day,
    last: Day,
    meter: Annotated[list[str] | None, typer.Option(help="All meters without it.")] = None,
    config: Config = DEFAULT,
) -> None:
    """Has UTC days validated and summed again, both included; the running head end does it.

    For changed thresholds, or when energy.duckdb was lost.
    """
    from hesper_cloud.validation import dirty  # heavy: the authority starts without numpy

    settings = Settings.load(config)
    databases = Databases.open(settings)
    days = range(_number(first), _number(last) + 1)
    with reading(databases.registry) as session:
        meters = meter or list(session.scalars(select(Meter.id)))
    for day in days:
        with writing(databases.registry) as session:
            dirty.mark(session, ((each, day) for each in meters), datetime.now(UTC))
    kept_from = whole_from(databases.registry, settings.store.retention, datetime.now(UTC))
    databases.close()
    typer.echo(f"{len(days)} days of {len(meters)} meters are marked")
    if days and days[0] * _DAY_S < kept_from:
        typer.echo(_stays_before(datetime.fromtimestamp(kept_from, UTC)))


def _stays_before(kept_from: datetime) -> str:
    return (
        f"those that began before {kept_from:%F} stay as they are: readings of then may have left "
        "the store (raw_days under [store.retention])"
    )


def _number(day: datetime) -> int:
    return int(day.replace(tzinfo=UTC).timestamp()) // _DAY_S
