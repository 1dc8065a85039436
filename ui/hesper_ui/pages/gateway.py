"""Gateway: one of them as it last reported itself, what is asked of it, and what it should do."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from nicegui import ui
from nicegui.page_arguments import PageArguments

from hesper_ui import states
from hesper_ui.desk import Desk
from hesper_ui.dialogs import asset_form, gateway_forms
from hesper_ui.dialogs.sheet import attempted
from hesper_ui.elements import Text, ago, box, button, link, mark, marked, moment, panel
from hesper_ui.pages import meter_lists, timeline
from hesper_ui.pages.meter_head import alert_notice
from hesper_ui.part import Part, look_every, watch
from hesper_ui.places import Place
from hesper_ui.services import (
    Actor,
    AlertRow,
    EventFilter,
    EventRow,
    GatewayCard,
    GatewayRow,
    NotFound,
    PageAsked,
    Permission,
)
from hesper_ui.services.alerting import AlertFilter
from hesper_ui.services.planning import PlanKind, PlanState
from hesper_ui.views import gateway_words, plans
from hesper_ui.views.assets import GATEWAY_LIVES
from hesper_ui.views.looks import Look, gateway_state
from hesper_ui.views.wording import MISSING, capital
from hesper_ui.words import say

COMMANDS = 20
EVENTS = 8
ALERTS = 5
_Head = tuple[GatewayRow, Look, Sequence[AlertRow]]


async def build(desk: Desk, actor: Actor, args: PageArguments) -> None:
    """Builds the page of one gateway."""
    gateway, services = args.path_parameters["gateway"], desk.services
    await services.gateways.get(actor, gateway)
    ui.page_title(f"{gateway} · Hesper")
    page = _Page(desk, actor, gateway, box("div", "contents"))

    async def asked() -> None:
        await head.refresh()
        await commands.refresh()

    head = Part(desk, page.load_head, lambda found: page.draw_head(*found, asked))
    with box("div", "grid-main"):
        with box("div", "stack"):
            with panel("As it last reported"):
                facts = Part(desk, lambda who: services.gateways.get(who, gateway), _facts)
            with panel("Schedule and templates", "desired against reported"):
                wanted = Part(desk, page.load_plans, _plans)
            with panel("Events", say("the latest {count}", count=EVENTS)):
                drawn = partial(meter_lists.events, with_meter=True)
                events = Part(desk, page.load_events, drawn)
        with box("div", "stack"):
            with panel("Commands", "newest first"):
                commands = Part(
                    desk,
                    lambda who: services.commands.list(who, None, None, COMMANDS, gateway),
                    timeline.draw,
                )
            with panel("Installation"):
                kept = Part(desk, page.load_card, lambda card: page.draw_card(card, kept.refresh))
    for part in (head, facts, wanted, events, commands, kept):
        await part.refresh()
    watch("commands", asked)
    watch("alerts", head.refresh)
    look_every(5.0, head.refresh)
    look_every(5.0, facts.refresh)
    for part in (wanted, events, kept):
        look_every(60.0, part.refresh)


@dataclass(frozen=True, slots=True)
class _Page:
    desk: Desk
    actor: Actor
    gateway: str
    host: ui.element

    async def load_head(self, who: Actor) -> _Head:
        services, open_ = self.desk.services, AlertFilter(state="open", gateway=self.gateway)
        alerts, _ = await services.alerts.page(who, open_, PageAsked(ALERTS))
        row = await services.gateways.get(who, self.gateway)
        return row, gateway_state(row), alerts

    async def load_plans(self, who: Actor) -> Sequence[tuple[PlanKind, PlanState]]:
        kinds: tuple[PlanKind, ...] = ("schedule", "template")
        return [
            (kind, row)
            for kind in kinds
            for row in await self.desk.services.plans.states(who, kind)
            if row.gateway == self.gateway and row.desired is not None
        ]

    async def load_events(self, who: Actor) -> Sequence[EventRow]:
        asked = EventFilter(gateway=self.gateway)
        return (await self.desk.services.events.page(who, asked, PageAsked(EVENTS)))[0]

    async def load_card(self, who: Actor) -> GatewayCard:
        card = await self.desk.services.assets.get(who, "gateway", self.gateway)
        if not isinstance(card, GatewayCard):
            raise NotFound(say("There is nothing here under this name."))
        return card

    def draw_head(
        self, row: GatewayRow, look: Look, alerts: Sequence[AlertRow], asked: gateway_forms.Done
    ) -> None:
        with box("div", "page-head"):
            with box("div", "titles"):
                Text(row.id, "h1", tabindex="-1")
                _status_line(row, look)
            with box("div", "actions"):
                link(say("Its meters"), f"/meters?gateway={row.id}", "btn")
                if self.actor.may(Permission.REQUEST_COMMAND):
                    self._actions(row, asked)
        if not self.actor.may(Permission.REQUEST_COMMAND):
            role = say(self.actor.role.value)
            Text(say("Your role ({role}) may look, not command.", role=role), "p", "meta")
        if not row.has_key:
            words = "{id} has no public key on record: no command result of it can be believed."
            states.notice("warning", say(words, id=row.id), "warning")
        with box("div", "fold"):
            for alert in alerts:
                alert_notice(alert)

    def _actions(self, row: GatewayRow, asked: gateway_forms.Done) -> None:
        desk, host = self.desk, self.host
        configure = attempted(partial(gateway_forms.configure, desk, row, host, asked))
        update = attempted(partial(gateway_forms.update, desk, row, host, asked))
        button("Restart…", partial(gateway_forms.restart, desk, row, host, asked), acts=True)
        button("Configure…", configure, acts=True)
        button("Update…", update, acts=True)

    def draw_card(self, card: GatewayCard, again: gateway_forms.Done) -> None:
        with box("div", "chips"):
            marked(*GATEWAY_LIVES.get(card.life, Look("unknown", card.life)))
            box("span", "grow")
            if self.actor.may(Permission.EDIT_ASSETS):

                async def changed(_: object) -> None:
                    await again()

                button(
                    "Change…",
                    lambda: asset_form.open_form(self.desk, "gateway", card, self.host, changed),
                    "small",
                    acts=True,
                )
        with box("dl", "facts"):
            _fact(say("Address"), card.address)
            _fact(say("Area"), card.area)
            _fact(say("SIM cards"), ", ".join(card.sims))


def _status_line(row: GatewayRow, look: Look) -> None:
    with box("div", "meta status-line"):
        with box("span", "marked"):
            mark(look.mark)
            Text(capital(say(look.word)))
            Text(say("· last heard"))
            ago(row.last_seen_at)
        with box("span", "marked"):
            Text(say("Up since"))
            moment(row.started_at, "date")


def _facts(row: GatewayRow) -> None:
    with box("dl", "facts"):
        _fact(say("Meters"), gateway_words.meters(row))
        _fact(say("Backlog"), gateway_words.backlog(row))
        Text(say("Oldest unreceipted"), "dt")
        with box("dd"):
            ago(row.oldest_unreceipted_at, suffix="", never="none")
        _looked(say("Outbox"), gateway_words.outbox(row))
        _looked(say("Clock"), gateway_words.clock(row))
        _looked(say("Signal"), gateway_words.signal(row))
        _looked(say("Certificate"), gateway_words.certificate(row))
        _fact(say("Version"), row.version)


def _plans(rows: Sequence[tuple[PlanKind, PlanState]]) -> None:
    if not rows:
        states.empty("Nothing is desired yet", "Assign a schedule under Schedules & templates.")
        return
    with box("dl", "facts"):
        for kind, row in rows:
            name, version = row.desired_name or "", row.desired_version
            with box("dt"):
                link(f"{name} {version}", plans.address(kind, name))
            with box("dd"):
                marked(*plans.state(row))
                for what, desired, reported in plans.compared(kind, row):
                    words = "{what}: {desired} desired, {reported} reported"
                    said = say(words, what=what, desired=desired, reported=reported)
                    Text(said, "div", "meta")


def _looked(name: str, look: Look) -> None:
    Text(name, "dt")
    with box("dd"):
        marked(*look)


def _fact(name: str, text: str | None) -> None:
    Text(name, "dt")
    Text(text or MISSING, "dd")


PLACES = [Place("/gateways/{gateway}", "Gateway", build)]
