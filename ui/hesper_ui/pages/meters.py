"""Meters: the whole fleet, searched, sorted and filtered by the server."""

from urllib.parse import urlencode

from nicegui import ui
from nicegui.page_arguments import PageArguments

from hesper_ui import drawings
from hesper_ui.desk import Desk
from hesper_ui.elements import Text, box, button
from hesper_ui.places import WATCH, Place
from hesper_ui.services import Actor
from hesper_ui.views.meter_list import VIEWS, query

_GRID = {
    ":columnDefs": "hesperGrid.columns",
    ":datasource": "hesperGrid.source",
    ":onGridReady": "hesperGrid.ready",
    ":onRowClicked": "hesperGrid.clicked",
    ":onCellKeyDown": "hesperGrid.pressed",
    "rowModelType": "infinite",
    "cacheBlockSize": 100,
    "maxBlocksInCache": 20,
    "infiniteInitialRowCount": 1,
    "suppressCellFocus": False,
    "suppressMovableColumns": True,
    "animateRows": False,
    "tooltipShowDelay": 400,
    "overlayNoRowsTemplate": "<span></span>",
}


async def build(desk: Desk, actor: Actor, args: PageArguments) -> None:
    """Builds the list; grid.js fetches its rows."""
    parameters = dict(args.query_parameters)
    asked = query(parameters | {"offset": "0", "limit": "1"})
    total = (await desk.services.meters.page(actor, asked)).total
    with box("div", "page-head"):
        with box("div", "titles"):
            Text("Meters", "h1", tabindex="-1")
            Text(f"{total:,} meters", "p", "meta", data_grid_count=True, role="status")
        Text(
            "",
            "input",
            "native search",
            type="search",
            data_search=True,
            value=asked.search,
            placeholder="Serial, customer or address  ( / )",
            aria_label="Search meters",
            maxlength="100",
        )
    _chips(parameters)
    with box("div", "notice", data_grid_state=True, hidden=True, role="status"):
        pass
    with box("div", "grid-host"):
        grid = ui.aggrid(dict(_GRID), auto_size_columns=False)
        grid.props["aria-label"] = "Meters"
    box("div", "cards", data_cards=True)
    with box("div", "phone-only"):
        button("Show more", data_cards_more=True, hidden=True).style("width: 100%")


def _chips(parameters: dict[str, str]) -> None:
    current, gateway = parameters.get("view", ""), parameters.get("gateway")
    with box("nav", "chips", aria_label="Saved views"):
        for view, name in VIEWS.items():
            here = "true" if view == current else None
            Text(name, "a", "chip", href=_address(view, gateway), aria_current=here)
        if gateway:
            with box("a", "chip", href=_address(current, None), aria_current="true"):
                Text(f"Gateway {gateway}")
                Text("×", aria_label="remove this filter")


def _address(view: str, gateway: str | None) -> str:
    asked = {name: value for name, value in (("view", view), ("gateway", gateway)) if value}
    return f"/meters?{urlencode(asked)}" if asked else "/meters"


PLACES = [Place("/meters", "Meters", build, drawings.METERS, group=WATCH, rank=30)]
