"""The frame around every page: header, navigation, and the place where pages are shown."""

from collections.abc import Awaitable, Callable, Sequence

from nicegui import ui
from nicegui.page_arguments import PageArguments, RouteMatch

from hesper_ui import drawings, navigation, states, tongues
from hesper_ui.desk import Desk
from hesper_ui.elements import Text, box, drawing, link, mark
from hesper_ui.fields import choices
from hesper_ui.places import Place
from hesper_ui.services import Actor, NotAuthenticated, ServiceError
from hesper_ui.services.answering import answered
from hesper_ui.words import current, later, say

_SIGN_IN_AGAIN = (
    "location.assign('/login?next=' + encodeURIComponent(location.pathname + location.search))"
)
_FOCUS_TITLE = "document.querySelector('.page h1')?.focus({preventScroll: true})"
_THEMES = {"system": later("System"), "light": later("Light"), "dark": later("Dark")}


def frame(desk: Desk, actor: Actor, places: Sequence[Place]) -> None:
    """Builds header and navigation, and shows the place that the address names."""
    client = ui.context.client
    with client.layout:
        head = _header(actor)
        with box("div", "lost-bar", aria_hidden="true") as bar:
            mark("offline")
            Text(say("No live data. What you see may be old; commands are held until it is back."))
        unheard = _unheard_bar()
        side, links = navigation.draw([place for place in places if actor.may(place.needs)])
    side.move(target_index=0)
    unheard.move(target_index=0)
    bar.move(target_index=0)
    head.move(target_index=0)
    navigation.highlight(links, client.sub_pages_router.current_path)
    client.sub_pages_router.on_path_changed(lambda path: navigation.highlight(links, path))
    ui.on_exception(_tell_of_a_fault)
    _Places({place.path: _shown(desk, place) for place in places})


def _unheard_bar() -> ui.element:
    """Makes what live frames show while the head end has no broker: on every page, to everybody."""
    with box("div", "unheard-bar", role="status", data_unheard=True, hidden=True) as bar:
        mark("offline")
        with box("p"):
            Text(say("The connection to the broker was lost"), "b")
            Text("", "time")
            Text(say("Nobody is heard: who is shown as online was so then; now it is not known."))
    return bar


class _Places(ui.sub_pages):
    """Where pages are shown; an address that is none of them is told so in our own words."""

    def _find_matching_path(self) -> RouteMatch | None:
        """Returns the place of the whole address; NiceGUI takes one that it begins with, too."""
        match = super()._find_matching_path()
        return None if match is None or match.remaining_path else match

    def _render_404(self) -> None:
        ui.page_title(f"{say('No such page')} · Hesper")
        with box("div", "page"), box("section", "panel"), box("div", "state"):
            Text(say("No such page"), "h1", tabindex="-1")
            Text(say("There is no page at this address."), "p")
            link(say("Go to the overview"), "/")


def _tell_of_a_fault() -> None:
    """Says that something of ours broke; NiceGUI has logged it with its trace."""
    ui.notify(say("Something went wrong here. It is logged; please load the page again."))


def _header(actor: Actor) -> ui.element:
    with box("header", "frame-head") as head:
        Text(say("Skip to the content"), "a", "skip", href="#content")
        with box("a", "brand", href="/", aria_label=say("Hesper, overview")):
            drawing(drawings.STAR)
            Text("Hesper")
        box("div", "space")
        with box("button", "seek", type="button", data_palette=True):
            drawing(drawings.SEEK)
            Text(say("Go to"))
            Text("Ctrl K", "kbd", "wide-only")
        with box("span", "link-state"):
            mark("unknown")
            Text(say("connecting"), "b")
            Text("", classes="detail wide-only")
        Text("", classes="visually-hidden", data_link_said=True, role="status")
        Text(
            "",
            classes="meta wide-only",
            data_clock=True,
            role="timer",
            aria_label=say("Server time"),
        )
        _account(actor)
    return head


def _account(actor: Actor) -> None:
    with box("details", "menu"):
        named = actor.username == actor.role.value
        role = say(actor.role.value)
        shown = actor.username if named else f"{actor.username} · {role}"
        Text(shown, "summary", data_who=actor.username)
        with box("div", "menu-body"):
            link(say("Your account"), "/profile", "btn quiet")
            choices("Appearance", _THEMES, data="theme")
            choices("Language", _languages(), data="language", chosen=current().language)
            Text(say("Time zone"), "label", "meta", for_="zone")
            box("select", "native", id="zone", data_zone=True)
            Text(say("Shortcuts"), "button", "btn quiet", type="button", data_help=True)
            with box("form", method="post", action="/logout"):
                Text(say("Sign out"), "button", "btn", type="submit").style("width: 100%")


def _languages() -> dict[str, str]:
    return {each: tongues.tongue(each).name for each in tongues.languages()}


def _shown(desk: Desk, place: Place) -> Callable[[PageArguments], Awaitable[None]]:
    async def show(args: PageArguments) -> None:
        ui.page_title(f"{say(place.title)} · Hesper")
        with box("div", "page", id="content"):
            body = box("div").style("display: contents")
        client = ui.context.client
        await fill(body, desk, place, args)
        if not client.sub_pages_router.is_initial_request:
            client.run_javascript(_FOCUS_TITLE)

    return show


async def fill(body: ui.element, desk: Desk, place: Place, args: PageArguments) -> None:
    """Builds a page into ``body``; what a service refuses becomes a page of its own."""
    body.clear()
    with body:
        states.loading()
    with body:
        bones = list(body.default_slot.children)
        try:
            with answered():
                await place.build(desk, await desk.actor(), args)
        except NotAuthenticated:
            ui.run_javascript(_SIGN_IN_AGAIN)
            body.clear()
            states.refused(NotAuthenticated(), lambda: None)
            return
        except ServiceError as refusal:
            body.clear()
            states.refused(refusal, lambda: fill(body, desk, place, args))
            return
        for bone in bones:
            bone.delete()
