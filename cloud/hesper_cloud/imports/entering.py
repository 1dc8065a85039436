"""Rows enter the registry, many with each statement; every change has its row of history."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import insert, update
from sqlalchemy.orm import Session

from hesper_cloud.assets.history import By
from hesper_cloud.db.assets import AssetChange, Customer, Sim
from hesper_cloud.db.registry import Meter
from hesper_cloud.imports.known import Known, KnownMeter
from hesper_cloud.imports.rows import Row

_INSTALLED, _STOCK, _DISCOVERED = "installed", "stock", "discovered"
_CUSTOMER_FIELDS = {
    "name": "customerName",
    "account_number": "accountNumber",
    "address": "address",
    "phone": "phoneNumber",
    "email": "email",
    "area": "area",
    "customer_type": "customerType",
    "tariff": "tariffPlan",
    "connection_date": "connectionDate",
}
_METER_FIELDS = {
    "gateway_id": "concentratorId",
    "meter_type": "meterType",
    "brand": "brand",
    "model": "model",
    "firmware": "firmware",
    "ip_address": "ipAddress",
    "port": "port",
    "area": "area",
}
_SIM_FIELDS = {
    "number": "simNumber",
    "iccid": "iccid",
    "imsi": "imsi",
    "msisdn": "msisdn",
    "provider": "provider",
    "state": "status",
    "ip_address": "ipAddress",
    "apn": "apn",
    "data_limit_mb": "dataLimit",
    "activation_date": "activationDate",
}


@dataclass(frozen=True, slots=True)
class _Change:
    """One row of history that is to be."""

    kind: str
    asset: str
    action: str
    before: dict[str, Any]
    after: dict[str, Any]


def customers(session: Session, rows: Sequence[Row], known: Known, by: By) -> None:
    """Adds customers, and puts each behind the meter that its row names."""
    born = {"created_at": by.at, "updated_at": by.at, "state": "active"}
    entered = [_fields(row, _CUSTOMER_FIELDS) for row in rows]
    ids = _inserted(
        session,
        insert(Customer).returning(Customer.account_number, Customer.id),
        [each | born for each in entered],
    )
    changes = [_create("customer", ids[each["account_number"]], each) for each in entered]
    served: list[dict[str, Any]] = []
    for row, each in zip(rows, entered, strict=True):
        meter = row.values.get("meterAssigned")
        if meter is None:
            continue
        there = known.meters[meter]
        after = {
            "customer_id": ids[each["account_number"]],
            "customer": each["name"],
            "address": there.address or each["address"],
            "area": there.area or each["area"],
        }
        served.append({"id": meter, "version": there.version + 1} | after)
        changes.append(_update("meter", meter, _were(there, after), after))
    _update_all(session, Meter, served)
    _record(session, changes, by)


def meters(session: Session, rows: Sequence[Row], known: Known, by: By) -> None:
    """Adds meters, completes those that were only discovered, and puts SIM cards into them."""
    added: list[dict[str, Any]] = []
    completed: list[dict[str, Any]] = []
    cards: list[dict[str, Any]] = []
    changes: list[_Change] = []
    for row in rows:
        name = row.values["meterNumber"]
        there = known.meters.get(name)
        after = _meter(row, known, there)
        if there is None:
            added.append({"id": name, "life_support": False, "first_seen_at": by.at} | after)
            changes.append(_create("meter", name, after))
        else:
            told = {field: value for field, value in after.items() if value is not None}
            completed.append({"id": name, "version": there.version + 1} | after)
            changes.append(_update("meter", name, _were(there, told), told))
        if row.values.get("simCard") is not None:
            card = known.sims[row.values["simCard"]][0]
            placed = {"id": card.id, "meter": name, "version": card.version + 1}
            cards.append(placed | {"updated_at": by.at})
            changes.append(_update("sim", str(card.id), {}, {"meter": name}))
    if added:
        session.execute(insert(Meter), added)
    _complete(session, completed)
    _update_all(session, Sim, cards)
    _record(session, changes, by)


def simcards(session: Session, rows: Sequence[Row], _known: Known, by: By) -> None:
    """Adds SIM cards."""
    born = {"created_at": by.at, "updated_at": by.at}
    entered = [_fields(row, _SIM_FIELDS) for row in rows]
    for each in entered:
        each["state"] = each["state"] or _STOCK
    ids = _inserted(
        session,
        insert(Sim).returning(Sim.iccid, Sim.id),
        [each | born for each in entered],
    )
    _record(session, [_create("sim", ids[each["iccid"]], each) for each in entered], by)


ENTER: dict[str, Callable[[Session, Sequence[Row], Known, By], None]] = {
    "customers": customers,
    "meters": meters,
    "simcards": simcards,
}


def _fields(row: Row, names: dict[str, str]) -> dict[str, Any]:
    return {field: row.values.get(title) for field, title in names.items()}


def _meter(row: Row, known: Known, there: KnownMeter | None) -> dict[str, Any]:
    """Returns the fields of a meter: its row's, its customer's, its model's, what it had."""
    found = _fields(row, _METER_FIELDS)
    customer = known.customers.get(row.values.get("customer") or "")
    cards = known.sims.get(row.values.get("simCard") or "")
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


def _were(there: KnownMeter, after: dict[str, Any]) -> dict[str, Any]:
    """Returns what fields of a meter held before, where an import looked."""
    held = asdict(there) | {"gateway_id": there.gateway}
    return {name: held.get(name) for name in after}


def _inserted(session: Session, statement: Any, rows: list[dict[str, Any]]) -> dict[str, int]:
    """Inserts rows and returns their numbers by the name that each has."""
    return {row[0]: row[1] for row in session.execute(statement, rows)} if rows else {}


def _complete(session: Session, rows: list[dict[str, Any]]) -> None:
    """Sets what rows tell; an empty cell leaves what the meter told of itself."""
    alike: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for row in rows:
        told = {name: value for name, value in row.items() if value is not None}
        alike.setdefault(tuple(told), []).append(told)
    for some in alike.values():
        _update_all(session, Meter, some)


def _update_all(session: Session, model: type[Meter | Sim], rows: list[dict[str, Any]]) -> None:
    if rows:
        session.execute(update(model), rows)


def _create(kind: str, asset: object, after: dict[str, Any]) -> _Change:
    told = {name: value for name, value in after.items() if value is not None}
    return _Change(kind, str(asset), "create", {}, told)


def _update(kind: str, asset: str, before: dict[str, Any], after: dict[str, Any]) -> _Change:
    """Returns a change of the fields that differ."""
    changed = {name: value for name, value in after.items() if before.get(name) != value}
    kept = {name: before[name] for name in changed if before.get(name) is not None}
    return _Change(kind, asset, "update", kept, changed)


def _record(session: Session, changes: Iterable[_Change], by: By) -> None:
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
        session.execute(insert(AssetChange), rows)


def _plain(fields: dict[str, Any]) -> dict[str, Any]:
    """Returns fields as JSON has them."""
    return {
        name: value.isoformat() if isinstance(value, date | datetime) else value
        for name, value in fields.items()
    }
