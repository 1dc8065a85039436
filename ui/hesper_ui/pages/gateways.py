"""Gateways: who is up, what waits in their outboxes, whose clock is off."""

from collections.abc import Sequence

from nicegui.page_arguments import PageArguments

from hesper_ui import drawings, states
from hesper_ui.desk import Desk
from hesper_ui.elements import Cell, Columns, Text, ago, box, link, marked, moment, panel, table
from hesper_ui.part import Part, look_every
from hesper_ui.places import WATCH, Place
from hesper_ui.services import Actor, GatewayRow
from hesper_ui.views import gateway_words
from hesper_ui.views.looks import Look, gateway_state
from hesper_ui.words import say

COLUMNS = Columns(
    (
        "Gateway",
        "Status",
        "Last heard",
        "Up since",
        "Meters",
        "Backlog",
        "Outbox",
        "Clock",
        "Signal",
        "Certificate",
        "Version",
    ),
    numbers=frozenset({4, 5, 6, 7, 8, 9}),
)


_Seen = tuple[GatewayRow, Look]  # a look changes with the time alone, too


async def build(desk: Desk, _actor: Actor, _: PageArguments) -> None:
    """Builds the list of gateways."""
    with box("div", "page-head"), box("div", "titles"):
        Text(say("Gateways"), "h1", tabindex="-1")

    async def load(who: Actor) -> Sequence[_Seen]:
        return [(row, gateway_state(row)) for row in await desk.services.gateways.list(who)]

    part = Part(desk, load, _draw)
    await part.show()
    look_every(5.0, part.refresh)


def _draw(seen: Sequence[_Seen]) -> None:
    rows = [row for row, _ in seen]
    if not rows:
        states.first_run()
        return
    for row in rows:
        if not row.has_key:
            words = "{id} has no public key on record: no command result of it can be believed."
            states.notice("warning", say(words, id=row.id), "warning")
    ordered = sorted(seen, key=lambda each: (each[1].mark == "normal", each[0].id))
    with panel("As they last reported", gateway_words.reached(rows)):
        table("Gateways", COLUMNS, [_cells(*each) for each in ordered])


def _cells(row: GatewayRow, look: Look) -> list[Cell]:
    def backlog() -> None:
        with box("div", "lines"):
            Text(gateway_words.backlog(row), "div")
            if row.oldest_unreceipted_at is not None:
                with box("div", "meta"):
                    Text(say("oldest") + " ")
                    ago(row.oldest_unreceipted_at, suffix="")

    return [
        lambda: link(row.id, f"/gateways/{row.id}", "nowrap"),
        lambda: marked(*look),
        lambda: ago(row.last_seen_at),
        lambda: moment(row.started_at, "date"),
        gateway_words.meters(row),
        backlog,
        lambda: marked(*gateway_words.outbox(row)),
        lambda: marked(*gateway_words.clock(row)),
        lambda: marked(*gateway_words.signal(row)),
        lambda: marked(*gateway_words.certificate(row)),
        row.version or "–",
    ]


PLACES = [Place("/gateways", "Gateways", build, drawings.GATEWAYS, group=WATCH, rank=40, key="w")]
