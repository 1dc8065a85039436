"""``hesper-cloud restore``: a backup comes back, and what was erased since is ordered again."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from hesper_cloud import restore_mark
from hesper_cloud.backup.manifest import BackupError
from hesper_cloud.backup.restoring import restore
from hesper_cloud.config_option import DEFAULT, Config
from hesper_cloud.erasure import remembered
from hesper_cloud.erasure.remembered import Again
from hesper_cloud.provision import Databases, ProvisioningError
from hesper_cloud.settings import Settings

_NO_LIST = (
    "no list of erasures beside the backup ({}): what was erased since {} is here again, or comes"
    " again from gateways: order it again by your own list once they have sent (hesper-cloud meter"
    " erase, person erase)"
)


def restore_(
    backup: Path,
    erased: Annotated[
        Path | None,
        typer.Option(help="The list erased.json, where it does not lie beside BACKUP."),
    ] = None,
    config: Config = DEFAULT,
) -> None:
    """Restores the folder BACKUP into the empty state folder that cloud.toml names.

    What was erased after the backup was made is ordered again, by the list beside the backups.
    """
    settings = Settings.load(config)
    path = erased or backup.resolve().parent / remembered.LIST
    try:
        known = remembered.read(path) if erased or path.exists() else None
        restored = restore(backup, settings, lambda what: typer.echo(what, err=True))
    except (BackupError, FileNotFoundError) as error:
        raise ProvisioningError(str(error)) from error
    made_at = restored.manifest.made_at
    typer.echo(f"restored {restored.manifest.row_count()} rows of {made_at}")
    for wanted in restored.wanted:
        typer.echo(f"still wanted: {wanted}")
    if settings.store.retention.archive:
        typer.echo("still wanted: hesper-cloud archive adopt, before the head end starts")
    if known is None:
        typer.echo(_NO_LIST.format(path, made_at))
    else:
        for line in _told(_ordered(settings, known, datetime.fromisoformat(made_at))):
            typer.echo(line)
    restore_mark.end(settings.state)


def _ordered(settings: Settings, known: list[remembered.Erased], made_at: datetime) -> Again:
    databases = Databases.open(settings)
    try:
        again = remembered.order_again(databases, settings.state, known, made_at, datetime.now(UTC))
    finally:
        databases.close()
    remembered.leave_note(settings.state, again)
    return again


def _told(again: Again) -> Iterator[str]:
    yield (
        f"erased since and ordered again: {len(again.orders)} orders, {len(again.persons)} persons;"
        " the head end carries the orders out, and once more when gateways send something of theirs"
    )
    for meter in again.absent:
        yield f"still wanted: hesper-cloud meter erase {meter}, which the backup does not know"
