"""What targets are told, in three forms: JSON, plain text, HTML.

Texts come from meters, gateways and people, and are shown as texts: control characters are taken
out, HTML is escaped, and nothing of them becomes part of a header but one line of the subject.
"""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from html import escape
from typing import Any

import orjson

REPORT = "report"
_ORDER = ("critical", "warning", "info")
_LONGEST_SUBJECT = 150
_LONGEST_TEXT = 500
_MOST_LISTED = 200
_WORDS = {"raised": "raised", "cleared": "cleared", "surfaced": "still there", "grew": "grew"}


@dataclass(frozen=True, slots=True)
class Entry:
    """One change of an alert, as it is told; the alert as it is when the message leaves."""

    change: int
    what: str  # raised | cleared | surfaced | grew
    at: datetime
    alert: int
    rule: str
    severity: str
    state: str
    text: str
    raised_at: datetime
    cleared_at: datetime | None
    meter: str | None
    gateway: str | None
    element: str | None
    area: str | None
    priority: int
    affected_count: int
    extent: dict[str, Any] | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """One report, as its message tells of it."""

    number: int
    title: str
    days: str  # the first and the last
    area: str
    row_count: int
    files: tuple[str, ...]  # in the state folder

    def line(self) -> str:
        """Returns it on one line."""
        return line(f"{self.title}, {self.days}, {self.area}")


@dataclass(frozen=True, slots=True)
class Message:
    """One message; ``id`` stays the same at every attempt."""

    id: str
    kind: str  # alert | digest | test | report
    made_at: datetime
    entries: tuple[Entry, ...] = ()
    console_url: str = ""
    report: Told | None = None

    @property
    def severity(self) -> str:
        """The worst of its entries."""
        return min((each.severity for each in self.entries), key=_rank, default="info")

    def document(self) -> bytes:
        """Returns the message as JSON, the same octets for the same content."""
        told = {
            "id": self.id,
            "kind": self.kind,
            "version": 1,
            "made_at": self.made_at,
            "severity": self.severity,
            "entries": self.entries,
        }
        return orjson.dumps(told, option=orjson.OPT_UTC_Z)

    def subject(self) -> str:
        """Returns one line of text for a mail's subject."""
        if self.kind == "test":
            return "[Hesper] A test: this is how alerts arrive"
        if self.report is not None:
            return _cut(f"[Hesper] {self.report.line()}")
        if len(self.entries) == 1:
            only = self.entries[0]
            return _cut(f"[Hesper] {only.severity} {_word(only)}: {line(only.text)}")
        worst = line(_in_order(self.entries)[0].text)
        return _cut(f"[Hesper] {len(self.entries)} alerts, worst {self.severity}: {worst}")

    def text(self) -> str:
        """Returns the message as plain text."""
        if self.kind == "test":
            return "Somebody asked Hesper to send a test. Alerts will arrive like this.\n"
        if self.report is not None:
            told = (
                f"{self.report.line()}: report {self.report.number}, {self.report.row_count} rows."
            )
            return f"{told}\n\n{self._foot()}\n"
        parts = [_told(each) for each in _in_order(self.entries)[:_MOST_LISTED]]
        return "\n\n".join([*parts, *self._more(), self._foot()]) + "\n"

    def html(self) -> str:
        """Returns the message as HTML without anything that is fetched or run."""
        if self.kind == "test" or self.report is not None:
            body = f"<p>{escape(self.text().strip())}</p>"
        else:
            rows = [_row(each) for each in _in_order(self.entries)[:_MOST_LISTED]]
            body = "".join(rows) + "".join(f"<p>{escape(each)}</p>" for each in self._more())
            body += f"<p>{escape(self._foot())}</p>"
        return f'<!DOCTYPE html><html lang="en"><body>{body}</body></html>'

    def _more(self) -> list[str]:
        left = len(self.entries) - _MOST_LISTED
        return [f"And {left} more."] if left > 0 else []

    def _foot(self) -> str:
        where = f" {self.console_url}" if self.console_url else ""
        return f"Hesper, message {self.id}.{where}"


def line(text: str, longest: int = _LONGEST_TEXT) -> str:
    """Returns a text on one line, without control or invisible formatting characters."""
    words = " ".join(text.split())
    plain = "".join(c for c in words if unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Co"))
    return plain if len(plain) <= longest else plain[: longest - 1] + "…"


def _cut(subject: str) -> str:
    return line(subject, _LONGEST_SUBJECT)


def _rank(severity: str) -> int:
    return _ORDER.index(severity) if severity in _ORDER else len(_ORDER)


def _in_order(entries: Sequence[Entry]) -> list[Entry]:
    return sorted(entries, key=lambda each: (_rank(each.severity), -each.priority, each.change))


def _word(entry: Entry) -> str:
    return _WORDS.get(entry.what, entry.what)


def _facts(entry: Entry) -> list[tuple[str, str]]:
    of = entry.extent or {}
    made_of = of.get("made_of", "meters")
    parts = ", ".join(
        f"{each['name']} ({each.get(made_of, 0)})" for each in of.get("parts", ())[:5]
    )
    told = [
        ("Rule", entry.rule),
        ("Meter", entry.meter),
        ("Gateway", entry.gateway),
        ("Part of the grid", entry.element),
        ("Area", entry.area),
        ("Customers", str(entry.affected_count) if entry.affected_count > 1 else None),
        ("Most concerned", parts or None),
        ("Priority", str(entry.priority)),
        ("Raised", f"{entry.raised_at:%Y-%m-%d %H:%M:%S} UTC"),
        ("Cleared", f"{entry.cleared_at:%Y-%m-%d %H:%M:%S} UTC" if entry.cleared_at else None),
    ]
    return [(name, line(value)) for name, value in told if value]


def _told(entry: Entry) -> str:
    head = f"{entry.severity.upper()} {_word(entry)}: {line(entry.text)}"
    return "\n".join([head, *(f"  {name}: {value}" for name, value in _facts(entry))])


def _row(entry: Entry) -> str:
    head = f"<p><b>{escape(entry.severity)} {escape(_word(entry))}</b>: {escape(line(entry.text))}"
    facts = "".join(f"<br>{escape(name)}: {escape(value)}" for name, value in _facts(entry))
    return f"{head}{facts}</p>"
