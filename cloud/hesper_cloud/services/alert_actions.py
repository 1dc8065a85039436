"""What a person may do with alerts: pure descriptions, for one alert and for many alike."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from hesper_cloud.alerting.changes import Step
from hesper_cloud.alerting.shelving import BACK
from hesper_cloud.db.alerting import ACKNOWLEDGED, CLEARED, NEW, OPEN_STATES, SHELVED
from hesper_cloud.services.errors import Invalid
from hesper_cloud.worded import worded

MOST_WORDS = 2000
_EVER = (*OPEN_STATES, CLEARED)


@dataclass(frozen=True, slots=True)
class Action:
    """One action: in which states it means something, and what it sets."""

    step: Step
    states: tuple[str, ...]
    after: str  # what the audit log and the history say it became
    why: str = ""
    values: dict[str, Any] = field(default_factory=dict)
    note: str = ""  # to be added to the alert's notes

    @property
    def name(self) -> str:
        """How the audit log names it."""
        return f"alert.{_VERBS[self.step]}"


_VERBS = {
    Step.ACKNOWLEDGED: "acknowledge",
    Step.SHELVED: "shelve",
    Step.UNSHELVED: "unshelve",
    Step.ASSIGNED: "assign",
    Step.NOTED: "note",
}
Make = Callable[[str, datetime], Action]
"""Makes an action for whoever acts, at a moment."""


def acknowledge(words: str) -> Make:
    """Marks an alert as seen."""

    def make(who: str, now: datetime) -> Action:
        values = {
            "state": ACKNOWLEDGED,
            "note": _checked(words) or None,
            "acknowledged_by": who,
            "acknowledged_at": now,
        }
        return Action(Step.ACKNOWLEDGED, (NEW,), ACKNOWLEDGED, words, values, words)

    return make


def shelve(until: datetime | None, reason: str) -> Make:
    """Puts an alert away until a moment, at which it comes back by itself.

    Raises (when made):
        Invalid: no reason, or the moment is not ahead.
    """

    def make(who: str, now: datetime) -> Action:
        if not _checked(reason):
            raise Invalid("say why the alert is shelved")
        if until is None or until.tzinfo is None or until <= now:
            raise Invalid("an alert is shelved until a moment ahead, with its zone")
        at = _in_utc(until)
        values = {
            "state": SHELVED,
            "shelved_until": at,
            "shelved_by": who,
            "shelved_reason": reason,
        }
        after = f"shelved until {at:%Y-%m-%dT%H:%M:%SZ}"
        return Action(Step.SHELVED, OPEN_STATES, after, reason, values)

    return make


def _in_utc(moment: datetime) -> datetime:
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise Invalid("an alert is shelved until a moment before the year 10000") from None


def unshelve(reason: str) -> Make:
    """Takes an alert off the shelf before its time."""

    def make(_who: str, _now: datetime) -> Action:
        return Action(Step.UNSHELVED, (SHELVED,), "unshelved", _checked(reason), dict(BACK))

    return make


def assign(to: str | None) -> Make:
    """Makes somebody responsible, or nobody."""

    def make(_who: str, _now: datetime) -> Action:
        after = f"assigned to {to or 'nobody'}"
        return Action(Step.ASSIGNED, OPEN_STATES, after, values={"assigned_to": to or None})

    return make


def add_note(words: str) -> Make:
    """Writes a note to an alert, open or cleared.

    Raises (when made):
        Invalid: it is empty or too long.
    """

    def make(_who: str, _now: datetime) -> Action:
        if not _checked(words):
            raise Invalid("a note says something")
        return Action(Step.NOTED, _EVER, "noted", words, {}, words)

    return make


def _checked(words: str) -> str:
    if len(words) > MOST_WORDS:
        raise Invalid(worded("at most {most_words} characters", most_words=MOST_WORDS))
    if "\0" in words:
        raise Invalid("a text without NUL characters, please")
    return words.strip()
