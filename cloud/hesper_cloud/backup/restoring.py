"""Restores a backup into an empty state folder, and says whether all of it came back."""

from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy.exc import SQLAlchemyError

from hesper_cloud import restore_mark
from hesper_cloud.aggregates.book import EnergyBook
from hesper_cloud.backup import files, postgres, readings
from hesper_cloud.backup.counters import skip_used
from hesper_cloud.backup.databases import Database, database
from hesper_cloud.backup.making import ENERGY, READINGS, Say
from hesper_cloud.backup.manifest import BackupError, Manifest
from hesper_cloud.backup.sending_again import leave_note, positions_in
from hesper_cloud.backup.wanted import wanted
from hesper_cloud.db import migrate
from hesper_cloud.db.engines import open_engine
from hesper_cloud.settings import Settings
from hesper_cloud.stores.port import StoreError


@dataclass(frozen=True, slots=True)
class Restored:
    """What was restored, and what a person has still to bring."""

    manifest: Manifest
    wanted: tuple[str, ...]


def restore(backup: Path, settings: Settings, say: Say = lambda _: None) -> Restored:
    """Restores databases, readings and files where the settings want them.

    No head end starts there until `restore_mark.end` is called.

    Raises:
        BackupError: the backup is damaged, something is there already, or what was restored is not
            what was backed up.
    """
    manifest = Manifest.read(backup)
    say("checking the backup …")
    manifest.check(backup)
    targets: dict[migrate.Database, Database] = {
        "authority": database(settings.database.authority_url),
        "registry": database(settings.database.url),
    }
    _check_targets(backup, manifest, targets, settings)
    settings.state.mkdir(mode=0o700, parents=True, exist_ok=True)
    restore_mark.begin(settings.state, backup)
    try:
        for part, target in targets.items():
            say(f"{part} …")
            _compare(manifest, part, target.restore(backup / f"{part}{target.ending}"))
        if READINGS in manifest.contents:
            say("readings …")
            _compare(manifest, READINGS, readings.restore(backup / READINGS, settings))
        if ENERGY in manifest.contents:
            say("energy book …")
            with closing(EnergyBook(settings.energy_file)) as book:
                _compare(manifest, ENERGY, book.fill_from(backup / ENERGY))
        if files.PART in manifest.contents:
            say("files …")
            _compare(manifest, files.PART, files.restore(backup / files.PART, settings.state))
        _go_on_from_here(settings, datetime.now(UTC))
    except (BackupError, OSError, StoreError, SQLAlchemyError) as error:
        _remove(manifest, targets, settings)
        restore_mark.end(settings.state)
        raise BackupError(f"not restored: {error}") from error
    return Restored(manifest, tuple(wanted(manifest, settings)))


def _check_targets(
    backup: Path,
    manifest: Manifest,
    targets: Mapping[migrate.Database, Database],
    settings: Settings,
) -> None:
    """Refuses, before anything is made, what cannot be restored there."""
    for part, target in targets.items():
        if f"{part}{target.ending}" not in manifest.files:
            kind = "PostgreSQL" if target.ending == postgres.ENDING else "SQLite"
            raise BackupError(f"{backup} has no {part} for {kind}: name the kind that it is of")
        _refuse_newer(backup, manifest, part, target)
        target.refuse_to_overwrite()
    if READINGS in manifest.contents:
        readings.refuse_to_overwrite(settings)
    for remains in _energy_files(settings):
        if remains.exists():
            raise BackupError(f"{remains} is there already; restore into an empty folder")
    if files.PART in manifest.contents:
        files.refuse_to_overwrite(settings.state)


def _go_on_from_here(settings: Settings, now: datetime) -> None:
    """Skips used command counters, and leaves word which batches to ask gateways for again."""
    registry = open_engine(settings.database.url, read_only=True)
    authority = open_engine(settings.database.authority_url)
    try:
        skip_used(registry, authority, now)
        positions = positions_in(registry, readings.positions(settings))
    finally:
        registry.dispose()
        authority.dispose()
    leave_note(settings.state, positions, now)


def _refuse_newer(
    backup: Path, manifest: Manifest, part: migrate.Database, target: Database
) -> None:
    """Refuses what this version could not start on; an older schema is migrated at the start."""
    found = target.revision(backup / f"{part}{target.ending}")
    if found is not None and found not in migrate.revisions(part):
        raise BackupError(
            f"{backup} is of a newer version of Hesper: its {part}'s schema is {found}, this "
            f"version knows none after {migrate.newest(part)}. Restore it with the version that "
            f"made it ({manifest.version}), or a newer one"
        )


def _remove(
    manifest: Manifest, targets: Mapping[migrate.Database, Database], settings: Settings
) -> None:
    """Removes what a restore has made so far: nobody shall start with a part of it."""
    for target in targets.values():
        target.remove()
    readings.remove(settings)
    if files.PART in manifest.contents:
        files.remove(settings.state)
    for made in _energy_files(settings):
        made.unlink(missing_ok=True)


def _energy_files(settings: Settings) -> list[Path]:
    path = settings.energy_file
    return [path, path.with_name(path.name + ".wal")]


def _compare(manifest: Manifest, part: str, found: object) -> None:
    if found != manifest.contents[part]:
        raise BackupError(f"{part}: what was restored is not what was backed up")
