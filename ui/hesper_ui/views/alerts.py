"""How alerts are grouped, named and drawn."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import groupby

from hesper_ui.services import AlertRow
from hesper_ui.views import attention_words
from hesper_ui.views.wording import MISSING, plural
from hesper_ui.words import later, say

STATES = {
    "": later("Open"),
    "new": later("New"),
    "acknowledged": later("Acknowledged"),
    "shelved": later("Shelved"),
    "cleared": later("Cleared"),
}
_STATE_WORDS = {"new": later("new"), "cleared": later("cleared")}
SEVERITIES = {
    "": later("Any severity"),
    "critical": later("Critical"),
    "warning": later("Warning"),
    "info": later("Info"),
}
STEPS = {
    "raised": later("raised"),
    "cleared": later("cleared"),
    "acknowledged": later("acknowledged"),
    "shelved": later("shelved"),
    "unshelved": later("came back"),
    "assigned": later("given"),
    "noted": later("noted"),
    "hidden": later("gave way to a greater one"),
    "surfaced": later("came up again"),
    "grew": later("grew"),
    "worsened": later("became worse"),
    "told": later("told"),
}
SHELVES = {
    "1": later("1 hour"),
    "4": later("4 hours"),
    "8": later("8 hours"),
    "24": later("1 day"),
    "168": later("1 week"),
}
_PARTS = {
    "gateway": later("Gateway"),
    "element": later("Part of the grid"),
    "area": later("Area"),
}
_WIDTH, _HEIGHT = 288, 32


@dataclass(frozen=True, slots=True)
class Group:
    """Alerts of one root cause, the most urgent first."""

    name: str
    rows: Sequence[AlertRow]


def groups(rows: Sequence[AlertRow]) -> list[Group]:
    """Returns alerts by root cause, the cause with the most urgent alert first."""
    ordered = sorted(rows, key=_key)
    found = [Group(_name(key), _by_urgency(list(some))) for key, some in groupby(ordered, key=_key)]
    return sorted(found, key=lambda group: _urgency(group.rows[0]))


def _key(row: AlertRow) -> str:
    return row.group or f"rule/{row.rule}"


def _name(key: str) -> str:
    kind, _, name = key.partition("/")
    if kind == "rule":
        return attention_words.cause(name)
    if kind == "fleet":
        return say("All areas")
    return f"{say(_PARTS.get(kind, kind))} {name.partition('/')[0]}"


def _urgency(row: AlertRow) -> tuple[int, int, float]:
    order = {"critical": 0, "warning": 1, "info": 2}
    return -row.priority, order.get(row.severity, 3), row.raised_at.timestamp()


def _by_urgency(rows: Sequence[AlertRow]) -> list[AlertRow]:
    return sorted(rows, key=_urgency)


def state_words(row: AlertRow) -> str:
    """Says what became of an alert, and whose it is."""
    if row.state == "acknowledged":
        note = f": {row.note}" if row.note else ""
        said = say("acknowledged by {who}", who=row.acknowledged_by) + note
    elif row.state == "shelved":
        said = say("shelved by {who}: {why}", who=row.shelved_by, why=row.shelved_reason)
    else:
        said = say(_STATE_WORDS.get(row.state, row.state))
    return f"{said} · {row.assigned_to}" if row.assigned_to else said


def extent_words(row: AlertRow) -> str:
    """Says how many customers an alert concerns, where it is more than one."""
    return plural(row.affected_count, "customer") if row.affected_count > 1 else ""


def step(action: str) -> str:
    """Returns what a step of the history is called."""
    return say(STEPS.get(action, action))


def until(hours: str) -> datetime:
    """Returns the moment to which an alert is shelved for so many hours."""
    return datetime.now(UTC) + timedelta(hours=int(hours))


def spark(counts: Sequence[int], limit: int) -> str:
    """Draws counts as bars, with a line where a flood begins if they come near it."""
    most = max([1, *counts])
    if most * 2 >= limit:
        most = max(most, limit)
    width = _WIDTH / max(1, len(counts))
    bar = max(1.0, width - 0.5)
    bars = "".join(
        f'<rect x="{place * width:.1f}" y="{_HEIGHT - tall:.1f}"'
        f' width="{bar:.1f}" height="{tall:.1f}"/>'
        for place, count in enumerate(counts)
        if (tall := count / most * _HEIGHT)
    )
    line = _HEIGHT - limit / most * _HEIGHT
    flood = (
        f'<path d="M0 {line:.1f}H{_WIDTH}" stroke="var(--warning)" stroke-dasharray="3 3"/>'
        if line >= 0
        else ""
    )
    return (
        f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" width="100%" height="{_HEIGHT}"'
        f' preserveAspectRatio="none"><g fill="var(--accent)">{bars}</g>{flood}</svg>'
    )


def spark_words(counts: Sequence[int]) -> str:
    """Says what the bars show."""
    return say(
        "{now} new in the last 10 minutes, {most} at most in 10 minutes of the last day",
        now=counts[-1] if counts else MISSING,
        most=max(counts, default=0),
    )
