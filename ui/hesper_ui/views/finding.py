"""What the command palette finds: places of the console first, then what the fleet holds."""

from collections.abc import Sequence
from typing import TypedDict

from hesper_ui.places import Place
from hesper_ui.services import Actor, GatewayRow, MeterRow, SearchHit
from hesper_ui.views.looks import gateway_state, meter_state
from hesper_ui.views.meter_list import VIEWS
from hesper_ui.words import later, say

MOST = 8
KINDS = {
    "customer": later("customer"),
    "sim": later("SIM card"),
    "area": later("area"),
    "feeder": later("feeder"),
    "transformer": later("transformer"),
}


class Found(TypedDict):
    """One line of the palette."""

    title: str
    note: str
    address: str


def pages(places: Sequence[Place], actor: Actor, text: str) -> list[Found]:
    """Returns the places whose name holds the text; all of them while there is none."""
    wanted = text.casefold()
    return [
        Found(title=say(place.title), note=say("page"), address=place.path)
        for place in places
        if place.icon and actor.may(place.needs)
        if wanted in say(place.title).casefold() or wanted in place.title.casefold()
    ]


def lists(text: str) -> list[Found]:
    """Returns the views of the list of meters with a word that begins so, as the silent ones."""
    wanted = text.casefold()
    return [
        Found(
            title=f"{say('Meters')}: {say(title)}", note=say("page"), address=f"/meters?view={view}"
        )
        for view, title in VIEWS.items()
        if view and any(word.startswith(wanted) for word in say(title).casefold().split())
    ]


def meters(rows: Sequence[MeterRow], *, is_anybody_heard: bool) -> list[Found]:
    """Returns lines for meters; ``is_anybody_heard``: the head end has its broker."""
    return [
        Found(
            title=row.id,
            note=" · ".join(part for part in (say(look.word), row.customer, row.address) if part),
            address=f"/meters/{row.id}",
        )
        for row in rows
        for look in [meter_state(row, is_anybody_heard=is_anybody_heard)]
    ]


def kept(hits: Sequence[SearchHit]) -> list[Found]:
    """Returns lines for what is kept beside meters and gateways: customers, SIM cards, areas."""
    return [
        Found(title=hit.title, note=_noted(hit), address=hit.page)
        for hit in hits
        if hit.kind not in ("meter", "gateway")
    ]


def _noted(hit: SearchHit) -> str:
    return " · ".join(part for part in (say(KINDS.get(hit.kind, hit.kind)), hit.detail) if part)


def gateways(rows: Sequence[GatewayRow], text: str) -> list[Found]:
    """Returns lines for the gateways whose name holds the text."""
    wanted = text.casefold()
    return [
        Found(
            title=row.id,
            note=f"{say('gateway')} · {say(gateway_state(row).word)}",
            address=f"/gateways/{row.id}",
        )
        for row in rows
        if wanted in row.id.casefold()
    ]
