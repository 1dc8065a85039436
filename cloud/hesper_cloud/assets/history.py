"""The history of assets: who changed which field from what to what, in the change's transaction."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import insert, select, update
from sqlalchemy.orm import Session

from hesper_cloud.db.assets import AssetChange
from hesper_cloud.db.base import RegistryBase

ERASED = "(erased)"
_PENDING = "asset changes"


@dataclass(frozen=True, slots=True)
class By:
    """Who changes something, when, and why."""

    who: str
    at: datetime
    reason: str | None = None


def snapshot(row: RegistryBase, fields: Iterable[str]) -> dict[str, Any]:
    """Returns fields of a row as they are kept in the history: plain JSON."""
    return {name: _plain(getattr(row, name)) for name in fields}


def record(
    session: Session,
    by: By,
    what: tuple[str, str],
    action: str,
    before: Mapping[str, Any],
    after: Mapping[str, Any],
) -> AssetChange | None:
    """Puts a change on record; returns None where nothing changed.

    Args:
        session: The transaction that makes the change.
        by: Who makes it.
        what: Kind and id of the asset.
        action: What is done with it, in a word.
        before: Fields as they were.
        after: Fields as they are now; equal ones are left out of both.
    """
    values = _values(by, what, action, before, after)
    if values is None:
        return None
    row = AssetChange(**values)
    session.add(row)
    session.info.setdefault(_PENDING, []).append(row)
    return row


Told = tuple[tuple[str, str], str, Mapping[str, Any], Mapping[str, Any]]
"""What `record` is told of one change: kind and id, action, fields before and after."""


def record_all(session: Session, by: By, told: Iterable[Told]) -> None:
    """Puts many changes on record with one statement; `pending` says nothing of them."""
    rows = [values for each in told if (values := _values(by, *each)) is not None]
    if rows:
        session.execute(insert(AssetChange), rows)


def _values(
    by: By, what: tuple[str, str], action: str, before: Mapping[str, Any], after: Mapping[str, Any]
) -> dict[str, Any] | None:
    changed = [name for name in after if before.get(name) != after[name]]
    if not changed and action == "update":
        return None
    kind, asset = what
    return {
        "kind": kind,
        "asset": asset,
        "at": by.at,
        "who": by.who,
        "action": action,
        "before": {name: before[name] for name in changed if before.get(name) is not None},
        "after": {name: after[name] for name in changed},
        "reason": by.reason,
    }


def pending(session: Session) -> list[AssetChange]:
    """Returns the changes that this transaction has put on record."""
    return list(session.info.get(_PENDING, ()))


def changes(
    session: Session, kind: str, asset: str, before: int | None, limit: int
) -> Sequence[AssetChange]:
    """Returns the changes of one asset, newest first, those with a smaller number where asked."""
    query = select(AssetChange).where(AssetChange.kind == kind, AssetChange.asset == asset)
    if before is not None:
        query = query.where(AssetChange.id < before)
    return session.scalars(query.order_by(AssetChange.id.desc()).limit(limit)).all()


def forget(
    session: Session,
    what: tuple[str, str],
    fields: Iterable[str],
    since: datetime | None = None,
    until: datetime | None = None,
) -> int:
    """Takes the values of fields out of an asset's history; returns from how many changes.

    That a field was changed, when and by whom stays on record.

    Args:
        session: In a writing transaction.
        what: Kind and id of the asset.
        fields: Whose values go.
        since: From when on; what was until then stays, also in the change of that moment.
        until: Until when; what is from then on stays, also in the change of that moment.
    """
    kind, asset = what
    names = set(fields)
    touched = 0
    others_before, others_after = (since, until) if since != until else (None, None)
    query = select(AssetChange).where(AssetChange.kind == kind, AssetChange.asset == asset)
    if since is not None:
        query = query.where(AssetChange.at >= since)
    if until is not None:
        query = query.where(AssetChange.at <= until)
    for row in session.scalars(query).all():
        kept = [
            row.before if row.at == others_before else _without(row.before, names),
            row.after if row.at == others_after else _without(row.after, names),
        ]
        if kept != [row.before, row.after]:
            values = {"before": kept[0], "after": kept[1], "reason": None}
            session.execute(update(AssetChange).where(AssetChange.id == row.id).values(values))
            touched += 1
    return touched


def _without(document: Mapping[str, Any], names: set[str]) -> dict[str, Any]:
    return {
        name: ERASED if name in names and value is not None else value
        for name, value in document.items()
    }


def _plain(value: Any) -> Any:
    return value.isoformat() if isinstance(value, date | datetime) else value
