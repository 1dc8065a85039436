"""Restores a backup into an empty state folder, and says whether all of it came back."""

import shutil
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from hesper_cloud import keys
from hesper_cloud.aggregates.book import EnergyBook
from hesper_cloud.backup import databases
from hesper_cloud.backup.making import ENERGY, READINGS, Say
from hesper_cloud.backup.manifest import BackupError, Manifest
from hesper_cloud.backup.sending_again import Positions, leave_note, positions_in
from hesper_cloud.db.engines import open_engine
from hesper_cloud.settings import Settings
from hesper_cloud.stores.port import StoreError


@dataclass(frozen=True, slots=True)
class Restored:
    """What was restored, and what a person has still to bring."""

    manifest: Manifest
    wanted: tuple[str, ...]


def restore(backup: Path, settings: Settings, say: Say = lambda _: None) -> Restored:
    """Restores databases and readings where the settings want them.

    Raises:
        BackupError: the backup is damaged, something is there already, or what was restored is not
            what was backed up.
    """
    manifest = Manifest.read(backup)
    say("checking the backup …")
    manifest.check(backup)
    targets = {
        "authority": databases.file_of(settings.database.authority_url),
        "registry": databases.file_of(settings.database.url),
    }
    places = [*targets.values(), settings.readings_file, settings.energy_file]
    files = [place for place in places if place is not None]
    _refuse_to_overwrite([*files, settings.readings_file.with_suffix(".sealed")])
    settings.state.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        for part, target in targets.items():
            if part in manifest.contents and target is not None:
                say(f"{part} …")
                shutil.copy2(backup / f"{part}.db", target)
                target.chmod(0o600)
                _compare(manifest, part, databases.measured(target))
        if READINGS in manifest.contents:
            _restore_readings(backup, settings, manifest, say)
        if ENERGY in manifest.contents:
            say("energy book …")
            with closing(EnergyBook(settings.energy_file)) as book:
                _compare(manifest, ENERGY, book.fill_from(backup / ENERGY))
        _leave_note(settings, targets["registry"])
    except (BackupError, OSError, StoreError) as error:
        _remove(files, settings)
        raise BackupError(f"not restored: {error}") from error
    return Restored(manifest, tuple(_wanted(manifest, settings)))


def _restore_readings(backup: Path, settings: Settings, manifest: Manifest, say: Say) -> None:
    from hesper_cloud.stores import duckdb_backup  # DuckDB is heavy, and only wanted here

    say("readings …")
    parts = duckdb_backup.build(backup / READINGS, settings.readings_file)
    _compare(manifest, READINGS, parts)


def _leave_note(settings: Settings, registry: Path | None) -> None:
    """Leaves word for the head end's next start: which batches to ask gateways for again."""
    from hesper_cloud.stores import duckdb_backup

    readings: Positions = {}
    if settings.readings_file.exists():
        readings = duckdb_backup.newest_batches(settings.readings_file)
    positions: Positions = {}
    if registry is not None and registry.exists():
        engine = open_engine(settings.database.url, read_only=True)
        positions = positions_in(engine, readings)
        engine.dispose()
    leave_note(settings.state, positions, datetime.now(UTC))


def _refuse_to_overwrite(targets: list[Path]) -> None:
    """Refuses also beside a log that was left alone: it would be played into what is restored."""
    for target in targets:
        for remains in (target, *_logs_of(target)):
            if remains.exists():
                raise BackupError(f"{remains} is there already; restore into an empty folder")


def _remove(targets: list[Path], settings: Settings) -> None:
    """Removes what a restore has made so far: nobody shall start with a part of it."""
    for target in targets:
        for made in (target, *_logs_of(target)):
            made.unlink(missing_ok=True)
    shutil.rmtree(settings.readings_file.with_suffix(".sealed"), ignore_errors=True)


def _logs_of(target: Path) -> list[Path]:
    """Returns where SQLite and DuckDB keep what is not yet in their file."""
    endings = ("-wal", "-shm", "-journal", ".wal")
    return [target.with_name(target.name + ending) for ending in endings]


def _compare(manifest: Manifest, part: str, found: object) -> None:
    if found != manifest.contents[part]:
        raise BackupError(f"{part}: what was restored is not what was backed up")


def _wanted(manifest: Manifest, settings: Settings) -> list[str]:
    """Returns what a person has to bring before the head end may be started."""
    there = keys.public_ids(settings.keys)
    missing = [
        f"{settings.keys / name}.key with the id {key_id}"
        for name, key_id in manifest.keys.items()
        if there.get(name) != key_id
    ]
    return missing + [f"{part}: {how}" for part, how in manifest.elsewhere.items()]
