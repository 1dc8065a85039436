"""The form of a rule: which fields each kind of condition has, and the document they make."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hesper_ui.views.lists import joined, parted
from hesper_ui.views.looks import Look
from hesper_ui.views.wording import number_said, number_text
from hesper_ui.words import later

KINDS = {
    "threshold": later("A value beyond a limit"),
    "rate": later("A value that changes too fast"),
    "absence": later("Nothing for a time"),
    "event": later("An event, or several"),
    "sequence": later("An event and then another, or not"),
    "aggregate": later("A figure over a part of the grid"),
    "built-in": later("Built in"),
}
STATES = {
    "on": Look("done", "on"),
    "trial": Look("working", "on trial"),
    "off": Look("stopped", "off"),
}
NUMBER, WORDS, LIST = "number", "words", "list"
_YES = "yes"
QUANTITIES = {
    "1.0.32.7.0.255": later("Voltage L1"),
    "1.0.52.7.0.255": later("Voltage L2"),
    "1.0.72.7.0.255": later("Voltage L3"),
    "1.0.31.7.0.255": later("Current L1"),
    "1.0.1.7.0.255": later("Active power import"),
    "1.0.2.7.0.255": later("Active power export"),
    "1.0.1.8.0.255": later("Active energy import"),
    "1.0.2.8.0.255": later("Active energy export"),
}
"""What is offered first; any other logical name may be written."""


@dataclass(frozen=True, slots=True)
class Field:
    """One field of a condition: a number, words, a list with commas, or one of some options."""

    name: str
    label: str
    kind: str = NUMBER
    options: Mapping[str, str] | None = None
    usual: str = ""
    optional: bool = False

    @property
    def is_number(self) -> bool:
        """Whether a number is written into it."""
        return self.kind == NUMBER and self.options is None


_QUANTITY = Field("logical_name", later("Quantity (logical name)"), WORDS, usual="1.0.32.7.0.255")
_PROFILE = Field("profile", later("Of this profile (empty: any)"), WORDS, optional=True)
_DIRECTION = Field(
    "direction",
    later("Direction"),
    options={"above": later("above"), "below": later("below")},
    usual="above",
)
_LIMIT = Field("limit", later("Limit, in the quantity's unit"))
_LEVEL = (
    _DIRECTION,
    _LIMIT,
    Field("hysteresis", later("Hysteresis"), usual="0"),
    Field("hold_s", later("Hold time, s"), usual="0"),
)
_ENDS = (
    Field("ended_by", later("Ended by the codes"), LIST, optional=True),
    Field("ends_after_s", later("Ends by itself after, s"), usual="86400", optional=True),
)
FIELDS: Mapping[str, Sequence[Field]] = {
    "threshold": (_QUANTITY, _PROFILE, *_LEVEL),
    "rate": (
        _QUANTITY,
        _PROFILE,
        Field(
            "direction",
            later("Direction"),
            options={
                "rises": later("rises"),
                "falls": later("falls"),
                "either": later("rises or falls"),
            },
            usual="either",
        ),
        Field("limit", later("Limit, per hour")),
        *_LEVEL[2:],
    ),
    "absence": (
        Field("after_s", later("For how long, s"), usual="3600"),
        Field("logical_name", later("Of this quantity (empty: any contact)"), WORDS, optional=True),
        Field("codes", later("Or of these events (codes)"), LIST, optional=True),
    ),
    "event": (
        Field("codes", later("Codes"), LIST),
        Field("count", later("How many"), usual="1"),
        Field("within_s", later("Within, s"), usual="3600"),
        *_ENDS,
    ),
    "sequence": (
        Field("first", later("First one of the codes"), LIST),
        Field("then", later("Then one of the codes"), LIST),
        Field("within_s", later("Within, s"), usual="3600"),
        Field(
            "followed",
            later("What is told"),
            options={_YES: later("that it followed"), "no": later("that it did not follow")},
            usual=_YES,
        ),
        *_ENDS,
    ),
    "aggregate": (
        Field(
            "over",
            later("Over each"),
            options={
                "area": later("area"),
                "feeder": later("feeder"),
                "transformer": later("transformer"),
                "gateway": later("gateway"),
                "fleet": later("whole fleet"),
            },
            usual="area",
        ),
        Field(
            "function",
            later("Figure"),
            options={
                "sum": later("sum of a quantity"),
                "mean": later("mean of a quantity"),
                "count": later("meters that have a value"),
                "events": later("meters that had an event"),
            },
            usual="mean",
        ),
        Field("logical_name", later("Quantity (logical name)"), WORDS, optional=True),
        Field("codes", later("Or events (codes)"), LIST, optional=True),
        *_LEVEL,
        Field("within_s", later("Of the newest, s"), usual="3600"),
    ),
}
SCOPE = (
    Field("areas", later("Areas"), LIST, optional=True),
    Field("models", later("Models"), LIST, optional=True),
    Field("templates", later("Templates"), LIST, optional=True),
    Field("gateways", later("Gateways"), LIST, optional=True),
    Field("elements", later("Feeders and transformers"), LIST, optional=True),
)


def document(
    said: Mapping[str, str], kind: str, condition: Mapping[str, str], scope: Mapping[str, str]
) -> dict[str, Any]:
    """Returns the document of a rule from the texts of its form; what is wrong in it stays so.

    Raises:
        Invalid: a number can be read in two ways.
    """
    read = {
        field.name: value
        for field in FIELDS[kind]
        if (value := _value(field, condition.get(field.name, ""))) is not None
    }
    for field in FIELDS[kind]:
        if field.name == "ends_after_s" and field.name not in read:
            read[field.name] = None
    return {
        "title": said.get("title", ""),
        "severity": said.get("severity", "warning"),
        "text": said.get("text", ""),
        "fresh_s": said.get("fresh_s", "").strip() or None,
        "scope": {
            field.name: value
            for field in SCOPE
            if (value := _value(field, scope.get(field.name, ""))) is not None
        },
        "condition": {"kind": kind, **read},
    }


def _value(field: Field, text: str) -> Any:
    text = text.strip()
    if field.kind == LIST:
        found = parted(text)
        return found if found or not field.optional else None
    if not text and field.optional:
        return None
    if field.options is not None and _YES in field.options:
        return text == _YES
    return number_said(text) if field.is_number else text


def texts(fields: Sequence[Field], stored: Mapping[str, Any] | None) -> dict[str, str]:
    """Returns the texts with which a form begins: what is stored, or what is usual."""
    return {field.name: _text(field, stored) for field in fields}


def _text(field: Field, stored: Mapping[str, Any] | None) -> str:
    if stored is None or field.name not in stored:
        return field.usual if stored is None else ""
    value = stored[field.name]
    if value is None:
        return ""
    if isinstance(value, bool):
        return _YES if value else "no"
    if isinstance(value, list | tuple):
        return joined(map(str, value))
    return number_text(value) if field.is_number else str(value)
