"""The rows of the meters grid as its JavaScript reads them, and the question a URL asks."""

from collections.abc import Collection, Mapping
from typing import Any, Literal, cast, get_args

from hesper_ui.services import Invalid, MeterQuery, MeterRow
from hesper_ui.views.looks import Look, meter_state, relay_state
from hesper_ui.views.wording import epoch_ms
from hesper_ui.words import later, say

MAX_ROWS = 200
VIEWS = {
    "": later("All"),
    "online": later("Online"),
    "silent": later("Silent"),
    "silent-day": later("Silent > 24 h"),
    "disconnected": later("Relay open"),
    "unknown": later("Relay unknown"),
    "old-firmware": later("Old firmware"),
    "discovered": later("Discovered"),
}
FILTERS = {
    "gateway": later("Gateway"),
    "model": later("Model"),
    "area": later("Area"),
    "firmware": later("Firmware"),
    "feeder": later("Feeder"),
}
"""What else the address may ask for, each equal to what a meter says of itself."""
SILENT_DAY_H = 24
_SORTS = {
    "id": "id",
    "customer": "customer",
    "address": "address",
    "area": "area",
    "gateway": "gateway",
    "relay": "relay",
    "last_contact": "last_contact_at",
}
State = Literal["online", "silent", "discovered"]
Relay = Literal["disconnected", "unknown"]
Sort = Literal["id", "customer", "address", "area", "gateway", "last_contact_at", "relay"]


def query(parameters: Mapping[str, str]) -> MeterQuery:
    """Reads the grid's question from URL parameters; raises Invalid for what makes no sense."""
    view = parameters.get("view", "")
    if view not in VIEWS:
        raise Invalid(say("There is no view called {view}.", view=view))
    try:
        offset = max(0, int(parameters.get("offset", "0")))
        limit = min(MAX_ROWS, max(1, int(parameters.get("limit", "100"))))
    except ValueError as error:
        raise Invalid(say("offset and limit are whole numbers.")) from error
    return MeterQuery(
        search=parameters.get("q", "").strip()[:100],
        state=cast("State", view) if view in get_args(State) else None,
        relay=cast("Relay", view) if view in get_args(Relay) else None,
        silent_for_h=SILENT_DAY_H if view == "silent-day" else None,
        old_firmware=view == "old-firmware",
        gateway=parameters.get("gateway") or None,
        model=parameters.get("model") or None,
        area=parameters.get("area") or None,
        firmware=parameters.get("firmware") or None,
        feeder=parameters.get("feeder") or None,
        box=box(parameters.get("box", "")),
        sort=cast("Sort", _SORTS.get(parameters.get("sort", "id"), "id")),
        descending=parameters.get("descending") == "true",
        offset=offset,
        limit=limit,
    )


def box(text: str) -> tuple[float, float, float, float] | None:
    """Reads a part of the map, ``south,west,north,east`` in degrees; empty: everywhere."""
    if not text:
        return None
    try:
        south, west, north, east = (float(part) for part in text.split(","))
    except ValueError:
        raise Invalid(say("A box is four numbers: south, west, north, east.")) from None
    return south, west, north, east


def _worn(look: Look) -> dict[str, str]:
    return {"mark": look.mark, "word": say(look.word)}


def names_causes(asked: MeterQuery) -> bool:
    """Says whether a list is of silent meters, so that it tells why each is."""
    return asked.state == "silent" or asked.silent_for_h is not None


def why_silent(meter: MeterRow, offline: Collection[str]) -> str:
    """Returns why a meter is not heard from; ``offline`` are the gateways that are."""
    if meter.online:
        return ""
    if meter.last_contact_at is None:
        return say("never heard from")
    return say("gateway is offline") if meter.gateway in offline else say("does not answer")


def row(
    meter: MeterRow, offline: Collection[str] | None = None, *, is_anybody_heard: bool
) -> dict[str, Any]:
    """Returns one meter as the grid shows it; why it is silent where its gateways are known."""
    return {
        "id": meter.id,
        "state": _worn(meter_state(meter, is_anybody_heard=is_anybody_heard)),
        "why": "" if offline is None else why_silent(meter, offline),
        "relay": _worn(relay_state(meter)),
        "customer": meter.customer,
        "address": meter.address,
        "area": meter.area,
        "life_support": say("yes") if meter.life_support else "",
        "gateway": meter.gateway,
        "model": meter.model,
        "firmware": meter.firmware,
        "last_contact": epoch_ms(meter.last_contact_at) if meter.last_contact_at else None,
    }
