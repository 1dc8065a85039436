"""Lists of assets: what a search looks at, by which orders and filters a list goes."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, false, func, or_, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from hesper_cloud.accounts.roles import Actor
from hesper_cloud.assets.kinds import Kind
from hesper_cloud.db.assets import Area, Customer, MeterModel, Sim, Tariff
from hesper_cloud.db.energy import Element
from hesper_cloud.db.registry import Gateway, Meter
from hesper_cloud.paging import Asked, Order, Orders
from hesper_cloud.services import asset_scope
from hesper_cloud.services.asset_records import AssetQuery
from hesper_cloud.services.containing import holds

_Column = InstrumentedAttribute[Any]
_MOST_WORDS = 8


@dataclass(frozen=True, slots=True)
class AssetList:
    """How one kind is listed: columns that are searched, its orders, fields to filter by."""

    searched: tuple[_Column, ...]
    orders: Orders
    filters: Mapping[str, _Column]


def _text(*columns: _Column) -> dict[str, Order]:
    return {column.key: Order(column, str) for column in columns}


def _list(
    searched: tuple[_Column, ...],
    unique: Order,
    orders: dict[str, Order],
    filters: tuple[_Column, ...] = (),
) -> AssetList:
    usual = next(iter(orders))
    return AssetList(searched, Orders(orders, unique, usual), {each.key: each for each in filters})


_OF_CUSTOMER = (Customer.name, Customer.account_number, Customer.address, Customer.area)
_OF_SIM = (Sim.iccid, Sim.number, Sim.msisdn, Sim.imsi, Sim.provider)
LISTS: Mapping[str, AssetList] = {
    "customer": _list(
        (*_OF_CUSTOMER, Customer.phone, Customer.email),
        Order(Customer.id, int),
        {
            **_text(*_OF_CUSTOMER, Customer.customer_type, Customer.tariff, Customer.state),
            "updated_at": Order(Customer.updated_at, datetime),
        },
        (Customer.area, Customer.customer_type, Customer.tariff, Customer.state),
    ),
    "sim": _list(
        (*_OF_SIM, Sim.ip_address, Sim.meter, Sim.gateway),
        Order(Sim.id, int),
        {
            **_text(*_OF_SIM, Sim.state, Sim.apn, Sim.meter, Sim.gateway),
            "data_used_mb": Order(Sim.data_used_mb, int),
            "data_limit_mb": Order(Sim.data_limit_mb, int),
            "updated_at": Order(Sim.updated_at, datetime),
        },
        (Sim.state, Sim.provider, Sim.apn, Sim.meter, Sim.gateway),
    ),
    "meter": _list(
        (Meter.id, Meter.customer, Meter.address, Meter.area, Meter.brand, Meter.model),
        Order(Meter.id, str),
        _text(Meter.id, Meter.life, Meter.area, Meter.customer, Meter.brand, Meter.model),
        (Meter.life, Meter.area, Meter.gateway_id, Meter.customer_id, Meter.brand, Meter.model),
    ),
    "gateway": _list(
        (Gateway.id, Gateway.address),
        Order(Gateway.id, str),
        _text(Gateway.id, Gateway.life, Gateway.area),
        (Gateway.life, Gateway.area),
    ),
    "area": _list((Area.name,), Order(Area.name, str), _text(Area.name), (Area.parent,)),
    "model": _list(
        (MeterModel.brand, MeterModel.model),
        Order(MeterModel.id, int),
        _text(MeterModel.brand, MeterModel.model),
        (MeterModel.brand, MeterModel.meter_type),
    ),
    "tariff": _list((Tariff.name, Tariff.description), Order(Tariff.name, str), _text(Tariff.name)),
    "element": _list(
        (Element.id, Element.name),
        Order(Element.id, str),
        _text(Element.id, Element.name, Element.kind),
        (Element.kind, Element.parent),
    ),
}


def page(
    session: Session, actor: Actor, kind: Kind, query: AssetQuery, asked: Asked
) -> tuple[list[Any], str | None, int]:
    """Returns a page's rows, the cursor of the next page, and how many match in all.

    Raises:
        BadPage: the list has no such order, or the cursor is of another question.
    """
    wanted = terms(session, actor, kind, query)
    total = session.scalar(select(func.count()).select_from(kind.model).where(*wanted)) or 0
    rows = select(kind.model).where(*wanted)
    found, following = LISTS[kind.name].orders.page(session, rows, asked)
    return found, following, total


def terms(
    session: Session, actor: Actor, kind: Kind, query: AssetQuery
) -> list[ColumnElement[bool]]:
    """Returns the conditions of a question, with those of what the actor sees."""
    listed = LISTS[kind.name]
    found: list[ColumnElement[bool]] = [
        or_(*(holds(session, column, word) for column in listed.searched))
        for word in words(query.search)
    ]
    found += [
        listed.filters[name] == value if "\0" not in str(value) else false()
        for name, value in query.filters.items()
        if value is not None
    ]
    if hasattr(kind.model, "deleted_at"):
        deleted: Any = kind.model.deleted_at
        found.append(deleted.is_not(None) if query.deleted else deleted.is_(None))
    seen = asset_scope.clause(actor, kind)
    return found if seen is None else [*found, seen]


def words(search: str) -> list[str]:
    """Returns the words that all must be found; what cannot be in a text is left out."""
    return search.replace("\0", " ").split()[:_MOST_WORDS]
