"""Which assets an actor of some areas sees: those there, and SIM cards that are in nothing.

Of the grid these are the elements that lead to meters there. Lists that hold for the whole company,
models and tariffs, everybody sees.
"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import ColumnElement, and_, or_, select
from sqlalchemy.orm import Session

from hesper_cloud.accounts.roles import Actor, Permission
from hesper_cloud.assets.kinds import CUSTOMER, GATEWAY, KINDS, METER, SIM, Kind
from hesper_cloud.db.assets import Area, Customer, Sim
from hesper_cloud.db.energy import Element, ElementMeter
from hesper_cloud.db.registry import Gateway, Meter
from hesper_cloud.services.errors import NotFound, NotPermitted
from hesper_cloud.services.scope import require_everywhere
from hesper_cloud.services.sources import require
from hesper_cloud.worded import worded

_SCOPED = {Meter: "meter", Customer: "customer", Sim: "sim", Gateway: "gateway", Area: "area"}
_KEPT_BY_OPERATORS = (CUSTOMER.name, SIM.name, METER.name, GATEWAY.name)


def clause(actor: Actor, kind: Kind) -> ColumnElement[bool] | None:
    """Returns the condition that the actor sees a row, None where it sees all."""
    if actor.areas is None:
        return None
    there = Meter.area.in_(actor.areas)
    if kind.name == "customer":
        served = select(Meter.customer_id).where(there, Meter.customer_id.is_not(None))
        return or_(Customer.area.in_(actor.areas), Customer.id.in_(served))
    if kind.name == "sim":
        held = Sim.meter.in_(select(Meter.id).where(there))
        return or_(held, Sim.gateway.in_(_gateways(actor)), and_(_loose(Sim.meter, Sim.gateway)))
    if kind.name == "meter":
        return there
    if kind.name == "gateway":
        return Gateway.id.in_(_gateways(actor))
    if kind.name == "area":
        return Area.name.in_(actor.areas)
    if kind.name == "element":
        return Element.id.in_(_leading_to(there))
    return None


def _leading_to(there: ColumnElement[bool]) -> Any:
    """Returns the elements at which some meters are or were, and all above them."""
    own = select(Element.id, Element.parent).join(ElementMeter, ElementMeter.element == Element.id)
    own = own.where(ElementMeter.meter.in_(select(Meter.id).where(there)))
    leading = own.cte("leading", recursive=True)
    above = select(Element.id, Element.parent).join(leading, Element.id == leading.c.parent)
    return select(leading.union(above).c.id)


def _loose(*columns: Any) -> ColumnElement[bool]:
    return and_(*(column.is_(None) for column in columns))


def _gateways(actor: Actor) -> Any:
    areas = actor.areas or ()
    behind = select(Meter.gateway_id).where(Meter.area.in_(areas), Meter.gateway_id.is_not(None))
    return select(Gateway.id).where(or_(Gateway.area.in_(areas), Gateway.id.in_(behind)))


def _elements(there: ColumnElement[bool]) -> Any:
    """Returns the elements that some meters stand or stood at, and all above them."""
    at = select(ElementMeter.element).join(Meter, Meter.id == ElementMeter.meter).where(there)
    leading = at.cte("leading", recursive=True)
    above = select(Element.parent).join(leading, Element.id == leading.c.element)
    return select(leading.union(above.where(Element.parent.is_not(None))).c.element)


def sees(session: Session, actor: Actor, kind: Kind, key: Any) -> bool:
    """Says whether the actor sees one asset; of one that does not exist, whether it sees all."""
    seen = clause(actor, kind)
    if seen is None:
        return True
    column = getattr(kind.model, kind.key)
    return session.scalar(select(column).where(column == key, seen)) is not None


def require_seen(session: Session, actor: Actor, kind: Kind, key: Any) -> None:
    """Checks that an asset is the actor's to see.

    Raises:
        NotFound: it is elsewhere, or does not exist.
    """
    if not sees(session, actor, kind, key):
        raise NotFound(worded("there is no {kind} {key}", kind=kind.name, key=key))


def require_still_seen(session: Session, actor: Actor, kind: Kind, key: Any) -> None:
    """Checks that a change leaves an asset where the actor may keep it.

    Raises:
        NotPermitted: it would be outside the actor's areas.
    """
    if not sees(session, actor, kind, key):
        areas = ", ".join(actor.areas or ())
        raise NotPermitted(
            worded("this {kind} would not be in your areas: {areas}", kind=kind.name, areas=areas)
        )


def require_keeper(actor: Actor, kind: Kind) -> None:
    """Checks that the actor may change assets of a kind.

    Raises:
        NotPermitted: the role or its areas do not allow it.
    """
    if kind.name in _KEPT_BY_OPERATORS:
        require(actor, Permission.EDIT_ASSETS)
        return
    require(actor, Permission.ADMINISTER)
    require_everywhere(actor, f"a list of {kind.name}s")


def require_named_seen(
    session: Session, actor: Actor, kind: Kind, values: Mapping[str, Any]
) -> None:
    """Checks that what a change names is the actor's to see."""
    for name, model in kind.references.items():
        other, value = _SCOPED.get(model), values.get(name)
        if other is not None and value is not None:
            require_seen(session, actor, KINDS[other], key_of(KINDS[other], value))


def key_of(kind: Kind, key: Any) -> Any:
    """Returns a key as its column takes it.

    Raises:
        NotFound: nothing can have it.
    """
    if kind.key == "id" and kind.name in ("customer", "sim", "model"):
        if str(key).isdecimal() and len(str(key)) < 10:
            return int(key)
        raise NotFound(worded("there is no {kind} {key}", kind=kind.name, key=key))
    if "\0" in str(key):
        raise NotFound(worded("there is no such {kind}", kind=kind.name))
    return key
