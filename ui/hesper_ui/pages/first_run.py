"""The way to the first meter, wherever there is none yet."""

from nicegui import ui

from hesper_ui import states
from hesper_ui.desk import Desk
from hesper_ui.part import Part, look_every
from hesper_ui.services import Actor

LOOKS_EVERY_S = 3.0


async def show(desk: Desk) -> None:
    """Shows the three steps, and loads the page anew once the first meter is there."""

    async def load(asking: Actor) -> states.Steps:
        gateways = await desk.services.gateways.list(asking)
        figures = await desk.services.overview.figures(asking)
        if figures.meters_total:
            ui.navigate.reload()
        heard = any(row.last_seen_at is not None for row in gateways)
        return states.Steps(bool(gateways), heard, bool(figures.meters_total))

    part = Part(desk, load, states.first_run)
    await part.refresh()
    look_every(LOOKS_EVERY_S, part.refresh)
