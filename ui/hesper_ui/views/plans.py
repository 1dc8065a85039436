"""Schedules and templates in words: what a version says, whom it is for, what is in force."""

from collections.abc import Mapping
from typing import Any

from hesper_ui.services import Invalid
from hesper_ui.services.planning import SCHEDULE_FIELDS, PlanKind, PlanState
from hesper_ui.views.looks import Look
from hesper_ui.views.wording import MISSING, grouped, number_said, number_text, plural
from hesper_ui.words import later, say

PATHS: dict[PlanKind, str] = {"schedule": "/plans", "template": "/plans/templates"}
TITLES: dict[PlanKind, str] = {
    "schedule": later("Schedules"),
    "template": later("Meter templates"),
}
KINDS: Mapping[str, PlanKind] = {"schedules": "schedule", "templates": "template"}
"""What the address of a plan's page calls its kind."""
FIELDS: Mapping[str, str] = {
    "profile_s": later("Load profile every"),
    "snapshot_s": later("Registers every"),
    "events_s": later("Event logs every"),
    "jitter_s": later("Meters spread over"),
    "back_off_s": later("First pause after a failure"),
    "back_off_max_s": later("Longest pause"),
}
QUERY: Mapping[str, str] = {
    "gateway": later("Gateway"),
    "area": later("Area"),
    "brand": later("Brand"),
    "model": later("Model"),
    "meter_type": later("Type"),
}
_STATES = {
    "as desired": Look("normal", later("as desired")),
    "names agree": Look("normal", later("names agree")),
    "differs": Look("warning", later("differs")),
    "unknown": Look("unknown", later("not known here")),
}
_ORDER = {"differs": 0, "unknown": 1, "as desired": 2, "names agree": 2}


def address(kind: PlanKind, name: str) -> str:
    """Returns the page of a plan."""
    return f"/plans/{kind}s/{name}"


def state(row: PlanState) -> Look:
    """Returns whether what is in force is what is desired; of nothing desired it says so."""
    if row.desired is None:
        return Look("unknown", later("nothing assigned"))
    return _STATES.get(row.state, Look("unknown", row.state))


def order(row: PlanState) -> tuple[bool, int, str]:
    """Places what differs first, and gateways to which nothing is assigned last."""
    return row.desired is None, _ORDER.get(row.state, 1), row.gateway


def duration(seconds: float) -> str:
    """Writes a number of seconds in the largest unit in which it is whole."""
    for length, unit in ((3600, "h"), (60, "min")):
        if seconds and seconds % length == 0:
            return f"{grouped(int(seconds) // length)} {unit}"
    return f"{number_text(seconds)} s"


def told(kind: PlanKind, document: Mapping[str, Any]) -> list[str]:
    """Returns what a version says, one line a field; of a template how long it is."""
    if kind == "template":
        return [plural(len(str(document.get("toml", "")).splitlines()), "line")]
    lines = [
        f"{say(label)} {duration(float(document[name]))}"
        for name, label in FIELDS.items()
        if isinstance(document.get(name), int | float)
    ]
    return lines or [say("the gateway's own defaults")]


def compared(kind: PlanKind, row: PlanState) -> list[tuple[str, str, str]]:
    """Returns (what, desired, reported) of all that is desired at a gateway."""
    desired, reported = row.desired or {}, row.reported
    return [
        (name, _shown(kind, value), _shown(kind, None if reported is None else reported.get(key)))
        for key, value in desired.items()
        for name in (say(FIELDS.get(key, key)) if kind == "schedule" else key,)
    ]


def _shown(kind: PlanKind, value: Any) -> str:
    if not isinstance(value, int | float):
        return MISSING
    return duration(value) if kind == "schedule" else plural(int(value), "meter")


def whom(query: Mapping[str, Any]) -> str:
    """Returns whom an assignment finds."""
    said = [f"{say(label)} {query[name]}" for name, label in QUERY.items() if query.get(name)]
    return " · ".join(said) or say("every gateway")


def text_of(document: Mapping[str, Any] | None, name: str) -> str:
    """Returns what the form shows of a schedule's field; nothing where the default holds."""
    value = (document or {}).get(name)
    return "" if value is None else number_text(value)


def schedule_of(texts: Mapping[str, str]) -> dict[str, Any]:
    """Returns the schedule that a form says; empty lines are the gateway's defaults.

    Raises:
        Invalid: a line holds no number, or one that can be read in two ways.
    """
    document: dict[str, Any] = {}
    for name in SCHEDULE_FIELDS:
        text = number_said(texts.get(name, ""))
        if not text:
            continue
        try:
            value = float(text)
        except ValueError:
            words = say("{field}: write a number of seconds.", field=say(FIELDS[name]))
            raise Invalid(words) from None
        document[name] = int(value) if value.is_integer() else value
    return document
