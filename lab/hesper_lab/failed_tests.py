"""Which tests failed, read from the JUnit report that pytest writes even when it breaks off."""

from pathlib import Path
from xml.etree import ElementTree

_MOST = 40
_MOST_LETTERS = 200


def failed_tests(report: Path) -> list[str]:
    """Returns a line for each failed test: its id and the first line of what was wrong.

    Args:
        report: A JUnit report of the family ``xunit1``, which knows files; it may be missing.
    """
    if not report.exists() or not report.stat().st_size:
        return []
    cases = ElementTree.parse(report).iter("testcase")  # noqa: S314 - written by our own pytest
    lines = [
        f"{case.get('file') or 'pytest'}::{case.get('name')} {kind}: {_first_line(wrong)}"
        for case in cases
        for kind in ("failure", "error")
        for wrong in case.findall(kind)
    ]
    if len(lines) > _MOST:
        return [*lines[:_MOST], f"… and {len(lines) - _MOST} more"]
    return lines


def _first_line(wrong: ElementTree.Element) -> str:
    said = (wrong.get("message") or wrong.text or "").strip().splitlines()
    return said[0][:_MOST_LETTERS] if said else ""
