"""Events: what meters and gateways noticed, newest first."""

from collections.abc import Sequence
from urllib.parse import urlencode

from nicegui.page_arguments import PageArguments

from hesper_ui import drawings, states
from hesper_ui.desk import Desk
from hesper_ui.elements import (
    Cell,
    Columns,
    Text,
    ago,
    box,
    button,
    link,
    marked,
    moment,
    panel,
    table,
)
from hesper_ui.part import Part, look_every
from hesper_ui.places import WATCH, Place
from hesper_ui.services import Actor, EventRow, Invalid
from hesper_ui.views.looks import SEVERITIES, severity
from hesper_ui.views.wording import capital
from hesper_ui.words import later, say

MOST = 200
LOOK_S = 5.0
SEVERITIES_BY_NAME = [(name, look.word) for name, look in SEVERITIES.items()]
COLUMNS = Columns(
    ("Occurred", "Severity", "What", "Code", "Where", "Stored"), wide_only=frozenset({3, 5})
)


async def build(desk: Desk, _actor: Actor, args: PageArguments) -> None:
    """Builds the stream of events, filtered by the address; it can be held while one reads."""
    level = args.query_parameters.get("severity", "")
    meter = args.query_parameters.get("meter", "")
    if level and level not in SEVERITIES:
        raise Invalid("There is no such filter.")
    with box("div", "page-head"):
        with box("div", "titles"):
            Text(say("Events"), "h1", tabindex="-1")
            Text(say("What meters and gateways noticed, as they told it."), "p", "meta")
        hold = button("Hold", aria_pressed="false")
    _chips(level, meter)

    async def load(asking: Actor) -> Sequence[EventRow]:
        return await desk.services.meters.events(asking, meter or None, MOST, level or None)

    part = Part(desk, load, _draw)
    await part.show()
    _held_by(hold, part)


def _held_by(hold: Text, part: Part[Sequence[EventRow]]) -> None:
    held = False

    async def look() -> None:
        if not held:
            await part.refresh()

    async def toggle() -> None:
        nonlocal held
        held = not held
        hold.text = say("Go on") if held else say("Hold")
        hold.props["aria-pressed"] = str(held).lower()
        hold.update()
        await look()

    hold.on("click", toggle, args=[])
    look_every(LOOK_S, look)


def _chips(level: str, meter: str) -> None:
    with box("nav", "chips", aria_label=say("Filters")):
        for name, words in [("", later("any severity")), *SEVERITIES_BY_NAME]:
            here = "true" if name == level else None
            Text(capital(say(words)), "a", "chip", href=_address(name, meter), aria_current=here)
        if meter:
            with box("a", "chip", href=_address(level, ""), aria_current="true"):
                Text(say("Meter {meter}", meter=meter))
                Text("×", aria_label=say("remove this filter"))


def _address(level: str, meter: str) -> str:
    asked = {name: value for name, value in (("severity", level), ("meter", meter)) if value}
    return f"/events?{urlencode(asked)}" if asked else "/events"


def _draw(rows: Sequence[EventRow]) -> None:
    if not rows:
        with box("section", "panel", aria_label=say("Events")):
            states.empty("No event here", "Event logs are read every few minutes.")
        return
    note = say("the newest {count}", count=MOST) if len(rows) == MOST else ""
    with panel("Newest first", note):
        table("Events", COLUMNS, [_cells(row) for row in rows])


def _cells(row: EventRow) -> list[Cell]:
    def where() -> None:
        if row.meter:
            link(row.meter, f"/meters/{row.meter}")
        else:
            link(row.gateway, "/gateways")

    return [
        lambda: moment(row.occurred_at, "date"),
        lambda: marked(*severity(row.severity)),
        capital(row.text),
        lambda: Text(row.code, classes="meta"),
        where,
        lambda: ago(row.stored_at),
    ]


PLACES = [Place("/events", "Events", build, drawings.EVENTS, group=WATCH, rank=60, key="e")]
