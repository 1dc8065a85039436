"""What all lists of what is kept have in common: the tabs, the search, the next page."""

from collections.abc import Mapping
from urllib.parse import urlencode

from hesper_ui.elements import Text, box
from hesper_ui.words import later, say

TABS = {
    "/customers": later("Customers"),
    "/customers/sims": later("SIM cards"),
    "/customers/areas": later("Areas"),
    "/customers/models": later("Meter models"),
    "/customers/tariffs": later("Tariffs"),
    "/customers/elements": later("Grid elements"),
}


def tabs(here: str) -> None:
    """Draws the way to the other lists."""
    with box("nav", "chips", aria_label=say("Lists")):
        for path, title in TABS.items():
            current = "true" if path == here else None
            Text(say(title), "a", "chip", href=path, aria_current=current)


def search(path: str, value: str, words: str) -> None:
    """Draws the field that searches a list."""
    with box("form", method="get", action=path, role="search"):
        Text(
            "",
            "input",
            "native search",
            type="search",
            name="search",
            value=value,
            placeholder=words,
            aria_label=words,
            maxlength="100",
        )


def next_page(path: str, asked: Mapping[str, str], cursor: str | None) -> None:
    """Draws the way to the rest of a list, where there is one."""
    if cursor is not None:
        with box("nav", "chips", aria_label=say("Pages")):
            target = address(path, {**asked, "cursor": cursor})
            Text(say("Next page"), "a", "chip", href=target)


def address(path: str, asked: Mapping[str, str]) -> str:
    """Returns the address of a list with what is asked of it."""
    named = {name: value for name, value in asked.items() if value}
    return f"{path}?{urlencode(named)}" if named else path
