"""One search over everything that has a name: what the console's palette asks."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from sqlalchemy import ColumnElement, case, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from hesper_cloud.accounts.roles import Actor
from hesper_cloud.assets.kinds import AREA, CUSTOMER, ELEMENT, GATEWAY, METER, SIM, Kind
from hesper_cloud.db.assets import Area, Customer, Sim
from hesper_cloud.db.energy import Element
from hesper_cloud.db.registry import Gateway, Meter
from hesper_cloud.services import asset_lists
from hesper_cloud.services.asset_records import AssetQuery, SearchHit

MOST_EACH = 20


@dataclass(frozen=True, slots=True)
class _Shown:
    """How a kind's hits are ordered and told."""

    kind: Kind
    first: InstrumentedAttribute[Any]  # hits that begin with what was typed come first
    tell: Callable[[Any], SearchHit]


def _line(*parts: str | None) -> str:
    return " · ".join(part for part in parts if part)


def _meter(row: Meter) -> SearchHit:
    detail = _line(row.customer, row.address, row.area, row.life)
    return SearchHit("meter", row.id, row.id, detail, f"/meters/{row.id}")


def _customer(row: Customer) -> SearchHit:
    detail = _line(row.account_number, row.address, row.area)
    return SearchHit("customer", str(row.id), row.name, detail, f"/customers/{row.id}")


def _sim(row: Sim) -> SearchHit:
    detail = _line(row.msisdn, row.provider, row.state, row.meter or row.gateway)
    return SearchHit("sim", str(row.id), row.iccid, detail, f"/customers/sims/{row.id}")


def _gateway(row: Gateway) -> SearchHit:
    return SearchHit("gateway", row.id, row.id, _line(row.address, row.area), f"/gateways/{row.id}")


def _area(row: Area) -> SearchHit:
    return SearchHit(
        "area", row.name, row.name, row.parent or "", f"/meters?area={quote(row.name)}"
    )


def _element(row: Element) -> SearchHit:
    return SearchHit(
        row.kind, row.id, row.name, _line(row.id, row.parent), f"/meters?feeder={quote(row.id)}"
    )


_SHOWN = (
    _Shown(METER, Meter.id, _meter),
    _Shown(CUSTOMER, Customer.name, _customer),
    _Shown(SIM, Sim.iccid, _sim),
    _Shown(GATEWAY, Gateway.id, _gateway),
    _Shown(AREA, Area.name, _area),
    _Shown(ELEMENT, Element.name, _element),
)


def search(session: Session, actor: Actor, text: str, each: int) -> list[SearchHit]:
    """Returns hits by kind, some of each: serial, name, address, account, ICCID, MSISDN, gateway.

    Everything typed must be found in one asset; what begins with it comes first.
    """
    typed = " ".join(asset_lists.words(text))
    if not typed:
        return []
    found: list[SearchHit] = []
    for shown in _SHOWN:
        terms = asset_lists.terms(session, actor, shown.kind, AssetQuery(search=typed))
        query = select(shown.kind.model).where(*terms).order_by(_rank(shown, typed), shown.first)
        rows = session.scalars(query.limit(min(max(1, each), MOST_EACH))).all()
        found += [shown.tell(row) for row in rows]
    return found


def _rank(shown: _Shown, typed: str) -> ColumnElement[int]:
    begins = shown.first.istartswith(typed, autoescape=True)
    return case((begins, 0), else_=1)
