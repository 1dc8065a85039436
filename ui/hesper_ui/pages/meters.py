"""Meters: the whole fleet, searched, sorted, filtered and selected from by the server.

What is shown is all in the address, so that a list can be sent to a colleague. A selection, some
rows or all that match, is held on the server; commands, campaigns and exports name it.
"""

import json
from collections.abc import Mapping
from urllib.parse import urlencode

from nicegui import ui
from nicegui.page_arguments import PageArguments

from hesper_ui import drawings
from hesper_ui.desk import Desk
from hesper_ui.elements import Text, box, button
from hesper_ui.pages import first_run
from hesper_ui.places import WATCH, Place
from hesper_ui.services import Actor, Permission
from hesper_ui.views.meter_list import FILTERS, VIEWS, names_causes, query
from hesper_ui.views.wording import plural
from hesper_ui.words import later, say

_GRID = {
    ":datasource": "hesperGrid.source",
    ":onGridReady": "hesperGrid.ready",
    ":onRowClicked": "hesperGrid.clicked",
    ":onCellKeyDown": "hesperGrid.pressed",
    ":onSelectionChanged": "hesperGrid.chosen",
    ":onSortChanged": "hesperGrid.sorted",
    ":getRowId": "({ data }) => data.id",
    "rowModelType": "infinite",
    "rowSelection": {
        "mode": "multiRow",
        "checkboxes": True,
        "headerCheckbox": False,
        "enableClickSelection": False,
    },
    "selectionColumnDef": {"width": 44, "minWidth": 44, "pinned": "left"},
    "cacheBlockSize": 100,
    "maxBlocksInCache": 20,
    "infiniteInitialRowCount": 1,
    "suppressCellFocus": False,
    "suppressMovableColumns": True,
    "animateRows": False,
    "tooltipShowDelay": 400,
    "overlayNoRowsTemplate": "<span></span>",
}
_GRID_SAYS = {
    "ariaChecked": later("checked"),
    "ariaUnchecked": later("unchecked"),
    "ariaRowToggleSelection": later("Press Space to toggle row selection"),
}
"""What the grid says to who cannot see it, by its own names."""
_ACTIONS = (
    (later("Read relays…"), "/batches/new?kind=relay.read"),
    (later("Command…"), "/batches/new"),
    (later("Firmware campaign…"), "/firmware/new"),
)


async def build(desk: Desk, actor: Actor, args: PageArguments) -> None:
    """Builds the list; grid.js fetches its rows."""
    parameters = dict(args.query_parameters)
    asked = query(parameters | {"offset": "0", "limit": "1"})
    total = (await desk.services.meters.page(actor, asked)).total
    with box("div", "page-head"):
        with box("div", "titles"):
            Text(say("Meters"), "h1", tabindex="-1")
            Text(plural(total, "meter"), "p", "meta", data_grid_count=True, role="status")
        _tools(parameters, asked.search)
    if not total and not parameters:
        await first_run.show(desk)
        return
    _chips(parameters)
    _selection(actor)
    box("div", "notice", data_grid_state=True, hidden=True, role="status")
    named = {name: parameters[name] for name in ("view", *FILTERS) if parameters.get(name)}
    with box("div", "grid-host", data_asked=urlencode(named)):
        columns = f"hesperGrid.columns({json.dumps(names_causes(asked))})"
        says = {name: say(words) for name, words in _GRID_SAYS.items()}
        options = {**_GRID, ":columnDefs": columns, "localeText": says}
        grid = ui.aggrid(options, auto_size_columns=False)
        grid.props["aria-label"] = say("Meters")
    box("div", "cards", data_cards=True)
    with box("div", "phone-only"):
        button("Show more", data_cards_more=True, hidden=True).style("width: 100%")


def _tools(parameters: Mapping[str, str], search: str) -> None:
    with box("div", "grid-tools"):
        Text(
            "",
            "input",
            "native search",
            type="search",
            data_search=True,
            value=search,
            placeholder=say("Serial, customer or address  ( / )"),
            aria_label=say("Search meters"),
            maxlength="100",
        )
        with box("details", "menu"):
            Text(say("Filter"), "summary", "btn")
            with box("form", "menu-body", data_filters=True):
                for name, words in FILTERS.items():
                    with box("label"):
                        Text(say(words), classes="meta")
                        value = parameters.get(name, "")
                        Text("", "input", "native", name=name, value=value, maxlength="100")
                Text(say("Apply"), "button", "btn primary", type="submit")
        with box("details", "menu wide-only"):
            Text(say("Columns"), "summary", "btn")
            box("div", "menu-body", data_columns=True)


def _chips(parameters: Mapping[str, str]) -> None:
    current = parameters.get("view", "")
    kept = {name: parameters[name] for name in FILTERS if parameters.get(name)}
    with box("nav", "chips", aria_label=say("Saved views")):
        for view, name in VIEWS.items():
            here = "true" if view == current else None
            Text(say(name), "a", "chip", href=_address({"view": view} | kept), aria_current=here)
        for name, value in kept.items():
            rest = {other: text for other, text in kept.items() if other != name}
            target = _address({"view": current} | rest)
            with box("a", "chip", href=target, aria_current="true"):
                Text(f"{say(FILTERS[name])}: {value}")
                Text("×", aria_label=say("remove this filter"))
        box("span", "contents", data_views=True)
        button("Save view…", kind="quiet small", data_view_save=True)


def _address(asked: Mapping[str, str]) -> str:
    named = {name: value for name, value in asked.items() if value}
    return f"/meters?{urlencode(named)}" if named else "/meters"


def _selection(actor: Actor) -> None:
    """Draws what can be done with a selection; grid.js shows it once there is one."""
    with box("div", "selection", data_selection=True, hidden=True, role="status"):
        Text("", "strong", data_selected=True)
        button("", kind="quiet small", data_select_all=True)
        box("span", "grow")
        if actor.may(Permission.REQUEST_COMMAND):
            for words, target in _ACTIONS:
                button(words, kind="small", acts=True, data_with_selection=target)
        button("Export CSV", kind="small", data_export=True)
        button("Clear", kind="quiet small", data_select_none=True)


PLACES = [Place("/meters", "Meters", build, drawings.METERS, group=WATCH, rank=30, key="m")]
