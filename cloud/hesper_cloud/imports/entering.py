"""New rows enter the registry, many with each statement; each has its row of history."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from sqlalchemy import insert
from sqlalchemy.orm import Session

from hesper_cloud.assets.history import By
from hesper_cloud.db.assets import Customer, Sim
from hesper_cloud.db.registry import Meter
from hesper_cloud.imports.history import (
    AssetHistory,
    created,
    insert_all,
    record,
    update_alike,
    updated,
)
from hesper_cloud.imports.known import Known, KnownMeter, KnownSim
from hesper_cloud.imports.present import FIELDS
from hesper_cloud.imports.rows import Row

_INSTALLED, _STOCK, _DISCOVERED = "installed", "stock", "discovered"


def customers(session: Session, rows: Sequence[Row], known: Known, by: By) -> None:
    """Adds customers, and puts each behind the meter that its row names."""
    born = {"created_at": by.at, "updated_at": by.at, "state": "active"}
    entered = [fields_of("customers", row) for row in rows]
    ids = _inserted(
        session,
        insert(Customer).returning(Customer.account_number, Customer.id),
        [each | born for each in entered],
    )
    changes = [created("customer", ids[each["account_number"]], each) for each in entered]
    pairs = [(row, ids[each["account_number"]]) for row, each in zip(rows, entered, strict=True)]
    changes += serve(session, pairs, known)
    record(session, changes, by)


def serve(session: Session, rows: Sequence[tuple[Row, int]], known: Known) -> list[AssetHistory]:
    """Puts customers behind the meters that their rows name; returns what that changes.

    Args:
        session: In a writing transaction.
        rows: Each with the number of its customer.
        known: The meters that the rows name.
    """
    served: list[dict[str, Any]] = []
    changes: list[AssetHistory] = []
    for row, customer in rows:
        meter = row.values.get("meterAssigned")
        if meter is None:
            continue
        there = known.meters[meter]
        after = {
            "customer_id": customer,
            "customer": row.values["customerName"],
            "address": there.address or row.values.get("address"),
            "area": there.area or row.values.get("area"),
        }
        served.append({"id": meter, "version": there.version + 1} | after)
        changes.append(updated("meter", meter, _were(there, after), after))
    update_alike(session, Meter, served)
    return changes


def meters(session: Session, rows: Sequence[Row], known: Known, by: By) -> None:
    """Adds meters, completes those that were only discovered, and puts SIM cards into them."""
    added: list[dict[str, Any]] = []
    completed: list[dict[str, Any]] = []
    cards: list[dict[str, Any]] = []
    changes: list[AssetHistory] = []
    for row in rows:
        name = row.values["meterNumber"]
        there = known.meters.get(name)
        after = _meter(row, known, there)
        if there is None:
            added.append({"id": name, "life_support": False, "first_seen_at": by.at} | after)
            changes.append(created("meter", name, after))
        else:
            told = {field: value for field, value in after.items() if value is not None}
            completed.append({"id": name, "version": there.version + 1} | after)
            changes.append(updated("meter", name, _were(there, told), told))
        if row.values.get("simCard") is not None:
            (card,) = known.cards(row.values["simCard"])
            cards.append(placed(card, name, by))
            changes.append(updated("sim", str(card.id), {}, {"meter": name}))
    if added:
        insert_all(session, Meter, added)
    update_alike(session, Meter, [_told(each) for each in completed])
    update_alike(session, Sim, cards)
    record(session, changes, by)


def simcards(session: Session, rows: Sequence[Row], _known: Known, by: By) -> None:
    """Adds SIM cards."""
    born = {"created_at": by.at, "updated_at": by.at}
    entered = [fields_of("simcards", row) for row in rows]
    for each in entered:
        each["state"] = each["state"] or _STOCK
    ids = _inserted(
        session,
        insert(Sim).returning(Sim.iccid, Sim.id),
        [each | born for each in entered],
    )
    record(session, [created("sim", ids[each["iccid"]], each) for each in entered], by)


ENTER: dict[str, Callable[[Session, Sequence[Row], Known, By], None]] = {
    "customers": customers,
    "meters": meters,
    "simcards": simcards,
}


def fields_of(kind: str, row: Row) -> dict[str, Any]:
    """Returns a row's values by the fields of the registry."""
    return {name: row.values.get(title) for name, title in FIELDS[kind].items()}


def _meter(row: Row, known: Known, there: KnownMeter | None) -> dict[str, Any]:
    """Returns the fields of a meter: its row's, its customer's, its model's, what it had."""
    found = fields_of("meters", row)
    customer = known.customers.get(row.values.get("customer") or "")
    cards = known.cards(row.values.get("simCard"))
    model = (row.values.get("brand") or "", row.values.get("model") or "")
    meter_type, template = known.models.get(model, (None, None))
    found["meter_type"] = found["meter_type"] or meter_type
    found |= {"template": template, "state": _DISCOVERED}
    found["life"] = _INSTALLED if there or found["gateway_id"] else _STOCK
    found["customer_id"] = customer.id if customer else None
    found["customer"] = customer.name if customer else None
    found["address"] = customer.address if customer else None
    found["area"] = found["area"] or (customer.area if customer else None)
    found["sim_id"] = cards[0].id if cards else None
    return found


def placed(card: KnownSim, meter: str, by: By) -> dict[str, Any]:
    """Returns the row of a SIM card that is put into a meter."""
    return {"id": card.id, "meter": meter, "version": card.version + 1, "updated_at": by.at}


def _told(row: dict[str, Any]) -> dict[str, Any]:
    """Returns what a row tells; an empty cell leaves what the meter told of itself."""
    return {name: value for name, value in row.items() if value is not None}


def _were(there: KnownMeter, after: dict[str, Any]) -> dict[str, Any]:
    """Returns what fields of a meter held before, where an import looked."""
    held = asdict(there) | {"gateway_id": there.gateway}
    return {name: held.get(name) for name in after}


def _inserted(session: Session, statement: Any, rows: list[dict[str, Any]]) -> dict[str, int]:
    """Inserts rows and returns their numbers by the name that each has."""
    return {row[0]: row[1] for row in session.execute(statement, rows)} if rows else {}
