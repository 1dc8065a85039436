"""One meter takes another's place: customer, address, place in the grid, SIM card, protection."""

from datetime import datetime

from sqlalchemy import ColumnElement, select
from sqlalchemy.orm import Session

from hesper_cloud.assets import keeping, lives
from hesper_cloud.assets.errors import Forbidden, WrongField
from hesper_cloud.assets.history import By
from hesper_cloud.assets.kinds import METER
from hesper_cloud.assets.links import fit_meter
from hesper_cloud.assets.service_life import Register, end_service
from hesper_cloud.db.assets import MeterExchange
from hesper_cloud.db.energy import ElementMeter
from hesper_cloud.db.registry import Meter
from hesper_cloud.worded import worded

_TAKEN_OVER = ("customer_id", "customer", "address", "area", "latitude", "longitude")


def exchange(
    session: Session, old: Meter, new: Meter, final: Register, initial: Register, by: By
) -> MeterExchange:
    """Exchanges a meter and returns the record of it.

    The new one is behind the gateway that heard it, else the old one's; it is installed, and
    commissioned when it is heard. That the supply is never cut goes over to it.

    Raises:
        Forbidden: the old one is not in service, or the new one is in use or at its end.
        WrongField: the registers are not of one kind.
    """
    _check(old, new, final, initial)
    places = _places(session, old.id, new.id, final.at)
    sim_id, gateway = old.sim_id, new.gateway_id or old.gateway_id
    taken = {name: getattr(old, name) for name in _TAKEN_OVER}
    taken["life_support"] = old.life_support or new.life_support
    end_service(session, old, By(by.who, final.at, by.reason), "exchange")
    taken |= {"life": "installed", "gateway_id": gateway}
    if new.last_contact_at is None:
        taken["first_seen_at"] = by.at
    keeping.alter(session, METER, new, taken, by, "exchange")
    if sim_id is not None and new.sim_id is None:
        fit_meter(session, new, sim_id, by)
    session.add_all(places)
    row = MeterExchange(
        old_meter=old.id,
        new_meter=new.id,
        at=final.at,
        logical_name=final.logical_name,
        final_register=final.value,
        initial_register=initial.value,
        scaler=final.scaler,
        unit=final.unit,
        customer_id=new.customer_id,
        who=by.who,
        reason=by.reason or "",
    )
    session.add(row)
    session.flush()
    return row


def _check(old: Meter, new: Meter, final: Register, initial: Register) -> None:
    if old.id == new.id:
        raise Forbidden("a meter does not take its own place")
    if old.life not in lives.IN_SERVICE:
        raise Forbidden(
            worded(
                "meter {old} is {life}; only one in service is exchanged", old=old.id, life=old.life
            )
        )
    if new.life not in (*lives.WAITING, "installed"):
        raise Forbidden(
            worded("meter {new} is {life}; put it in stock first", new=new.id, life=new.life)
        )
    if new.customer_id is not None and new.customer_id != old.customer_id:
        raise Forbidden(worded("meter {new} serves another customer", new=new.id))
    if (final.logical_name, final.scaler, final.unit) != (
        initial.logical_name,
        initial.scaler,
        initial.unit,
    ):
        raise WrongField("initial_register", "is not of the final register's kind and unit")


def _places(session: Session, old: str, new: str, at: datetime) -> list[ElementMeter]:
    """Returns the places in the grid that the new meter takes over.

    Raises:
        Forbidden: it has a place of its own already.
    """
    lasting = ElementMeter.lasts(at)
    own = select(ElementMeter.element).where(ElementMeter.meter == new, lasting)
    elsewhere = session.scalar(own.limit(1))
    if elsewhere is not None:
        raise Forbidden(
            worded("meter {new} stands at {elsewhere} already", new=new, elsewhere=elsewhere)
        )
    late = lasting & (ElementMeter.meter == old) & (ElementMeter.from_at >= at)
    since = session.scalar(select(ElementMeter.element).where(late).limit(1))
    if since is not None:
        raise Forbidden(
            worded("meter {old} was put at {since} after that moment", old=old, since=since)
        )
    held = session.scalars(select(ElementMeter).where(ElementMeter.meter == old, lasting)).all()
    return [
        ElementMeter(element=row.element, meter=new, from_at=at, to_at=row.to_at, role=row.role)
        for row in held
    ]


def took_part(meter: str) -> ColumnElement[bool]:
    """Returns the condition that a meter was exchanged for another, or the other way round."""
    return (MeterExchange.old_meter == meter) | (MeterExchange.new_meter == meter)


def exchanges(session: Session, meter: str) -> list[MeterExchange]:
    """Returns the exchanges that a meter took part in, newest first."""
    return list(
        session.scalars(
            select(MeterExchange).where(took_part(meter)).order_by(MeterExchange.id.desc())
        )
    )
