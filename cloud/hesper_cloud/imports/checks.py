"""Rows are held against the registry: what is there already, and what is not there at all."""

from collections.abc import Callable, Sequence

from hesper_cloud.imports.known import Known
from hesper_cloud.imports.rows import Row

Areas = tuple[str, ...] | None
_KNOWN = "it is in the registry already; change it there, or take the row out"
_DELETED = "it is in the registry, deleted; restore it there, or take the row out"
_RETIRED = "retired"


def check(kind: str, rows: Sequence[Row], known: Known, areas: Areas) -> None:
    """Adds to each row what the registry has against it.

    ``areas`` are those of who brings the file; None: all.
    """
    against = _CHECKS[kind]
    for row in rows:
        against(row, known, areas)
        if areas is not None and kind != "simcards" and row.values.get("area") not in areas:
            row.complain("area", "area_not_yours", f"your account is for {', '.join(areas)}")


def _check_customer(row: Row, known: Known, areas: Areas) -> None:
    there = known.customers.get(row.values.get("accountNumber") or "")
    if there is not None:
        row.complain("accountNumber", *_there(there.deleted_at is not None))
    _check_area(row, known)
    tariff = row.values.get("tariffPlan")
    if tariff is not None and tariff not in known.tariffs:
        row.complain("tariffPlan", "unknown_tariff", "create the tariff first, or correct its name")
    meter = row.values.get("meterAssigned")
    if meter is None:
        return
    found = known.meters.get(meter)
    if found is None or found.deleted_at is not None or not _seen(found.area, areas):
        advice = "there is no such meter: bring the meters first, or leave the cell empty"
        row.complain("meterAssigned", "unknown_meter", advice)
    elif found.customer_id is not None:
        advice = "the meter serves another customer; end that first, or leave the cell empty"
        row.complain("meterAssigned", "meter_taken", advice)


def _check_meter(row: Row, known: Known, areas: Areas) -> None:
    gateway = row.values.get("concentratorId")
    there = known.meters.get(row.values.get("meterNumber") or "")
    if there is not None and not there.is_only_discovered:
        row.complain("meterNumber", *_there(there.deleted_at is not None))
    elif there is not None and gateway not in (None, there.gateway):
        advice = f"the meter reports through {there.gateway}; correct it, or leave the cell empty"
        row.complain("concentratorId", "other_gateway", advice)
    if gateway is not None and gateway not in known.gateways:
        row.complain("concentratorId", "unknown_gateway", "add the gateway first, or correct it")
    _check_area(row, known)
    customer = row.values.get("customer")
    if customer is not None:
        found = known.customers.get(customer)
        if found is None or found.deleted_at is not None or not _seen(found.area, areas):
            advice = "no customer has this account number: bring the customers first, or correct it"
            row.complain("customer", "unknown_customer", advice)
    _check_card(row, known)


def _check_card(row: Row, known: Known) -> None:
    name = row.values.get("simCard")
    if name is None:
        return
    cards = [card for card in known.sims.get(name, ()) if card.deleted_at is None]
    if not cards:
        advice = "no SIM card has this number or ICCID: bring the cards first, or correct it"
        row.complain("simCard", "unknown_sim", advice)
    elif len(cards) > 1:
        row.complain("simCard", "ambiguous_sim", "several cards have this number; write the ICCID")
    elif cards[0].place is not None:
        advice = f"the card is in {cards[0].place}; take it out there first"
        row.complain("simCard", "sim_taken", advice)
    elif cards[0].state == _RETIRED:
        row.complain("simCard", "sim_retired", "the card is retired; choose another")


def _check_simcard(row: Row, known: Known, _areas: Areas) -> None:
    there = known.sims.get(row.values.get("iccid") or "", ())
    if there:
        row.complain("iccid", *_there(all(card.deleted_at for card in there)))
    number = row.values.get("simNumber")
    if number is not None and known.sims.get(number):
        row.complain("simNumber", "number_taken", "another card has this number; correct it")
    for column, taken in (("imsi", known.imsis), ("msisdn", known.msisdns)):
        if row.values.get(column) in taken:
            row.complain(column, "number_taken", f"another card has this {column.upper()}")


def _check_area(row: Row, known: Known) -> None:
    area = row.values.get("area")
    if area is not None and area not in known.areas:
        row.complain("area", "unknown_area", "create the area first, or correct its name")


def _seen(area: str | None, areas: Areas) -> bool:
    return areas is None or area in areas


def _there(deleted: bool) -> tuple[str, str]:
    return ("deleted", _DELETED) if deleted else ("known_already", _KNOWN)


_CHECKS: dict[str, Callable[[Row, Known, Areas], None]] = {
    "customers": _check_customer,
    "meters": _check_meter,
    "simcards": _check_simcard,
}
