"""Customers and SIM cards: searchable lists, and each one with its links and its history."""

from collections.abc import Mapping, Sequence
from typing import Any

from nicegui import ui
from nicegui.page_arguments import PageArguments

from hesper_ui import drawings, states
from hesper_ui.desk import Desk
from hesper_ui.dialogs import asset_form
from hesper_ui.elements import Cell, Columns, Text, box, button, link, marked, panel, table
from hesper_ui.pages import asset_card, asset_lists
from hesper_ui.places import KEEP, Place
from hesper_ui.services import (
    Actor,
    AssetQuery,
    CustomerRow,
    Listed,
    PageAsked,
    Permission,
    SimRow,
    mark_of,
)
from hesper_ui.views import assets
from hesper_ui.views.assets import CUSTOMER_STATES, SIM_STATES, Kept, KeptKind, Written
from hesper_ui.views.looks import Look
from hesper_ui.views.wording import MISSING, plural
from hesper_ui.words import later, say

PER_PAGE = 50
PATHS = asset_card.LISTS
TITLES: dict[KeptKind, str] = {"customer": later("Customers"), "sim": later("SIM cards")}
_STATES: dict[KeptKind, Mapping[str, Look]] = {"customer": CUSTOMER_STATES, "sim": SIM_STATES}
_SEARCHED: dict[KeptKind, str] = {
    "customer": later("Name, account, address, phone …"),
    "sim": later("ICCID, MSISDN, IMSI, meter …"),
}
_COLUMNS: dict[KeptKind, Columns] = {
    "customer": Columns(
        ("Name", "State", "Account", "Address", "Area", "Tariff", "Meters"),
        wide_only=frozenset({4, 5}),
    ),
    "sim": Columns(
        ("ICCID", "State", "MSISDN", "Provider", "Data", "Where"), wide_only=frozenset({3})
    ),
}


async def customers(desk: Desk, actor: Actor, args: PageArguments) -> None:
    """Builds the list of customers."""
    await _build(desk, actor, args, "customer")


async def sims(desk: Desk, actor: Actor, args: PageArguments) -> None:
    """Builds the list of SIM cards."""
    await _build(desk, actor, args, "sim")


async def _build(desk: Desk, actor: Actor, args: PageArguments, kind: KeptKind) -> None:
    asked = {name: args.query_parameters.get(name, "") for name in ("search", "state", "cursor")}
    found = await _page(desk, actor, kind, asked)
    dialogs = box("div", "contents")
    with box("div", "page-head"):
        with box("div", "titles"):
            Text(say(TITLES[kind]), "h1", tabindex="-1")
            Text(plural(found.total, "entry", "entries"), "p", "meta", role="status")
        with box("div", "actions"):
            asset_lists.search(PATHS[kind], asked["search"], say(_SEARCHED[kind]))
            if actor.may(Permission.EDIT_ASSETS):
                _add(desk, kind, dialogs)
    _chips(kind, asked)
    if not found.rows:
        with box("section", "panel", aria_label=say(TITLES[kind])):
            words = later("Add one here, or bring many by a CSV file under Import.")
            states.empty("Nothing here yet" if not asked["search"] else "Nothing matches", words)
        return
    with panel(TITLES[kind]):
        table(TITLES[kind], _COLUMNS[kind], [_cells(row) for row in found.rows])
    asset_lists.next_page(PATHS[kind], asked, found.next)


async def _page(desk: Desk, actor: Actor, kind: KeptKind, asked: Mapping[str, str]) -> Listed[Any]:
    filters = {"state": asked["state"] or None}
    query = AssetQuery(search=asked["search"][:100], filters=filters)
    page = PageAsked(
        PER_PAGE, asked["cursor"], filters=mark_of({"search": query.search, **filters})
    )
    return await desk.services.assets.page(actor, kind, query, page)


def _add(desk: Desk, kind: KeptKind, dialogs: ui.element) -> None:
    async def show(made: Written) -> None:
        ui.navigate.to(f"{PATHS[kind]}/{assets.key_of(made)}")

    title = asset_form.TITLES[kind][0]
    button(
        f"{say(title)}…",
        lambda: asset_form.open_form(desk, kind, None, dialogs, show),
        "primary",
        acts=True,
    )


def _chips(kind: KeptKind, asked: Mapping[str, str]) -> None:
    asset_lists.tabs(PATHS[kind])
    with box("nav", "chips", aria_label=say("States")):
        for state, word in {
            "": later("all"),
            **{k: v.word for k, v in _STATES[kind].items()},
        }.items():
            target = asset_lists.address(PATHS[kind], {"search": asked["search"], "state": state})
            here = "true" if state == asked["state"] else None
            Text(say(word), "a", "chip", href=target, aria_current=here)


def _cells(row: Kept) -> list[Cell]:
    state = assets.state(row)
    if isinstance(row, SimRow):
        use = assets.use_look(row)
        return [
            lambda: link(row.iccid, f"{PATHS['sim']}/{row.id}"),
            lambda: marked(*state),
            row.msisdn or MISSING,
            row.provider or MISSING,
            lambda: marked(*use),
            lambda: asset_card.where(row),
        ]
    return [
        lambda: link(row.name, f"/customers/{row.id}"),
        lambda: marked(*state),
        row.account_number,
        row.address or MISSING,
        row.area or MISSING,
        row.tariff or MISSING,
        lambda: _meters(row),
    ]


def _meters(row: CustomerRow) -> None:
    shown: Sequence[str] = row.meters[:3]
    for meter in shown:
        link(meter, f"/meters/{meter}")
        Text(" ")
    if len(row.meters) > len(shown):
        Text(f"+{len(row.meters) - len(shown)}", classes="meta")
    if not row.meters:
        Text(MISSING)


async def customer(desk: Desk, actor: Actor, args: PageArguments) -> None:
    """Builds the page of one customer."""
    await asset_card.build(desk, actor, "customer", args.path_parameters["customer"])


async def sim(desk: Desk, actor: Actor, args: PageArguments) -> None:
    """Builds the page of one SIM card."""
    await asset_card.build(desk, actor, "sim", args.path_parameters["sim"])


PLACES = [
    Place(
        "/customers", "Customers & SIM", customers, drawings.PEOPLE, group=KEEP, rank=10, key="k"
    ),
    Place("/customers/sims", "SIM cards", sims),
    Place("/customers/{customer}", "Customer", customer),
    Place("/customers/sims/{sim}", "SIM card", sim),
]
