"""How keys of meters live in the authority's database.

Theory of operation
-------------------
A meter has sets of keys, each a version of its own and locked (`vault`)::

    put ──→ current ──────────────────────────────→ past      the next put, or the new set is proven
              begin ──→ pending ──proven new──→ current
                           └──────proven old──→ past

`begin` comes in the transaction that signs the command which carries the set: a set that a meter
may have is durable before its first octet leaves. Only a result that the gateway has signed settles
it. As long as nobody knows, both sets stay, the next command for this meter carries the same
pending set, and a gateway that enrols is given both. One past set is kept until the change after it
is settled: no association proves a master key, so the one before may be needed still.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec
from hesper_contracts.new_keys import NewKeys
from sqlalchemy import Select, delete, func, select
from sqlalchemy.orm import Session

from hesper_cloud import audit
from hesper_cloud.db.meter_keys import KeyChange, MeterKeyRow
from hesper_cloud.meter_keys import key_set
from hesper_cloud.meter_keys.key_set import CHANGEABLE, Changeable, KeySet
from hesper_cloud.vault import Locked, Vault


class NoKeys(Exception):
    """The keys that are kept do not allow it; the text is what the person is shown."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Who brings keys, from where, and when; for the audit log."""

    actor: str
    source: str
    at: datetime


class Custody:
    """Keeps keys of meters; every call is a part of the caller's write transaction."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault

    def put(self, session: Session, meter: str, keys: KeySet, origin: Origin) -> bool:
        """Makes a set the current one; returns False when it is already.

        Raises:
            NoKeys: a change of this meter's keys is under way.
        """
        before = _row(session, meter, "current")
        if before is not None and self._opened(before) == keys:
            return False
        if _row(session, meter, "pending") is not None:
            raise NoKeys(f"a change of the keys of {meter} is under way")
        version = _next_version(session, meter)
        _note(session, origin, "keys.put", meter, before.version if before else None, version)
        self._retire(session, meter, origin.at)
        session.add(self._locked(meter, version, keys, "current", origin))
        session.flush()
        return True

    def current(self, session: Session, meter: str) -> KeySet | None:
        """Returns the keys that a meter has as far as is proven; None when none are kept.

        Raises:
            VaultBroken: they do not open.
        """
        row = _row(session, meter, "current")
        return self._opened(row) if row else None

    def was_changed(self, session: Session, meter: str) -> bool:
        """Says whether a command has brought the current keys."""
        row = _row(session, meter, "current")
        carried = row and session.scalars(_carried(meter, row.version).limit(1)).first()
        return carried is not None

    def pending(self, session: Session, meter: str) -> tuple[str, KeySet] | None:
        """Returns the keys that a meter may have, with a command that carried them."""
        row = _row(session, meter, "pending")
        if row is None:
            return None
        carried = session.scalars(_carried(meter, row.version)).first()
        return (carried.command_id if carried else ""), self._opened(row)

    def begin(
        self,
        session: Session,
        command_id: str,
        meter: str,
        renew: Sequence[Changeable],
        origin: Origin,
    ) -> NewKeys:
        """Returns the new keys that a command carries, kept as pending; fresh, or open before.

        Raises:
            NoKeys: the keys that the meter has are not kept, or not those that a change needs.
            VaultBroken: they do not open.
        """
        current = self.current(session, meter)
        if current is None:
            raise NoKeys(f"no keys of {meter} are kept here; bring them with: keys import")
        if current.encryption_key is None or current.master_key is None:
            raise NoKeys(
                f"of {meter} no encryption_key and master_key are kept: a change needs both"
            )
        for name in renew:
            if getattr(current, name) is None:
                raise NoKeys(f"of {meter} no {name} is kept")
        row = _row(session, meter, "pending")
        if row is None:
            version, keys = _next_version(session, meter), _renewed(current, renew)
            _note(session, origin, "keys.pending", meter, None, version)
            row = self._locked(meter, version, keys, "pending", origin)
            session.add(row)
        session.add(KeyChange(command_id=command_id, meter=meter, version=row.version))
        session.flush()
        return _difference(current, self._opened(row))

    def settle(self, session: Session, command_id: str, has_new: bool, origin: Origin) -> None:
        """Takes what was proven: the meter has the keys that this command carried, or has not."""
        change = session.get(KeyChange, command_id)
        if change is None:
            return
        row = session.get(MeterKeyRow, (change.meter, change.version))
        newest = _row(session, change.meter, "current")
        if row is None or newest is None or newest.version >= row.version:
            return
        if not has_new and row.state != "pending":
            return
        what = "keys.current" if has_new else "keys.kept"
        _note(session, origin, what, row.meter, newest.version, row.version)
        row.state = "past"  # so that it outlasts those of before
        if has_new:
            self._retire(session, row.meter, origin.at, but=row.version)
            row.state = "current"
        row.settled_at = origin.at
        session.flush()

    def others_carrying(self, session: Session, command_id: str) -> list[str]:
        """Returns the other commands that carried the same set of keys."""
        change = session.get(KeyChange, command_id)
        if change is None:
            return []
        same = session.scalars(_carried(change.meter, change.version))
        return [each.command_id for each in same if each.command_id != command_id]

    def _retire(self, session: Session, meter: str, at: datetime, but: int = 0) -> None:
        """Lets the current set be the past one, and what was past be gone."""
        past = (MeterKeyRow.meter == meter) & (MeterKeyRow.state == "past")
        session.execute(delete(MeterKeyRow).where(past, MeterKeyRow.version != but))
        before = _row(session, meter, "current")
        if before is not None:
            before.state, before.settled_at = "past", at

    def _locked(
        self, meter: str, version: int, keys: KeySet, state: str, origin: Origin
    ) -> MeterKeyRow:
        locked = self._vault.lock(key_set.to_octets(keys), context(meter, version))
        return MeterKeyRow(
            meter=meter,
            version=version,
            state=state,
            origin=origin.source,
            holds=" ".join(keys.names),
            made_at=origin.at,
            master=locked.master,
            wrapped_key=locked.wrapped_key,
            box=locked.box,
        )

    def _opened(self, row: MeterKeyRow) -> KeySet:
        locked = Locked(row.wrapped_key, row.box)
        return key_set.from_octets(self._vault.unlock(locked, context(row.meter, row.version)))


def context(meter: str, version: int) -> str:
    """Returns what a set of keys is bound to."""
    return f"keys {version} of meter {meter}"


def _row(session: Session, meter: str, state: str) -> MeterKeyRow | None:
    query = select(MeterKeyRow).where(MeterKeyRow.meter == meter, MeterKeyRow.state == state)
    return session.scalars(query).one_or_none()


def _next_version(session: Session, meter: str) -> int:
    """Returns a version that was never used, also not by a set that is gone."""
    kept = select(func.max(MeterKeyRow.version)).where(MeterKeyRow.meter == meter)
    carried = select(func.max(KeyChange.version)).where(KeyChange.meter == meter)
    return max(session.scalar(kept) or 0, session.scalar(carried) or 0) + 1


def _renewed(current: KeySet, renew: Sequence[Changeable]) -> KeySet:
    octets = len(current.encryption_key or b"")
    fresh = {name: secrets.token_bytes(octets) for name in renew}
    return msgspec.structs.replace(current, **fresh)


def _difference(current: KeySet, pending: KeySet) -> NewKeys:
    given = {name: getattr(pending, name) for name in CHANGEABLE}
    return NewKeys(**{name: key for name, key in given.items() if key != getattr(current, name)})


def _note(
    session: Session, origin: Origin, action: str, meter: str, before: int | None, after: int
) -> None:
    was = None if before is None else f"version {before}"
    entry = audit.Entry(origin.actor, action, meter, was, f"version {after}", origin.source)
    audit.append(session, origin.at, entry)


def _carried(meter: str, version: int) -> Select[KeyChange]:
    return select(KeyChange).where(KeyChange.meter == meter, KeyChange.version == version)
