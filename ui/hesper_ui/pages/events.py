"""Events: what meters and gateways noticed, newest first; the stream waits while one reads.

The list is drawn here; events.js puts what is committed from then on on top of it.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from nicegui import ui
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
    grouped_table,
    link,
    marked,
    moment,
    panel,
)
from hesper_ui.pages import asset_lists
from hesper_ui.part import Part, look_every, watch
from hesper_ui.places import WATCH, Place
from hesper_ui.services import Actor, EventRow, PageAsked, Permission, mark_of, titles
from hesper_ui.views import event_words
from hesper_ui.views.event_words import GROUPS
from hesper_ui.views.looks import SEVERITIES, severity
from hesper_ui.views.wording import capital, epoch_ms, plural
from hesper_ui.words import later, say

MOST = 200
LOOK_S = 5.0
SCROLLED = "(event) => emit(event.currentTarget.scrollTop > 4)"
Shown = tuple[Sequence[EventRow], str | None]
"""A page of events, and the cursor of the next."""
COLUMNS = Columns(
    ("Occurred", "Severity", "What", "Group", "Where", "Stored", "Rule"),
    wide_only=frozenset({3, 5}),
)
FIELDS = {
    "code": later("Code"),
    "meter": later("Meter"),
    "gateway": later("Gateway"),
    "area": later("Area"),
}


async def build(desk: Desk, actor: Actor, args: PageArguments) -> None:
    """Builds the stream of events, filtered by the address."""
    asked = event_words.asked(args.query_parameters)
    zone = ZoneInfo(desk.services.reports.today()[1])
    wanted = event_words.wanted(asked, zone)
    cursor = args.query_parameters.get("cursor", "")
    with box("div", "page-head"):
        with box("div", "titles"):
            Text(say("Events"), "h1", tabindex="-1")
            Text(say("What meters and gateways noticed, as they told it."), "p", "meta")
        with box("div", "actions"):
            export = event_words.address(asked, "/console/events.csv")
            Text(say("Export CSV"), "a", "btn", href=export, download="events.csv")
            if cursor:
                link(say("Newest"), event_words.address(asked), "btn")
            else:
                hold = button("Hold", aria_pressed="false", data_hold=True)
    _chips(asked)
    _fields(asked, zone)
    waiting = Text("", "p", "meta", role="status")

    async def load(asking: Actor) -> Shown:
        page = PageAsked(MOST, cursor, filters=mark_of(asked))
        return await desk.services.events.page(asking, wanted, page)

    may_rule = actor.may(Permission.EDIT_RULES)
    attributes = {"tabindex": "0", "role": "region", "aria_label": say("Events")}
    if not cursor:  # what is older has come to rest
        span = {"start": _ms(wanted.start), "end": _ms(wanted.end)}
        attributes |= {"data_follow": "events", "data_asked": json.dumps(asked | span)}
        attributes |= {"data_words": _words(may_rule)}
    with box("div", "stream", **attributes) as stream:
        part = Part(desk, load, lambda shown: _draw(shown, asked, may_rule))
    await part.show()
    if not cursor:
        _Stream(desk, part, load, waiting).held_by(hold, stream)


def _ms(at: datetime | None) -> int | None:
    return None if at is None else epoch_ms(at)


def _words(may_rule: bool) -> str:
    """Returns what events.js says of events, in the operator's language."""
    severities = {name: (look.mark, say(look.word)) for name, look in SEVERITIES.items()}
    groups = {name: say(words) for name, words in GROUPS.items()}
    called = {code: (title, say(title)) for code, title in titles().items()}
    words = {"severities": severities, "groups": groups, "titles": called, "rules": may_rule}
    return json.dumps(words)


class _Stream:
    """Looks again when the page asks; while somebody reads it only counts what waits."""

    def __init__(self, desk: Desk, part: Part[Shown], load: Any, said: Text) -> None:
        self._desk, self._part, self._load, self._said = desk, part, load, said
        self._held = self._scrolled = False
        self._newest = ""

    def held_by(self, hold: Text, stream: ui.element) -> None:
        """Lets a button hold the stream, and scrolling down in it."""

        async def toggle() -> None:
            self._held = not self._held
            hold.text = say("Go on") if self._held else say("Hold")
            hold.props["aria-pressed"] = str(self._held).lower()
            hold.update()
            await self._look()

        async def scrolled(event: Any) -> None:
            if bool(event.args) != self._scrolled:
                self._scrolled = bool(event.args)
                await self._look()

        hold.on("click", toggle, args=[])
        stream.on("scroll", scrolled, js_handler=SCROLLED, throttle=0.2)
        watch("events", self._look)
        look_every(LOOK_S, self._count)

    async def _count(self) -> None:
        if self._held or self._scrolled:
            await self._look()

    async def _look(self) -> None:
        if not (self._held or self._scrolled):
            self._newest, self._said.text = "", ""
            await self._part.refresh()
            return
        rows, _ = await self._load(await self._desk.actor())
        ids = [row.id for row in rows]
        self._newest = self._newest or (ids[0] if ids else "")
        fresh = ids.index(self._newest) if self._newest in ids else len(ids)
        waits = plural(fresh, "new event") if fresh else say("nothing new")
        self._said.text = say("Paused while you read; {waits}.", waits=waits)


def _chips(asked: Mapping[str, str]) -> None:
    with box("nav", "chips", aria_label=say("Filters")):
        for name, words in {"": later("any group"), **GROUPS}.items():
            _chip(words, event_words.address(asked, group=name), name == asked["group"])
        box("span", "divider", aria_hidden="true")
        severities = {name: look.word for name, look in SEVERITIES.items()}
        for name, words in {"": later("any severity"), **severities}.items():
            _chip(words, event_words.address(asked, severity=name), name == asked["severity"])
        for name in ("meter", "code"):
            if asked[name]:
                target = event_words.address(asked, **{name: ""})
                with box("a", "chip", href=target, aria_current="true"):
                    Text(f"{say(FIELDS[name])} {asked[name]}")
                    Text("×", aria_label=say("remove this filter"))


def _chip(words: str, target: str, here: bool) -> None:
    Text(capital(say(words)), "a", "chip", href=target, aria_current="true" if here else None)


def _fields(asked: Mapping[str, str], zone: ZoneInfo) -> None:
    with box("form", "filter-row", method="get", action="/events", role="search"):
        for name in ("group", "severity"):
            Text("", "input", type="hidden", name=name, value=asked[name])
        for name, label in FIELDS.items():
            _field(name, say(label), asked[name], "search")
        for name, label in (("from", say("From")), ("to", say("To"))):
            with box("label"):
                Text(label, classes="meta", aria_hidden="true")
                _field(name, label, asked[name], "date")
        Text(say("Filter"), "button", "btn", type="submit")
        Text(say("00:00 to 24:00 in {zone}", zone=zone.key), classes="meta")


def _field(name: str, label: str, value: str, kind: str) -> None:
    Text(
        "",
        "input",
        "native",
        type=kind,
        name=name,
        value=value,
        placeholder=label,
        aria_label=label,
        maxlength="128",
    )


def _draw(shown: Shown, asked: Mapping[str, str], may_rule: bool) -> None:
    rows, following = shown
    if not rows:
        with box("section", "panel", aria_label=say("Events")):
            states.empty("No event here", "Event logs are read every few minutes.")
        return
    note = say("{count} at a time", count=MOST) if following else ""
    with panel("Newest first", note):
        drawn = [_cells(row, may_rule) for row in rows]
        grouped_table("Events", COLUMNS, [("", "", []), ("", "", drawn)])
    asset_lists.next_page("/events", asked, following)


def _cells(row: EventRow, may_rule: bool) -> list[Cell]:
    def where() -> None:
        if row.meter:
            link(row.meter, f"/meters/{row.meter}")
        else:
            link(row.gateway, f"/gateways/{row.gateway}")

    def what() -> None:
        with box("div", "told", data_event=row.id):
            title, besides = event_words.told(row)
            Text(title)
            Text(f" {besides}", classes="meta")

    def rule() -> None:
        if may_rule:
            asked = urlencode({"code": row.code, "severity": row.severity})
            made = link(say("Make a rule"), f"/rules/new?{asked}", "nowrap")
            made.props["aria-label"] = say("Make a rule from {code}", code=row.code)

    return [
        lambda: moment(row.occurred_at, "date"),
        lambda: marked(*severity(row.severity)),
        what,
        lambda: Text(say(GROUPS.get(row.group, GROUPS["unknown"])), classes="nowrap"),
        where,
        lambda: ago(row.stored_at),
        rule,
    ]


PLACES = [Place("/events", "Events", build, drawings.EVENTS, group=WATCH, rank=60, key="e")]
