"""Meter: one supply with its relay, load profile, registers, gaps, events and commands."""

from datetime import UTC, datetime, timedelta
from typing import Any

from nicegui import ui
from nicegui.page_arguments import PageArguments

from hesper_ui.desk import Desk
from hesper_ui.elements import box, link, panel
from hesper_ui.pages import meter_assets, meter_head, meter_lists, timeline
from hesper_ui.pages.meter_head import Head
from hesper_ui.pages.meter_load import LoadPanel
from hesper_ui.pages.meter_trace import TracePanel
from hesper_ui.part import Part, look_every, watch
from hesper_ui.places import Place
from hesper_ui.services import Actor
from hesper_ui.views import load_profile
from hesper_ui.words import say

COMMANDS = 20
EVENTS = 8
ALERTS = 5
HEAD_S = 5.0
GAP_DAYS = 30


async def build(desk: Desk, actor: Actor, args: PageArguments) -> None:
    """Builds the page of one meter."""
    meter = args.path_parameters["meter"]
    day = load_profile.day_of(args.query_parameters.get("day", ""))
    services = desk.services
    detail = await services.meters.get(actor, meter)
    ui.page_title(f"{meter} · Hesper")
    dialogs = box("div", "contents")

    async def load_head(asking: Actor) -> Head:
        found = await services.meters.get(asking, meter)
        alerts = await services.alerts.list(asking, "open", None, ALERTS, meter)
        return Head(found, alerts, services.overview.hears_broker())

    head = Part(
        desk, load_head, lambda found: meter_head.draw(desk, actor, found, dialogs, refresh)
    )
    with box("div", "grid-main"):
        with box("div", "stack"):
            load = LoadPanel(desk, meter, detail.capture_period_s or 900, day)
            registers = _registers(desk, meter)
            chosen = args.query_parameters.get("trace", "")
            trace = TracePanel(desk, meter, chosen, lambda: refresh())
        with box("div", "stack"):
            commands, events = _commands(desk, meter), _events(desk, meter)
            supply = _supply(desk, meter)
            with panel("Installation"):
                kept = Part(
                    desk,
                    lambda asking: meter_assets.load(desk, asking, meter),
                    lambda found: meter_assets.draw(desk, actor, found, dialogs, replaced),
                )
            gaps = _gaps(desk, meter)

    async def refresh() -> None:
        await head.refresh()
        await commands.refresh()

    async def replaced() -> None:
        for part in (head, supply, kept):
            await part.refresh()

    for part in (head, load.part, commands, registers, events, supply, kept, gaps, trace.part):
        await part.refresh()
    watch("commands switch", refresh, meter)
    watch("commands", trace.part.refresh, meter)
    watch("alerts", head.refresh, meter)
    watch("alerts", events.refresh, meter)
    look_every(HEAD_S, head.refresh)
    for part in (load.part, registers, events, supply, kept, gaps):
        look_every(60.0, part.refresh)


def _registers(desk: Desk, meter: str) -> Part[Any]:
    with panel("Registers", "latest values"):
        return Part(
            desk,
            lambda asking: desk.services.meters.latest(asking, meter),
            lambda rows: meter_lists.registers(meter, rows),
        )


def _commands(desk: Desk, meter: str) -> Part[Any]:
    with panel("Commands", "newest first"):
        return Part(
            desk,
            lambda asking: desk.services.commands.list(asking, None, meter, COMMANDS),
            timeline.draw,
        )


def _events(desk: Desk, meter: str) -> Part[Any]:
    with panel("Events", say("the latest {count}", count=EVENTS)):
        return Part(
            desk,
            lambda asking: desk.services.meters.events(asking, meter, EVENTS),
            meter_lists.events,
        )


def _supply(desk: Desk, meter: str) -> Part[Any]:
    with panel("Supply"):
        return Part(
            desk,
            lambda asking: desk.services.meters.get(asking, meter),
            meter_lists.particulars,
        )


def _gaps(desk: Desk, meter: str) -> Part[Any]:
    with panel("Missing intervals", say("last {days} days", days=GAP_DAYS)) as tools:
        with tools:
            link(say("Readings quality"), f"/quality/{meter}", "meta")
        return Part(
            desk,
            lambda asking: desk.services.meters.gaps(asking, meter, *_gap_window()),
            meter_lists.gaps,
        )


def _gap_window() -> tuple[datetime, datetime]:
    now = datetime.now(UTC)
    return now - timedelta(days=GAP_DAYS), now


PLACES = [Place("/meters/{meter}", "Meter", build)]
