"""Makes one backup: copies into a passing folder, which gets its name when it is complete.

It counts, and older ones go for it, when it outlives a power cut.
"""

import shutil
from collections.abc import Callable
from contextlib import closing, suppress
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from hesper_contracts.durable import synchronise

from hesper_cloud import keys
from hesper_cloud.aggregates.book import EnergyBook
from hesper_cloud.backup import files, readings
from hesper_cloud.backup.databases import database
from hesper_cloud.backup.manifest import NAME, BackupError, Manifest, Tables, digest, files_of
from hesper_cloud.settings import Settings
from hesper_cloud.stores.port import ReadingStore, StoreError

READINGS, ENERGY = readings.PART, "energy"
_PARTIAL = ".partial"
Say = Callable[[str], None]


def make(
    settings: Settings, store: ReadingStore, parent: Path, now: datetime, say: Say = lambda _: None
) -> tuple[Path, Manifest]:
    """Makes a backup in a new folder under ``parent``; returns the folder and what it holds.

    Raises:
        BackupError: something could not be copied; nothing is left behind.
    """
    stamp = now.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")
    target = parent / f"hesper-{stamp}"
    passing = target.with_suffix(_PARTIAL)
    try:
        parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        for left in parent.glob(f"hesper-*{_PARTIAL}"):  # by one that was killed
            shutil.rmtree(left, ignore_errors=True)
        passing.mkdir(mode=0o700)
        manifest = _copied(settings, store, passing, now, say)
        _settle(passing)
        passing.rename(target)
        _settle_names(parent)
    except (BackupError, OSError, StoreError) as error:
        shutil.rmtree(passing, ignore_errors=True)
        raise BackupError(f"no backup in {target}: {error}") from error
    return target, manifest


def _settle(folder: Path) -> None:
    """Makes durable what was written; a disk over a network says here that it is full."""
    for path in (*files_of(folder), folder / NAME):
        synchronise(path)
    for each in (folder, *(path for path in folder.rglob("*") if path.is_dir())):
        _settle_names(each)


def _settle_names(folder: Path) -> None:
    """Makes the names in a folder durable, where its file system can do that."""
    with suppress(OSError):
        synchronise(folder)


def _copied(
    settings: Settings, store: ReadingStore, folder: Path, now: datetime, say: Say
) -> Manifest:
    contents: dict[str, Tables] = {}
    elsewhere: dict[str, str] = {}
    urls = {"authority": settings.database.authority_url, "registry": settings.database.url}
    for part, url in urls.items():
        say(f"{part} …")
        source = database(url)
        contents[part] = source.copy(folder / f"{part}{source.ending}")
    if settings.store.kind == "duckdb" or settings.backup.influx_readings:
        say("readings …")
        contents[READINGS] = readings.copy(store, folder / READINGS)
    else:
        elsewhere[READINGS] = "InfluxDB holds them: use its own tools, influxd backup"
    if settings.energy_file.exists():
        say("energy book …")
        with closing(EnergyBook(settings.energy_file)) as book:
            contents[ENERGY] = book.copy_to(folder / ENERGY)
    say("files …")
    contents[files.PART] = files.copy(settings.state, folder / files.PART)
    manifest = Manifest(
        made_at=now.astimezone(UTC).isoformat(),
        version=version("hesper"),
        files={str(path.relative_to(folder)): digest(path) for path in files_of(folder)},
        contents=contents,
        keys=keys.signing_ids(settings),
        elsewhere=elsewhere,
    )
    manifest.write(folder)
    return manifest
