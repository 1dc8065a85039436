"""Alerts that give way to a parent, and those that come up again when it is gone.

Parents are alerts of something greater that is down: a gateway, an element of the topology. What
hangs on it and is marked as a symptom is hidden below it. Children live on: a rule clears them, and
what still holds some time after the parent has cleared (what is back had time to be heard) is
shown again by itself.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Select, case, literal, select, update
from sqlalchemy.orm import Session, aliased

from hesper_cloud.alerting import grid
from hesper_cloud.alerting.changes import Step, is_open, note
from hesper_cloud.db.alerting import CLEARED, Alert
from hesper_cloud.db.engines import batched
from hesper_cloud.db.registry import CLOCK_TOLERANCE, Meter

GATEWAY_DOWN = "gateway-offline"
STORM = "storm/"
"""How the rules of alerts begin that stand for many of one rule."""


def is_shown() -> ColumnElement[bool]:
    """Returns the condition that an alert is open and not hidden below another."""
    return is_open() & Alert.suppressed.is_(False)


def hide(session: Session, children: Iterable[int], parent: Alert, now: datetime) -> None:
    """Puts alerts below a parent."""
    ids = list(children)
    below = {
        "parent_id": parent.id,
        "suppressed": True,
        "group_key": parent.group_key,
        "changed_at": now,
    }
    for some in batched(ids):
        session.execute(update(Alert).where(Alert.id.in_(some)).values(below))
    note(session, ids, Step.HIDDEN, now, detail=f"below alert {parent.id}")


def surface(session: Session, now: datetime, after_s: int) -> None:
    """Brings up the children that outlasted their parent, whatever the clock was at its end."""
    parent = aliased(Alert)
    over = (parent.cleared_at <= now - timedelta(seconds=after_s)) | (
        parent.cleared_at > now + CLOCK_TOLERANCE
    )
    query = (
        select(Alert.id)
        .join(parent, parent.id == Alert.parent_id, isouter=True)
        .where(is_open(), Alert.suppressed)
        .where(parent.id.is_(None) | ((parent.state == CLEARED) & over))
    )
    ids = session.scalars(query).all()
    free = {
        "parent_id": None,
        "suppressed": False,
        "group_key": _own_cause(),
        "changed_at": now,
    }
    for some in batched(ids):
        session.execute(update(Alert).where(Alert.id.in_(some)).values(free))
    note(session, ids, Step.SURFACED, now)


def give_way(session: Session, now: datetime) -> None:
    """Hides what a gateway or an element that is down explains."""
    parents = {each.id: each for each in session.scalars(_parents())}
    below: dict[int, list[int]] = defaultdict(list)
    for child, parent in _behind_gateways(session, parents.values()):
        below[parent].append(child)
    for child, parent in _on_elements(session, parents.values(), now):
        if child not in below.get(parent, ()):
            below[parent].append(child)
    taken: set[int] = set()
    for parent, children in below.items():
        hide(session, [each for each in children if each not in taken], parents[parent], now)
        taken.update(children)


def _parents() -> Select[Alert]:
    """Returns the causes; a gateway stays one when it is itself told below a storm of gateways."""
    of_gateway = (Alert.rule == GATEWAY_DOWN) & Alert.gateway.is_not(None) & Alert.meter.is_(None)
    of_element = Alert.element.is_not(None) & ~Alert.rule.startswith(STORM) & is_shown()
    causes = select(Alert).where(is_open(), Alert.symptom.is_(False), of_gateway | of_element)
    return causes.order_by(Alert.id)


def _behind_gateways(session: Session, parents: Iterable[Alert]) -> Iterable[tuple[int, int]]:
    """Yields (child, parent): symptoms of meters behind a gateway, and of the gateway itself."""
    down = {each.gateway: each.id for each in parents if each.element is None}
    if not down:
        return
    behind = select(Alert.id, Meter.gateway_id).join(Meter, Meter.id == Alert.meter)
    own = select(Alert.id, Alert.gateway).where(Alert.meter.is_(None))
    for query, gateway in ((behind, Meter.gateway_id), (own, Alert.gateway)):
        for child, name in session.execute(
            query.where(is_shown(), Alert.symptom, gateway.in_(list(down)))
        ):
            yield child, down[name]


def _on_elements(
    session: Session, parents: Iterable[Alert], now: datetime
) -> Iterable[tuple[int, int]]:
    """Yields (child, parent): symptoms of meters that hang on an element that is down."""
    down = {each.element: each.id for each in parents if each.element is not None}
    if not down:
        return
    query = select(Alert.id, Alert.meter).where(is_shown(), Alert.symptom, Alert.meter.is_not(None))
    symptoms: Sequence[tuple[int, str]] = [(row[0], str(row[1])) for row in session.execute(query)]
    if not symptoms:
        return
    places = grid.load(session, {meter for _, meter in symptoms}, now)
    for child, meter in symptoms:
        for element in places.chain(places.element_of.get(meter, "")):
            if element in down:
                yield child, down[element]
                break


def _own_cause() -> "ColumnElement[str]":
    """Returns the group of an alert by itself, as `raising.cause_of` names it."""
    return case(
        (Alert.element.is_not(None), literal("element/") + Alert.element),
        (
            Alert.meter.is_(None) & Alert.gateway.is_not(None),
            literal("gateway/") + Alert.gateway,
        ),
        else_=literal("rule/") + Alert.rule,
    )
