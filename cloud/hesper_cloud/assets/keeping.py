"""Assets are created, changed, deleted and restored; each time with its row of history.

Nothing that others still name is deleted. Customers, SIM cards, meters and gateways stay as rows,
with the time of their deletion; areas, models, tariffs and elements that nobody names just go.
"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from hesper_cloud.assets import history, lives, uses
from hesper_cloud.assets.errors import Forbidden, Missing, Outdated, WrongField
from hesper_cloud.assets.history import By
from hesper_cloud.assets.kinds import CUSTOMER, GATEWAY, METER, SIM, Kind
from hesper_cloud.assets.links import follow_links, linked_fields, show_name
from hesper_cloud.db.registry import RegistryBase
from hesper_cloud.worded import worded

_STEPS = {SIM.name: ("state", lives.SIM), METER.name: ("life", lives.METER)}
_STEPS[GATEWAY.name] = ("life", lives.GATEWAY)


def find(session: Session, kind: Kind, key: Any, version: int | None = None) -> Any:
    """Returns a row that was not deleted.

    Raises:
        Missing: there is none.
        Outdated: it has another version than the one named.
    """
    row = session.get(kind.model, key)
    if row is None or getattr(row, "deleted_at", None) is not None:
        raise Missing(worded("there is no {kind} {key}", kind=kind.name, key=key))
    if version is not None and version != present_version(kind, row):
        raise Outdated(
            worded("{kind} {key} was changed meanwhile; read it again", kind=kind.name, key=key)
        )
    return row


def present_version(kind: Kind, row: Any) -> int:
    """Returns the version of a row, 1 where its kind has none."""
    return int(getattr(row, kind.version)) if kind.version else 1


def checked(
    session: Session, kind: Kind, values: Mapping[str, Any], *, whole: bool = False
) -> dict[str, Any]:
    """Returns values as they are kept, after a look at what they name.

    Raises:
        WrongField: a value is not one, or names what is not there.
    """
    kept = kind.checked(values, whole=whole)
    for name, model in kind.references.items():
        value = kept.get(name)
        if value is not None and not _is_there(session, model, value):
            raise WrongField(
                name,
                worded(
                    "there is no {table_word} {value}", table_word=_table_word(model), value=value
                ),
            )
    return kept


def create(session: Session, kind: Kind, values: Mapping[str, Any], by: By) -> Any:
    """Adds an asset and returns its row.

    Raises:
        WrongField: a value is not one, or names what is not there.
        Forbidden: there is one of this name, perhaps deleted.
    """
    kept = checked(session, kind, values, whole=True)
    _check_unique(session, kind, kept)
    links = {name: kept.pop(name) for name in linked_fields(kind) if name in kept}
    row = kind.model(**_born(kind, by) | kept)
    session.add(row)
    session.flush()
    what = (kind.name, str(getattr(row, kind.key)))
    history.record(session, by, what, "create", {}, history.snapshot(row, kept))
    follow_links(session, kind, row, links, by)
    session.flush()
    return row


def _born(kind: Kind, by: By) -> dict[str, Any]:
    """Returns what a new row has besides the fields that a person gives."""
    if kind in (CUSTOMER, SIM):
        return {"created_at": by.at, "updated_at": by.at}
    if kind is METER:
        return {"first_seen_at": by.at, "state": "discovered", "life": "planned"}
    if kind is GATEWAY:
        return {"first_seen_at": by.at, "attributes": {}, "life": "planned"}
    return {}


def change(session: Session, kind: Kind, row: Any, values: Mapping[str, Any], by: By) -> bool:
    """Changes fields of an asset; says whether anything is different now.

    Raises:
        WrongField: a value is not one, names what is not there, or is the asset's own name.
        Forbidden: the state does not follow, or another asset has this number.
    """
    kept = checked(session, kind, values)
    if kind.key in kept and kept[kind.key] != getattr(row, kind.key):
        raise WrongField(kind.key, worded("the name of a {kind} does not change", kind=kind.name))
    kept = {name: value for name, value in kept.items() if value != getattr(row, name)}
    _check_unique(session, kind, kept, row)
    _check_tree(session, kind, row, kept)
    _check_step(session, kind, row, kept)
    links = {name: kept.pop(name) for name in linked_fields(kind) if name in kept}
    if kind is SIM and kept.get("state") == "active" and row.activation_date is None:
        kept.setdefault("activation_date", by.at.date())
    changed = alter(session, kind, row, kept, by)
    if kind is CUSTOMER and "name" in kept:
        show_name(session, row.id, row.name, by)
    return follow_links(session, kind, row, links, by) or changed


def alter(
    session: Session,
    kind: Kind,
    row: Any,
    values: Mapping[str, Any],
    by: By,
    action: str = "update",
) -> bool:
    """Sets fields that were checked, counts the version up and puts it on record."""
    before = history.snapshot(row, values)
    for name, value in values.items():
        setattr(row, name, value)
    after = history.snapshot(row, values)
    what = (kind.name, str(getattr(row, kind.key)))
    if history.record(session, by, what, action, before, after) is None:
        return False
    touch(kind, row, by)
    session.flush()
    return True


def touch(kind: Kind, row: Any, by: By) -> None:
    """Counts a row's version up."""
    if kind.version:
        setattr(row, kind.version, present_version(kind, row) + 1)
    if kind in (CUSTOMER, SIM):
        row.updated_at = by.at


def delete(session: Session, kind: Kind, row: Any, by: By) -> None:
    """Deletes an asset that nothing uses; its history stays.

    Raises:
        Forbidden: something uses it, or it is in service.
    """
    uses.require_unused(session, kind, row)
    if hasattr(row, "deleted_at"):
        alter(session, kind, row, {"deleted_at": by.at}, by, "delete")
        return
    before = history.snapshot(row, kind.fields)
    what = (kind.name, str(getattr(row, kind.key)))
    history.record(session, by, what, "delete", before, dict.fromkeys(before))
    session.delete(row)
    session.flush()


def restore(session: Session, kind: Kind, key: Any, by: By) -> Any:
    """Takes a deletion back and returns the row, without what it named that has gone meanwhile.

    Raises:
        Missing: there is none, or it was not deleted.
    """
    row: Any = session.get(kind.model, key)
    if row is None or getattr(row, "deleted_at", None) is None:
        raise Missing(f"there is no deleted {kind.name} {key}")
    values = {"deleted_at": None} | emptied(session, kind, row)
    alter(session, kind, row, values, by, "restore")
    return row


def emptied(session: Session, kind: Kind, row: Any) -> dict[str, None]:
    """Returns as empty the fields in which a row names what is not there any more.

    What is deleted keeps nothing else from being deleted.
    """
    named = ((name, model, getattr(row, name)) for name, model in kind.references.items())
    gone = {name for name, model, key in named if key and not _is_there(session, model, key)}
    if "customer_id" in gone:
        gone.add("customer")  # the name that the meter shows
    return dict.fromkeys(gone)


def _is_there(session: Session, model: type[RegistryBase], key: Any) -> bool:
    """Says whether there is a row that was not deleted."""
    row = session.get(model, key)
    return row is not None and getattr(row, "deleted_at", None) is None


def _table_word(model: type[RegistryBase]) -> str:
    return {"Sim": "SIM card", "Element": "element"}.get(model.__name__, model.__name__.lower())


def _check_unique(session: Session, kind: Kind, values: Mapping[str, Any], row: Any = None) -> None:
    for names in kind.unique:
        if not any(name in values for name in names):
            continue
        wanted = {name: values.get(name, getattr(row, name, None)) for name in names}
        if None in wanted.values():
            continue
        other = session.scalars(select(kind.model).filter_by(**wanted)).first()
        if other is None or other is row:
            continue
        key, said = getattr(other, kind.key), " ".join(map(str, wanted.values()))
        state = "was deleted; restore it" if getattr(other, "deleted_at", None) else "is there"
        raise Forbidden(
            worded(
                "{kind} {said} {state} ({kind} {key})",
                kind=kind.name,
                said=said,
                state=state,
                key=key,
            )
        )


def _check_tree(session: Session, kind: Kind, row: Any, values: Mapping[str, Any]) -> None:
    """Checks that nothing hangs below itself."""
    above = values.get("parent")
    while above is not None:
        if above == getattr(row, kind.key):
            raise WrongField("parent", worded("{above} would hang below itself", above=above))
        parent: Any = session.get(kind.model, above)
        above = parent.parent if parent is not None else None


def _check_step(session: Session, kind: Kind, row: Any, values: Mapping[str, Any]) -> None:
    name, table = _STEPS.get(kind.name, ("", {}))
    if name in values:
        what = f"{kind.name} {getattr(row, kind.key)}"
        lives.step(table, what, getattr(row, name), values[name])
        if values[name] in ("removed", "retired"):
            uses.require_unused(session, kind, row, ending=True)
