"""Another master key takes the place of the present one, whole wherever it is killed.

Theory of operation
-------------------
::

    file: old ─→ file: new, old ─→ every data key wrapped anew, a few rows a time ─→ file: new

Every process reads the file at each use, so from the second step on nothing more is locked with the
old key, and all that is kept opens at every moment. The last step looks once more, under the
database's write lock, that nothing needs the old key; who writes after that has read the new file.
A rotation that was cut off leaves two keys in the file; the next one goes on with it.

Where systemd hands the file over, nobody here can write it: a person puts a new key above the old
one and restarts the authority, this wraps everything anew, and the person takes the old one out.
"""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, select, tuple_
from sqlalchemy.orm import Session

from hesper_cloud import audit, keys
from hesper_cloud.authority import enrolment, second_factor
from hesper_cloud.db.authority import KeptConfiguration, MeterKeyRow, SecondFactor
from hesper_cloud.db.delivery import DeliveryTarget
from hesper_cloud.db.engines import reading, writing
from hesper_cloud.delivery.targets import seal_context
from hesper_cloud.meter_keys import custody
from hesper_cloud.provision import ProvisioningError, operator
from hesper_cloud.vault import KEY_OCTETS, Locked, Vault, VaultBroken, name_of, read_masters

AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Shelf:
    """One table whose rows are locked: its key columns, and what a row is bound to."""

    table: type[Any]
    order: tuple[str, ...]
    context: Callable[[Any], str]
    box: str = "box"


SHELVES = (
    Shelf(
        KeptConfiguration,
        ("gateway", "version"),
        lambda row: enrolment.vault_context(row.gateway, row.version),
    ),
    Shelf(MeterKeyRow, ("meter", "version"), lambda row: custody.context(row.meter, row.version)),
    Shelf(SecondFactor, ("username",), lambda row: second_factor.vault_context(row.username)),
)
DELIVERY = (Shelf(DeliveryTarget, ("id",), lambda row: seal_context(row.id), box="sealed_secret"),)


@dataclass(frozen=True, slots=True)
class Room:
    """A database with shelves that one file of master keys locks; none: the authority's."""

    engine: Engine
    shelves: tuple[Shelf, ...] = SHELVES
    named: str = "master key"


@dataclass(frozen=True, slots=True)
class Rotated:
    """What a rotation did: rows wrapped anew, and whether the old key is gone from the file."""

    master: str
    rows: int
    is_finished: bool


def check(authority: Engine, vault: Vault) -> None:
    """Checks that the master key opens what is kept, by a row of each table.

    Raises:
        VaultBroken: it does not: the file was lost and made anew, or is another installation's.
    """
    with reading(authority) as session:
        for shelf in SHELVES:
            row = session.scalar(select(shelf.table).limit(1))
            if row is None:
                continue
            try:
                vault.unlock(Locked(row.wrapped_key, row.box), shelf.context(row))
            except VaultBroken:
                raise VaultBroken(
                    "the master key (vault.key) is not the one that locked what the database keeps:"
                    " put the file back that was there before; a backup of the keys holds it"
                ) from None


def rotate(
    authority: Engine,
    path: Path,
    now: datetime,
    *,
    is_ours: bool = True,
    room: Room | None = None,
) -> Rotated:
    """Brings everything that is locked under a new master key, or goes on with that.

    Args:
        authority: The authority's database, with the audit log.
        path: The file of master keys.
        now: For the audit log.
        is_ours: The file may be written; else a person has put a new key into it.
        room: What the file locks, where that is not the authority's.

    Raises:
        ProvisioningError: the file holds no second key and cannot be given one, or a row opens
            with none of the keys.
    """
    room = room or Room(authority)
    note = partial(_note, authority, now, room.named)
    try:
        masters = read_masters(path)
        if len(masters) == 1:
            masters = _begin(path, masters[0], note, is_ours)
        vault = Vault.of_file(path)
        rows = sum(_rewrap(room.engine, vault, shelf) for shelf in room.shelves)
        let_go = partial(keys.write_masters, path, masters[:1]) if is_ours else None
        rows += _finish(room, vault, let_go)
        note(f"{rows} rows wrapped anew", vault.master)
    except VaultBroken as error:
        raise ProvisioningError(str(error)) from None
    return Rotated(vault.master, rows, is_ours)


def _begin(
    path: Path, old: bytes, note: Callable[[str, str], None], is_ours: bool
) -> tuple[bytes, ...]:
    if not is_ours:
        raise ProvisioningError(f"{path} is handed over: put a new key above the one in it first")
    new = secrets.token_bytes(KEY_OCTETS)
    note(name_of(old), name_of(new))
    keys.write_masters(path, [new, old])
    return new, old


def _rewrap(engine: Engine, vault: Vault, shelf: Shelf) -> int:
    """Wraps rows anew, a few in each transaction, in the order of their keys."""
    columns = [getattr(shelf.table, name) for name in shelf.order]
    count, last = 0, None
    while True:
        query = select(*columns).order_by(*columns).limit(AT_ONCE)
        if last is not None:
            query = query.where(tuple_(*columns) > tuple(last))
        with reading(engine) as session:
            found = session.execute(query).all()
        if not found:
            return count
        with writing(engine) as session:
            rows = (session.get(shelf.table, tuple(each)) for each in found)
            count += sum(_wrapped_anew(row, vault, shelf) for row in rows if row is not None)
        last = found[-1]


def _finish(room: Room, vault: Vault, let_go: Callable[[], None] | None) -> int:
    """Wraps what came meanwhile; lets the old key go when nothing has, while nobody can write."""
    count = 0
    while True:
        with writing(room.engine) as session:
            rest = sum(_rewrap_rest(session, vault, shelf) for shelf in room.shelves)
            if not rest:
                if let_go is not None:
                    let_go()
                return count
        count += rest


def _rewrap_rest(session: Session, vault: Vault, shelf: Shelf) -> int:
    """Wraps what came while the others were; where the key's name is kept, those alone are read."""
    query = select(shelf.table)
    if hasattr(shelf.table, "master"):
        query = query.where(shelf.table.master != vault.master)
    return sum(_wrapped_anew(row, vault, shelf) for row in session.scalars(query).all())


def _wrapped_anew(row: Any, vault: Vault, shelf: Shelf) -> bool:
    box = getattr(row, shelf.box)
    if row.wrapped_key is None or box is None:  # a target without a secret
        return False
    locked = vault.rewrapped(Locked(row.wrapped_key, box), shelf.context(row))
    if locked is None:
        return False
    row.wrapped_key = locked.wrapped_key
    if hasattr(row, "master"):
        row.master = locked.master
    return True


def _note(authority: Engine, now: datetime, named: str, before: str, after: str) -> None:
    entry = audit.Entry(operator(), "keys.rotate_master", named, before, after)
    with writing(authority) as session:
        audit.append(session, now, entry)
