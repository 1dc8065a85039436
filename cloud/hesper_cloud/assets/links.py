"""Links between assets: a SIM card in a meter or a gateway, a customer behind a meter.

A SIM card and the meter that holds it name each other; both are changed here, together, and both
histories say so.
"""

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from hesper_cloud.assets import history
from hesper_cloud.assets.errors import Forbidden, WrongField
from hesper_cloud.assets.history import By
from hesper_cloud.assets.kinds import METER, SIM, Kind
from hesper_cloud.db.assets import Customer, Sim
from hesper_cloud.db.registry import Meter
from hesper_cloud.worded import worded

_NUMBERS: dict[str, tuple[Any, Any, str]] = {
    "account_number": (Customer.account_number, Customer, "customer_id"),
    "iccid": (Sim.iccid, Sim, "sim_id"),
}
_LINKED = {METER.name: ("customer_id", "sim_id"), SIM.name: ("meter", "gateway")}


def by_number(session: Session, kind: Kind, values: Mapping[str, Any]) -> dict[str, Any]:
    """Returns values in which a meter's customer and SIM card are named by their ids.

    People know them by account number and ICCID.

    Raises:
        WrongField: there is no such customer or card.
    """
    found = dict(values)
    for field, (column, model, link) in _NUMBERS.items() if kind is METER else ():
        if field not in found:
            continue
        number = found.pop(field)
        key = None
        if number:
            query = select(model.id).where(column == number, model.deleted_at.is_(None))
            key = session.scalar(query)
            if key is None:
                raise WrongField(field, worded("there is none {number}", number=number))
        found[link] = key
    return found


def linked_fields(kind: Kind) -> tuple[str, ...]:
    """Returns the fields of a kind that name another asset which names it back."""
    return _LINKED.get(kind.name, ())


def follow_links(session: Session, kind: Kind, row: Any, links: Mapping[str, Any], by: By) -> bool:
    """Links a meter or SIM card as its fields now say; says whether anything changed.

    Raises:
        Forbidden: the SIM card is elsewhere, or at its end.
    """
    if not links:
        return False
    if kind is METER:
        if "customer_id" in links:
            serve(session, row, links["customer_id"], by)
        if "sim_id" in links:
            fit_meter(session, row, links["sim_id"], by)
    if kind is SIM:
        _fit_sim(session, row, links, by)
    return True


def serve(session: Session, meter: Meter, customer_id: int | None, by: By) -> None:
    """Puts a customer behind a meter, or none; the meter shows the customer's name.

    A meter that says nowhere where it is takes address and area of its customer.
    """
    customer = session.get(Customer, customer_id) if customer_id is not None else None

    def set_them() -> None:
        meter.customer_id = customer.id if customer else None
        meter.customer = customer.name if customer else None
        if customer is not None:
            meter.address = meter.address or customer.address
            meter.area = meter.area or customer.area

    _recorded(session, meter, ("customer_id", "customer", "address", "area"), set_them, by)


def show_name(session: Session, customer_id: int, name: str, by: By) -> None:
    """Shows a customer's new name at the meters that serve it."""
    for meter in session.scalars(select(Meter).where(Meter.customer_id == customer_id)).all():

        def set_it(served: Meter = meter) -> None:
            served.customer = name

        _recorded(session, meter, ("customer",), set_it, by)


def fit_meter(session: Session, meter: Meter, sim_id: int | None, by: By) -> None:
    """Puts a SIM card into a meter in the place of the one there, or takes that out.

    Raises:
        Forbidden: the card is in something else, or retired.
    """
    for former in session.scalars(select(Sim).where(Sim.meter == meter.id)).all():
        if former.id != sim_id:
            _place(session, former, None, None, by)
    card = session.get(Sim, sim_id) if sim_id is not None else None
    if card is not None:
        _require_free(card, meter.id)
        _place(session, card, meter.id, None, by)
    _name_card(session, meter, card.id if card else None, by)


def _fit_sim(session: Session, card: Sim, links: Mapping[str, Any], by: By) -> None:
    meter_id, gateway = links.get("meter", card.meter), links.get("gateway", card.gateway)
    if meter_id is not None and gateway is not None:
        raise Forbidden("a SIM card is in a meter or in a gateway; take it out of the one first")
    if (meter_id, gateway) != (None, None):
        _require_free(card, meter_id or gateway)
    if meter_id is not None:
        _require_empty(session, meter_id, card)
    for name, number in ((card.meter, None), (meter_id, card.id)):
        meter = session.get(Meter, name) if name is not None else None
        if meter is not None:
            _name_card(session, meter, number, by)
    _place(session, card, meter_id, gateway, by)


def _require_empty(session: Session, meter_id: str, card: Sim) -> None:
    others = select(Sim.iccid).where(Sim.meter == meter_id, Sim.id != card.id)
    iccid = session.scalar(others.limit(1))
    if iccid is not None:
        raise Forbidden(
            worded(
                "meter {meter} holds SIM card {iccid}; take it out first",
                meter=meter_id,
                iccid=iccid,
            )
        )


def _require_free(card: Sim, wanted: str | None) -> None:
    if card.state == "retired":
        raise Forbidden(worded("SIM card {iccid} is retired", iccid=card.iccid))
    where = card.meter or card.gateway
    if where is not None and where != wanted:
        raise Forbidden(
            worded(
                "SIM card {iccid} is in {where}; take it out there first",
                iccid=card.iccid,
                where=where,
            )
        )


def _place(session: Session, card: Sim, meter: str | None, gateway: str | None, by: By) -> None:
    def set_them() -> None:
        card.meter, card.gateway = meter, gateway

    if _recorded(session, card, ("meter", "gateway"), set_them, by):
        card.updated_at = by.at


def _name_card(session: Session, meter: Meter, sim_id: int | None, by: By) -> None:
    def set_it() -> None:
        meter.sim_id = sim_id

    _recorded(session, meter, ("sim_id",), set_it, by)


def _recorded(
    session: Session, row: Meter | Sim, fields: tuple[str, ...], act: Callable[[], None], by: By
) -> bool:
    before = history.snapshot(row, fields)
    act()
    kind = "meter" if isinstance(row, Meter) else "sim"
    after = history.snapshot(row, fields)
    if history.record(session, by, (kind, str(row.id)), "update", before, after) is None:
        return False
    row.version += 1
    session.flush()
    return True
