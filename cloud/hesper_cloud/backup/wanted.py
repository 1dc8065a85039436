"""What a person has to bring after a restore, because no backup holds it: keys above all.

Signing keys are named in the manifest by their ids. Whether a master key is the right one is tried:
it has to open what the restored databases keep locked, of each master key at least a row.
"""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, select
from sqlalchemy.exc import DatabaseError
from sqlalchemy.orm import Session

from hesper_cloud import keys, rotation
from hesper_cloud.backup.manifest import Manifest
from hesper_cloud.ca import custody
from hesper_cloud.db.authority import Certificate
from hesper_cloud.db.engines import open_engine, reading
from hesper_cloud.rotation import Shelf
from hesper_cloud.settings import Settings
from hesper_cloud.vault import Locked, Vault, VaultBroken

_AT_ONCE = 100


def wanted(manifest: Manifest, settings: Settings) -> list[str]:
    """Returns what must be brought before the head end may be started."""
    there = keys.signing_ids(settings, held=True)
    missing = [
        f"{settings.keys / name}.key with the id {key_id}"
        for name, key_id in manifest.keys.items()
        if there.get(name) != key_id
    ]
    authority = open_engine(settings.database.authority_url, read_only=True)
    registry = open_engine(settings.database.url, read_only=True)
    try:
        missing += _master(authority, settings.keys, "vault.key", rotation.SHELVES)
        missing += _master(registry, settings.keys, "delivery.key", rotation.DELIVERY)
        missing += _issuing(authority, settings)
    finally:
        authority.dispose()
        registry.dispose()
    return missing + [f"{part}: {how}" for part, how in manifest.elsewhere.items()]


def _master(engine: Engine, folder: Path, name: str, shelves: tuple[Shelf, ...]) -> list[str]:
    """Returns the file of master keys, unless it opens what a database keeps locked."""
    path = keys.located(folder, name)
    closed = [shelf for shelf in shelves if not _opens(engine, path, shelf)]
    if not closed:
        return []
    what = ", ".join(shelf.table.__tablename__.replace("_", " ") for shelf in closed)
    return [f"{folder / name}: the master key that opens what is kept locked ({what})"]


def _opens(engine: Engine, path: Path, shelf: Shelf) -> bool:
    """Says whether all that was looked at opens; an older database may lack the table."""
    vault: Vault | None = None
    try:
        with reading(engine) as session:
            for row in _rows(session, shelf):
                vault = vault or Vault.of_file(path)
                locked = Locked(row.wrapped_key, getattr(row, shelf.box))
                vault.unlock(locked, shelf.context(row))
    except (VaultBroken, DatabaseError):
        return False
    return True


def _rows(session: Session, shelf: Shelf) -> Iterator[Any]:
    """Yields what is locked: of each master key one row where its name is kept, else all."""
    table = shelf.table
    query = select(table).where(
        table.wrapped_key.is_not(None), getattr(table, shelf.box).is_not(None)
    )
    if not hasattr(table, "master"):
        yield from session.scalars(query.execution_options(yield_per=_AT_ONCE))
        return
    for master in session.scalars(select(table.master).distinct()).all():
        yield from session.scalars(query.where(table.master == master).limit(1))


def _issuing(authority: Engine, settings: Settings) -> list[str]:
    """Returns the certificate authority's files, where it has signed and they are not there."""
    files = (settings.keys / custody.CERTIFICATES, keys.located(settings.keys, custody.KEY))
    if settings.certificates.external or all(path.exists() for path in files):
        return []
    signed = None
    with suppress(DatabaseError), reading(authority) as session:  # an older one has no such table
        signed = session.scalar(select(Certificate.serial).limit(1))
    if signed is None:
        return []
    return [f"{settings.keys / custody.KEY} and {custody.CERTIFICATES}: they sign certificates"]
