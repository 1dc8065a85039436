"""The six figures of the overview, each with the list it opens."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime

from hesper_ui.services import Overview
from hesper_ui.views.wording import age_text, decimal, grouped, percent, plural, power
from hesper_ui.words import later, say


@dataclass(frozen=True, slots=True)
class Tile:
    """One figure: its label, its number and unit, a note under it, and where it leads.

    ``live_note`` is the note for live frames, with the names of their figures in braces, and
    ``rest`` of which two a frame makes ``{rest}``; without any left ``no_rest`` is said.
    """

    label: str
    figure: str  # the name under which live frames carry it
    format: str
    value: str
    unit: str
    note: str
    target: str
    tone: str = "normal"
    live_note: str = ""
    rest: str = ""
    no_rest: str = ""
    dated: str = ""  # the name under which live frames carry how old it is
    at: datetime | None = None


def tiles(figures: Overview, now: datetime | None = None, *, whole: bool = True) -> list[Tile]:
    """Returns the six tiles; a missing number is neutral, never an alarm.

    ``whole`` says whether they are for somebody who sees every area: two figures are not divided.
    """
    return [
        _online(figures),
        _complete(figures),
        _alerts(figures, now or datetime.now(UTC)),
        _stored(figures, whole),
        _load(figures) if whole else _undivided_load(figures),
        _commands(figures),
    ]


def _stored(figures: Overview, whole: bool) -> Tile:
    before = "" if whole else say("in all areas") + " · "
    gateways = plural(figures.gateways_total, "gateway")
    words = later("{part} of {whole} online")
    note = before + say(words, part=figures.gateways_online, whole=gateways)
    live_note = before + say(words, part="{gateways_online}", whole=gateways)
    if figures.broker_lost_since:
        note, live_note = before + _unknown(), ""
    return Tile(
        say("Readings stored"),
        "readings_per_s",
        "rate",
        decimal(figures.readings_per_s, 0 if figures.readings_per_s >= 100 else 1),
        "/s",
        note,
        "/gateways",
        live_note=live_note,
    )


def _unknown() -> str:
    return say("who is online is not known now")


def _online(figures: Overview) -> Tile:
    silent = figures.meters_total - figures.meters_online
    tile = Tile(
        say("Meters online"),
        "meters_online",
        "count",
        grouped(figures.meters_online),
        say("of {whole}", whole=grouped(figures.meters_total)),
        say("{count} not heard from", count=grouped(silent)) if silent else say("all heard from"),
        "/meters?view=silent" if silent else "/meters",
        live_note=say("{count} not heard from", count="{rest}"),
        rest="meters_total meters_online",
        no_rest=say("all heard from"),
    )
    return replace(tile, note=_unknown(), live_note="") if figures.broker_lost_since else tile


def _complete(figures: Overview) -> Tile:
    share = figures.reads_complete_pct
    below = share is not None and share < figures.reads_target_pct
    return Tile(
        say("Reads complete, 24 h"),
        "reads_complete_pct",
        "percent",
        percent(share),
        "%",
        say("target {percent} %", percent=percent(figures.reads_target_pct))
        + f" · {plural(figures.gaps_open, 'gap')}",
        "/gaps",
        "warning" if below else "normal",
    )


def _alerts(figures: Overview, now: datetime) -> Tile:
    oldest = figures.oldest_critical_at
    note = say("{count} open", count=grouped(figures.alerts_open))
    if not figures.alerts_open:
        note = say("none open")
    if figures.critical_alerts and oldest is not None:
        age = age_text((now - oldest).total_seconds())
        note = say("oldest {age}", age=age) + f" · {note}"
    return Tile(
        say("Open critical alerts"),
        "critical_alerts",
        "count",
        grouped(figures.critical_alerts),
        "",
        note,
        "/alerts?severity=critical",
        "critical" if figures.critical_alerts else "normal",
    )


def _load(figures: Overview) -> Tile:
    value, unit = power(figures.fleet_load_w)
    before, before_unit = power(figures.fleet_load_yesterday_w)
    known = figures.fleet_load_yesterday_w is not None
    return Tile(
        say("Fleet load"),
        "fleet_load_w",
        "power",
        value,
        unit,
        say("a day ago {power}", power=f"{before} {before_unit}")
        if known
        else say("no value of a day ago"),
        "/meters?view=online",
        dated="fleet_load_at",
        at=figures.fleet_load_at,
    )


def _undivided_load(figures: Overview) -> Tile:
    return replace(_load(figures), note=say("counted over all areas alone"))


def _commands(figures: Overview) -> Tile:
    waiting, batched = figures.commands_awaiting_approval, figures.commands_in_batches
    note = (
        say("{count} awaiting approval", count=grouped(waiting))
        if waiting
        else say("none awaiting approval")
    )
    if batched:
        note = say("{count} of them in batches", count=grouped(batched)) + f" · {note}"
    return Tile(
        say("Commands under way"),
        "commands_in_flight",
        "count",
        grouped(figures.commands_in_flight),
        "",
        note,
        "/commands",
        "warning" if waiting else "normal",
    )
