"""Which alerts a question is about, and in which orders they are listed."""

from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import Select, and_, or_

from hesper_cloud.accounts.roles import Actor
from hesper_cloud.alerting.changes import is_open
from hesper_cloud.db.alerting import Alert
from hesper_cloud.db.engines import PER_QUERY
from hesper_cloud.paging import Order, Orders
from hesper_cloud.services import scope
from hesper_cloud.services.alert_records import AlertFilter
from hesper_cloud.services.errors import Invalid
from hesper_cloud.worded import worded

S = TypeVar("S", bound=Select[*tuple[Any, ...]])
OPEN = "open"
NOBODY = "nobody"
STATES = ("new", "acknowledged", "shelved", "cleared", OPEN)
ORDERS = Orders(
    {
        "priority": Order(Alert.priority, int),
        "raised_at": Order(Alert.raised_at, datetime),
        "changed_at": Order(Alert.changed_at, datetime),
        "id": Order(Alert.id, int),
    },
    Order(Alert.id, int),
    "-priority",
)
_EQUAL = ("severity", "rule", "meter", "gateway", "element", "area")


def seen(query: S, actor: Actor) -> S:
    """Returns a query for those alerts that the actor may see.

    Of a meter or gateway as everywhere; of an element, those whose meters are all in one of the
    actor's areas.
    """
    own = scope.clause(actor, Alert.meter, Alert.gateway)
    if own is None:
        return query
    of_area = and_(
        Alert.meter.is_(None), Alert.gateway.is_(None), Alert.area.in_(actor.areas or ())
    )
    return query.where(or_(own, of_area))


def filtered(query: S, wanted: AlertFilter) -> S:
    """Returns a query for the alerts that a filter names.

    Raises:
        Invalid: there is no such state.
    """
    for name in _EQUAL:
        value = getattr(wanted, name)
        if value is not None:
            query = query.where(getattr(Alert, name) == value)
    if wanted.group is not None:
        query = query.where(Alert.group_key == wanted.group)
    return _by_time(_by_place(_by_state(query, wanted), wanted), wanted)


def _by_state(query: S, wanted: AlertFilter) -> S:
    if wanted.state is not None and wanted.state not in STATES:
        raise Invalid(
            worded(
                "an alert is {states}; not {state!r}",
                states=", ".join(STATES),
                state=wanted.state[:40],
            )
        )
    if wanted.state == OPEN:
        query = query.where(is_open())
    elif wanted.state is not None:
        query = query.where(Alert.state == wanted.state)
    if wanted.assigned_to == NOBODY:
        return query.where(Alert.assigned_to.is_(None))
    if wanted.assigned_to is not None:
        return query.where(Alert.assigned_to == wanted.assigned_to)
    return query


def _by_place(query: S, wanted: AlertFilter) -> S:
    if wanted.parent is not None:
        query = query.where(Alert.parent_id == wanted.parent)
    if wanted.suppressed is not None:
        return query.where(Alert.suppressed.is_(wanted.suppressed))
    if wanted.meter is None and wanted.parent is None:
        return query.where(Alert.suppressed.is_(False))
    return query


def _by_time(query: S, wanted: AlertFilter) -> S:
    if wanted.ids is not None:
        query = query.where(Alert.id.in_(wanted.ids[:PER_QUERY]))
    if wanted.min_priority is not None:
        query = query.where(Alert.priority >= wanted.min_priority)
    if wanted.since is not None:
        query = query.where(Alert.raised_at >= wanted.since)
    if wanted.until is not None:
        query = query.where(Alert.raised_at < wanted.until)
    return query
