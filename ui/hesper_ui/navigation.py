"""The navigation: places in groups at the side; on a phone the first few in a bar, the rest behind
one button.
"""

from collections.abc import Sequence
from html import escape
from itertools import groupby

from nicegui import ui

from hesper_ui import drawings
from hesper_ui.elements import Text, box, drawing
from hesper_ui.places import Place
from hesper_ui.words import later, say

Links = dict[str, ui.element]
_IN_THE_BAR = {"/", "/meters", "/alerts", "/commands"}
MAIN, MORE = later("Main"), later("More")


def draw(places: Sequence[Place]) -> tuple[ui.element, Links]:
    """Draws the places that have a drawing; returns the element, and its links by address."""
    links: Links = {}
    shown = [place for place in places if place.icon is not None]
    with box("nav", "frame-nav", aria_label=say(MAIN)) as navigation:
        for name, group in groupby(shown, key=lambda place: place.group):
            with box("div", "nav-group"):
                Text(say(name), "h2", "nav-head", id=f"nav-{name.lower()}")
                with box("ul", aria_labelledby=f"nav-{name.lower()}"):
                    for place in group:
                        links[place.path] = _link(place)
        _more()
    return navigation, links


def _link(place: Place) -> ui.element:
    title = say(place.title)
    in_the_bar = place.path in _IN_THE_BAR
    named = {"href": place.path, "title": title, "data_key": place.key or None}
    with box("li", "in-the-bar" if in_the_bar else ""):
        if not place.figure:
            inside = f'{place.icon or ""}<span class="nav-text">{escape(title)}</span>'
            return box("a", "nav-link", **named, innerHTML=inside)  # one element for each client
        with box("a", "nav-link", **named) as anchor:
            drawing(place.icon or "")
            Text(title, classes="nav-text")
            with box("span", "counted"):
                classes = f"count {place.tone}".strip()
                Text("", classes=classes, data_figure=place.figure, data_live=True)
                Text(say(place.said), classes="visually-hidden")
    return anchor


def _more() -> None:
    """On a phone: opens all places over the page; closes by itself when one is chosen."""
    with box(
        "button", "nav-link nav-more", type="button", data_nav_more=True, aria_expanded="false"
    ):
        drawing(drawings.MORE)
        Text(say(MORE), classes="nav-text")


def highlight(links: Links, current: str) -> None:
    """Marks the place one is at; a page below it counts."""
    path = current.partition("?")[0].rstrip("/") or "/"
    for target, anchor in links.items():
        here = path == target or (target != "/" and path.startswith(f"{target}/"))
        if here == ("aria-current" in anchor.props):
            continue
        if here:
            anchor.props["aria-current"] = "page"
        else:
            del anchor.props["aria-current"]
        anchor.update()
