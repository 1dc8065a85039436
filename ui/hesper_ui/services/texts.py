"""The texts that services say, found in their source so that catalogues have words for them.

A text is found where it is raised as a refusal, given as the reason of a step, or made with
`worded`; the titles of events stand in their own catalogue. What a text is put together of without
`worded` cannot be found, and stays English.
"""

import ast
from collections.abc import Iterator, Mapping
from pathlib import Path

from hesper_cloud.events import catalogue
from hesper_cloud.worded import Worded, told_by

__all__ = ["Worded", "of_services", "title_of", "titles", "told_by"]

SAYING: Mapping[str, int] = {  # callables, and which of their arguments is said
    "later": 0,
    "worded": 0,
    "Bad": 1,
    "BadPage": 0,
    "checked": 2,
    "Job": 0,
    "Busy": 0,
    "CodeNeeded": 0,
    "Denied": 0,
    "Forbidden": 0,
    "Invalid": 0,
    "JobFailed": 0,
    "LoginRefused": 0,
    "Missing": 0,
    "Move": 2,
    "NotASheet": 0,
    "NotAuthenticated": 0,
    "NotDelivered": 0,
    "NotFound": 0,
    "NotKept": 0,
    "NotPermitted": 0,
    "NotTaken": 0,
    "Outdated": 0,
    "ProviderRefused": 0,
    "Refused": 0,
    "SeriesRefused": 0,
    "Stale": 0,
    "TokenRefused": 0,
    "TooLarge": 0,
    "Unavailable": 0,
    "ValueError": 0,
    "WrongField": 1,
    "step": 1,
}
_UNSEEN = ("ca", "db", "migrations", "stores")
"""Packages whose texts no page shows: of command lines, dead letters, the log."""
_SOURCE = Path(catalogue.__file__).parents[1]


def of_services() -> frozenset[str]:
    """Returns every text that a service may say, and the title of every event."""
    texts = {entry.title for entry in catalogue.entries().values()}
    for path in _SOURCE.rglob("*.py"):
        if path.relative_to(_SOURCE).parts[0] not in _UNSEEN:
            texts |= set(_said(ast.parse(path.read_text(encoding="utf-8"))))
    return frozenset(texts)


def titles() -> dict[str, str]:
    """Returns the title of every event's code, in English."""
    return {code: entry.title for code, entry in catalogue.entries().items()}


def title_of(code: str) -> str | None:
    """Returns the title of an event's code, in English; None of one that is not known."""
    found = catalogue.entries().get(code)
    return None if found is None else found.title


def _said(module: ast.Module) -> Iterator[str]:
    for node in ast.walk(module):
        if isinstance(node, ast.Call):
            name = getattr(node.func, "id", getattr(node.func, "attr", ""))
            place = SAYING.get(name)
            if place is not None and place < len(node.args):
                yield from _literals(node.args[place])


def _literals(node: ast.expr) -> Iterator[str]:
    match node:
        case ast.Constant(value=str(text)) if text.strip():
            yield text
        case ast.IfExp(body=body, orelse=other):
            yield from _literals(body)
            yield from _literals(other)
