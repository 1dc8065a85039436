"""Events as a page asks for them and shows them."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from hesper_ui.services import EventFilter, EventRow, Invalid, cell, title_of
from hesper_ui.views.load_profile import day_of, window_of
from hesper_ui.views.looks import SEVERITIES
from hesper_ui.views.wording import capital, retold
from hesper_ui.words import later, say

GROUPS = {
    "power": later("Power"),
    "tamper": later("Tamper"),
    "relay": later("Relay"),
    "clock": later("Clock"),
    "firmware": later("Firmware"),
    "communication": later("Communication"),
    "quality": later("Power quality"),
    "unknown": later("Unknown"),
}
ASKED = ("group", "severity", "code", "meter", "gateway", "area", "from", "to")
CSV_COLUMNS = (
    "occurred_at", "stored_at", "severity", "group", "code", "meter", "gateway", "text", "id",
)  # fmt: skip
_LONGEST = 128


def asked(query: Mapping[str, str]) -> dict[str, str]:
    """Returns what an address asks for.

    Raises:
        Invalid: a group or severity that there is not, or a day that is none.
    """
    found = {name: query.get(name, "").strip()[:_LONGEST] for name in ASKED}
    if found["group"] not in ("", *GROUPS) or found["severity"] not in ("", *SEVERITIES):
        raise Invalid(say("There is no such filter."))
    for name in ("from", "to"):
        day_of(found[name])
    return found


def wanted(found: Mapping[str, str], zone: ZoneInfo) -> EventFilter:
    """Returns the filter that an address asks for; both days are included, by a zone's calendar."""
    first, last = day_of(found["from"]), day_of(found["to"])
    return EventFilter(
        group=found["group"] or None,
        code=found["code"] or None,
        severity=found["severity"] or None,
        meter=found["meter"] or None,
        gateway=found["gateway"] or None,
        area=found["area"] or None,
        start=None if first is None else datetime.fromtimestamp(window_of(first, zone)[0], UTC),
        end=None if last is None else datetime.fromtimestamp(window_of(last, zone)[1], UTC),
    )


def address(found: Mapping[str, str], path: str = "/events", **changed: str) -> str:
    """Returns the address of these filters, some of them changed."""
    named = {name: value for name, value in {**found, **changed}.items() if value}
    return f"{path}?{urlencode(named)}" if named else path


def told(row: EventRow) -> tuple[str, str]:
    """Returns what an event is called, and what is said of it besides.

    It is called by its code's title, which has words in every language; whoever noticed it wrote
    its text. Only where the code is not known the text stands in the place of the title.
    """
    text, title = capital(retold(row.text)), title_of(row.code)
    if title is None:
        return (text, row.code) if text else (row.code, "")
    return say(title), f"{text} · {row.code}" if text not in ("", title) else row.code


def csv_row(row: EventRow) -> list[str]:
    """Returns an event for a spreadsheet; what would be a formula there is kept from being one."""
    values = (
        row.occurred_at.isoformat(), row.stored_at.isoformat(), row.severity, row.group, row.code,
        row.meter or "", row.gateway, row.text, row.id,
    )  # fmt: skip
    return [cell(value) for value in values]


def csv_lines(rows: Iterator[EventRow]) -> Iterator[list[str]]:
    """Yields the lines of an export, its header first."""
    yield list(CSV_COLUMNS)
    for row in rows:
        yield csv_row(row)
