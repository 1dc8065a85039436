"""Texts that remember how they came about, so that they can be said in another language.

A `Worded` is an English text like any other. Beside that it knows its template, the text with names
in braces, and what they stand for; a value that is a text may be worded itself. Whoever shows it in
another language looks the template up in a catalogue; where nothing is known of how a text came
about, or the catalogue lacks it, the English text is shown. A text without names is its own
template, and needs no `worded`.
"""

import re
from collections.abc import Mapping
from typing import Any, Self

_NAMED = re.compile(r"\{[^{}]*\}")
_WORD = re.compile(r"[a-z0-9]+")
_LONGEST_REASON = 80


class Worded(str):
    """An English text with its template and values."""

    __slots__ = ("template", "values")
    template: str
    values: Mapping[str, object]

    def __new__(cls, template: str, values: Mapping[str, object]) -> Self:
        """Fills a template in."""
        text = super().__new__(cls, template.format(**values))
        text.template, text.values = template, values
        return text

    def __reduce__(self) -> tuple[type[Self], tuple[str, Mapping[str, object]]]:
        """Returns what a copy is made of."""
        return type(self), (self.template, self.values)


def worded(template: str, /, **values: object) -> Worded:
    """Returns a template filled in; a value that is no text and no number becomes its text."""
    plain = {
        name: each if isinstance(each, str | int | float) else str(each)
        for name, each in values.items()
    }
    return Worded(template, plain)


def later(template: str) -> str:
    """Marks a template that is filled in later; returns it unchanged."""
    return template


def told_by(error: BaseException) -> str:
    """Returns what an error says, worded if it was raised so."""
    said = error.args[0] if error.args else ""
    return said if isinstance(said, Worded) else str(error)


def wording(text: str | None) -> dict[str, Any] | None:
    """Returns template and values as they are stored or sent; None where nothing is known."""
    if not isinstance(text, Worded):
        return None
    values = {
        name: wording(each) if isinstance(each, Worded) else each
        for name, each in text.values.items()
    }
    return {"template": text.template, "values": values}


def restored(text: str, said: object) -> str:
    """Returns a text with the wording that was kept beside it; as it is where that does not fit."""
    try:
        found = _restored(said)
    except (LookupError, ValueError, TypeError, AttributeError):
        return text
    return found if found == text else text


def reason(text: str) -> str:
    """Returns what programs know a text by: the words of its template, joined by hyphens."""
    template = text.template if isinstance(text, Worded) else text
    return "-".join(_WORD.findall(_NAMED.sub("", template).lower()))[:_LONGEST_REASON]


def _restored(said: Any) -> Worded:
    values = {
        name: _restored(each) if isinstance(each, dict) else each
        for name, each in said["values"].items()
    }
    return Worded(said["template"], values)
