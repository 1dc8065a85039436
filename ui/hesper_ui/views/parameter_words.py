"""What a command was told, in words, for whoever decides about it."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

from hesper_ui.views.wording import capital, exactly, grouped
from hesper_ui.words import later, say

NAMES = {
    "actions": later("what the limiter does"),
    "activate_at": later("becomes active"),
    "at": later("at"),
    "closes": later("until"),
    "day": later("day"),
    "day_id": later("day profile"),
    "day_ids": later("day profiles, Monday first"),
    "days": later("days"),
    "duration_s": later("open for at most"),
    "hardware": later("for hardware"),
    "identifier": later("identifier of the image"),
    "idle_s": later("closed when idle for"),
    "image": later("image"),
    "log": later("event log"),
    "logical_names": later("registers"),
    "manifest": later("signed manifest"),
    "max_step_s": later("largest step of the clock"),
    "min_over_threshold_s": later("above the threshold for at least"),
    "min_under_threshold_s": later("below the threshold for at least"),
    "minimum_version": later("from version"),
    "month": later("month"),
    "name": later("name"),
    "not_after": later("not after"),
    "octets_max": later("octets at most"),
    "opens": later("from"),
    "over": later("above the threshold"),
    "profile": later("profile"),
    "script": later("script"),
    "sealed": later("new keys, sealed for the gateway"),
    "seals": later("seals of two release keys"),
    "seasons": later("seasons"),
    "signature": later("signature"),
    "since": later("from"),
    "size": later("size, octets"),
    "switches": later("switches"),
    "threshold_emergency": later("threshold in an emergency"),
    "threshold_normal": later("threshold"),
    "toml": later("configuration, gateway.toml"),
    "under": later("below the threshold"),
    "until": later("until"),
    "version": later("version"),
    "week": later("week"),
    "weeks": later("weeks"),
    "window": later("leaves only between"),
    "year": later("year"),
    "zone": later("time zone"),
}
"""What parameters are called, by their names in the command."""
_VALUES = {
    "log": {
        "standard": later("general events"),
        "fraud": later("fraud"),
        "disconnector": later("the disconnector"),
        "power_quality": later("power quality"),
        "communication": later("communication"),
    },
    "over": {"nothing": later("nothing"), "disconnect": later("disconnect")},
    "under": {"nothing": later("nothing"), "reconnect": later("reconnect")},
}
_TIMES = frozenset({"activate_at", "at", "not_after", "since", "until"})
_COUNTS = frozenset({"octets_max", "size", "threshold_emergency", "threshold_normal"})


class Told(NamedTuple):
    """One parameter: its name in the command, what it is called, and what it says."""

    name: str
    called: str
    said: str | datetime


def told(parameters: Mapping[str, Any]) -> list[Told]:
    """Returns the parameters of a command, whole lists and tables included."""
    return [
        Told(name, capital(_called(name)), _moment(name, value) or _said(name, value))
        for name, value in parameters.items()
        if value is not None
    ]


def _called(name: str) -> str:
    return say(NAMES.get(name, name.replace("_", " ")))


def _moment(name: str, value: Any) -> datetime | None:
    """Returns a moment, which the browser writes in its zone; None for what is none."""
    if name not in _TIMES or not isinstance(value, str):
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else None


def _said(name: str, value: Any) -> str:
    if isinstance(value, Mapping):
        parts = ((part, each) for part, each in value.items() if each is not None)
        return ", ".join(f"{_called(part)}: {_said(part, each)}" for part, each in parts)
    if isinstance(value, list):
        return ", ".join(
            f"({_said(name, each)})" if isinstance(each, Mapping) else str(each) for each in value
        )
    if isinstance(value, int) and name.endswith("_s"):
        return exactly(value)
    if isinstance(value, int) and name in _COUNTS:
        return grouped(value)
    return say(_VALUES.get(name, {}).get(str(value), str(value)))
