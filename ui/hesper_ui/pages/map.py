"""Map: meters clustered by what is wrong with them, gateways as squares, all without internet.

Three ways to show where things are, the first that there is: the operator's own tiles, served from
here; the outline that comes with the console; and, without coordinates, the feeders.
"""

from collections.abc import Sequence
from urllib.parse import quote

from nicegui.page_arguments import PageArguments

from hesper_ui import drawings, states
from hesper_ui.desk import Desk
from hesper_ui.elements import Cell, Columns, Text, box, button, link, panel, table
from hesper_ui.places import WATCH, Place
from hesper_ui.services import Actor, Box, Branch, Permission
from hesper_ui.views import mapping
from hesper_ui.views.wording import MISSING, grouped
from hesper_ui.words import later, say

COLUMNS = Columns(
    ("Feeder", "Kind", "Meters", "Critical", "Warning", "Silent"), numbers=frozenset({2, 3, 4, 5})
)
KINDS = {
    "area": later("area"),
    "feeder": later("feeder"),
    "transformer": later("transformer"),
}
LEGEND = (
    ("critical", later("critical")),
    ("warning", later("warning")),
    ("offline", later("silent")),
    ("normal", later("nothing wrong")),
)


async def build(desk: Desk, actor: Actor, args: PageArguments) -> None:
    """Builds the map; map.js fetches what is in view."""
    services = desk.services.geography
    extent, branches = await services.extent(actor), await services.branches(actor)
    feeder = args.query_parameters.get("feeder", "")
    with box("div", "page-head"):
        with box("div", "titles"):
            Text(say("Map"), "h1", tabindex="-1")
            Text("", "p", "meta", data_map_count=True, role="status")
        if branches and extent is not None:
            _feeders(branches, feeder)
    if extent is None:
        states.notice(
            "info",
            say("No meter has coordinates yet; import them to see a map. These are the feeders."),
        )
        _schematic(branches)
        return
    with box("div", "grid-main map-page"):
        with box("section", "panel map-panel", aria_label=say("Map")):
            _canvas(desk, extent, feeder)
            with box("div", "legend"):
                for kind, word in LEGEND:
                    with box("span", "marked meta"):
                        box("span", f"swatch map-{kind}", aria_hidden="true")
                        Text(say(word))
                with box("span", "marked meta"):
                    box("span", "swatch map-gateway", aria_hidden="true")
                    Text(say("gateway"))
        _visible(actor)


def _canvas(desk: Desk, extent: Box, feeder: str) -> None:
    tiles = desk.tiles
    most = tiles.coverage.most_zoom if tiles else None
    box(
        "div",
        "map",
        data_map=f"{extent.south},{extent.west},{extent.north},{extent.east}",
        data_tiles=most,
        data_feeder=feeder or None,
        tabindex="0",
        role="application",
        aria_label=say("Map of the fleet: arrow keys move, plus and minus zoom"),
    )
    if tiles and tiles.coverage.attribution:
        Text(tiles.coverage.attribution, "p", "meta")


def _visible(actor: Actor) -> None:
    with panel("In view") as tools:
        with tools:
            button("Select an area", kind="small", data_map_select=True, aria_pressed="false")
        with box("div", "selection", data_map_selection=True, hidden=True, role="status"):
            Text("", "strong", data_map_selected=True)
            if actor.may(Permission.REQUEST_COMMAND):
                button("Command…", kind="small", acts=True, data_map_use="/batches/new")
        box("ul", "row-list", data_map_list=True)


def _feeders(branches: Sequence[Branch], current: str) -> None:
    with box("select", "native feeder", data_map_feeder=True, aria_label=say("Feeder")):
        Text(say("All feeders"), "option", value="")
        for depth, each in mapping.tree(branches):
            name = "\u2007" * 2 * depth + each.name
            Text(name, "option", value=each.id, selected=each.id == current)


def _schematic(branches: Sequence[Branch]) -> None:
    with panel("Feeders"):
        if not branches:
            states.empty(
                "No feeder is known",
                "Import the grid's topology, or the coordinates of meters and gateways.",
            )
            return
        table("Feeders", COLUMNS, [_cells(depth, each) for depth, each in mapping.tree(branches)])


def _cells(depth: int, each: Branch) -> list[Cell]:
    def name() -> None:
        with box("span", "branch").style(f"padding-left: {depth * 20}px"):
            link(each.name, f"/meters?feeder={quote(each.id)}")

    return [
        name,
        say(KINDS.get(each.kind, each.kind)),
        grouped(each.count),
        *(grouped(n) if n else MISSING for n in (each.critical, each.warning, each.silent)),
    ]


PLACES = [Place("/map", "Map", build, drawings.MAP, group=WATCH, rank=20, key="p")]
