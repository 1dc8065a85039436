"""Rows change assets that are there: only the fields that differ, each change with its history."""

from collections.abc import Callable, Sequence
from typing import Any

from sqlalchemy.orm import Session

from hesper_cloud.assets.history import By
from hesper_cloud.assets.links import show_name
from hesper_cloud.db.assets import Customer, Sim
from hesper_cloud.db.registry import Meter
from hesper_cloud.imports.entering import placed, serve
from hesper_cloud.imports.history import AssetHistory, record, update_alike, updated
from hesper_cloud.imports.known import Known
from hesper_cloud.imports.rows import Change, Row

_Changed = Sequence[tuple[Row, Change]]


def change(session: Session, kind: str, rows: Sequence[Row], known: Known, by: By) -> int:
    """Makes the changes of rows that have one; returns how many changed anything."""
    changed = [(row, row.change) for row in rows if row.change is not None and row.change.after]
    if changed:
        _CHANGE[kind](session, changed, known, by)
    return len(changed)


def _customers(session: Session, rows: _Changed, known: Known, by: By) -> None:
    own = [_without(each, "meter") for _, each in rows]
    update_alike(session, Customer, [_row(each, by) for each in own if each.after])
    record(session, [_history("customer", each) for each in own if each.after], by)
    for each in own:
        if "name" in each.after:
            show_name(session, each.asset, each.after["name"], by)
    served = [(row, each.asset) for row, each in rows if "meter" in each.after]
    record(session, serve(session, served, known), by)


def _meters(session: Session, rows: _Changed, known: Known, by: By) -> None:
    cards: list[dict[str, Any]] = []
    history: list[AssetHistory] = []
    there = known.present or {}
    for row, each in rows:
        if "sim_id" in each.after:
            (card,) = known.cards(row.values["simCard"])
            cards.append(placed(card, each.asset, by))
            history.append(updated("sim", str(card.id), {}, {"meter": each.asset}))
        installed = "life" in each.after
        if installed and there[each.asset].values["last_contact_at"] is None:
            each.after["first_seen_at"] = by.at  # its silence counts from now on
        history.append(_history("meter", each, "install" if installed else "update"))
    update_alike(
        session,
        Meter,
        [each.after | {"id": each.asset, "version": each.version + 1} for _, each in rows],
    )
    update_alike(session, Sim, cards)
    record(session, history, by)


def _cards(session: Session, rows: _Changed, known: Known, by: By) -> None:
    there = {each.key: each for each in (known.present or {}).values()}
    for _, each in rows:
        dated = each.after.get("activation_date") or there[each.asset].values.get("activation_date")
        if each.after.get("state") == "active" and dated is None:
            each.after["activation_date"] = by.at.date()
    update_alike(session, Sim, [_row(each, by) for _, each in rows])
    record(session, [_history("sim", each) for _, each in rows], by)


_CHANGE: dict[str, Callable[[Session, _Changed, Known, By], None]] = {
    "customers": _customers,
    "meters": _meters,
    "simcards": _cards,
    "simuse": _cards,
}


def _row(each: Change, by: By) -> dict[str, Any]:
    return each.after | {"id": each.asset, "version": each.version + 1, "updated_at": by.at}


def _history(kind: str, each: Change, action: str = "update") -> AssetHistory:
    return updated(kind, str(each.asset), each.before, each.after, action)


def _without(each: Change, name: str) -> Change:
    after = {field: value for field, value in each.after.items() if field != name}
    return Change(each.asset, each.version, each.before, after)
