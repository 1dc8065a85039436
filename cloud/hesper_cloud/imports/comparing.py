"""What a row would change of an asset that is there; what it must not is told.

An empty cell leaves what is there. What commands are signed by, the gateway of a meter in service,
does not change by a file; nor does a file take a meter from its customer, or a card from its meter.
"""

from hesper_cloud.assets import lives
from hesper_cloud.assets.errors import Forbidden
from hesper_cloud.imports.known import Areas, Known
from hesper_cloud.imports.present import FIELDS, IDENTITY, Present
from hesper_cloud.imports.rows import Change, Row

_RETIRED = "retired"


def compare(kind: str, row: Row, known: Known, areas: Areas) -> None:
    """Sets what a row would change; ``areas`` are those of who brings the file, None: all."""
    there = (known.present or {})[row.values[IDENTITY[kind]]]
    row.change = change = Change(there.key, there.version, {})
    if not there.is_seen(areas):
        row.complain(
            IDENTITY[kind], "area_not_yours", f"your account is for {', '.join(areas or ())}"
        )
        return
    for name, title in FIELDS[kind].items():
        value = row.values.get(title)
        if value is not None and value != there.values[name]:
            change.after[name] = value
    if kind == "customers":
        _customer(row, change, known)
    elif kind == "meters":
        _meter(row, there, change, known)
    elif kind == "simcards":
        _card(row, there, change)
    change.before = {name: there.values.get(name) for name in change.after}


def _customer(row: Row, change: Change, known: Known) -> None:
    meter = row.values.get("meterAssigned")
    found = known.meters.get(meter or "")
    if found is not None and found.customer_id is None:
        change.after["meter"] = meter


def _meter(row: Row, there: Present, change: Change, known: Known) -> None:
    if "gateway_id" in change.after:
        if there.values["life"] in lives.WAITING:
            change.after["life"] = "installed"
        else:
            advice = (
                "commands are signed by it; a meter in service is moved by hesper-cloud meter add"
            )
            row.complain("concentratorId", "gateway_fixed", advice)
    _model(row, there, change, known)
    _served(row, there, change, known)
    cards = known.cards(row.values.get("simCard"))
    if len(cards) == 1 and cards[0].id != there.values["sim_id"]:
        if there.values["sim_id"] is None:
            change.after["sim_id"] = cards[0].id
        else:
            row.complain("simCard", "meter_has_sim", "it holds another card; take that out first")


def _model(row: Row, there: Present, change: Change, known: Known) -> None:
    """Takes over type and template of another model that the company keeps."""
    if not change.after.keys() & {"brand", "model"}:
        return
    brand, model = (
        change.after.get(name) or there.values[name] or "" for name in ("brand", "model")
    )
    meter_type, template = known.models.get((brand, model), (None, None))
    told = row.values.get("meterType")
    for name, value in (("meter_type", told or meter_type), ("template", template)):
        if value is not None and value != there.values[name]:
            change.after[name] = value


def _served(row: Row, there: Present, change: Change, known: Known) -> None:
    """Puts a customer behind a meter that has none; one without a place takes the customer's."""
    customer = known.customers.get(row.values.get("customer") or "")
    if customer is None or customer.id == there.values["customer_id"]:
        return
    if there.values["customer_id"] is not None:
        advice = "the meter serves another customer; end that first, or leave the cell empty"
        row.complain("customer", "meter_taken", advice)
        return
    change.after |= {"customer_id": customer.id, "customer": customer.name}
    for name, value in (("address", customer.address), ("area", customer.area)):
        if value is not None and not change.after.get(name) and not there.values[name]:
            change.after[name] = value


def _card(row: Row, there: Present, change: Change) -> None:
    wanted = change.after.get("state")
    if wanted is None:
        return
    try:
        lives.step(lives.SIM, "the card", there.values["state"], wanted)
    except Forbidden as error:
        row.complain("status", "no_such_step", str(error))
        return
    if wanted == _RETIRED and there.place is not None:
        row.complain(
            "status", "sim_in_use", f"the card is in {there.place}; take it out there first"
        )
