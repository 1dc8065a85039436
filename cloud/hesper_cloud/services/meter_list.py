"""The list of meters: which match, in which order, and what a row of it says."""

from collections.abc import Sequence
from dataclasses import asdict
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from hesper_cloud.accounts.roles import Actor
from hesper_cloud.db.engines import reading
from hesper_cloud.db.registry import Alert, Meter
from hesper_cloud.paging import Asked, Order, Orders, mark
from hesper_cloud.services import scope
from hesper_cloud.services.alerts import SEVERITIES
from hesper_cloud.services.meter_filter import terms
from hesper_cloud.services.presence import is_online
from hesper_cloud.services.records import MeterQuery, MeterRow, Page
from hesper_cloud.services.sources import Sources
from hesper_cloud.settings import RuleSettings

_MAX_ROWS = 1000
_ORDERS = Orders(
    by={
        "id": Order(Meter.id, str),
        "customer": Order(Meter.customer, str),
        "address": Order(Meter.address, str),
        "area": Order(Meter.area, str),
        "gateway": Order(Meter.gateway_id, str),
        "last_contact_at": Order(Meter.last_contact_at, datetime),
        "relay": Order(Meter.relay_output, bool),
    },
    unique=Order(Meter.id, str),
    usual="id",
)


def page(sources: Sources, actor: Actor, query: MeterQuery) -> Page[MeterRow]:
    """Returns one page of the meters that match and that the actor sees.

    Raises:
        BadPage: the cursor is not one of this question's.
    """
    now, rules = sources.clock(), sources.settings.rules
    with reading(sources.registry) as session:
        wanted = [*terms(session, query, rules, now), *scope.terms(actor)]
        total = session.scalar(select(func.count()).select_from(Meter).where(*wanted)) or 0
        matching = select(Meter.id).where(*wanted).offset(max(0, query.offset))
        names, following = _ORDERS.page(
            session, matching, _asked(query), found_first=len(wanted) > 1
        )
        meters = _in_order(session, names)
        worst = severities(session, names)
    rows = (row(meter, rules, now, worst.get(meter.id)) for meter in meters)
    return Page(tuple(rows), total, query.offset, following)


def _in_order(session: Session, names: Sequence[str]) -> list[Meter]:
    """Returns some meters in this order: sorting names alone is three times as fast as rows."""
    found = {each.id: each for each in session.scalars(select(Meter).where(Meter.id.in_(names)))}
    return [found[name] for name in names if name in found]


def _asked(query: MeterQuery) -> Asked:
    said = asdict(query)
    place = {name: said.pop(name) for name in ("limit", "cursor", "offset", "sort", "descending")}
    sort = f"-{query.sort}" if query.descending else query.sort
    return Asked(place["limit"], place["cursor"], sort, mark(said))


def ids(sources: Sources, actor: Actor, query: MeterQuery) -> Sequence[str]:
    """Returns the ids of all meters that match and that the actor sees, whatever page is asked."""
    with reading(sources.registry) as session:
        wanted = terms(session, query, sources.settings.rules, sources.clock())
        wanted += scope.terms(actor)
        return session.scalars(select(Meter.id).where(*wanted).order_by(Meter.id)).all()


def row(meter: Meter, rules: RuleSettings, now: datetime, severity: str | None) -> MeterRow:
    """Returns a stored meter as the record that services give out."""
    return MeterRow(
        id=meter.id,
        state=meter.state,
        online=is_online(meter, rules, now),
        gateway=meter.gateway_id,
        customer=meter.customer,
        address=meter.address,
        area=meter.area,
        model=meter.model,
        firmware=meter.firmware,
        life_support=meter.life_support,
        last_contact_at=meter.last_contact_at,
        relay_output=meter.relay_output,
        relay_confirmed_at=meter.relay_confirmed_at,
        severity=severity,
        life=meter.life,
    )


def severities(session: Session, meters: Sequence[str]) -> dict[str, str]:
    """Returns the worst open alert of each meter that has one."""
    query = select(Alert.meter, Alert.severity).where(
        Alert.meter.in_(meters), Alert.state != "cleared"
    )
    worst: dict[str, str] = {}
    for meter, severity in session.execute(query):
        if meter is not None and (
            meter not in worst or SEVERITIES.index(severity) < SEVERITIES.index(worst[meter])
        ):
            worst[meter] = severity
    return worst
