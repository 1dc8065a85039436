"""Overview: six figures that lead to their lists, the day's load, and what needs a person."""

from collections.abc import Callable, Sequence
from functools import partial

from nicegui import ui
from nicegui.page_arguments import PageArguments

from hesper_ui import drawings, states
from hesper_ui.desk import Desk
from hesper_ui.elements import Text, ago, box, link, mark, panel
from hesper_ui.pages import first_run
from hesper_ui.part import Part, look_every, watch
from hesper_ui.places import WATCH, Place
from hesper_ui.services import Actor, AttentionRow, CompletenessHour, FleetLoad, Overview
from hesper_ui.views import attention_words, charts
from hesper_ui.views.looks import severity
from hesper_ui.views.tiles import Tile, tiles
from hesper_ui.views.wording import percent, plural, power
from hesper_ui.words import say

MOST_ATTENTION = 7
MOST_CAUSES = 100
CHART_S = 60.0


async def build(desk: Desk, actor: Actor, _: PageArguments) -> None:
    """Builds the first page."""
    services = desk.services.overview

    async def count(asking: Actor) -> tuple[int, int]:
        figures = await services.figures(asking)
        return figures.meters_total, figures.gateways_total

    first = await services.figures(actor)
    with box("div", "page-head"), box("div", "titles"):
        Text(say("Fleet overview"), "h1", tabindex="-1")
        size = Part(desk, count, _draw_size)
    await size.refresh()
    look_every(CHART_S, size.refresh)
    if not first.meters_total:
        await _first_run(desk)
        return
    sees_all = actor.areas is None
    figures = Part(desk, services.figures, partial(_draw_figures, sees_all=sees_all))
    with box("div", "grid-main"):
        with box("div", "stack"):
            with panel("Fleet load, last 24 hours", "dashed: the day before"):
                load = Part(desk, services.load_24h, _draw_load if sees_all else _undivided)
            target = first.reads_target_pct
            with panel(
                "Read completeness by hour",
                say("% of due captures, target {target}", target=percent(target)),
            ):
                hours = Part(
                    desk, services.completeness_by_hour, lambda rows: _draw_hours(rows, target)
                )
        with panel("Needs attention", "worst first"):
            attention = _attention(desk, _draw_attention)
    for part in (figures, load, attention, hours):
        await part.refresh()
    watch("alerts commands", attention.refresh)
    watch("alerts commands switch broker", figures.refresh)
    look_every(15.0, attention.refresh)
    look_every(CHART_S, load.refresh)
    look_every(CHART_S, hours.refresh)
    look_every(CHART_S, figures.refresh)


async def _first_run(desk: Desk) -> None:
    """Shows the first steps, and below them what is in the way."""
    await first_run.show(desk)
    hindrances = _attention(desk, _draw_hindrances)
    await hindrances.refresh()
    look_every(first_run.LOOKS_EVERY_S, hindrances.refresh)


def _attention(
    desk: Desk, draw: Callable[[Sequence[AttentionRow]], None]
) -> Part[Sequence[AttentionRow]]:
    return Part(desk, lambda who: desk.services.overview.needs_attention(who, MOST_CAUSES), draw)


def _draw_size(size: tuple[int, int]) -> None:
    meters, gateways = plural(size[0], "meter"), plural(size[1], "gateway")
    Text(f"{meters} · {gateways}", "p", "meta")


def _draw_figures(figures: Overview, *, sees_all: bool) -> None:
    if figures.kill_switch:
        states.notice(
            "critical", say("The kill switch is engaged: commands may only read."), "critical"
        )
    with box("div", "tiles"):
        for tile in tiles(figures, whole=sees_all):
            _draw_tile(tile)


def _draw_tile(tile: Tile) -> None:
    tone = None if tile.tone == "normal" else tile.tone
    with box("a", "tile", href=tile.target, data_tone=tone):
        with box("span", "tile-label"):
            if tone:
                mark(tone)
            Text(tile.label)
        with box("span", "tile-figure"):
            Text(
                tile.value,
                classes="figure",
                data_figure=tile.figure,
                data_format=tile.format,
                data_live=True,
            )
            Text(tile.unit, classes="unit")
        if tile.at:
            with box("span", "tile-note"):
                Text(say("newest value") + " ")
                ago(tile.at).props["data-dated"] = tile.dated
        Text(
            tile.note,
            classes="tile-note",
            data_note=tile.live_note or None,
            data_rest=tile.rest or None,
            data_no_rest=tile.no_rest or None,
        )


def _draw_load(load: FleetLoad) -> None:
    if not any(value is not None for value in load.today):
        states.empty("No load yet", "The curve begins with the first two captures of a meter.")
        return
    last = next((value for value in reversed(load.today) if value is not None), None)
    number, unit = power(last)
    said = say("Load of the fleet over the last 24 hours, now {power}.", power=f"{number} {unit}")
    ui.echart(charts.fleet_load(load, said), renderer="svg")


def _undivided(_: FleetLoad) -> None:
    states.empty(
        "Not divided by area",
        "The fleet's load is counted over all areas alone; meters have theirs.",
    )


def _draw_hindrances(rows: Sequence[AttentionRow]) -> None:
    """Shows below the first steps what is in the way, if anything."""
    if rows:
        with panel("Needs attention", "worst first"):
            _draw_attention(rows)


def _draw_attention(rows: Sequence[AttentionRow]) -> None:
    if not rows:
        states.empty("Nothing needs you", "Alerts and approvals appear here, worst first.")
        return
    with box("ul", "row-list"):
        for row in rows[:MOST_ATTENTION]:
            with box("li"):
                mark(severity(row.severity).mark)
                with box("div"):
                    with box("div", "what"):
                        link(attention_words.title(row), attention_words.target(row))
                    Text(f"{say(row.severity)} · {attention_words.subjects(row)}", classes="meta")
                with box("div", "meta"):
                    ago(row.oldest_at, suffix="")
    if len(rows) > MOST_ATTENTION:
        link(plural(len(rows) - MOST_ATTENTION, "more cause"), "/alerts")


def _draw_hours(hours: Sequence[CompletenessHour], target: float) -> None:
    if not any(hour.due for hour in hours):
        states.empty("Nothing was due yet", "Bars appear with the first capture that falls due.")
        return
    due, stored = sum(h.due for h in hours), sum(h.stored for h in hours)
    said = say(
        "{stored} of {due} due captures are stored over {hours} hours.",
        stored=stored,
        due=due,
        hours=len(hours),
    )
    chart = ui.echart(charts.completeness(hours, target, said), renderer="svg")
    chart.classes("chart-small")


PLACES = [Place("/", "Overview", build, drawings.OVERVIEW, group=WATCH, rank=10, key="o")]
