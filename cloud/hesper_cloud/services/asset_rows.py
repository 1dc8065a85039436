"""Stored assets become the records that services give out; what belongs to many is read at once.

Meters and customers that a record names or counts are those that the actor sees.
"""

from collections.abc import Callable, Sequence
from dataclasses import fields
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from hesper_cloud import quantities
from hesper_cloud.accounts.roles import Actor
from hesper_cloud.assets.kinds import CUSTOMER
from hesper_cloud.assets.uses import models_in_use
from hesper_cloud.db.assets import AssetChange, Customer, MeterExchange, RegisterRead, Sim
from hesper_cloud.db.energy import ElementMeter
from hesper_cloud.db.registry import Gateway, Meter
from hesper_cloud.services.asset_records import (
    AreaRow,
    AssetRow,
    ChangeRow,
    CustomerRow,
    ElementRow,
    ExchangeRow,
    FirmwareSeen,
    GatewayCard,
    MeterCard,
    ModelRow,
    RegisterRow,
    SimRow,
    TariffRow,
)
from hesper_cloud.services.asset_scope import clause
from hesper_cloud.services.scope import narrowed, terms

Rows = Sequence[Any]


class Look(NamedTuple):
    """Who looks, and when; what a record counts is what stands then."""

    session: Session
    actor: Actor
    at: datetime


_Make = Callable[[Look, Rows], list[AssetRow]]


def records(look: Look, kind: str, rows: Rows) -> list[AssetRow]:
    """Returns stored rows of one kind as records, in their order."""
    return _MAKERS[kind](look, rows)


def _same(record: type[Any], row: Any, **more: Any) -> Any:
    """Returns a record whose fields are the row's, and more."""
    names = {each.name for each in fields(record)} - set(more)
    return record(**{name: getattr(row, name) for name in names}, **more)


def _customers(look: Look, rows: Rows) -> list[AssetRow]:
    ids = [row.id for row in rows]
    query = select(Meter.customer_id, Meter.id).where(
        Meter.customer_id.in_(ids), Meter.deleted_at.is_(None), *terms(look.actor)
    )
    serving: dict[int | None, list[str]] = {}
    for customer, meter in look.session.execute(query.order_by(Meter.id)):
        serving.setdefault(customer, []).append(meter)
    return [_same(CustomerRow, row, meters=tuple(serving.get(row.id, ()))) for row in rows]


def _sims(_: Look, rows: Rows) -> list[AssetRow]:
    return [_same(SimRow, row) for row in rows]


def _meters(look: Look, rows: Rows) -> list[AssetRow]:
    return list(meter_cards(look.session, rows))


def meter_cards(session: Session, rows: Rows) -> list[MeterCard]:
    """Returns what people keep of some meters, in their order."""
    ids = [row.sim_id for row in rows if row.sim_id is not None]
    held = session.execute(select(Sim.id, Sim.iccid).where(Sim.id.in_(ids)))
    cards: dict[int | None, str] = {row.id: row.iccid for row in held}
    served = [row.customer_id for row in rows if row.customer_id is not None]
    of = session.execute(
        select(Customer.id, Customer.account_number).where(Customer.id.in_(served))
    )
    accounts: dict[int | None, str] = {row.id: row.account_number for row in of}
    return [
        _same(
            MeterCard,
            row,
            gateway=row.gateway_id,
            iccid=cards.get(row.sim_id),
            account_number=accounts.get(row.customer_id),
        )
        for row in rows
    ]


def _gateways(look: Look, rows: Rows) -> list[AssetRow]:
    held = select(Sim.gateway, Sim.iccid).where(Sim.gateway.in_([row.id for row in rows]))
    cards: dict[str | None, list[str]] = {}
    for gateway, iccid in look.session.execute(held.order_by(Sim.iccid)):
        cards.setdefault(gateway, []).append(iccid)
    return [
        _same(GatewayCard, row, sims=tuple(cards.get(row.id, ())), version=row.revision)
        for row in rows
    ]


def _counted(session: Session, query: Select[Any, int]) -> dict[Any, int]:
    return {key: int(count) for key, count in session.execute(query)}


def _areas(look: Look, rows: Rows) -> list[AssetRow]:
    counts = select(Meter.area, func.count()).where(Meter.deleted_at.is_(None))
    found = _counted(look.session, counts.group_by(Meter.area))
    return [_same(AreaRow, row, meters=found.get(row.name, 0)) for row in rows]


def _models(look: Look, rows: Rows) -> list[AssetRow]:
    found = models_in_use(look.session, *terms(look.actor))
    return [_same(ModelRow, row, meters=found.get(row.id, 0)) for row in rows]


def _tariffs(look: Look, rows: Rows) -> list[AssetRow]:
    counts = select(Customer.tariff, func.count()).where(Customer.deleted_at.is_(None))
    seen = clause(look.actor, CUSTOMER)
    counts = counts if seen is None else counts.where(seen)
    found = _counted(look.session, counts.group_by(Customer.tariff))
    return [_same(TariffRow, row, customers=found.get(row.name, 0)) for row in rows]


def _elements(look: Look, rows: Rows) -> list[AssetRow]:
    counts = select(ElementMeter.element, func.count()).where(ElementMeter.stands(look.at))
    counts = narrowed(counts, look.actor, ElementMeter.meter)
    found = _counted(look.session, counts.group_by(ElementMeter.element))
    return [_same(ElementRow, row, meters=found.get(row.id, 0)) for row in rows]


_MAKERS: dict[str, _Make] = {
    "customer": _customers,
    "sim": _sims,
    "meter": _meters,
    "gateway": _gateways,
    "area": _areas,
    "model": _models,
    "tariff": _tariffs,
    "element": _elements,
}


def change(row: AssetChange) -> ChangeRow:
    """Returns one change as a record."""
    found: ChangeRow = _same(ChangeRow, row)
    return found


def exchange(row: MeterExchange) -> ExchangeRow:
    """Returns one exchange as a record."""
    found: ExchangeRow = _same(ExchangeRow, row, symbol=quantities.symbol(row.unit))
    return found


def registers(reads: Sequence[RegisterRead]) -> list[RegisterRow]:
    """Returns register reads as records."""
    return [_same(RegisterRow, row, symbol=quantities.symbol(row.unit)) for row in reads]


def firmware(session: Session) -> list[FirmwareSeen]:
    """Returns which versions of firmware were seen, and on how many meters and gateways."""
    of_meters = (
        select(Meter.model, Meter.firmware, func.count())
        .where(Meter.firmware.is_not(None), Meter.deleted_at.is_(None))
        .group_by(Meter.model, Meter.firmware)
        .order_by(Meter.model, Meter.firmware)
    )
    of_gateways = (
        select(Gateway.version, func.count())
        .where(Gateway.version.is_not(None), Gateway.deleted_at.is_(None))
        .group_by(Gateway.version)
        .order_by(Gateway.version)
    )
    found = [
        FirmwareSeen("meter", model, version, count)
        for model, version, count in session.execute(of_meters)
        if version is not None
    ]
    return found + [
        FirmwareSeen("gateway", None, version, count)
        for version, count in session.execute(of_gateways)
        if version is not None
    ]
