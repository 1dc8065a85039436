"""Which meters a question means, as terms of a query."""

from collections.abc import Iterable
from datetime import datetime, timedelta

from hesper_contracts.versions import at_least
from sqlalchemy import ColumnElement, and_, false, or_, select, true
from sqlalchemy.orm import Session

from hesper_cloud.assets.lives import in_service
from hesper_cloud.db.energy import Element, ElementMeter
from hesper_cloud.db.registry import Meter
from hesper_cloud.rules.silence import unheard
from hesper_cloud.services.containing import holds
from hesper_cloud.services.presence import online_clause
from hesper_cloud.services.records import MeterQuery
from hesper_cloud.settings import RuleSettings

Terms = list[ColumnElement[bool]]


def terms(session: Session, query: MeterQuery, rules: RuleSettings, now: datetime) -> Terms:
    """Returns the terms that all meters of a question meet; what is not asked adds none."""
    return [
        _life(query),
        *_search(session, query),
        *_presence(session, query, rules, now),
        *_relay(query),
        *_equal(query),
        *_within(query),
        *([_at(query.feeder, now)] if query.feeder else []),
        *([_old(session)] if query.old_firmware else []),
    ]


def _life(query: MeterQuery) -> ColumnElement[bool]:
    """Returns the term for where meters are in their lives: in service, unless another is asked."""
    if query.life is None:
        return in_service()
    asked = true() if query.life == "any" else Meter.life == query.life
    return and_(asked, Meter.deleted_at.is_(None))


def _search(session: Session, query: MeterQuery) -> Terms:
    """Returns a term for each word, which one of the columns must hold."""
    columns = (Meter.id, Meter.customer, Meter.address, Meter.area)
    return [
        or_(*(holds(session, column, word) for column in columns)) for word in query.search.split()
    ]


def _presence(session: Session, query: MeterQuery, rules: RuleSettings, now: datetime) -> Terms:
    found: Terms = []
    if query.state in ("discovered", "commissioned"):
        found.append(Meter.state == query.state)
    elif query.state is not None:
        asked = online_clause if query.state == "online" else unheard
        found.append(asked(session, rules, now))
    if query.silent_for_h is not None:
        since = now - timedelta(hours=query.silent_for_h)
        found.append(or_(Meter.last_contact_at < since, Meter.last_contact_at.is_(None)))
    return found


def _relay(query: MeterQuery) -> Terms:
    if query.relay is None:
        return []
    wanted = {"connected": True, "disconnected": False}.get(query.relay)
    return [Meter.relay_output.is_(wanted)]


def _equal(query: MeterQuery) -> Terms:
    asked = (
        (Meter.gateway_id, query.gateway),
        (Meter.model, query.model),
        (Meter.area, query.area),
        (Meter.firmware, query.firmware),
    )
    return [column == wanted for column, wanted in asked if wanted is not None]


def _within(query: MeterQuery) -> Terms:
    if query.box is None:
        return []
    south, west, north, east = query.box
    return [Meter.latitude.between(south, north), Meter.longitude.between(west, east)]


def _at(element: str, now: datetime) -> ColumnElement[bool]:
    """Returns the term for meters that hang at an element of the grid now, or at one below it."""
    below = select(Element.id).where(Element.id == element).cte("below", recursive=True)
    below = below.union(select(Element.id).join(below, Element.parent == below.c.id))
    hanging = select(ElementMeter.meter).where(
        ElementMeter.element.in_(select(below.c.id)),
        ElementMeter.role == "customer",
        ElementMeter.stands(now),
    )
    return Meter.id.in_(hanging)


def _old(session: Session) -> ColumnElement[bool]:
    """Returns the term for firmware that another meter of the same model has a later one of."""
    pairs = session.execute(select(Meter.model, Meter.firmware).distinct()).all()
    known = [(model, firmware) for model, firmware in pairs if model and firmware]
    superseded = [
        and_(Meter.model == model, Meter.firmware == firmware)
        for model, firmware in known
        if _is_superseded(firmware, (other for of, other in known if of == model))
    ]
    return or_(false(), *superseded)


def _is_superseded(firmware: str, others: Iterable[str]) -> bool:
    return any(other != firmware and at_least(other, firmware) for other in others)
