"""What a rule waits for, in one line: what people wrote, or the numbers of a built-in one."""

from collections.abc import Callable, Mapping
from typing import Any

from hesper_ui.services import RuleRow
from hesper_ui.views.rule_form import FIELDS, QUANTITIES
from hesper_ui.views.wording import age_text, grouped, lasting_text, within_text
from hesper_ui.words import later, say

THRESHOLDS = {
    "silent_after_s": later("Silent for at least"),
    "silent_after_periods": later("Capture periods missed"),
    "nominal_voltage_v": later("Nominal voltage"),
    "voltage_tolerance_percent": later("Tolerance"),
    "excuses_within_s": later("A command or press of the button counts for"),
    "used_wh": later("Energy used"),
}
"""The numbers of built-in rules, by name."""
_FIGURES = {
    "sum": later("sum of {of}"),
    "mean": later("mean of {of}"),
    "count": later("meters with {of}"),
    "events": later("meters with {of}"),
}
Said = Mapping[str, Any]


def threshold_name(name: str) -> str:
    """Returns what a number of a built-in rule is called."""
    return say(THRESHOLDS.get(name, name))


def condition_words(row: RuleRow) -> str:
    """Returns a condition in one line, as the list shows it."""
    said = dict((row.definition or {}).get("condition", {}))
    kind = said.get("kind", row.kind)
    if kind in _KINDS:
        return _KINDS[kind](said)
    return ", ".join(
        f"{threshold_name(each.name)} {_amount(each.value, each.unit)}"
        for each in row.thresholds
        if each.value
    )


def _amount(value: int, unit: str) -> str:
    return age_text(value) if unit == "s" else f"{grouped(value)} {unit}".strip()


def _threshold(said: Said) -> str:
    return _beyond(_quantity(said), said)


def _rate(said: Said) -> str:
    words = later("{quantity} {direction} by more than {limit} per hour")
    found = say(
        words, quantity=_quantity(said), direction=_option("rate", said), limit=said.get("limit")
    )
    return _held(found, said)


def _absence(said: Said) -> str:
    of = _quantity(said) or _codes(said, "codes") or say("contact")
    return say("no {what} {lasting}", what=of, lasting=lasting_text(_seconds(said, "after_s")))


def _event(said: Said) -> str:
    return say(
        "{count} × {codes} {within}",
        count=said.get("count", 1),
        codes=_codes(said, "codes"),
        within=within_text(_seconds(said, "within_s")),
    )


def _sequence(said: Said) -> str:
    followed = later("{first}, then {then} {within}")
    alone = later("{first} without {then} {within}")
    return say(
        followed if said.get("followed", True) else alone,
        first=_codes(said, "first"),
        then=_codes(said, "then"),
        within=within_text(_seconds(said, "within_s")),
    )


def _aggregate(said: Said) -> str:
    function = str(said.get("function", ""))
    of = _codes(said, "codes") if function == "events" else _quantity(said)
    figure = say(_FIGURES.get(function, function), of=of)
    over = _option("aggregate", said, "over")
    return say("{figure}, by {over}", figure=_beyond(figure, said), over=over)


def _beyond(of: str, said: Said) -> str:
    direction = _option("threshold", said)
    return _held(f"{of} {direction} {said.get('limit')}", said)


def _held(found: str, said: Said) -> str:
    if not said.get("hold_s"):
        return found
    return say("{condition} for {age}", condition=found, age=age_text(_seconds(said, "hold_s")))


def _quantity(said: Said) -> str:
    name = said.get("logical_name") or ""
    return say(QUANTITIES.get(name, name)) if name else ""


def _codes(said: Said, field: str) -> str:
    return ", ".join(said.get(field) or ())


def _seconds(said: Said, field: str) -> float:
    return float(said.get(field) or 0)


def _option(kind: str, said: Said, name: str = "direction") -> str:
    """Returns the words that the form has for what was chosen in it."""
    options = next(field.options for field in FIELDS[kind] if field.name == name) or {}
    chosen = str(said.get(name, ""))
    return say(options.get(chosen, chosen))


_KINDS: Mapping[str, Callable[[Said], str]] = {
    "threshold": _threshold,
    "rate": _rate,
    "absence": _absence,
    "event": _event,
    "sequence": _sequence,
    "aggregate": _aggregate,
}
