"""``hesper-cloud backup`` and ``rehearse``."""

import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer
from sqlalchemy import Engine, select

from hesper_cloud.aggregates.book import EnergyBook
from hesper_cloud.backup.keeping import ask, rehearse
from hesper_cloud.backup.making import make
from hesper_cloud.backup.manifest import BackupError
from hesper_cloud.config_option import DEFAULT, Config
from hesper_cloud.db.engines import reading
from hesper_cloud.db.registry import Backup
from hesper_cloud.provision import Databases, ProvisioningError
from hesper_cloud.settings import Settings
from hesper_cloud.stores.opening import open_store
from hesper_cloud.stores.port import StoreInUse, StoreUnavailable

Optionally = Annotated[
    Path | None,
    typer.Option("--config", "-c", envvar="HESPER_CONFIG", help="The file cloud.toml."),
]
_PATIENCE_S = 3600.0
_LOOK_EVERY_S = 0.5


def backup(folder: Path, config: Config = DEFAULT) -> None:
    """Makes a backup below FOLDER; a head end that runs is asked to make it."""
    settings = Settings.load(config)
    databases = Databases.open(settings)
    try:
        target = _made_here(settings, folder.resolve())
        if target is None:
            target = _made_there(databases.registry, folder.resolve())
    except BackupError as error:
        raise ProvisioningError(str(error)) from error
    finally:
        databases.close()
    typer.echo(f"backed up into {target}")
    typer.echo(f"keys are not in it: keep {settings.keys} in another place")


def rehearse_(backup: Path, config: Optionally = None) -> None:
    """Restores the folder BACKUP into a scratch folder and compares; exits with 1 if it fails.

    One of PostgreSQL needs --config: a scratch database is made on that server and dropped.
    """
    outcome = rehearse(backup.resolve(), None if config is None else Settings.load(config))
    typer.echo(outcome)
    if outcome != "restored":
        raise typer.Exit(1)


def _made_here(settings: Settings, folder: Path) -> Path | None:
    """Makes it in this process; None when a head end runs, by what it alone holds open.

    That is the energy book in any case, and the store where it is the embedded one.
    """
    try:
        if settings.energy_file.exists():
            EnergyBook(settings.energy_file).close()
        store = open_store(settings)
    except StoreInUse:
        return None
    except StoreUnavailable as error:
        raise BackupError(f"no backup in {folder}: {error}") from error
    try:
        return make(settings, store, folder, datetime.now(UTC), _say)[0]
    finally:
        store.close()


def _made_there(registry: Engine, folder: Path) -> Path:
    backup_id, deadline = ask(registry, folder, datetime.now(UTC)), time.monotonic() + _PATIENCE_S
    _say("the head end runs and was asked …")
    query = select(Backup).where(Backup.id == backup_id)
    while time.monotonic() < deadline:
        with reading(registry) as session:
            row = session.scalars(query).one()
        if row.state == "made":
            return Path(row.folder)
        if row.state == "failed":
            raise BackupError(row.reason or "it failed")
        time.sleep(_LOOK_EVERY_S)
    raise BackupError("the head end has not made it within an hour")


def _say(what: str) -> None:
    typer.echo(what, err=True)
