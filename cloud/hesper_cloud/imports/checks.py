"""Rows are held against the registry: what is there already, and what is not there at all."""

from collections.abc import Callable, Sequence

from hesper_cloud.imports.comparing import compare
from hesper_cloud.imports.known import Areas, Known, KnownMeter
from hesper_cloud.imports.rows import Row
from hesper_cloud.worded import later

_KNOWN = later("it is in the registry already; bring the file as an update, or take the row out")
_DELETED = later("it is in the registry, deleted; restore it there, or take the row out")
_RETIRED = "retired"
_OF_AREAS = ("customers", "meters")  # others say of themselves whose they are


def check(kind: str, rows: Sequence[Row], known: Known, areas: Areas) -> None:
    """Adds to each row what the registry has against it, or what it would change there.

    ``areas`` are those of who brings the file; None: all.
    """
    against = _CHECKS[kind]
    for row in rows:
        against(row, known, areas)
        if areas is not None and kind in _OF_AREAS and not _stays(row, areas):
            row.complain("area", "area_not_yours", f"your account is for {', '.join(areas)}")
    if kind == "meters":
        _one_meter_each(rows, known)


def _one_meter_each(rows: Sequence[Row], known: Known) -> None:
    """Tells of a SIM card that two meters name, one by its number and the other by its ICCID."""
    before: dict[int, Row] = {}
    for row in rows:
        cards = known.cards(row.values.get("simCard"))
        if len(cards) != 1:
            continue
        first = before.setdefault(cards[0].id, row)
        if first.values["simCard"] != row.values["simCard"]:
            advice = f"row {first.number} has this card already; keep one of the two"
            row.complain("simCard", "twice_in_file", advice)


def _stays(row: Row, areas: tuple[str, ...]) -> bool:
    """Says whether a row leaves an asset in some areas; one that is there stays where it is."""
    area = row.values.get("area")
    return area in areas or (area is None and row.change is not None)


def _is_changed(row: Row, identity: str, known: Known) -> bool:
    """Says whether a row is of something that is there and may be changed."""
    there = (known.present or {}).get(row.values.get(identity) or "")
    return there is not None and not there.is_deleted


def _check_customer(row: Row, known: Known, areas: Areas) -> None:
    there = known.customers.get(row.values.get("accountNumber") or "")
    if _is_changed(row, "accountNumber", known):
        compare("customers", row, known, areas)
    elif there is not None:
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
    elif found.customer_id is not None and not _is_own(row, found.customer_id):
        advice = "the meter serves another customer; end that first, or leave the cell empty"
        row.complain("meterAssigned", "meter_taken", advice)


def _is_own(row: Row, key: object) -> bool:
    """Says whether a row is of the asset with a key."""
    return row.change is not None and row.change.asset == key


def _check_meter(row: Row, known: Known, areas: Areas) -> None:
    gateway = row.values.get("concentratorId")
    there = known.meters.get(row.values.get("meterNumber") or "")
    if there is not None and there.is_only_discovered:
        if not _is_found(there, known, areas):
            row.complain("meterNumber", "area_not_yours", "it was found outside your areas")
        elif gateway not in (None, there.gateway):
            advice = f"the meter reports through {there.gateway}; correct it, or leave it empty"
            row.complain("concentratorId", "other_gateway", advice)
    elif _is_changed(row, "meterNumber", known):
        compare("meters", row, known, areas)
    elif there is not None:
        row.complain("meterNumber", *_there(there.deleted_at is not None))
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


def _is_found(there: KnownMeter, known: Known, areas: Areas) -> bool:
    """Says whether a meter that was only discovered is one's own: it, or else its gateway."""
    if areas is None or there.area is not None:
        return _seen(there.area, areas)
    return there.gateway in known.gateways


def _check_card(row: Row, known: Known) -> None:
    name = row.values.get("simCard")
    if name is None:
        return
    cards = known.cards(name)
    if not cards:
        advice = "no SIM card has this number or ICCID: bring the cards first, or correct it"
        row.complain("simCard", "unknown_sim", advice)
    elif len(cards) > 1:
        row.complain("simCard", "ambiguous_sim", "several cards have this number; write the ICCID")
    elif cards[0].place is not None and not _is_own(row, cards[0].place):
        advice = f"the card is in {cards[0].place}; take it out there first"
        row.complain("simCard", "sim_taken", advice)
    elif cards[0].state == _RETIRED:
        row.complain("simCard", "sim_retired", "the card is retired; choose another")


def _check_simcard(row: Row, known: Known, areas: Areas) -> None:
    iccid = row.values.get("iccid") or ""
    there = [card for card in known.sims.get(iccid, ()) if card.iccid == iccid]
    if _is_changed(row, "iccid", known):
        compare("simcards", row, known, areas)
    elif there:
        row.complain("iccid", *_there(all(card.deleted_at for card in there)))
    number = row.values.get("simNumber")
    if any(card.iccid != iccid for card in known.sims.get(number or "", ())):
        row.complain("simNumber", "number_taken", "another card has this number; correct it")
    for column, taken in (("imsi", known.imsis), ("msisdn", known.msisdns)):
        if taken.get(row.values.get(column) or "", set()) - {iccid}:
            row.complain(column, "number_taken", f"another card has this {column.upper()}")


def _check_simuse(row: Row, known: Known, areas: Areas) -> None:
    there = (known.present or {}).get(row.values.get("iccid") or "")
    if _is_changed(row, "iccid", known):
        compare("simuse", row, known, areas)
    elif there is not None:
        row.complain("iccid", *_there(deleted=True))
    elif row.values.get("iccid") is not None:
        advice = "no SIM card has this ICCID: bring the cards first, or correct it"
        row.complain("iccid", "unknown_sim", advice)


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
    "simuse": _check_simuse,
}
