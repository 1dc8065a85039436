"""Fields that a script reads: a file, a choice of a few, what is chosen in the browser alone."""

from collections.abc import Mapping

from hesper_ui.elements import Text, box
from hesper_ui.words import say


def file(name: str, label: str, accept: str) -> None:
    """Draws the choice of a file; the browser's own control lies over it, so keys reach it."""
    with box("label", "field"):
        Text(say(label), "span", "meta")
        with box("span", "native file"):
            box("input", type="file", name=name, required=True, accept=accept)
            Text(say("Choose a file…"), classes="btn small", aria_hidden="true")
            Text(say("none chosen"), classes="meta", data_file_name=True, aria_hidden="true")


def lines(name: str, label: str) -> None:
    """Draws a field for a text of several lines."""
    with box("label", "field lines"):
        Text(say(label), "span", "meta")
        box("textarea", "native", name=name, rows=5, maxlength=16000, spellcheck="true")


def select(name: str, label: str, options: Mapping[str, str]) -> None:
    """Draws a native choice; ``options`` are values and their words, in English."""
    with box("label", "field"):
        Text(say(label), "span", "meta")
        with box("select", "native", name=name):
            for value, words in options.items():
                Text(say(words), "option", value=value)


def choices(label: str, choices: Mapping[str, str], data: str, chosen: str = "") -> None:
    """Draws what is chosen in the browser alone: theme.js keeps it in a cookie."""
    Text(say(label), classes="meta")
    with box("div", "choices", role="group", aria_label=say(label)):
        for value, name in choices.items():
            pressed = "true" if value == chosen else "false"
            choice = Text(say(name), "button", "choice", type="button", aria_pressed=pressed)
            choice.props[f"data-{data}-choice"] = value
