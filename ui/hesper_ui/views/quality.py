"""How good readings are, in words: checks that failed, values that people put in their place."""

import re
from datetime import UTC, datetime

from hesper_ui.services import DayQuality, EditRow, Invalid
from hesper_ui.views.wording import MISSING, scaled
from hesper_ui.words import later, say

GOOD, POOR = 98, 80
WATT_HOURS = 30
"""Unit of DLMS (IEC 62056-6-2, table 4)."""
_WHOLE = re.compile(r"\d+|[1-9]\d{0,2}([ ,.'\u202f\u00a0])(?:\d{2,3}\1)*\d{3}", re.ASCII)
"""Digits, or groups of thousands, as India has them too: of two digits before the last three."""
CHECKS = {
    "range": later("a value that the meter cannot have"),
    "spike": later("one interval far above the others of its day"),
    "sum": later("intervals and register do not add up"),
    "zero": later("a whole run without consumption"),
    "missing": later("no value where one is due"),
    "time": later("captured too far from the interval's end"),
    "rollover": later("the register passed its last digit"),
    "reverse": later("energy runs backwards"),
    "imbalance": later("one phase differs from the others"),
    "power factor": later("a power factor that cannot be"),
    "voltage": later("voltage outside EN 50160"),
    "stale": later("a value repeats itself to the digit"),
    "duplicate": later("more than one reading for one interval"),
    "conflicting": later("readings of one identity with different values"),
}
METHODS = {
    "edit": later("edited"),
    "linear": later("estimated along a line"),
    "reference day": later("estimated from a day like it"),
}


def check(name: str) -> str:
    """Returns what a failed check means."""
    return say(CHECKS.get(name, name))


def method(row: EditRow) -> str:
    """Returns how a substitute was made."""
    return say(METHODS.get(row.method, row.method))


def value(row: EditRow) -> str:
    """Returns what counts instead."""
    return f"{scaled(row.value, row.scaler)} {'Wh' if row.unit == WATT_HOURS else ''}".strip()


def score(row: DayQuality) -> tuple[str, str]:
    """Returns the shape and the figure of a day's score; none where nothing was due."""
    if not row.expected:
        return "unknown", MISSING
    kind = "normal" if row.score >= GOOD else "warning" if row.score >= POOR else "critical"
    return kind, str(row.score)


def moment(text: str) -> datetime:
    """Reads a point in time as an operator writes it: ``2026-11-20 17:45``, UTC.

    Raises:
        Invalid: it is none.
    """
    try:
        at = datetime.fromisoformat(text.strip())
    except ValueError:
        raise Invalid(say("A point in time is written like 2026-11-20 17:45 (UTC).")) from None
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)


def whole(text: str) -> int:
    """Reads a whole number; one sign between its groups of thousands is let through.

    What may be a fraction is refused: with ``12.5`` read as 125 a register would be ten times what
    somebody wrote.

    Raises:
        Invalid: it is none.
    """
    written = text.strip()
    if not _WHOLE.fullmatch(written):
        raise Invalid(say("The value is a whole number of watt-hours."))
    return int("".join(filter(str.isdigit, written)))
