"""What still uses an asset, and so keeps it from being deleted or taken out of use."""

from typing import Any

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from hesper_cloud.assets.errors import Forbidden
from hesper_cloud.assets.kinds import Kind
from hesper_cloud.assets.lives import IN_SERVICE, in_service
from hesper_cloud.db.assets import Area, Customer, MeterModel
from hesper_cloud.db.energy import Element, ElementMeter
from hesper_cloud.db.registry import Gateway, Meter
from hesper_cloud.worded import worded

_Count = Select[int]


def require_unused(session: Session, kind: Kind, row: Any, *, ending: bool = False) -> None:
    """Checks that nothing uses an asset; ``ending`` asks for the end of its use, not of its row.

    Raises:
        Forbidden: something does; the text says how much of it.
    """
    name = f"{kind.name} {getattr(row, kind.key)}"
    if not ending:
        _require_out_of_service(kind, row, name)
    if kind.name == "sim" and (row.meter or row.gateway):
        raise Forbidden(
            worded(
                "SIM card {iccid} is in {meter}; take it out first",
                iccid=row.iccid,
                meter=row.meter or row.gateway,
            )
        )
    for what, query in _counts(kind, row).items():
        count = session.scalar(query) or 0
        if count:
            raise Forbidden(
                worded("{name} is still used: {count} {what}", name=name, count=count, what=what)
            )


def _require_out_of_service(kind: Kind, row: Any, name: str) -> None:
    if kind.name in ("meter", "gateway") and row.life in IN_SERVICE:
        raise Forbidden(worded("{name} is {life}; remove it first", name=name, life=row.life))
    if kind.name == "sim" and row.state in ("active", "suspended"):
        raise Forbidden(
            worded("SIM card {iccid} is {state}; retire it first", iccid=row.iccid, state=row.state)
        )


def _counts(kind: Kind, row: Any) -> dict[str, _Count]:
    if kind.name == "customer":
        return {"meters": _meters(Meter.customer_id == row.id)}
    if kind.name == "gateway":
        return {"meters in service": _meters(Meter.gateway_id == row.id, in_service())}
    if kind.name == "area":
        return _of_area(row.name)
    if kind.name == "tariff":
        return {"customers": _customers(Customer.tariff == row.name)}
    if kind.name == "element":
        children = select(func.count()).select_from(Element).where(Element.parent == row.id)
        places = select(func.count()).select_from(ElementMeter)
        return {
            "elements below it": children,
            "meters": places.where(ElementMeter.element == row.id),
        }
    return {}


def _of_area(name: str) -> dict[str, _Count]:
    below = select(func.count()).select_from(Area).where(Area.parent == name)
    gateways = select(func.count()).select_from(Gateway)
    return {
        "meters": _meters(Meter.area == name),
        "customers": _customers(Customer.area == name),
        "gateways": gateways.where(Gateway.area == name, Gateway.deleted_at.is_(None)),
        "areas below it": below,
    }


def _meters(*terms: Any) -> _Count:
    return select(func.count()).select_from(Meter).where(*terms, Meter.deleted_at.is_(None))


def _customers(*terms: Any) -> _Count:
    return select(func.count()).select_from(Customer).where(*terms, Customer.deleted_at.is_(None))


def models_in_use(session: Session, *terms: Any) -> dict[int, int]:
    """Returns how many meters there are of each model that is kept, of those that meet terms."""
    same = (Meter.brand == MeterModel.brand) & (Meter.model == MeterModel.model)
    query = select(MeterModel.id, func.count()).join(Meter, same)
    rows = session.execute(query.where(Meter.deleted_at.is_(None), *terms).group_by(MeterModel.id))
    return {number: int(count) for number, count in rows}
