"""On a meter's page: its life, customer and SIM card, its exchanges, and who changed what of it."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from nicegui import ui

from hesper_ui.desk import Desk
from hesper_ui.dialogs import asset_form, commission_meter, replace_meter
from hesper_ui.elements import Text, box, button, link, marked, moment
from hesper_ui.pages import asset_card
from hesper_ui.services import (
    Actor,
    ChangeRow,
    ExchangeRow,
    MeterCard,
    NotFound,
    Permission,
    RegisterRow,
)
from hesper_ui.views.assets import LIVES
from hesper_ui.views.looks import Look
from hesper_ui.views.wording import MISSING, scaled
from hesper_ui.words import later, say

CHANGES = 10
_REPLACEABLE = {"installed", "commissioned"}
_OCCASIONS = {"first": later("First read"), "final": later("Final read")}
Done = Callable[[], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Kept:
    """What is kept of one meter."""

    card: MeterCard
    exchanges: tuple[ExchangeRow, ...]
    registers: tuple[RegisterRow, ...]
    changes: tuple[ChangeRow, ...]


async def load(desk: Desk, actor: Actor, meter: str) -> Kept:
    """Reads what is kept of a meter."""
    services = desk.services
    card = await services.assets.get(actor, "meter", meter)
    if not isinstance(card, MeterCard):
        raise NotFound(say("There is nothing here under this name."))
    return Kept(
        card,
        tuple(await services.meter_life.exchanges(actor, meter)),
        tuple(await services.meter_life.registers(actor, meter)),
        tuple(await services.assets.history(actor, "meter", meter, None, CHANGES)),
    )


def draw(desk: Desk, actor: Actor, kept: Kept, dialogs: ui.element, done: Done) -> None:
    """Draws life and links, the registers of its beginning and end, and the latest changes."""
    card = kept.card
    with box("div", "chips"):
        marked(*LIVES.get(card.life, Look("unknown", card.life)))
        box("span", "grow")
        if actor.may(Permission.EDIT_ASSETS):
            _actions(desk, card, dialogs, done)
    with box("dl", "facts"):
        if card.customer_id is not None:
            _linked(say("Account of"), card.customer, f"/customers/{card.customer_id}")
        _linked(say("SIM card"), card.iccid, f"/customers/sims/{card.sim_id}")
        _fact(say("Brand"), card.brand)
        _fact(say("Type"), card.meter_type)
        _fact(say("Network address"), _network(card))
        for read in kept.registers:
            _read(read)
        for row in kept.exchanges:
            _exchange(row, card.id)
    _changes(kept.changes)


def _actions(desk: Desk, card: MeterCard, dialogs: ui.element, done: Done) -> None:
    async def changed(_: object) -> None:
        await done()

    button(
        "Change…",
        lambda: asset_form.open_form(desk, "meter", card, dialogs, changed),
        "small",
        acts=True,
    )
    if card.life == "installed":
        button(
            "Commission…",
            lambda: commission_meter.open_dialog(desk, card, dialogs, done),
            "small",
            acts=True,
        )
    if card.life in _REPLACEABLE:
        button(
            "Replace…",
            lambda: replace_meter.open_dialog(desk, card, dialogs, done),
            "small",
            acts=True,
        )


def _linked(name: str, text: str | None, target: str) -> None:
    Text(name, "dt")
    with box("dd"):
        if text:
            link(text, target)
        else:
            Text(MISSING)


def _fact(name: str, text: str | None) -> None:
    Text(name, "dt")
    Text(text or MISSING, "dd")


def _network(card: MeterCard) -> str | None:
    port = f":{card.port}" if card.port else ""
    return f"{card.ip_address}{port}" if card.ip_address else None


def _read(read: RegisterRow) -> None:
    Text(say(_OCCASIONS.get(read.occasion, read.occasion)), "dt")
    with box("dd"):
        Text(f"{scaled(read.value, read.scaler)} {read.symbol} · ")
        moment(read.at, "date")


def _exchange(row: ExchangeRow, meter: str) -> None:
    is_old = row.old_meter == meter
    other = row.new_meter if is_old else row.old_meter
    register = row.final_register if is_old else row.initial_register
    Text(say("Replaced by") if is_old else say("In the place of"), "dt")
    with box("dd"):
        link(other, f"/meters/{other}")
        Text(f" · {scaled(register, row.scaler)} {row.symbol} · ")
        moment(row.at, "date")


def _changes(changes: Sequence[ChangeRow]) -> None:
    with box("details").style("margin-top: 8px"):
        Text(say("Changes"), "summary", "meta")
        asset_card.history(changes)
