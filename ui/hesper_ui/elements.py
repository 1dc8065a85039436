"""The few elements that every page is made of.

All text goes through `TextElement`, which the browser shows as a text node: names and texts that
come from meters, customers or gateways can never become markup.
"""

from collections.abc import Callable, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from nicegui import ui
from nicegui.elements.mixins.text_element import TextElement

from hesper_ui.views.wording import age_text, ago_text, epoch_ms
from hesper_ui.words import say

Cell = str | Callable[[], object]


class Text(TextElement):
    """One HTML element with a plain text inside."""

    def __init__(self, text: str, tag: str = "span", classes: str = "", **attributes: Any) -> None:
        super().__init__(tag=tag, text=text)
        dress(self, classes, attributes)


def dress(element: ui.element, classes: str, attributes: dict[str, Any]) -> None:
    """Gives a new element its classes and attributes; `data_live` is spelled `data-live` in HTML.

    They are put in place directly: the browser is told of a new element anyway, and to be told of
    each attribute costs as much as the element.
    """
    list.extend(element.classes, dict.fromkeys(classes.split()))
    for name, value in attributes.items():
        if value is not None and value is not False:
            key = name.rstrip("_").replace("_", "-")
            dict.__setitem__(element.props, key, "" if value is True else value)


def box(tag: str = "div", classes: str = "", **attributes: Any) -> ui.element:
    """Makes an element that holds others."""
    element = ui.element(tag)
    dress(element, classes, attributes)
    return element


def drawing(svg: str) -> ui.element:
    """Shows one of our own constant drawings."""
    return ui.html(svg, sanitize=False, tag="span").props("aria-hidden=true")


def mark(kind: str) -> ui.element:
    """Draws a shape; the word beside it carries the meaning for those who do not see it."""
    return box("span", f"mark mark-{kind}", aria_hidden="true")


def marked(kind: str, word: str) -> ui.element:
    """Draws a shape and its word."""
    with box("span", "marked") as element:
        mark(kind)
        Text(say(word))
    return element


def link(text: str, target: str, classes: str = "") -> Text:
    """Makes a link inside the console."""
    return Text(text, "a", classes, href=target)


def ago(at: datetime | None, suffix: str = " ago", never: str = "never") -> Text:
    """Shows an age that the browser keeps counting."""
    if at is None:
        return Text(say(never), classes="meta")
    seconds = (datetime.now(UTC) - at).total_seconds()
    return Text(
        ago_text(seconds) if suffix else age_text(seconds),
        "time",
        "nowrap",
        data_age=str(epoch_ms(at)),
        data_bare=not suffix,
        datetime=at.isoformat(),
        title=at.isoformat(sep=" ", timespec="seconds"),
    )


def moment(at: datetime | None, style: str = "time") -> Text:
    """Shows a point in time, in the browser's own zone as soon as it runs (`time` or `date`)."""
    if at is None:
        return Text("–", classes="meta")
    pattern = "%H:%M:%S" if style == "time" else "%d %b, %H:%M"
    return Text(
        at.astimezone(UTC).strftime(pattern),
        "time",
        "nowrap",
        data_at=str(epoch_ms(at)),
        data_style=style,
        datetime=at.isoformat(),
        title=at.isoformat(sep=" ", timespec="seconds"),
    )


def button(
    text: str,
    on_click: Callable[..., Any] | None = None,
    kind: str = "",
    *,
    acts: bool = False,
    **attributes: Any,
) -> Text:
    """Makes a button; one that acts on the field is held while the data on the page is not live."""
    element = Text(say(text), "button", f"btn {kind}".strip(), type="button", **attributes)
    if acts:
        element.props["data-acts"] = ""
    if on_click is not None:
        element.on("click", on_click, args=[])
    return element


def block(element: ui.element, blocked: bool) -> None:
    """Disables or enables a button, and tells the browser that the server wants it so."""
    for name in ("disabled", "data-blocked"):
        if blocked:
            element.props[name] = ""
        else:
            element.props.pop(name, None)
    element.update()


@contextmanager
def panel(title: str, note: str = "", classes: str = "", level: str = "h2") -> Any:
    """Opens a titled region; yields the place at the right of its title for tools."""
    region = box("section", f"panel {classes}".strip(), aria_label=say(title))
    with region:
        with box("div", "panel-head"):
            Text(say(title), level)
            with box("div", "tools") as tools:
                if note:
                    Text(say(note), classes="meta")
        yield tools


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns of a table: their headers, and by place which hold numbers, which need room."""

    headers: Sequence[str]
    numbers: frozenset[int] = frozenset()
    wide_only: frozenset[int] = frozenset()
    folding: bool = True  # into cards on a phone; else it stays a narrow table

    def classes(self, index: int) -> str:
        """Returns the classes of a cell in this column."""
        return ("number " if index in self.numbers else "") + (
            "wide-only" if index in self.wide_only else ""
        )


def table(title: str, columns: Columns, rows: Sequence[Sequence[Cell]]) -> ui.element:
    """Draws a table."""
    return grouped_table(title, columns, [("", "", rows)])


def grouped_table(
    title: str, columns: Columns, groups: Sequence[tuple[str, str, Sequence[Sequence[Cell]]]]
) -> ui.element:
    """Draws a table whose rows stand in groups of (name, note, rows)."""
    classes = "rows folding" if columns.folding else "rows"
    with box("div", "table-wrap") as wrap, box("table", classes):
        Text(say(title), "caption", "visually-hidden")
        with box("thead"), box("tr"):
            for index, header in enumerate(columns.headers):
                Text(say(header), "th", columns.classes(index), scope="col")
        for name, note, rows in groups:
            with box("tbody"):
                if name:
                    _group_row(name, note, len(columns.headers))
                for row in rows:
                    _row(columns, row)
    return wrap


def _group_row(name: str, note: str, width: int) -> None:
    with box("tr"), box("th", "group", scope="rowgroup", colspan=width):
        Text(name)
        Text(note, classes="meta")


def _row(columns: Columns, cells: Sequence[Cell]) -> None:
    with box("tr"):
        for index, cell in enumerate(cells):
            label = say(columns.headers[index]) or None if index else None
            classes = columns.classes(index)
            if isinstance(cell, str):
                Text(cell, "td", classes, data_label=label)
            else:
                with box("td", classes, data_label=label):
                    cell()
