"""Many changes of assets at once: the rows of the registry, and those of its history."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import insert, update
from sqlalchemy.orm import Session

from hesper_cloud.assets.history import By
from hesper_cloud.db.assets import AssetChange, Customer, Sim
from hesper_cloud.db.registry import Meter


@dataclass(frozen=True, slots=True)
class AssetHistory:
    """One row of history that is to be."""

    kind: str
    asset: str
    action: str
    before: dict[str, Any]
    after: dict[str, Any]


def created(kind: str, asset: object, after: dict[str, Any]) -> AssetHistory:
    """Returns what history says of something new."""
    told = {name: value for name, value in after.items() if value is not None}
    return AssetHistory(kind, str(asset), "create", {}, told)


def updated(
    kind: str, asset: str, before: dict[str, Any], after: dict[str, Any], action: str = "update"
) -> AssetHistory:
    """Returns what history says of a change: the fields that differ."""
    changed = {name: value for name, value in after.items() if before.get(name) != value}
    kept = {name: before[name] for name in changed if before.get(name) is not None}
    return AssetHistory(kind, asset, action, kept, changed)


def record(session: Session, changes: Iterable[AssetHistory], by: By) -> None:
    """Puts changes on record, in the transaction that makes them."""
    rows = [
        {
            "kind": each.kind,
            "asset": each.asset,
            "at": by.at,
            "who": by.who,
            "action": each.action,
            "before": _plain(each.before),
            "after": _plain(each.after),
            "reason": by.reason,
        }
        for each in changes
    ]
    if rows:
        insert_all(session, AssetChange, rows)


def insert_all(
    session: Session, model: type[Meter | AssetChange], rows: Sequence[dict[str, Any]]
) -> None:
    """Inserts rows that nothing of this transaction looks at as objects."""
    session.connection().execute(insert(model), rows)


def update_alike(
    session: Session, model: type[Meter | Sim | Customer], rows: Iterable[dict[str, Any]]
) -> None:
    """Updates rows by their keys, those of the same fields with one statement."""
    alike: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for row in rows:
        alike.setdefault(tuple(row), []).append(row)
    for some in alike.values():
        session.execute(update(model), some)


def _plain(fields: dict[str, Any]) -> dict[str, Any]:
    """Returns fields as JSON has them."""
    return {
        name: value.isoformat() if isinstance(value, date | datetime) else value
        for name, value in fields.items()
    }
