"""The catalogue of events: for each code its group, its severity, a title, and what it ends.

Codes are what travels up: dotted, the area first. Which number of which meter's log is which code
stands in the gateway's meter templates. A code that is not in the catalogue is kept as it came; it
belongs to the group "unknown".
"""

import tomllib
from collections.abc import Iterable
from enum import StrEnum
from functools import cache
from importlib.resources import files
from typing import NamedTuple

from hesper_contracts.events import Severity

UNKNOWN = "unknown"
_DATA = "catalogue.toml"


class Group(StrEnum):
    """What an event is about."""

    POWER = "power"
    TAMPER = "tamper"
    RELAY = "relay"
    CLOCK = "clock"
    FIRMWARE = "firmware"
    COMMUNICATION = "communication"
    QUALITY = "quality"


class Entry(NamedTuple):
    """One code of the catalogue; ``ends`` is the code of the event whose end this one tells."""

    code: str
    group: Group
    severity: Severity
    title: str
    ends: str | None = None


@cache
def entries() -> dict[str, Entry]:
    """Returns the whole catalogue by code, in its order."""
    data = tomllib.loads(files(__package__).joinpath(_DATA).read_text(encoding="utf-8"))
    return {
        code: Entry(code, Group(group), *told)
        for group, codes in data.items()
        for code, told in codes.items()
    }


def group_of(code: str) -> str:
    """Returns the group of a code, ``unknown`` for one that is not in the catalogue."""
    found = entries().get(code)
    return UNKNOWN if found is None else found.group.value


def title_of(code: str) -> str:
    """Returns what people call an event; one that is not known is said to be so."""
    found = entries().get(code)
    return f"Unknown event {code}" if found is None else found.title


def codes_of(groups: Iterable[str]) -> set[str]:
    """Returns the codes of some groups."""
    wanted = set(groups)
    return {entry.code for entry in entries().values() if entry.group in wanted}


def ended_by(code: str) -> tuple[str, ...]:
    """Returns the codes that tell the end of what a code began."""
    return tuple(entry.code for entry in entries().values() if entry.ends == code)
