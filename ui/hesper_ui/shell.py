"""The frame around every page: header, navigation, and the place where pages are shown."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from nicegui import ui
from nicegui.page_arguments import PageArguments

from hesper_ui import drawings, states
from hesper_ui.desk import Desk
from hesper_ui.elements import Text, box, drawing, mark
from hesper_ui.services import Actor, NotAuthenticated, NotFound, Permission, ServiceError

_SIGN_IN_AGAIN = (
    "location.assign('/login?next=' + encodeURIComponent(location.pathname + location.search))"
)
_FOCUS_TITLE = "document.querySelector('.page h1')?.focus({preventScroll: true})"
Build = Callable[[Desk, Actor, PageArguments], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Place:
    """One page of the console."""

    path: str
    title: str
    build: Build
    icon: str | None = None  # places with an icon are in the navigation
    figure: str | None = None  # a live figure shown beside the name
    tone: str = ""
    said: str = ""  # what the figure counts, for who cannot see its place
    needs: Permission = Permission.READ  # without it the navigation leaves the place out


def frame(desk: Desk, actor: Actor, places: list[Place]) -> None:
    """Builds header and navigation, and shows the place that the address names."""
    client = ui.context.client
    with client.layout:
        head = _header(actor)
        with box("div", "lost-bar", aria_hidden="true") as bar:
            mark("offline")
            Text("No live data. What you see may be old; commands are held until it is back.")
        navigation, links = _navigation([place for place in places if actor.may(place.needs)])
    navigation.move(target_index=0)
    bar.move(target_index=0)
    head.move(target_index=0)
    _highlight(links, client.sub_pages_router.current_path)
    client.sub_pages_router.on_path_changed(lambda path: _highlight(links, path))
    ui.on_exception(_tell_of_a_fault)
    _Places({place.path: _shown(desk, place) for place in places})


class _Places(ui.sub_pages):
    """Where pages are shown; an address that is none of them is told so in our own words."""

    def _render_404(self) -> None:
        with box("div", "page"):
            Text("No such page", "h1", tabindex="-1")
            states.refused(NotFound("There is no page at this address."), lambda: None)


def _tell_of_a_fault() -> None:
    """Says that something of ours broke; NiceGUI has logged it with its trace."""
    ui.notify("Something went wrong here. It is logged; please load the page again.")


def _header(actor: Actor) -> ui.element:
    with box("header", "frame-head") as head:
        Text("Skip to the content", "a", "skip", href="#content")
        with box("a", "brand", href="/", aria_label="Hesper, overview"):
            drawing(drawings.STAR)
            Text("Hesper")
        box("div", "space")
        with box("span", "link-state"):
            mark("unknown")
            Text("connecting", "b")
            Text("", classes="detail wide-only")
        Text("", classes="visually-hidden", data_link_said=True, role="status")
        Text("", classes="meta wide-only", data_clock=True, aria_label="Server time")
        _account(actor)
    return head


def _account(actor: Actor) -> None:
    with box("details", "menu"):
        named = actor.username == actor.role.value
        Text(actor.username if named else f"{actor.username} · {actor.role.value}", "summary")
        with box("div", "menu-body"):
            Text("Appearance", classes="meta")
            with box("div", "choices", role="group", aria_label="Appearance"):
                for theme in ("system", "light", "dark"):
                    Text(
                        theme.capitalize(),
                        "button",
                        "choice",
                        type="button",
                        data_theme_choice=theme,
                        aria_pressed="false",
                    )
            with box("form", method="post", action="/logout"):
                Text("Sign out", "button", "btn", type="submit").style("width: 100%")


def _navigation(places: list[Place]) -> tuple[ui.element, dict[str, ui.element]]:
    links: dict[str, ui.element] = {}
    with box("nav", "frame-nav", aria_label="Main") as navigation, box("ul"):
        for place in places:
            if place.icon is None:
                continue
            with box("li"), box("a", "nav-link", href=place.path, title=place.title) as anchor:
                drawing(place.icon)
                Text(place.title, classes="nav-text")
                if place.figure:
                    classes = f"count {place.tone}".strip()
                    with box("span", "counted"):
                        Text("", classes=classes, data_figure=place.figure, data_live=True)
                        Text(place.said, classes="visually-hidden")
            links[place.path] = anchor
    return navigation, links


def _highlight(links: dict[str, ui.element], current: str) -> None:
    """Marks the place one is at; a page below it counts."""
    path = current.partition("?")[0].rstrip("/") or "/"
    for target, anchor in links.items():
        here = path == target or (target != "/" and path.startswith(f"{target}/"))
        if here:
            anchor.props["aria-current"] = "page"
        else:
            anchor.props.pop("aria-current", None)
        anchor.update()


def _shown(desk: Desk, place: Place) -> Callable[[PageArguments], Awaitable[None]]:
    async def show(args: PageArguments) -> None:
        ui.page_title(f"{place.title} · Hesper")
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
