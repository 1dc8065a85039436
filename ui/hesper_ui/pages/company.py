"""Lists that hold for the whole company: areas, meter models, tariffs, elements of the grid."""

from collections.abc import Sequence
from functools import partial
from typing import Any
from urllib.parse import quote

from nicegui import ui
from nicegui.page_arguments import PageArguments

from hesper_ui import states
from hesper_ui.desk import Desk
from hesper_ui.dialogs import asset_form
from hesper_ui.elements import Cell, Columns, Text, box, button, link, panel, table
from hesper_ui.pages import asset_lists
from hesper_ui.part import Part, look_every
from hesper_ui.places import Build, Place
from hesper_ui.services import (
    Actor,
    AreaRow,
    AssetQuery,
    Listed,
    ModelRow,
    PageAsked,
    Permission,
    TariffRow,
    mark_of,
)
from hesper_ui.views import assets
from hesper_ui.views.assets import ELEMENTS, CompanyKind, CompanyRow, Written
from hesper_ui.views.wording import MISSING, decimal, grouped, plural
from hesper_ui.words import later, say

PER_PAGE = 50
PATHS: dict[CompanyKind, str] = {
    "area": "/customers/areas",
    "model": "/customers/models",
    "tariff": "/customers/tariffs",
    "element": "/customers/elements",
}
COLUMNS: dict[CompanyKind, Columns] = {
    "area": Columns(("Name", "Part of", "Where", "Meters", ""), numbers=frozenset({3})),
    "model": Columns(("Model", "Brand", "Type", "Template", "Meters", ""), numbers=frozenset({4})),
    "tariff": Columns(("Name", "Description", "Customers", ""), numbers=frozenset({2})),
    "element": Columns(("Name", "Kind", "Number", "Part of", "Meters", ""), numbers=frozenset({4})),
}
_EMPTY: dict[CompanyKind, str] = {
    "area": later("Areas say who sees which meters, and group lists and reports."),
    "model": later("A model names the template by which its meters are read."),
    "tariff": later("A tariff is what a customer is on; here are only its name and a text."),
    "element": later("Feeders and transformers make the grid's tree; meters are put under them."),
}


def page_of(kind: CompanyKind) -> Build:
    """Returns what builds the list of one kind."""

    async def build(desk: Desk, actor: Actor, args: PageArguments) -> None:
        await _build(desk, actor, kind, args)

    return build


async def _build(desk: Desk, actor: Actor, kind: CompanyKind, args: PageArguments) -> None:
    asked = {name: args.query_parameters.get(name, "") for name in ("search", "cursor")}
    path, host = PATHS[kind], box("div", "contents")
    title = asset_lists.TABS[path]
    page = _Page(desk, kind, host, actor.may(Permission.ADMINISTER))
    with box("div", "page-head"):
        with box("div", "titles"):
            Text(say(title), "h1", tabindex="-1")
            Text(say(_EMPTY[kind]), "p", "meta")
        with box("div", "actions"):
            asset_lists.search(path, asked["search"], say("Search this list"))
            page.add()
    asset_lists.tabs(path)
    if not page.keeps:
        Text(say("Administrators change these lists."), "p", "meta")

    async def load(asking: Actor) -> Listed[Any]:
        query = AssetQuery(search=asked["search"][:100])
        wanted = PageAsked(PER_PAGE, asked["cursor"], filters=mark_of({"search": query.search}))
        return await desk.services.assets.page(asking, kind, query, wanted)

    def draw(found: Listed[Any]) -> None:
        with panel(title, plural(found.total, "entry", "entries")):
            if found.rows:
                table(title, COLUMNS[kind], [page.cells(row) for row in found.rows])
            else:
                page.empty(bool(asked["search"]))
        asset_lists.next_page(path, asked, found.next)

    page.part = Part(desk, load, draw)
    await page.part.show()
    look_every(30.0, page.part.refresh)


class _Page:
    """One list, and what may be done with its rows."""

    part: Part[Listed[Any]]

    def __init__(self, desk: Desk, kind: CompanyKind, host: ui.element, keeps: bool) -> None:
        self._desk, self._kind, self._host = desk, kind, host
        self.keeps = keeps

    def add(self) -> None:
        """Draws the way to a new row."""
        if self.keeps:
            words = f"{say(asset_form.TITLES[self._kind][0])}…"
            button(words, partial(self._form, None), "primary", acts=True)

    @staticmethod
    def empty(searched: bool) -> None:
        """Says that there is nothing."""
        title = later("Nothing matches") if searched else later("Nothing here yet")
        states.empty(title, "An administrator adds the first one here.")

    def cells(self, row: CompanyRow) -> list[Cell]:
        """Returns what a row shows."""
        return [*_told(row), partial(self._tools, row)]

    def _tools(self, row: CompanyRow) -> None:
        if not self.keeps:
            return
        name = assets.title_of(row)
        change, delete = say("Change {name}", name=name), say("Delete {name}", name=name)
        button("Change…", partial(self._form, row), "small", acts=True, aria_label=change)
        button("Delete…", partial(self._delete, row), "quiet small", acts=True, aria_label=delete)

    def _form(self, row: CompanyRow | None) -> None:
        async def done(_: Written) -> None:
            await self.part.refresh()

        asset_form.open_form(self._desk, self._kind, row, self._host, done)

    def _delete(self, row: CompanyRow) -> None:
        asset_form.open_deletion(self._desk, self._kind, row, self._host, self.part.refresh)


def _told(row: CompanyRow) -> Sequence[Cell]:
    match row:
        case AreaRow():
            meters = _meters(row.meters, f"/meters?area={quote(row.name)}")
            return [row.name, row.parent or MISSING, _where(row), meters]
        case ModelRow():
            meters = _meters(row.meters, f"/meters?model={quote(row.model)}")
            shown = row.meter_type or MISSING, row.template or MISSING
            return [row.model, row.brand, *shown, meters]
        case TariffRow():
            return [row.name, row.description or MISSING, grouped(row.customers)]
    meters = _meters(row.meters, f"/meters?feeder={quote(row.id)}")
    return [row.name, say(ELEMENTS.get(row.kind, row.kind)), row.id, row.parent or MISSING, meters]


def _meters(count: int, target: str) -> Cell:
    return lambda: link(grouped(count), target) if count else Text(grouped(count))


def _where(row: AreaRow) -> str:
    if row.latitude is None or row.longitude is None:
        return MISSING
    return f"{decimal(row.latitude, 4)}, {decimal(row.longitude, 4)}"


PLACES = [Place(PATHS[kind], asset_lists.TABS[PATHS[kind]], page_of(kind)) for kind in PATHS]
