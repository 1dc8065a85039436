"""What a command has found, in words."""

from collections.abc import Mapping
from typing import Any

from hesper_ui.views.wording import MINUS, decimal, plural, scaled
from hesper_ui.words import later, say

_REGISTERS_SHOWN = 3


def found(findings: Mapping[str, Any] | None) -> list[str]:
    """Returns what a result says of what was found, the most telling first."""
    if not findings:
        return []
    return [
        *_counts(findings),
        *_registers(findings),
        *_name(findings),
        *_clock(findings),
        *_missing(findings),
    ]


def _name(findings: Mapping[str, Any]) -> list[str]:
    name = findings.get("logical_device_name")
    return [say("the meter calls itself {name}", name=name)] if name else []


def _counts(findings: Mapping[str, Any]) -> list[str]:
    words = []
    if "row_count" in findings:
        words.append(plural(findings["row_count"], "row"))
    if "event_count" in findings:
        words.append(plural(findings["event_count"], "event"))
    return [say("{what} read", what=word) for word in words]


def _registers(findings: Mapping[str, Any]) -> list[str]:
    registers: Mapping[str, Any] = findings.get("registers", {})
    shown = [
        f"{name} = {scaled(each['value'], each['scaler'])}"
        for name, each in list(registers.items())[:_REGISTERS_SHOWN]
    ]
    more = len(registers) - len(shown)
    return [*shown, say("{count} more", count=more)] if more else shown


def _clock(findings: Mapping[str, Any]) -> list[str]:
    parts = (("clock", later("clock")), ("clock_after", later("clock afterwards")))
    return [
        f"{say(words)} {_signed(findings[key]['drift_ms'] / 1000)} s"
        for key, words in parts
        if findings.get(key)
    ]


def _signed(value: float) -> str:
    written = decimal(value, 1)
    return written if written.startswith(MINUS) else f"+{written}"


def _missing(findings: Mapping[str, Any]) -> list[str]:
    missing = findings.get("missing")
    return [say("the meter has no {what}", what=", ".join(missing))] if missing else []
