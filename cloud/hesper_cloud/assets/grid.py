"""Meters at the elements of the grid: put there, and taken from there, each at a moment."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import chain
from typing import Any, Literal

from sqlalchemy import select
from sqlalchemy.orm import Session

from hesper_cloud.assets import history
from hesper_cloud.assets.errors import Forbidden, Missing
from hesper_cloud.assets.history import By
from hesper_cloud.assets.kinds import ELEMENT, METER
from hesper_cloud.db.energy import Element, ElementMeter
from hesper_cloud.db.registry import Meter
from hesper_cloud.worded import worded

Role = Literal["inflow", "customer"]


def put(session: Session, element: str, meter: Meter, role: Role, at: datetime, by: By) -> None:
    """Puts a meter at an element from a moment on; a customer's leaves where it was before.

    Raises:
        Missing: there is no such element.
        Forbidden: the meter counts there already, or was put somewhere later than that.
    """
    if session.get(Element, element) is None:
        raise Missing(f"there is no element {element}")
    query = select(ElementMeter).where(ElementMeter.meter == meter.id, ElementMeter.role == role)
    if role == "inflow":
        query = query.where(ElementMeter.element == element)
    before: str | None = None
    for place in session.scalars(query).all():
        if place.from_at >= at or (place.to_at is not None and place.to_at > at):
            raise Forbidden(
                worded(
                    "meter {meter} has a place at {element} after that moment",
                    meter=meter.id,
                    element=place.element,
                )
            )
        if place.to_at is None and place.element == element:
            raise Forbidden(
                worded("meter {meter} stands at {element} already", meter=meter.id, element=element)
            )
        if place.to_at is None:
            place.to_at, before = at, place.element
    session.add(ElementMeter(element=element, meter=meter.id, from_at=at, role=role))
    _record(session, meter.id, before, element, by)


def take(session: Session, element: str, meter: Meter, at: datetime, by: By) -> None:
    """Takes a meter from an element at a moment.

    Raises:
        Missing: it does not stand there then.
    """
    query = select(ElementMeter).where(
        ElementMeter.meter == meter.id, ElementMeter.element == element
    )
    here = [place for place in session.scalars(query) if place.to_at is None and place.from_at < at]
    if not here:
        raise Missing(f"meter {meter.id} does not stand at {element}")
    for place in here:
        place.to_at = at
    _record(session, meter.id, element, None, by)


@dataclass(frozen=True, slots=True)
class Standing:
    """The grid at one moment: fields of each element, and where each customer's meter stands."""

    elements: dict[str, dict[str, Any]]
    places: dict[str, str]


def standing(session: Session, now: datetime) -> Standing:
    """Returns how the grid stands now."""
    fields = [name for name in ELEMENT.fields if name != ELEMENT.key]
    elements = session.scalars(select(Element)).all()
    now_at = select(ElementMeter.meter, ElementMeter.element).where(
        ElementMeter.stands(now), ElementMeter.role == "customer"
    )
    places = {row.meter: row.element for row in session.execute(now_at)}
    return Standing({row.id: history.snapshot(row, fields) for row in elements}, places)


def record_replacement(session: Session, before: Standing, by: By) -> None:
    """Puts on record what is different since the grid was replaced as a whole."""
    session.flush()
    after = standing(session, by.at)
    told = chain(_of_elements(before, after), _of_places(before, after))
    history.record_all(session, by, told)


def _of_elements(before: Standing, after: Standing) -> Iterator[history.Told]:
    for name in sorted(before.elements.keys() | after.elements.keys()):
        was, now = before.elements.get(name, {}), after.elements.get(name, {})
        action = "update" if was and now else "create" if now else "delete"
        yield (ELEMENT.name, name), action, was, now or dict.fromkeys(was)


def _of_places(before: Standing, after: Standing) -> Iterator[history.Told]:
    for meter in sorted(before.places.keys() | after.places.keys()):
        was, now = before.places.get(meter), after.places.get(meter)
        if was != now:
            yield (METER.name, meter), "place", {"element": was}, {"element": now}


def _record(session: Session, meter: str, before: str | None, after: str | None, by: By) -> None:
    session.flush()
    what = (METER.name, meter)
    history.record(session, by, what, "place", {"element": before}, {"element": after})
