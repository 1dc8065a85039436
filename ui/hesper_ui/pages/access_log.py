"""Looks at data: who saw which household's interval data, by which door, newest first."""

from urllib.parse import urlencode

from nicegui.page_arguments import PageArguments

from hesper_ui import states
from hesper_ui.desk import Desk
from hesper_ui.elements import Cell, Columns, Text, box, link, moment, panel, table
from hesper_ui.places import Place
from hesper_ui.services import Actor, Permission
from hesper_ui.services.looking import AccessRow, AccessWanted, Asked
from hesper_ui.views.wording import MISSING, grouped
from hesper_ui.words import later, say

PER_PAGE = 100
COLUMNS = Columns(
    ("When", "Who", "Through", "What for", "Whose", "From", "To", "Times"), numbers=frozenset({7})
)

DOORS = {
    "command line": later("command line"),
    "console": later("console"),
    "live": later("live values"),
    "report": later("report"),
    "rest": later("REST"),
    "schedule": later("schedule"),
}
OPERATIONS = {
    "aggregates": later("sums"),
    "balance": later("balance with one customer"),
    "bill": later("bill"),
    "changes": later("changes since"),
    "consumption": later("consumption"),
    "consumption report": later("report of consumption, fetched"),
    "consumption, mailed": later("report of consumption, by mail"),
    "conversation": later("trace of the line"),
    "edits": later("edits"),
    "export": later("export"),
    "latest": later("latest values"),
    "live": later("live events"),
    "live values": later("live values"),
    "person export": later("export of a person's data"),
    "readings": later("readings"),
    "series": later("load profile"),
    "validated": later("quality of days"),
    "voltage weeks": later("voltage by week"),
}
"""What was looked at, by the name that the log keeps."""


async def build(desk: Desk, actor: Actor, args: PageArguments) -> None:
    """Builds one page of the log, of one meter or account where asked."""
    asked = {name: args.query_parameters.get(name, "") for name in ("meter", "who", "cursor")}
    wanted = AccessWanted(asked["meter"][:32], asked["who"][:128])
    page = await desk.services.access_log.page(actor, wanted, Asked(PER_PAGE, asked["cursor"]))
    with box("div", "page-head"):
        with box("div", "titles"):
            Text(say("Looks at data"), "h1", tabindex="-1")
            Text(say("Written down before anything is shown."), "p", "meta")
        _search(asked)
    if not page.rows:
        with box("section", "panel", aria_label=say("Looks at data")):
            states.empty("No look here", "Who looks at interval data is written down here.")
        return
    with panel("Newest first"):
        table("Looks at data", COLUMNS, [_cells(row) for row in page.rows])
    if page.next_cursor is not None:
        further = urlencode(asked | {"cursor": page.next_cursor})
        with box("nav", "chips", aria_label=say("Pages")):
            link(say("Older"), f"/audit/looks?{further}", "chip")


def _search(asked: dict[str, str]) -> None:
    with box("form", "chips", method="get", action="/audit/looks", role="search"):
        for name, words in (("meter", say("Meter")), ("who", say("Account"))):
            Text(
                "",
                "input",
                "native search",
                type="search",
                name=name,
                value=asked[name],
                placeholder=words,
                aria_label=words,
                maxlength="128",
            )
        Text(say("Search"), "button", "chip", type="submit")


def _cells(row: AccessRow) -> list[Cell]:
    return [
        lambda: moment(row.last_at, "date"),
        row.who,
        say(DOORS.get(row.door, row.door)),
        say(OPERATIONS.get(row.operation, row.operation)),
        _whose(row),
        lambda: moment(row.from_at, "date"),
        lambda: moment(row.to_at, "date"),
        grouped(row.count),
    ]


def _whose(row: AccessRow) -> Cell:
    meter = row.meter
    if meter is not None:
        return lambda: link(meter, f"/meters/{meter}")
    if row.area is not None:
        return say("all meters of {area}", area=row.area or MISSING)
    return say("every meter")


PLACES = [Place("/audit/looks", "Looks at data", build, needs=Permission.READ_AUDIT, rank=91)]
